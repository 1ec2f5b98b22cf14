"""One shard: what was read of its items, encoded in full batches, as the tables that are written."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np
import polars as pl

from indexing.columns import S
from indexing.fusing import Shift, mean_of_each
from indexing.lanes import Batcher, Lanes
from indexing.manifest import ShardRecord
from indexing.media import Picture, ReadItem
from indexing.places import Place
from indexing.store import commit_shard
from indexing.work import Item
from retrieval.encoder import Encoder, Vectors
from retrieval.tables import VIDEOS
from retrieval.towers.video import video_vector


@dataclass(frozen=True)
class Shard:
    """Items that are committed together. *signatures* are those of their media when the job began."""

    number: int
    items: Sequence[Item]
    signatures: Sequence[str]


@dataclass(frozen=True)
class ShardEncoder:
    """Turns what was read of a shard into its tables. *unit* brings the means of videos to length 1."""

    kind: str
    lanes: Lanes
    unit: bool = False

    @property
    def encoder(self) -> Encoder:
        return self.lanes.encoder

    def commit(self, place: Place, shard: Shard, read: Iterator[ReadItem]) -> ShardRecord:
        """Encode the next results of *read*, which are those of the shard's items, and write the shard."""
        embedded = self._embedded(shard, read)
        kept = [item for item in embedded if not item.empty]
        aside = [row for item in embedded for row in item.set_aside()]
        if not kept:
            return commit_shard(place, shard.number, pl.DataFrame(), pl.DataFrame(), aside, Shift())
        items, shift = (self._videos if self.kind == VIDEOS.name else self._products)(kept)
        number = pl.lit(shard.number, pl.Int32).alias(S.SHARD)
        return commit_shard(
            place, shard.number, items.with_columns(number), _parts(kept).with_columns(number), aside, shift
        )

    def _embedded(self, shard: Shard, read: Iterator[ReadItem]) -> "list[_Embedded]":
        batcher = Batcher(self.lanes)
        items = []
        for item, signature in zip(shard.items, shard.signatures, strict=True):
            result = next(read)
            batcher.add([picture.pixels for picture in result.pictures])
            items.append(_Embedded(item, signature, _without_pixels(result)))
        vectors = np.split(batcher.vectors(), np.cumsum([len(item.read.pictures) for item in items])[:-1])
        return [_Embedded(e.item, e.signature, e.read, own) for e, own in zip(items, vectors, strict=True)]

    def _videos(self, kept: "Sequence[_Embedded]") -> tuple[pl.DataFrame, Shift]:
        means = np.array([video_vector(item.vectors, unit=self.unit) for item in kept])
        about = (
            pl.Series(S.DURATION_S, [item.read.duration_s for item in kept], dtype=pl.Float64),
            pl.Series(S.WIDTH, [item.read.width for item in kept], dtype=pl.Int64),
            pl.Series(S.HEIGHT, [item.read.height for item in kept], dtype=pl.Int64),
            pl.Series(S.PARTIAL, [item.read.partial for item in kept], dtype=pl.Boolean),
            pl.Series(S.VECTOR, means),
        )
        return _items(kept).with_columns(*about), Shift()

    def _products(self, kept: "Sequence[_Embedded]") -> tuple[pl.DataFrame, Shift]:
        counts = [len(item.vectors) for item in kept]
        photos = mean_of_each(np.concatenate([item.vectors for item in kept]), counts)
        texts = self._texts([item.item.text for item in kept])
        return _items(kept).with_columns(**{S.PHOTO_VECTOR: photos, S.TEXT_VECTOR: texts}), Shift.of(photos, texts)

    def _texts(self, texts: Sequence[str]) -> Vectors:
        """`(n, dim)`, NaN rows for empty texts."""
        vectors = np.full((len(texts), self.encoder.dim), np.nan, np.float32)
        rows = [row for row, text in enumerate(texts) if text]
        if rows:
            vectors[rows] = self.encoder.encode_texts([texts[row] for row in rows])
        return vectors


@dataclass(frozen=True)
class _Embedded:
    """An item with what was read of it and the vectors `(n_pictures, dim)` of its pictures."""

    item: Item
    signature: str
    read: ReadItem
    vectors: Vectors = field(default_factory=lambda: np.empty((0, 0), np.float32))

    @property
    def empty(self) -> bool:
        return not self.read.pictures and not self.item.text

    def set_aside(self) -> list[tuple[str, str, str, str]]:
        """(item, uri, reason, signature) of every file that gave nothing."""
        failures = list(self.read.failures)
        if self.empty and not failures:
            failures = [("", "it has neither a photo nor a text")]
        return [(self.item.item_id, uri, reason, self.signature) for uri, reason in failures]


def _without_pixels(read: ReadItem) -> ReadItem:
    """The pixels are encoded already: a shard in the making holds JPEGs only."""
    nothing = np.empty((0, 0, 3), np.uint8)
    pictures = tuple(Picture(nothing, picture.jpeg, picture.uri, picture.time_s) for picture in read.pictures)
    return ReadItem(read.content_hash, pictures, read.failures, read.duration_s, read.width, read.height, read.partial)


def _items(kept: Sequence[_Embedded]) -> pl.DataFrame:
    return pl.DataFrame(
        {
            S.ITEM_ID: [item.item.item_id for item in kept],
            S.SIGNATURE: [item.signature for item in kept],
            S.CONTENT_HASH: [item.read.content_hash for item in kept],
            S.N_PARTS: [len(item.read.pictures) for item in kept],
        }
    )


def _parts(kept: Sequence[_Embedded]) -> pl.DataFrame:
    pictures = [(item.item.item_id, part, p) for item in kept for part, p in enumerate(item.read.pictures)]
    return pl.DataFrame(
        {
            S.ITEM_ID: pl.Series([item_id for item_id, *_ in pictures], dtype=pl.String),
            S.PART: pl.Series([part for _, part, _ in pictures], dtype=pl.Int64),
            S.TIME_S: pl.Series([picture.time_s for *_, picture in pictures], dtype=pl.Float64),
            S.URI: pl.Series([picture.uri for *_, picture in pictures], dtype=pl.String),
            S.JPEG: pl.Series([picture.jpeg for *_, picture in pictures], dtype=pl.Binary),
            S.VECTOR: np.concatenate([item.vectors for item in kept]),
        }
    )
