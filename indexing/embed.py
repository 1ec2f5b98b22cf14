"""The embed jobs: the media of a table to an embedding store."""

import logging
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from itertools import islice
from pathlib import Path

import numpy as np
import polars as pl
from numpy.typing import NDArray
from PIL import Image

from indexing.fusing import PHOTO_VECTOR, MeanShift, mean_of_each, with_fused
from indexing.media import PhotosTask, ReadItem, VideoTask
from indexing.reading import Task, reading
from indexing.store import S, StoreWriter, writing_store
from retrieval.encoder import Encoder
from retrieval.folders import refuse_existing
from retrieval.tables import PRODUCTS, VIDEOS, load_table, resolve_uri
from retrieval.tables import Columns as C
from retrieval.towers.product import FusionWeights, product_text
from retrieval.towers.video import video_vector

logger = logging.getLogger(__name__)
Progress = Callable[[int, int], None]
"""Called with (items done, items in all)."""


@dataclass(frozen=True)
class EmbedOptions:
    """How media are read: *frames* a video, pictures stored at *long_side* pixels, *shard_size* items a shard.

    *workers* read files beside the encoder; 0 means one for each core. A shard of 64 videos takes some 200 MB while it
    is encoded.
    """

    frames: int = 8
    long_side: int = 448
    unit: bool = False
    fusion: FusionWeights = field(default_factory=FusionWeights)
    shard_size: int = 64
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
    job = _Job("videos", frame[C.VIDEO_ID].to_list(), tasks, about, checked.rejected, write)
    return job.run(out, encoder, options, overwrite=overwrite, progress=progress)


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
        PhotosTask(tuple(resolve_uri(uri, table) for uri in uris or () if uri), text, options.long_side)
        for uris, text in zip(photos.to_list(), texts, strict=True)
    ]
    shift = MeanShift(encoder.dim)

    text_of = dict(zip(frame[C.PRODUCT_ID], texts, strict=True))

    def write(writer: StoreWriter, ids: Sequence[str], read: Sequence[ReadItem]) -> None:
        _write_products(writer, ids, [text_of[product_id] for product_id in ids], read, encoder, shift)

    def finish(writer: StoreWriter) -> dict[str, object]:
        writer.revise_items(lambda items: with_fused(items, shift.mean, options.fusion))
        return {"modality_shift": shift.mean.tolist()}

    about = {"long_side": options.long_side, "fusion": asdict(options.fusion)}
    job = _Job("products", frame[C.PRODUCT_ID].to_list(), tasks, about, checked.rejected, write, finish)
    return job.run(out, encoder, options, overwrite=overwrite, progress=progress)


@dataclass(frozen=True)
class _Job:
    """What differs between videos and products: what to read, how a shard is written, and what is known at the end."""

    kind: str
    ids: Sequence[str]
    tasks: Sequence[Task]
    about: Mapping[str, object]
    rejected: pl.DataFrame
    write: Callable[[StoreWriter, Sequence[str], Sequence[ReadItem]], None]
    finish: Callable[[StoreWriter], dict[str, object]] = lambda _: {}

    def run(
        self, out: Path, encoder: Encoder, options: EmbedOptions, *, overwrite: bool, progress: Progress | None
    ) -> EmbedSummary:
        refuse_existing(out, replaces=self.kind if overwrite else "")
        started = time.monotonic()
        with writing_store(out, self.kind, overwrite=overwrite) as writer, reading(self.tasks, options.workers) as read:
            items = _counted(zip(self.ids, read, strict=True), len(self.ids), progress)
            while shard := list(islice(items, options.shard_size)):
                _quarantine_failures(writer, shard)
                self.write(writer, [item_id for item_id, _ in shard], [item for _, item in shard])
            manifest = writer.finish(
                self.rejected, kind=self.kind, encoder=encoder.name, fingerprint=encoder.fingerprint, dim=encoder.dim,
                options={**self.about, **self.finish(writer)},
            )  # fmt: skip
        seconds = time.monotonic() - started
        logger.info("%s: %d embedded, %d quarantined", self.kind, manifest.n_items, manifest.n_quarantined)
        return EmbedSummary(out, manifest.n_items, manifest.n_quarantined, self.rejected.height, seconds)


def _counted(
    items: Iterable[tuple[str, ReadItem]], total: int, progress: Progress | None
) -> Iterator[tuple[str, ReadItem]]:
    for done, item in enumerate(items, start=1):
        yield item
        if progress:
            progress(done, total)


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
    shift: MeanShift,
) -> None:
    rows = list(zip(ids, texts, read, strict=True))
    for item_id, text, item in rows:
        if not text and not item.pictures and not item.failures:
            writer.quarantine(item_id, "", "it has neither a photo nor a text")
    kept = [(item_id, text, item) for item_id, text, item in rows if text or item.pictures]
    if not kept:
        return
    vectors = _encode_pictures(encoder, [item for *_, item in kept])
    photos = mean_of_each(vectors, [len(item.pictures) for *_, item in kept])
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
