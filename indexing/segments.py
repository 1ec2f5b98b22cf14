"""Segments: vectors, frames and posters of some videos and products, gathered from stores or from other segments."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from indexing.store import S, Store
from indexing.versions import Publisher
from retrieval.snapshot_files import CLIP_SPACE, F, SegmentFiles, SnapshotManifest, object_path, verify_objects
from retrieval.stacked import Placement, Rows, Stacked
from retrieval.tables import Columns as C


@dataclass(frozen=True)
class SegmentData:
    """A segment's content, row by row of its own; arrays as in `retrieval.spaces.Space`.

    *video_items* and *product_items* hold id and content hash, *posters* a JPEG of each video's middle frame.
    """

    video_items: pl.DataFrame
    product_items: pl.DataFrame
    posters: pl.DataFrame
    video_vectors: Rows
    frame_vectors: Rows
    frame_times: Rows
    product_vectors: Rows

    def by_name(self) -> dict[str, pl.DataFrame | Rows]:
        """Its files by their names in a manifest."""
        arrays = {
            F.VIDEO_VECTORS: self.video_vectors,
            F.FRAME_VECTORS: self.frame_vectors,
            F.FRAME_TIMES: self.frame_times,
            F.PRODUCT_VECTORS: self.product_vectors,
        }
        tables = {F.VIDEO_ITEMS: self.video_items, F.PRODUCT_ITEMS: self.product_items, F.POSTERS: self.posters}
        return {**tables, **{F.of_space(CLIP_SPACE, name): array for name, array in arrays.items()}}


def save_segment(publisher: Publisher, data: SegmentData) -> SegmentFiles:
    """Write a segment and return what a manifest says of it."""
    files = {name: publisher.save(name, content) for name, content in data.by_name().items()}
    return SegmentFiles(data.video_items.height, data.product_items.height, files)


def read_segment(path: Path, segment: SegmentFiles) -> SegmentData:
    """Open a segment of the snapshot at *path* as it was written, after comparing it with its checksums.

    Raises:
        SnapshotError: a file is missing or differs: what is damaged is never given new checksums.
    """
    verify_objects(path, list(segment.files.items()))

    def table(name: str) -> pl.DataFrame:
        return pl.read_parquet(object_path(path, name, segment.files[name]))

    def array(file: str) -> Any:
        name = F.of_space(CLIP_SPACE, file)
        return np.load(object_path(path, name, segment.files[name]), mmap_mode="r")

    return SegmentData(
        table(F.VIDEO_ITEMS),
        table(F.PRODUCT_ITEMS),
        table(F.POSTERS),
        array(F.VIDEO_VECTORS),
        array(F.FRAME_VECTORS),
        array(F.FRAME_TIMES),
        array(F.PRODUCT_VECTORS),
    )


def gather(segments: Sequence[SegmentData], videos: Placement, products: Placement) -> SegmentData:
    """One segment of the rows of *videos* and *products*, in their order."""
    return SegmentData(
        _gather_rows([s.video_items for s in segments], videos),
        _gather_rows([s.product_items for s in segments], products),
        _gather_rows([s.posters for s in segments], videos),
        Stacked([np.asarray(s.video_vectors) for s in segments], videos),
        Stacked([np.asarray(s.frame_vectors) for s in segments], videos),
        Stacked([np.asarray(s.frame_times) for s in segments], videos, np.nan),
        Stacked([np.asarray(s.product_vectors) for s in segments], products),
    )


def content_hashes(path: Path, manifest: SnapshotManifest, name: str, placement: Placement) -> pl.Series:
    """The content hash of each living row, in the snapshot's order.

    Args:
        name: `F.VIDEO_ITEMS` or `F.PRODUCT_ITEMS`; *placement* is that of these.
    """
    verify_objects(path, [(name, segment.files[name]) for segment in manifest.segments])
    files = [object_path(path, name, segment.files[name]) for segment in manifest.segments]
    return _gather_rows([pl.read_parquet(file) for file in files], placement)[S.CONTENT_HASH]


def _gather_rows(tables: Sequence[pl.DataFrame], placement: Placement) -> pl.DataFrame:
    starts = np.cumsum([0, *(table.height for table in tables)])[:-1]
    return pl.concat(tables)[starts[placement.segment] + placement.local]


def segment_of(videos: Store, video_ids: pl.Series, products: Store, product_ids: pl.Series) -> SegmentData:
    """A segment of the stores' vectors of these videos and products, in this order."""
    video_items = _items(videos, video_ids, C.VIDEO_ID)
    product_items = _items(products, product_ids, C.PRODUCT_ID)
    frames = _frames(videos, video_ids)
    return SegmentData(
        video_items,
        product_items,
        frames.posters,
        _aligned(videos, video_ids),
        frames.vectors,
        frames.times,
        _aligned(products, product_ids),
    )


def _items(store: Store, ids: pl.Series, key: str) -> pl.DataFrame:
    """Ids and content hashes in the order of *ids*."""
    items = store.items.select(pl.col(S.ITEM_ID).alias(key), S.CONTENT_HASH)
    return pl.DataFrame({key: ids}).join(items, on=key, how="left", maintain_order="left")


def _aligned(store: Store, ids: pl.Series) -> NDArray[np.float16]:
    """The store's vectors in the order of *ids*, as fp16."""
    if ids.is_empty():
        return np.empty((0, store.manifest.dim), np.float16)
    return store.vectors[positions(store.items[S.ITEM_ID], ids)].astype(np.float16)


def positions(of: pl.Series, ids: pl.Series) -> NDArray[np.int64]:
    """Where each of *ids* stands among *of*, −1 for those that do not."""
    place = pl.DataFrame({"id": of}).with_row_index("row")
    joined = pl.DataFrame({"id": ids}).join(place, on="id", how="left", maintain_order="left")
    return joined["row"].cast(pl.Int64).fill_null(-1).to_numpy()


@dataclass(frozen=True)
class _Frames:
    """Vectors `(n_videos, m, dim)`, times `(n_videos, m)`, NaN where a frame is missing, and each one's middle JPEG."""

    vectors: NDArray[np.float16]
    times: NDArray[np.float32]
    posters: pl.DataFrame


def _frames(store: Store, ids: pl.Series) -> _Frames:
    """The frames of the videos *ids*, in their order; read shard by shard: all JPEGs would not fit into memory."""
    m = 0 if ids.is_empty() else int(store.parts([S.PART])[S.PART].max()) + 1  # type: ignore[arg-type]
    vectors = np.zeros((len(ids), m, store.manifest.dim), np.float16)
    times = np.full(vectors.shape[:2], np.nan, np.float32)
    posters = [pl.DataFrame(schema={S.ITEM_ID: pl.String, S.JPEG: pl.Binary})]
    for parts in _parts_by_shard(store, ids):
        rows, part = positions(ids, parts[S.ITEM_ID]), parts[S.PART].to_numpy()
        vectors[rows, part] = parts[S.VECTOR].to_numpy().astype(np.float16)
        times[rows, part] = parts[S.TIME_S].to_numpy()
        posters.append(parts.group_by(S.ITEM_ID).agg(pl.col(S.JPEG).sort_by(S.PART).get(pl.len() // 2)))
    wanted = pl.DataFrame({S.ITEM_ID: ids.cast(pl.String)})
    aligned = wanted.join(pl.concat(posters), on=S.ITEM_ID, how="left", maintain_order="left")
    return _Frames(vectors, times, aligned.select(pl.col(S.ITEM_ID).alias(C.VIDEO_ID), S.JPEG))


def _parts_by_shard(store: Store, ids: pl.Series) -> Iterator[pl.DataFrame]:
    """The parts of the items *ids*, from the last shard that has each."""
    if ids.is_empty():
        return
    columns = [S.ITEM_ID, S.PART, S.TIME_S, S.VECTOR, S.JPEG]
    wanted = store.items.filter(pl.col(S.ITEM_ID).is_in(ids.implode())).select(S.ITEM_ID, S.SHARD)
    for (number,), items in wanted.group_by(S.SHARD, maintain_order=True):
        parts = store.shard(int(str(number)), "parts").select(columns)
        yield parts.join(items, on=S.ITEM_ID, how="semi", maintain_order="left")
