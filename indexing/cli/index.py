"""`lookreel index …`."""

from pathlib import Path
from typing import Annotated

import typer

from indexing.cli.options import AsJson, Overwrite

index_app = typer.Typer(help="Publish stores as a snapshot.", no_args_is_help=True)


@index_app.command("build")
def index_build(
    videos: Annotated[Path | None, typer.Option(help="Store of videos.")] = None,
    products: Annotated[Path | None, typer.Option(help="Store of products.")] = None,
    tables: Annotated[Path | None, typer.Option(help="Folder of the shop's tables.")] = None,
    out: Annotated[Path | None, typer.Option("--out", help="Where the snapshot goes.")] = None,
    at: Annotated[str | None, typer.Option(help="Count what is popular before this UTC time; by default all.")] = None,
    overwrite: Overwrite = False,
    as_json: AsJson = False,
) -> None:
    """Publish embedded videos and products as a snapshot that can be searched and served."""
    from indexing.publish import build_snapshot
    from retrieval.config import load_config
    from retrieval.console import to_json
    from retrieval.recommend import parse_at

    config = load_config()
    summary = build_snapshot(
        config.path("videos", videos),
        config.path("products", products),
        config.path("tables", tables),
        config.path("snapshot", out),
        at_us=parse_at(at),
        overwrite=overwrite,
    )
    if as_json:
        print(to_json(summary))
        return
    print(
        f"Snapshot {summary.version} in {summary.snapshot}: {summary.n_videos} videos, {summary.n_products} products; "
        f"left out for want of vectors: {summary.videos_left_out} videos, {summary.products_left_out} products; "
        f"{summary.n_rejected} rows rejected."
    )
    print(f"Next: lookreel recommend --snapshot {summary.snapshot} --tables DIR --user USER")
