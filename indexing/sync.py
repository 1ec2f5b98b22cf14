"""Tables that change all day to a snapshot that follows them: embed what is new, publish, again."""

import logging
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from indexing.embed import EmbedOptions, embed_products, embed_videos
from indexing.publish import build_snapshot
from indexing.update import update_snapshot
from indexing.versions import Keep
from retrieval.encoder import Encoder
from retrieval.errors import UserFacingError
from retrieval.folders import MANIFEST

logger = logging.getLogger(__name__)
RETRY_S = 600.0
TABLES = ("videos.parquet", "products.parquet")


@dataclass(frozen=True)
class SyncPaths:
    """The folder of the *tables*, the stores of *videos* and *products*, and the *snapshot* that is published."""

    tables: Path
    videos: str
    products: str
    snapshot: Path


@dataclass(frozen=True)
class SyncRound:
    """What one round did: *n_new* items embedded, what is live after it, and how long it took.

    *version* is empty where nothing was published; *compact_due* says that deltas add up; *n_quarantined* files could
    not be read, perhaps not yet; *problem* says why a round failed: the next one tries again.
    """

    n_new: int = 0
    n_quarantined: int = 0
    version: str = ""
    compact_due: bool = False
    seconds: float = 0.0
    problem: str = ""


def sync_once(paths: SyncPaths, encoder: Encoder, options: EmbedOptions, keep: Keep | None = None) -> SyncRound:
    """Embed what the stores lack and publish what the tables name now.

    Raises:
        UserFacingError: a table, a store or the snapshot cannot be used.
    """
    started = time.monotonic()
    products = embed_products(paths.tables / TABLES[1], paths.products, encoder, options)
    videos = embed_videos(paths.tables / TABLES[0], paths.videos, encoder, options)
    version, due = _published(paths, keep)
    aside = products.n_quarantined + videos.n_quarantined
    return SyncRound(products.n_new + videos.n_new, aside, version, due, time.monotonic() - started)


def watch(
    paths: SyncPaths,
    encoder: Encoder,
    options: EmbedOptions,
    every_s: float,
    keep: Keep | None = None,
    sleep: Callable[[float], None] = time.sleep,
) -> Iterator[SyncRound]:
    """A round every *every_s* seconds in which the tables changed, for ever; what fails is told and tried again.

    Rounds also run while files are set aside: a video's row often comes before its file. What was there and could not
    be read is tried again every ten minutes, since a server's bad moment looks like a bad file.
    """
    done: str | None = None
    last, retried = SyncRound(), time.monotonic()
    while True:
        started = time.monotonic()
        now = _state(paths.tables)
        if now != done or last.n_quarantined or last.problem:
            retry = bool(last.n_quarantined) and started - retried > RETRY_S
            retried = started if retry else retried
            last = _attempt(paths, encoder, replace(options, retry=retry), keep)
            done = now
            yield last
        sleep(max(0.0, every_s - (time.monotonic() - started)))


def _attempt(paths: SyncPaths, encoder: Encoder, options: EmbedOptions, keep: Keep | None) -> SyncRound:
    try:
        return sync_once(paths, encoder, options, keep)
    except UserFacingError as error:  # such as a table that its exporter is half through with
        return SyncRound(problem=str(error))
    except OSError as error:  # such as a full disk
        return SyncRound(problem=f"{error.filename or ''}: {error.strerror or error}")


def _published(paths: SyncPaths, keep: Keep | None) -> tuple[str, bool]:
    """The version published, empty where nothing changed, and whether compacting is due."""
    if not (paths.snapshot / MANIFEST).exists():
        return build_snapshot(paths.videos, paths.products, paths.tables, paths.snapshot, keep=keep).version, False
    summary = update_snapshot(paths.snapshot, paths.videos, paths.products, paths.tables, keep=keep)
    return (summary.version, summary.compact_due) if summary.published else ("", False)


def _state(tables: Path) -> str:
    """Sizes and times of the tables: what changes when an exporter has written them; empty where one is not there."""
    try:
        stats = [(tables / name).stat() for name in TABLES]
    except OSError:  # perhaps just being replaced
        return ""
    return " ".join(f"{stat.st_size}:{stat.st_mtime_ns}" for stat in stats)
