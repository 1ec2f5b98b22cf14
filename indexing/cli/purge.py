"""`lookreel index purge`."""

from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from indexing.cli.options import AsJson

if TYPE_CHECKING:
    from indexing.purge import Asked, PurgePlaces, Receipt

EXIT_LEFT_OVER = 4
SHOWN = 10  # ids on the screen; the receipt has all of them

Many = Annotated[list[str] | None, typer.Option(help="A video; may be repeated.")]


def purge_command(
    video: Many = None,
    creator: Annotated[list[str] | None, typer.Option(help="All videos of a creator; may be repeated.")] = None,
    brand: Annotated[list[str] | None, typer.Option(help="All videos of a brand; may be repeated.")] = None,
    snapshot: Annotated[Path | None, typer.Option(help="Folder of the snapshot.")] = None,
    videos: Annotated[str | None, typer.Option(help="Store of videos, a folder or fsspec URL.")] = None,
    tables: Annotated[Path | None, typer.Option(help="Folder of the shop's tables: more videos of a creator.")] = None,
    judgments: Annotated[
        list[Path] | None, typer.Option(help="Folder of judgments, parquet or JSON lines; may be repeated.")
    ] = None,
    receipt: Annotated[
        Path | None, typer.Option(help="Where the receipt goes.", show_default="purge-TIME.json")
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what would go.")] = False,
    as_json: AsJson = False,
) -> None:
    """Take videos out for good: of the store, every kept version and judgments, with a receipt."""
    from datetime import UTC

    from indexing.purge import Asked, PurgePlaces, plan_purge, purge
    from retrieval.config import load_config
    from retrieval.console import to_json

    config, now = load_config(), datetime.now(UTC)
    asked = Asked(tuple(video or ()), tuple(creator or ()), tuple(brand or ()))
    _require_any(asked)
    named = tables if tables is not None else _where_tables_are(config.path("tables", None))
    places = PurgePlaces(
        config.path("snapshot", snapshot), config.place("videos", videos), tuple(judgments or ()), named
    )
    if dry_run:
        done = plan_purge(asked, places, now)
    else:
        receipt = receipt or _receipt_file(asked, places, now)
        done = purge(asked, places, receipt, now)
    print(to_json(done) if as_json else _words(done, receipt))
    raise typer.Exit(EXIT_LEFT_OVER if done.left and done.left.rows else 0)


def _require_any(asked: "Asked") -> None:
    from retrieval.errors import ConfigError

    if asked.videos or asked.creators or asked.brands:
        return
    raise ConfigError("Nothing is named that should go.", "Name it with --video, --creator or --brand.")


def _where_tables_are(folder: Path) -> Path | None:
    return folder if (folder / "videos.parquet").is_file() else None


def _receipt_file(asked: "Asked", places: "PurgePlaces", now: datetime) -> Path:
    """A new file in this folder, or the receipt of the same purge that was begun there and never ended."""
    from indexing.purge import read_begun

    begun = (file for file in sorted(Path().glob("purge-*.json")) if read_begun(file, asked, places))
    return next(begun, Path(f"purge-{now:%Y%m%dT%H%M%S%f}Z.json"))


def _words(done: "Receipt", file: Path | None) -> str:
    store, versions = done.held["store"], done.held["versions"]
    going = "would go" if done.left is None else "went"
    lines = [
        f"{len(done.videos)} videos: {_some(done.videos)}",
        f"  store      {store['items']} items, {store['frames']} frames, {store['quarantine']} rows set aside {going}; "
        f"of {len(store['shards'])} shards",
        f"  snapshot   {versions['rows']} rows, {versions['vectors']} vectors {going}; of {len(versions['names'])} "
        "versions",
        f"  judgments  {sum(done.held['judgments'].values())} rows {going}",
        *(f"  {old} is now {new}" for old, new in done.versions.items()),
    ]
    if done.not_found:
        lines.append(f"Known nowhere: {_some(done.not_found)}")
    if done.still_named:
        lines.append(
            f"The tables still name {_some(done.still_named)}: the next lookreel embed brings them back unless their "
            "rows go."
        )
    if done.left is not None:
        lines.append(f"{done.left.files} files were searched afterwards, found: {done.left.rows}. Receipt: {file}")
    return "\n".join(lines)


def _some(names: tuple[str, ...]) -> str:
    more = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
    return ", ".join(names[:SHOWN]) + more
