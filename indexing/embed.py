"""The embed jobs: the media of a table to an embedding store, resumed where an earlier run stopped."""

import logging
import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import polars as pl

from indexing.columns import S
from indexing.engine import Engine, LocalEngine, Station
from indexing.job import Job, Part, begun
from indexing.manifest import QUARANTINE, REJECTED, StoreManifest, begin, read_state
from indexing.places import LocalPlace, Place, alone, open_place
from indexing.store import checksum_of, finish, read_parquet
from indexing.work import EmbedOptions as EmbedOptions
from indexing.work import Work, product_work, video_work
from retrieval.encoder import Encoder
from retrieval.errors import StoreError

logger = logging.getLogger(__name__)
Progress = Callable[[int, int], None]
"""Called with (items committed, items of the job)."""


@dataclass(frozen=True)
class EmbedSummary:
    """What a store holds and what this run did.

    *n_items* have vectors, *n_new* of them embedded by this run; *n_copied* were in the store already under another
    name. *n_quarantined* counts the files (videos or photos) that could not be read, *reasons* are (why, how many, the
    first of them). The files of *n_absent* items are not there now; what was embedded of them stays.
    """

    store: Path | str
    n_items: int
    n_new: int
    n_copied: int
    n_quarantined: int
    n_rejected: int
    seconds: float
    reasons: tuple[tuple[str, int, str], ...] = ()
    n_absent: int = 0


def embed_videos(
    table: Path,
    out: Path | str,
    encoder: Encoder,
    options: EmbedOptions = EmbedOptions(),
    *,
    engine: Engine = LocalEngine(),
    part: Part = Part(),
    overwrite: bool = False,
    progress: Progress | None = None,
) -> EmbedSummary:
    """Embed the frames of every video of *table* and their mean into the store at *out*, a folder or fsspec URL.

    What the store holds already, by the files' state or content, is not embedded again. A job that was killed goes on.

    Raises:
        TableError: the table cannot be used.
        StoreError: *out* was made otherwise and *overwrite* is false, or holds something else.
    """
    return embed(video_work(table, encoder, options), out, encoder, options, engine, part, overwrite, progress)


def embed_products(
    table: Path,
    out: Path | str,
    encoder: Encoder,
    options: EmbedOptions = EmbedOptions(),
    *,
    engine: Engine = LocalEngine(),
    part: Part = Part(),
    overwrite: bool = False,
    progress: Progress | None = None,
) -> EmbedSummary:
    """Embed the photos and the text of every product of *table*, and both fused, into the store at *out*.

    See `embed_videos`, which differs in the media only.
    """
    return embed(product_work(table, encoder, options), out, encoder, options, engine, part, overwrite, progress)


def embed(
    work: Work,
    out: Path | str,
    encoder: Encoder,
    options: EmbedOptions,
    engine: Engine,
    part: Part,
    overwrite: bool,
    progress: Progress | None,
) -> EmbedSummary:
    """Bring the store at *out* up to *work*."""
    started = time.monotonic()
    place = open_place(out)
    with alone(place):
        job = begun(place, wanted_store(work, encoder, part), work, options, part, overwrite=overwrite)
        n_new = _run(job, place, encoder, options, engine, progress)
        manifest = _finished(job, place, work)
    seconds = time.monotonic() - started
    logger.info("%s: %d embedded, %d quarantined", work.kind, n_new, manifest.n_quarantined)
    return EmbedSummary(
        out, manifest.n_items, n_new, job.n_copied, manifest.n_quarantined, work.rejected.height, seconds,
        _reasons(place), job.n_absent,
    )  # fmt: skip


def _finished(job: Job, place: Place, work: Work) -> StoreManifest:
    """The manifest of the store with all of the job in it; where nothing came of it, the one that is there."""
    stored, living = read_state(place), [item.item_id for item in work.items]
    if stored.complete:
        aside = read_parquet(place, QUARANTINE, [S.ITEM_ID])[S.ITEM_ID]
        if job.nothing_to_do and stored.files[REJECTED] == checksum_of(work.rejected) and aside.is_in(living).all():
            return stored
        begin(place, stored)
    _require_all(job, stored, place)
    return finish(place, work.rejected, living, job.seen)


def _require_all(job: Job, stored: StoreManifest, place: Place) -> None:
    missing = job.sizes.keys() - {shard.number for shard in stored.shards}
    if missing:
        raise StoreError(
            f"{len(missing)} shards were embedded but are not in {place}: a node of the cluster wrote elsewhere.",
            "Name a folder or URL with --out that every node sees.",
        )


def wanted_store(work: Work, encoder: Encoder, part: Part) -> StoreManifest:
    """The manifest of a store of *work* that holds nothing yet."""
    return StoreManifest(
        work.kind, encoder.name, encoder.fingerprint, encoder.precision.value, encoder.dim, work.about, part=str(part)
    )


def _reasons(place: Place) -> tuple[tuple[str, int, str], ...]:
    quarantine = read_parquet(place, QUARANTINE)
    counted = quarantine.group_by(S.REASON, maintain_order=True).agg(pl.len(), pl.col(S.URI).first())
    return tuple(counted.rows())


def _absolute(place: Place) -> str:
    return str(place.folder.resolve()) if isinstance(place, LocalPlace) else str(place)


def _run(
    job: Job,
    place: Place,
    encoder: Encoder,
    options: EmbedOptions,
    engine: Engine,
    progress: Progress | None,
) -> int:
    """Commit every shard that is not committed yet, telling how many items are; the number of items embedded."""
    sizes = job.sizes
    total, done = sum(sizes.values()), sum(sizes[number] for number in job.done)
    say = progress or (lambda done, total: None)
    station = Station(
        _absolute(place), os.getcwd(), job.kind, encoder.name, options.device, encoder.fingerprint,
        encoder.precision.value, options.batch, options.unit, options.workers, options.limits,
    )  # fmt: skip
    n_embedded = 0
    say(done, total)
    for copies in job.copies_to_do():
        copies.commit(place, job.store)
        done += sizes[copies.number]
        say(done, total)
    for record in engine.run(station, encoder, job.shards_to_do()):
        done += sizes[record.number]
        n_embedded += record.n_items
        say(done, total)
    return n_embedded
