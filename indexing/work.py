"""What a job has to embed: the rows of a table as items, each with the task that reads its media."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path

import polars as pl

from indexing.decode.protocol import Accuracy
from indexing.decode.readers import open_reader
from indexing.limits import Limits
from indexing.media import PhotosTask, VideoTask
from indexing.remote import Allowed
from retrieval.encoder import Encoder
from retrieval.tables import PRODUCTS, VIDEOS, load_table, resolve_uri
from retrieval.tables import Columns as C
from retrieval.towers.product import FusionWeights, product_text

Task = VideoTask | PhotosTask


@dataclass(frozen=True)
class EmbedOptions:
    """How media are read and encoded: *frames* a video, pictures stored at *long_side* pixels, encoded in batches.

    *shard_size* items are committed together: a shard of 64 videos takes some 10 MB. *workers* read files beside the
    encoder; 0 means one for each core. *device* is that of a cluster's nodes. *limits* hold for each file. *allowed*
    are the prefixes that remote media may come from. *retry* tries again what an earlier run set aside.
    """

    frames: int = 8
    long_side: int = 448
    unit: bool = False
    fusion: FusionWeights = field(default_factory=FusionWeights)
    decoder: str = "pyav"
    accuracy: str = Accuracy.NEAREST
    shard_size: int = 64
    batch: int = 64
    workers: int = 0
    device: str = "auto"
    limits: Limits = field(default_factory=Limits)
    allowed: Allowed = field(default_factory=Allowed)
    retry: bool = False


@dataclass(frozen=True)
class Item:
    """One row of the table. *text* is that of a product."""

    item_id: str
    task: Task
    text: str = ""

    @property
    def uris(self) -> tuple[str, ...]:
        """Its files."""
        return self.task.uris if isinstance(self.task, PhotosTask) else (self.task.uri,)


@dataclass(frozen=True)
class Work:
    """The items of a table. *about* are the options that decide the vectors: a store has one set of them."""

    kind: str
    items: Sequence[Item]
    about: Mapping[str, object]
    rejected: pl.DataFrame


def video_work(table: Path, encoder: Encoder, options: EmbedOptions) -> Work:
    """The videos of *table*.

    Raises:
        TableError: the table cannot be used.
        ConfigError: there is no such decoder.
    """
    checked = load_table(table, VIDEOS)
    reader = open_reader(options.decoder, options.accuracy)
    like = VideoTask(
        "", options.frames, options.long_side, encoder.preparation, reader, options.limits, options.allowed
    )
    rows = checked.frame.select(C.VIDEO_ID, C.URI).iter_rows()
    items = [Item(video_id, replace(like, uri=resolve_uri(uri, table))) for video_id, uri in rows]
    about = {
        "frames": options.frames, "long_side": options.long_side, "unit": options.unit,
        "decoder": options.decoder, "accuracy": str(options.accuracy),
    }  # fmt: skip
    return Work(VIDEOS.name, items, about, checked.rejected)


def product_work(table: Path, encoder: Encoder, options: EmbedOptions) -> Work:
    """The products of *table*.

    Raises:
        TableError: the table cannot be used.
    """
    checked = load_table(table, PRODUCTS)
    frame = checked.frame
    texts = _texts(frame) if encoder.encodes_text else [""] * frame.height
    photos = frame.get_column(C.IMAGE_URIS, default=pl.Series([[]] * frame.height, dtype=pl.List(pl.String)))
    like = PhotosTask((), "", options.long_side, encoder.preparation, options.limits, options.allowed)
    items = [
        Item(
            product_id, replace(like, uris=tuple(resolve_uri(uri, table) for uri in uris or () if uri), text=text), text
        )
        for product_id, uris, text in zip(frame[C.PRODUCT_ID], photos.to_list(), texts, strict=True)
    ]
    about = {"long_side": options.long_side, "fusion": asdict(options.fusion)}
    return Work(PRODUCTS.name, items, about, checked.rejected)


WORK: Mapping[str, Callable[[Path, Encoder, EmbedOptions], Work]] = {
    VIDEOS.name: video_work,
    PRODUCTS.name: product_work,
}


def _texts(frame: pl.DataFrame) -> list[str]:
    columns = (C.TITLE, C.BRAND, C.CATEGORY, C.COLOR, C.DESCRIPTION)
    nothing = pl.repeat(None, frame.height, dtype=pl.String, eager=True)
    return [product_text(*row) for row in zip(*(frame.get_column(c, default=nothing) for c in columns), strict=True)]
