"""`lookreel sync`."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from indexing.cli.options import AsJson

if TYPE_CHECKING:
    from indexing.sync import SyncRound


def sync_command(
    tables: Annotated[Path | None, typer.Option(help="Folder of the shop's tables.")] = None,
    videos: Annotated[str | None, typer.Option(help="Store of videos.")] = None,
    products: Annotated[str | None, typer.Option(help="Store of products.")] = None,
    snapshot: Annotated[Path | None, typer.Option(help="The snapshot that is served.")] = None,
    watch: Annotated[str | None, typer.Option(help="Look again every such span, for example 30s; else once.")] = None,
    model: Annotated[str | None, typer.Option(help="As in embed.", show_default="sample")] = None,
    device: Annotated[str | None, typer.Option(help="As in embed.", show_default="auto")] = None,
    workers: Annotated[int, typer.Option(min=0, help="Processes that read files; 0: one for each core.")] = 0,
    as_json: AsJson = False,
) -> None:
    """Embed what is new in the tables, publish it, and go on doing so with --watch."""
    from indexing.cli.embedding import EmbedRequest, open_request_encoder, options_of
    from indexing.sync import SyncPaths, sync_once
    from indexing.sync import watch as watch_tables
    from indexing.versions import Keep
    from retrieval.config import load_config, parse_span
    from retrieval.console import EXIT_QUARANTINED

    config = load_config()
    every_s = parse_span(watch) if watch else 0.0
    paths = SyncPaths(
        config.path("tables", tables), config.place("videos", videos), config.place("products", products),
        config.path("snapshot", snapshot),
    )  # fmt: skip
    request = EmbedRequest("videos", paths.tables, paths.videos, model, device, workers=workers)
    encoder, options = open_request_encoder(request, config, paths.videos), options_of(request, config)
    keep = Keep(config["snapshot.keep_versions"], config["snapshot.keep_days"])
    if not watch:
        done = sync_once(paths, encoder, options, keep)
        _say(done, as_json)
        raise typer.Exit(EXIT_QUARANTINED if done.n_quarantined else 0)
    for done in watch_tables(paths, encoder, options, every_s, keep):
        _say(done, as_json)


def _say(done: "SyncRound", as_json: bool) -> None:
    from retrieval.console import to_json

    print(to_json(done) if as_json else _words(done), flush=True)


def _words(done: "SyncRound") -> str:
    if done.problem:
        return done.problem
    published = f"published {done.version}" if done.version else "nothing to publish"
    aside = f", {done.n_quarantined} files set aside" if done.n_quarantined else ""
    due = "\nNext: lookreel index compact  (deltas and dead rows add up)" if done.compact_due else ""
    return f"{done.n_new} items embedded{aside}, {published} ({done.seconds:.1f} s){due}"
