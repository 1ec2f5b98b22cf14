"""Moves old logs to parquet: closed files of the served log, and watches that the event store need not keep.

Each step is written whole before what it replaces goes, so a kill at any instant neither loses nor doubles a row.
"""

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from serving.archive import Archive, open_archive
from serving.closed_files import alone_in, if_closed, served_files, sweep_drafts
from serving.events.protocol import EventStore, Watch
from serving.served_files import JSONL, PARQUET, parse_pages
from serving.watch_files import watch_frame

FOREIGN_AGE_S = 600.0
WATCH_AGE_S = 14 * 86_400.0  # longer than a client may hold an event back, so that nothing older arrives meanwhile
WATCHES_A_FILE = 500_000


@dataclass(frozen=True)
class Compacted:
    """What was moved. *left_open* are files that a process still appends to; *torn_lines* could not be read."""

    files: int
    rows: int
    torn_lines: int
    left_open: int


@dataclass(frozen=True)
class CompactedWatches:
    """What was moved. *late* watches arrived while we moved the others: they were dropped, and should be none."""

    files: int
    rows: int
    late: int


def compact(folder: Path, target: str, now_us: int, older_than_s: float = FOREIGN_AGE_S) -> Compacted:
    """Make each closed file of a served log a parquet of the same name in *target*, and remove it.

    Args:
        target: a folder or an fsspec URL; it may be *folder* itself.
        older_than_s: how long after its UTC day a file of another host is taken to be closed.

    Raises:
        UserFacingError: another job is at it, or *target* cannot be opened.
    """
    archive = open_archive(target)
    with alone_in(folder):
        for swept in {folder, archive.folder or folder}:
            sweep_drafts(swept, now_us)
        moved = [_compact_file(file, archive, now_us, older_than_s) for file in served_files(folder)]
    done = [file for file in moved if file is not None]
    return Compacted(
        len(done), sum(file.rows for file in done), sum(file.torn_lines for file in done), len(moved) - len(done)
    )


def compact_watches(
    store: EventStore, target: str, now_us: int, older_than_s: float = WATCH_AGE_S, rows_a_file: int = WATCHES_A_FILE
) -> CompactedWatches:
    """Write the watches older than *older_than_s* to parquet in *target*, and drop them from the store.

    A file is named by the events in it, so that a repeat after a kill overwrites it or holds events that other files
    hold too: who reads watches takes each event once. The API must accept no event that is older than this.

    Raises:
        StoreDownError: the store cannot be reached; nothing was dropped.
    """
    archive, before_us = open_archive(target), now_us - int(older_than_s * 1e6)
    sizes = [_write_watches(archive, batch) for batch in _batches(store.watches(0, before_us), rows_a_file)]
    dropped = store.drop_watches(before_us) if sizes else 0
    return CompactedWatches(len(sizes), sum(sizes), max(0, dropped - sum(sizes)))


def _compact_file(file: Path, archive: Archive, now_us: int, older_than_s: float) -> Compacted | None:
    """Move one file; none where somebody may still append to it."""
    with if_closed(file, now_us, older_than_s) as closed:
        if not closed:
            return None
        part = parse_pages(file.read_bytes())
        if part.frame.height:
            archive.write_parquet(file.name.removesuffix(JSONL) + PARQUET, part.frame)
        file.unlink()
    return Compacted(1, part.frame.height, part.torn_lines, 0)


def _batches(watches: Iterator[Watch], size: int) -> Iterator[list[Watch]]:
    while batch := list(islice(watches, size)):
        yield batch


def _write_watches(archive: Archive, watches: Sequence[Watch]) -> int:
    ids = sorted(watch.event_id for watch in watches)
    name = hashlib.blake2b("\0".join(ids).encode("utf-8", "surrogatepass"), digest_size=12).hexdigest()
    archive.write_parquet(f"watches-{name}{PARQUET}", watch_frame(watches))
    return len(watches)
