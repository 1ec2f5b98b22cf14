"""The embed jobs: the media of a table to an embedding store."""

import logging
import os
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from itertools import islice
from multiprocessing import get_context
from pathlib import Path

import numpy as np
import polars as pl
from numpy.typing import NDArray
from PIL import Image

from indexing.media import PhotosTask, ReadItem, VideoTask, read_task
from indexing.store import S, StoreWriter, writing_store
from retrieval.encoder import Encoder
from retrieval.errors import import_extra
from retrieval.folders import refuse_existing
from retrieval.tables import PRODUCTS, VIDEOS, load_table, resolve_uri
from retrieval.tables import Columns as C
from retrieval.towers.product import FusionWeights, fuse, modality_shift, product_text
from retrieval.towers.video import video_vector

logger = logging.getLogger(__name__)
Progress = Callable[[int, int], None]
"""Called with (items done, items in all)."""


@dataclass(frozen=True)
class EmbedOptions:
    """How media are read: *frames* a video, pictures stored at *long_side* pixels, *shard_size* items a shard.

    *workers* read files beside the encoder; 0 means one for each core.
    """

    frames: int = 8
    long_side: int = 448
    unit: bool = False
    fusion: FusionWeights = field(default_factory=FusionWeights)
    shard_size: int = 256
    workers: int = 0


@dataclass(frozen=True)
class EmbedSummary:
    """What a job did. *n_quarantined* counts files (videos or photos) that could not be read."""

    store: Path
    n_items: int
    n_quarantined: int
    n_rejected: int
    seconds: float


def embed_videos(
    table: Path,
    out: Path,
    encoder: Encoder,
    options: EmbedOptions = EmbedOptions(),
    *,
    overwrite: bool = False,
    progress: Progress | None = None,
) -> EmbedSummary:
    """Embed the frames of every video of *table* and their mean into a store at *out*.

    Raises:
        TableError: the table cannot be used.
        UserFacingError: *out* exists and *overwrite* is false.
    """
    checked = load_table(table, VIDEOS)
    frame = checked.frame
    uris = [resolve_uri(uri, table) for uri in frame[C.URI]]
    tasks = [VideoTask(uri, options.frames, options.long_side) for uri in uris]

    def write(writer: StoreWriter, ids: Sequence[str], read: Sequence[ReadItem]) -> None:
        _write_videos(writer, ids, read, encoder, unit=options.unit)

    about = {"frames": options.frames, "long_side": options.long_side, "unit": options.unit}
    return _run(
        frame[C.VIDEO_ID].to_list(), tasks, out, encoder, options, "videos", about, write,
        overwrite=overwrite, progress=progress, n_rejected=checked.rejected.height,
    )  # fmt: skip


def embed_products(
    table: Path,
    out: Path,
    encoder: Encoder,
    options: EmbedOptions = EmbedOptions(),
    *,
    overwrite: bool = False,
    progress: Progress | None = None,
) -> EmbedSummary:
    """Embed the photos and the text of every product of *table*, and both fused, into a store at *out*.

    Raises:
        TableError: the table cannot be used.
        UserFacingError: *out* exists and *overwrite* is false.
    """
    checked = load_table(table, PRODUCTS)
    frame = checked.frame
    texts = _texts(frame) if encoder.encodes_text else [""] * frame.height
    photos = frame.get_column(C.IMAGE_URIS, default=pl.Series([[]] * frame.height, dtype=pl.List(pl.String)))
    tasks = [
        PhotosTask(tuple(resolve_uri(uri, table) for uri in uris or ()), text, options.long_side)
        for uris, text in zip(photos.to_list(), texts, strict=True)
    ]
    shift = _MeanShift(encoder.dim)

    def write(writer: StoreWriter, ids: Sequence[str], read: Sequence[ReadItem]) -> None:
        text_of = dict(zip(frame[C.PRODUCT_ID], texts, strict=True))
        _write_products(writer, ids, [text_of[product_id] for product_id in ids], read, encoder, shift)

    def finish(writer: StoreWriter) -> dict[str, object]:
        writer.revise_items(lambda items: _with_fused(items, shift.mean, options.fusion))
        return {"modality_shift": shift.mean.tolist()}

    about = {"long_side": options.long_side, "fusion": asdict(options.fusion)}
    return _run(
        frame[C.PRODUCT_ID].to_list(), tasks, out, encoder, options, "products", about, write, finish,
        overwrite=overwrite, progress=progress, n_rejected=checked.rejected.height,
    )  # fmt: skip


def _run(
    ids: Sequence[str],
    tasks: Sequence[VideoTask | PhotosTask],
    out: Path,
    encoder: Encoder,
    options: EmbedOptions,
    kind: str,
    about: Mapping[str, object],
    write: Callable[[StoreWriter, Sequence[str], Sequence[ReadItem]], None],
    finish: Callable[[StoreWriter], dict[str, object]] = lambda _: {},
    *,
    overwrite: bool,
    progress: Progress | None,
    n_rejected: int,
) -> EmbedSummary:
    refuse_existing(out, overwrite=overwrite)
    started = time.monotonic()
    with writing_store(out, overwrite=overwrite) as writer, _reading(tasks, options.workers) as read:
        for done, shard in _batches(zip(ids, read, strict=True), options.shard_size):
            _quarantine_failures(writer, shard)
            write(writer, [item_id for item_id, _ in shard], [item for _, item in shard])
            if progress:
                progress(done, len(ids))
        manifest = writer.finish(
            kind=kind, encoder=encoder.name, fingerprint=encoder.fingerprint, dim=encoder.dim,
            options={**about, **finish(writer)},
        )  # fmt: skip
    seconds = time.monotonic() - started
    logger.info("%s: %d embedded, %d quarantined, %.1f s", kind, manifest.n_items, manifest.n_quarantined, seconds)
    return EmbedSummary(out, manifest.n_items, manifest.n_quarantined, n_rejected, seconds)


@contextmanager
def _reading(tasks: Sequence[VideoTask | PhotosTask], workers: int) -> Iterator[Iterator[ReadItem]]:
    """Yield what spawned workers read, in the order of *tasks* and only a little ahead of its use."""
    import_extra("av", "embed")
    n_workers = workers or os.cpu_count() or 1
    with ProcessPoolExecutor(n_workers, mp_context=get_context("spawn")) as pool:
        yield _ahead(pool, iter(tasks), depth=16 * n_workers)


def _ahead(pool: ProcessPoolExecutor, tasks: Iterator[VideoTask | PhotosTask], depth: int) -> Iterator[ReadItem]:
    pending: deque[Future[ReadItem]] = deque(pool.submit(read_task, task) for task in islice(tasks, depth))
    while pending:
        done = pending.popleft().result()
        pending.extend(pool.submit(read_task, task) for task in islice(tasks, 1))
        yield done


def _batches(items: Iterable[tuple[str, ReadItem]], size: int) -> Iterator[tuple[int, list[tuple[str, ReadItem]]]]:
    """Yield lists of *size* items, each with the number of items so far."""
    iterator, done = iter(items), 0
    while batch := list(islice(iterator, size)):
        done += len(batch)
        yield done, batch


def _quarantine_failures(writer: StoreWriter, shard: Sequence[tuple[str, ReadItem]]) -> None:
    for item_id, item in shard:
        for uri, reason in item.failures:
            writer.quarantine(item_id, uri, reason)


def _write_videos(
    writer: StoreWriter, ids: Sequence[str], read: Sequence[ReadItem], encoder: Encoder, *, unit: bool
) -> None:
    kept = [(item_id, item) for item_id, item in zip(ids, read, strict=True) if item.pictures]
    if not kept:
        return
    vectors = _encode_pictures(encoder, [item for _, item in kept])
    bounds = np.cumsum([len(item.pictures) for _, item in kept])[:-1]
    means = np.array([video_vector(frames, unit=unit) for frames in np.split(vectors, bounds)])
    items = pl.DataFrame(
        {
            S.ITEM_ID: [item_id for item_id, _ in kept],
            S.CONTENT_HASH: [item.content_hash for _, item in kept],
            S.DURATION_S: [item.duration_s for _, item in kept],
            S.WIDTH: [item.width for _, item in kept],
            S.HEIGHT: [item.height for _, item in kept],
            S.PARTIAL: [item.partial for _, item in kept],
            S.N_PARTS: [len(item.pictures) for _, item in kept],
            S.VECTOR: means,
        }
    )
    writer.add(items, _parts(kept, vectors))


def _write_products(
    writer: StoreWriter,
    ids: Sequence[str],
    texts: Sequence[str],
    read: Sequence[ReadItem],
    encoder: Encoder,
    shift: "_MeanShift",
) -> None:
    rows = list(zip(ids, texts, read, strict=True))
    for item_id, text, item in rows:
        if not text and not item.pictures and not item.failures:
            writer.quarantine(item_id, "", "it has neither a photo nor a text")
    kept = [(item_id, text, item) for item_id, text, item in rows if text or item.pictures]
    if not kept:
        return
    vectors = _encode_pictures(encoder, [item for *_, item in kept])
    photos = _means(vectors, [len(item.pictures) for *_, item in kept])
    text_vectors = _encode_texts(encoder, [text for _, text, _ in kept])
    shift.add(photos, text_vectors)
    items = pl.DataFrame(
        {
            S.ITEM_ID: [item_id for item_id, *_ in kept],
            S.CONTENT_HASH: [item.content_hash for *_, item in kept],
            S.N_PARTS: [len(item.pictures) for *_, item in kept],
            PHOTO_VECTOR: photos,
            S.TEXT_VECTOR: text_vectors,
        }
    )
    writer.add(items, _parts([(item_id, item) for item_id, _, item in kept], vectors))


PHOTO_VECTOR = "photo_vector"


@dataclass
class _MeanShift:
    """The modality shift gathered shard by shard: the sum over products with both, and their number."""

    dim: int
    _total: NDArray[np.float64] | float = 0.0
    _count: int = 0

    def add(self, photos: NDArray[np.float32], texts: NDArray[np.float32]) -> None:
        both = ~np.isnan(photos - texts).any(axis=1)
        self._total = self._total + modality_shift(photos, texts).astype(np.float64) * int(both.sum())
        self._count += int(both.sum())

    @property
    def mean(self) -> NDArray[np.float32]:
        return np.broadcast_to(np.asarray(self._total / max(self._count, 1), np.float32), (self.dim,))


def _with_fused(items: pl.DataFrame, shift: NDArray[np.float32], weights: FusionWeights) -> pl.DataFrame:
    photos, texts = items[PHOTO_VECTOR].to_numpy(), items[S.TEXT_VECTOR].to_numpy()
    return items.drop(PHOTO_VECTOR).with_columns(pl.Series(S.VECTOR, fuse(photos, texts, shift, weights)))


def _encode_pictures(encoder: Encoder, items: Sequence[ReadItem]) -> NDArray[np.float32]:
    pictures = [Image.fromarray(picture.pixels) for item in items for picture in item.pictures]
    return encoder.encode_images(pictures)


def _encode_texts(encoder: Encoder, texts: Sequence[str]) -> NDArray[np.float32]:
    """`(n, dim)`, NaN rows for empty texts."""
    vectors = np.full((len(texts), encoder.dim), np.nan, np.float32)
    rows = [row for row, text in enumerate(texts) if text]
    if rows:
        vectors[rows] = encoder.encode_texts([texts[row] for row in rows])
    return vectors


def _means(vectors: NDArray[np.float32], counts: Sequence[int]) -> NDArray[np.float32]:
    """The mean of each item's rows `(n_items, dim)`, NaN where it has none."""
    owners = np.repeat(np.arange(len(counts)), counts)
    sums = np.zeros((len(counts), vectors.shape[1]), np.float64)
    np.add.at(sums, owners, vectors)
    lengths = np.asarray(counts, np.float64)
    return (sums / np.where(lengths > 0, lengths, np.nan)[:, None]).astype(np.float32)


def _parts(kept: Sequence[tuple[str, ReadItem]], vectors: NDArray[np.float32]) -> pl.DataFrame:
    pictures = [(item_id, part, p) for item_id, item in kept for part, p in enumerate(item.pictures)]
    return pl.DataFrame(
        {
            S.ITEM_ID: [item_id for item_id, *_ in pictures],
            S.PART: [part for _, part, _ in pictures],
            S.TIME_S: pl.Series([picture.time_s for *_, picture in pictures], dtype=pl.Float64),
            S.URI: [picture.uri for *_, picture in pictures],
            S.JPEG: pl.Series([picture.jpeg for *_, picture in pictures], dtype=pl.Binary),
            S.VECTOR: vectors,
        }
    )


def _texts(frame: pl.DataFrame) -> list[str]:
    columns = (C.TITLE, C.BRAND, C.CATEGORY, C.COLOR, C.DESCRIPTION)
    nothing = pl.repeat(None, frame.height, dtype=pl.String, eager=True)
    return [product_text(*row) for row in zip(*(frame.get_column(c, default=nothing) for c in columns), strict=True)]
