"""`lookreel events export` and `lookreel events compact`."""

import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from serving.cli.events import EventsOption
from serving.cli.store import StateOption, opened_store

if TYPE_CHECKING:
    from serving.compaction import Compacted, CompactedWatches
    from serving.export import Export

AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]


def export_command(
    log: Annotated[
        list[str], typer.Option("--log", help="Folder or URL of the served log or of what it was compacted to; repeat.")
    ],
    events: EventsOption,
    from_: Annotated[str | None, typer.Option("--from", help="UTC time; by default the beginning.")] = None,
    to: Annotated[str | None, typer.Option("--to", help="UTC time, itself left out; by default now.")] = None,
    out: Annotated[Path, typer.Option("--out", help="Where the table goes.")] = Path("impressions.parquet"),
    state: StateOption = Path("serving"),
    as_json: AsJson = False,
) -> None:
    """Join what was served with what was watched: the impressions that evaluation and training read."""
    from retrieval.console import to_json
    from retrieval.folders import writing
    from retrieval.recommend import parse_at
    from serving.archive import require_folder
    from serving.export import Span, export_impressions
    from serving.identity import hasher
    from serving.served_files import read_served
    from serving.watch_files import read_watches

    for place in log:
        require_folder(place)
    to_us = parse_at(to)
    span = Span(parse_at(from_) or 0, time.time_ns() // 1000 if to_us is None else to_us)
    with opened_store(events) as store:
        watches = read_watches(log, store, *span.watches_us)
        erased = store.erasures()
    done = export_impressions(read_served(log, *span.slots_us), watches, erased, hasher(state), span)
    with writing(out) as draft:
        draft.touch(0o600)
        done.frame.write_parquet(draft)
    print(to_json({"out": out, **_counts(done)}) if as_json else _export_words(done, out))


def compact_command(
    log: Annotated[Path, typer.Option("--log", help="Folder of the served log.")],
    events: EventsOption,
    out: Annotated[str, typer.Option("--out", help="Folder or URL that the parquet files go to.")],
    older_than: Annotated[
        str, typer.Option("--watches-older-than", help="Which watches move; longer than clients hold events back.")
    ] = "14d",
    as_json: AsJson = False,
) -> None:
    """Make parquet of closed files of the served log and of old watches, which then leave the event store."""
    from dataclasses import asdict

    from retrieval.config import parse_span
    from retrieval.console import to_json
    from serving.archive import require_folder
    from serving.compaction import compact, compact_watches
    from serving.events import shown_url

    require_folder(log)
    now_us, age_s = time.time_ns() // 1000, parse_span(older_than)
    served = compact(log, out, now_us)
    with opened_store(events) as store:
        watches = compact_watches(store, out, now_us, age_s)
    if as_json:
        print(to_json({"out": out, "served": asdict(served), "watches": asdict(watches)}))
        return
    print(_compact_words(served, watches, out))
    print(f"Next: lookreel events export --log {log} --log {out} --events {shown_url(events)}")


def _counts(done: "Export") -> dict[str, int]:
    return {
        "rows": done.frame.height,
        "served_never_seen": done.served_never_seen,
        "seen_never_served": done.seen_never_served,
        "erased_rows": done.erased_rows,
        "repeated_rows": done.repeated_rows,
        "torn_lines": done.torn_lines,
    }


def _export_words(done: "Export", out: Path) -> str:
    return (
        f"{done.frame.height} impressions in {out}, {done.served_never_seen} of them served but never seen.\n"
        f"Left out: {done.erased_rows} of users who were forgotten, {done.repeated_rows} delivered again, "
        f"{done.seen_never_served} watches of what was not served, {done.torn_lines} torn lines.\n"
        f"Next: lookreel tables check {out.parent}  (a shop's folder may hold it as impressions.parquet)"
    )


def _compact_words(served: "Compacted", watches: "CompactedWatches", out: str) -> str:
    late = f" {watches.late} arrived too late and were lost: move only older ones." if watches.late else ""
    return (
        f"{served.rows} slots of {served.files} files and {watches.rows} watches moved to {out}; "
        f"{served.left_open} files are still written to, {served.torn_lines} lines were torn.{late}"
    )
