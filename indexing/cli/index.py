"""`lookreel index …`."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from indexing.cli.options import AsJson
from indexing.cli.purge import purge_command
from indexing.cli.tune import tune_command

if TYPE_CHECKING:
    from indexing.changes import Changes
    from indexing.publish import BuildSummary
    from indexing.survey import SnapshotInfo
    from indexing.update import UpdateSummary
    from indexing.versions import Keep
    from retrieval.config import Config
    from retrieval.gate import Measures

index_app = typer.Typer(help="Publish stores as a snapshot, and look after its versions.", no_args_is_help=True)
index_app.command("tune")(tune_command)
index_app.command("purge")(purge_command)

Videos = Annotated[str | None, typer.Option(help="Store of videos, a folder or fsspec URL.")]
Products = Annotated[str | None, typer.Option(help="Store of products, a folder or fsspec URL.")]
TablesFolder = Annotated[Path | None, typer.Option(help="Folder of the shop's tables.")]
Folder = Annotated[Path | None, typer.Option("--snapshot", help="Folder of the snapshot.")]
KeepVersions = Annotated[
    int | None, typer.Option(min=1, help="Keep so many versions, the live one among them.", show_default="5")
]
KeepDays = Annotated[
    int | None, typer.Option(min=0, help="Keep the last version of each of so many days, too.", show_default="7")
]


Spaces = Annotated[
    list[str] | None,
    typer.Option("--space", help="Vectors of a conventional training: conventional=RUN.", metavar="NAME=RUN"),
]
GateFile = Annotated[
    Path | None, typer.Option("--gate", help="TOML file of bounds; a version that breaks one is not published.")
]


@index_app.command("build")
def index_build(
    videos: Videos = None,
    products: Products = None,
    tables: TablesFolder = None,
    out: Annotated[Path | None, typer.Option("--out", help="Where the snapshot goes.")] = None,
    at: Annotated[str | None, typer.Option(help="Count what is popular before this UTC time; by default all.")] = None,
    space: Spaces = None,
    gate: GateFile = None,
    keep_versions: KeepVersions = None,
    keep_days: KeepDays = None,
    as_json: AsJson = False,
) -> None:
    """Publish embedded videos and products as a snapshot, or as a new version of the one that is there.

    Exit code 3: it breaks a bound of --gate; nothing was published.
    """
    from indexing.given import parse_spaces
    from indexing.guard import open_guard
    from indexing.publish import build_snapshot
    from retrieval.config import load_config
    from retrieval.console import to_json
    from retrieval.recommend import parse_at

    config = load_config()
    run, guard = parse_spaces(space or []), open_guard(gate, config)
    with _shut_gate(as_json):
        summary = build_snapshot(
            config.place("videos", videos),
            config.place("products", products),
            config.path("tables", tables),
            config.path("snapshot", out),
            at_us=parse_at(at),
            keep=_keep(config, keep_versions, keep_days),
            run=run,
            guard=guard,
        )
    if as_json:
        print(to_json(summary))
        return
    print(
        f"Snapshot {summary.version} in {summary.snapshot}: {summary.n_videos} videos, {summary.n_products} products; "
        f"left out for want of vectors: {summary.videos_left_out} videos, {summary.products_left_out} products; "
        f"{summary.n_rejected} rows rejected."
    )
    for line in _beside(summary):
        print(line)
    system = "--system conventional " if summary.conventional else ""
    print(f"Next: lookreel recommend {system}--snapshot {summary.snapshot} --tables DIR --user USER")


@index_app.command("update")
def index_update(
    videos: Videos = None,
    products: Products = None,
    tables: TablesFolder = None,
    snapshot: Folder = None,
    recount: Annotated[bool, typer.Option("--recount", help="Count anew what is popular, from the log.")] = False,
    space: Spaces = None,
    gate: GateFile = None,
    keep_versions: KeepVersions = None,
    keep_days: KeepDays = None,
    as_json: AsJson = False,
) -> None:
    """Publish what the tables and stores hold beyond the live version: added, replaced, changed and deleted items.

    Exit code 3: it breaks a bound of --gate; nothing was published.
    """
    from indexing.given import parse_spaces
    from indexing.guard import open_guard
    from indexing.update import update_snapshot
    from retrieval.config import load_config
    from retrieval.console import to_json

    config = load_config()
    run, guard = parse_spaces(space or []), open_guard(gate, config)
    with _shut_gate(as_json):
        summary = update_snapshot(
            config.path("snapshot", snapshot),
            config.place("videos", videos),
            config.place("products", products),
            config.path("tables", tables),
            keep=_keep(config, keep_versions, keep_days),
            recount=recount,
            run=run,
            guard=guard,
        )
    print(to_json(summary) if as_json else _update_words(summary))


@index_app.command("compact")
def index_compact(
    snapshot: Folder = None, keep_versions: KeepVersions = None, keep_days: KeepDays = None, as_json: AsJson = False
) -> None:
    """Publish the live version as one segment, without the rows that were replaced or deleted."""
    from indexing.update import compact_snapshot
    from retrieval.config import load_config
    from retrieval.console import to_json

    config = load_config()
    summary = compact_snapshot(config.path("snapshot", snapshot), keep=_keep(config, keep_versions, keep_days))
    if as_json:
        print(to_json(summary))
    elif summary.n_segments == 1 and not summary.n_dead:
        print(f"{summary.snapshot} is compact already; version {summary.version} stays live.")
    else:
        print(
            f"Snapshot {summary.version} in {summary.snapshot}: {summary.n_segments} segments became one, "
            f"{summary.n_dead} dead rows went."
        )


@index_app.command("info")
def index_info(snapshot: Folder = None, as_json: AsJson = False) -> None:
    """Show the versions of a snapshot and the segments of the live one."""
    from indexing.survey import describe_snapshot
    from retrieval.config import load_config
    from retrieval.console import to_json

    info = describe_snapshot(load_config().path("snapshot", snapshot))
    print(to_json(info) if as_json else _info_words(info))


@index_app.command("verify")
def index_verify(
    snapshot: Folder = None,
    every: Annotated[bool, typer.Option("--all", help="Every version that is kept, not only the live one.")] = False,
    as_json: AsJson = False,
) -> None:
    """Compare every file with its checksum, and some searches with brute force."""
    from indexing.survey import verify_snapshot
    from retrieval.config import load_config
    from retrieval.console import to_json

    report = verify_snapshot(load_config().path("snapshot", snapshot), every=every)
    if as_json:
        print(to_json(report))
        return
    print(
        f"{report.snapshot} is whole: {len(report.versions)} versions, {report.n_files} files "
        f"({_megabytes(report.n_bytes)}), {report.n_searches} searches as by brute force."
    )


@index_app.command("rollback")
def index_rollback(
    snapshot: Folder = None,
    to: Annotated[
        str | None, typer.Option(help="The version to serve again.", show_default="the one that was live before")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Serve an earlier version again."""
    from indexing.versions import rollback_snapshot
    from retrieval.config import load_config
    from retrieval.console import to_json

    folder = load_config().path("snapshot", snapshot)
    version = rollback_snapshot(folder, to)
    print(to_json({"snapshot": folder, "version": version}) if as_json else f"Version {version} of {folder} is live.")


@contextmanager
def _shut_gate(as_json: bool) -> Iterator[None]:
    """Where a script reads, a gate that stays shut is told in JSON too."""
    from retrieval.console import to_json
    from retrieval.gate import GateError

    try:
        yield
    except GateError as error:
        if not as_json:
            raise
        print(to_json({"published": False, "gate": asdict(error.verdict)}))
        raise typer.Exit(error.exit_code) from None


def _beside(summary: "BuildSummary | UpdateSummary") -> list[str]:
    """What is told of the conventional space and of the gate, where there are any."""
    lines = []
    if space := summary.conventional:
        lines.append(
            f"Conventional vectors {space.fingerprint}: {space.videos_with} videos have one, {space.videos_without} "
            f"have none and are not shown by it; {space.n_users} users."
        )
    if gate := summary.gate:
        lines.append(f"The gate is open for {gate.system}: {_measures_words(gate.measures)}.")
        if gate.not_compared:
            lines.append(f"Not compared with the live version, since {gate.not_compared}")
    return lines


def _measures_words(measures: "Measures") -> str:
    told = (
        ("exposure Gini", measures.exposure_gini), ("median duration (s)", measures.median_duration_s),
        ("coverage", measures.coverage), ("fallback share", measures.fallback_share),
    )  # fmt: skip
    words = ", ".join(f"{name} {'unknown' if value is None else f'{value:.3g}'}" for name, value in told)
    return f"{words}; {measures.n_users} users"


def _keep(config: "Config", versions: int | None, days: int | None) -> "Keep":
    from indexing.versions import Keep

    return Keep(
        config["snapshot.keep_versions"] if versions is None else versions,
        config["snapshot.keep_days"] if days is None else days,
    )


def _update_words(summary: "UpdateSummary") -> str:
    if not summary.published:
        return f"Nothing changed; version {summary.version} of {summary.snapshot} stays live."
    lines = [
        f"Snapshot {summary.version} in {summary.snapshot}, {summary.n_segments} segments:",
        f"  videos   {_change_words(summary.videos)}",
        f"  products {_change_words(summary.products)}",
    ]
    if summary.n_rejected:
        lines.append(f"{summary.n_rejected} rows rejected.")
    lines += _beside(summary)
    if summary.folded:
        lines.append("The deltas had become many and were folded into one.")
    if summary.compact_due:
        lines.append(f"Next: lookreel index compact --snapshot {summary.snapshot}  (deltas and dead rows add up)")
    return "\n".join(lines)


def _change_words(changes: "Changes") -> str:
    return (
        f"{changes.added} added, {changes.replaced} replaced, {changes.deleted} deleted, {changes.attributes} with new "
        f"attributes, {changes.unchanged} unchanged, {changes.left_out} left out for want of vectors"
    )


def _info_words(info: "SnapshotInfo") -> str:
    versions = [
        f"{'→' if one.live else ' '} {one.version}  {one.created:%Y-%m-%d %H:%M:%S}  {one.n_videos} videos, "
        f"{one.n_products} products, {one.n_segments} segments"
        for one in info.versions
    ]
    segments = [
        f"  {'base ' if number == 0 else 'delta'}  {one.n_videos} videos ({one.dead_videos} dead), {one.n_products} "
        f"products ({one.dead_products} dead), {_megabytes(one.n_bytes)}"
        for number, one in enumerate(info.segments)
    ]
    lines = [
        f"{info.snapshot}: {_megabytes(info.n_bytes)} on disk, made with {info.encoder} ({info.fingerprint}).",
        "Versions, newest first; → is live:",
        *versions,
        f"Segments of {info.live}:",
        *segments,
    ]
    if info.compact_saves_bytes:
        lines.append(f"lookreel index compact would save about {_megabytes(info.compact_saves_bytes)}.")
    return "\n".join(lines)


def _megabytes(n_bytes: int) -> str:
    return f"{n_bytes / 1e6:.1f} MB"
