"""Stores and tables to a snapshot."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

import numpy as np
import polars as pl
from numpy.typing import NDArray

from indexing.store import S, Store, open_store
from retrieval.errors import StoreError
from retrieval.folders import building, refuse_existing, sha256_of
from retrieval.log import DEFAULT_EVENT_WEIGHTS, Statistics, from_us, make_log
from retrieval.snapshot_files import CLIP_SPACE, FORMAT, MANIFEST, SNAPSHOT, F, version_of
from retrieval.tables import Columns as C
from retrieval.tables import Tables, load_tables


@dataclass(frozen=True)
class BuildSummary:
    """What a snapshot holds. *videos_left_out* are in the table but not in the store, *products_left_out* likewise."""

    snapshot: Path
    version: str
    n_videos: int
    n_products: int
    videos_left_out: int
    products_left_out: int
    n_rejected: int


def build_snapshot(
    videos: Path,
    products: Path,
    tables: Path,
    out: Path,
    *,
    at_us: int | None = None,
    event_weights: Mapping[str, float] = DEFAULT_EVENT_WEIGHTS,
    overwrite: bool = False,
) -> BuildSummary:
    """Publish the videos and products that have vectors, with what is popular, as a snapshot at *out*.

    Args:
        videos: a store of videos.
        products: a store of products, made by the same encoder.
        tables: the folder of the shop's tables.
        at_us: what is popular is counted before this time; by default at the end of the log.

    Raises:
        StoreError: a store cannot be used, or the two were made by different encoders.
        TableError: a table cannot be used.
        UserFacingError: *out* exists and *overwrite* is false.
    """
    replaces = SNAPSHOT if overwrite else ""
    refuse_existing(out, replaces=replaces)
    video_store, product_store = open_store(videos, "videos"), open_store(products, "products")
    _require_same_encoder(video_store, product_store)
    shop = load_tables(tables)
    shop_videos = _with_vectors(shop.videos, C.VIDEO_ID, video_store, tables)
    shop_products = _with_vectors(shop.products, C.PRODUCT_ID, product_store, tables)
    log = make_log(
        shop.interactions, shop.impressions, shop.users,
        videos=shop_videos, products=shop_products, event_weights=event_weights,
    )  # fmt: skip
    statistics = log.statistics(log.end_us if at_us is None else at_us)
    with building(out, replaces=replaces) as folder:
        _write_tables(folder, shop, shop_videos, shop_products, statistics)
        _write_space(folder, video_store, product_store, shop_videos, shop_products)
        _write_posters(folder, video_store, shop_videos)
        name = _write_manifest(folder, video_store, statistics)
    return BuildSummary(
        out, name, shop_videos.height, shop_products.height,
        shop.videos.height - shop_videos.height, shop.products.height - shop_products.height, shop.rejected.height,
    )  # fmt: skip


def _require_same_encoder(videos: Store, products: Store) -> None:
    if videos.manifest.fingerprint != products.manifest.fingerprint:
        raise StoreError(
            f"{videos.path} was made with {videos.manifest.encoder} ({videos.manifest.fingerprint}), but "
            f"{products.path} with {products.manifest.encoder} ({products.manifest.fingerprint}).",
            "Embed both with the same --model.",
        )


def _with_vectors(table: pl.DataFrame, key: str, store: Store, folder: Path) -> pl.DataFrame:
    """The rows of *table* that the store has, in the table's order."""
    kept = table.filter(pl.col(key).is_in(store.items[S.ITEM_ID].implode()))
    if kept.is_empty():
        raise StoreError(
            f"{store.path} holds none of the {store.manifest.kind} of {folder}.", "Embed this table's items first."
        )
    return kept


def _write_tables(
    folder: Path, shop: Tables, videos: pl.DataFrame, products: pl.DataFrame, statistics: Statistics
) -> None:
    videos.write_parquet(folder / F.VIDEOS)
    products.write_parquet(folder / F.PRODUCTS)
    shop.rejected.write_parquet(folder / F.REJECTED)
    np.save(folder / F.VIDEO_POPULARITY, statistics.video_popularity)
    np.save(folder / F.PRODUCT_POPULARITY, statistics.product_popularity)


def _write_space(
    folder: Path, video_store: Store, product_store: Store, videos: pl.DataFrame, products: pl.DataFrame
) -> None:
    frames, times = _frames(video_store, videos)
    arrays: dict[str, NDArray[np.generic]] = {
        F.VIDEO_VECTORS: _aligned(video_store, videos[C.VIDEO_ID]),
        F.FRAME_VECTORS: frames,
        F.FRAME_TIMES: times,
        F.PRODUCT_VECTORS: _aligned(product_store, products[C.PRODUCT_ID]),
    }
    (folder / F.of_space(CLIP_SPACE, "")).mkdir(parents=True)
    for name, array in arrays.items():
        np.save(folder / F.of_space(CLIP_SPACE, name), array)


def _aligned(store: Store, ids: pl.Series) -> NDArray[np.float16]:
    """The store's vectors in the order of *ids*, as fp16."""
    return store.vectors[_positions(store.items[S.ITEM_ID], ids)].astype(np.float16)


def _positions(of: pl.Series, ids: pl.Series) -> NDArray[np.int64]:
    """Where each of *ids* stands among *of*, −1 for those that do not."""
    place = pl.DataFrame({"id": of}).with_row_index("row")
    joined = pl.DataFrame({"id": ids}).join(place, on="id", how="left", maintain_order="left")
    return joined["row"].cast(pl.Int64).fill_null(-1).to_numpy()


def _frames(store: Store, videos: pl.DataFrame) -> tuple[NDArray[np.float16], NDArray[np.float32]]:
    """Frame vectors `(n_videos, m, dim)` and times `(n_videos, m)` in the order of *videos*; missing frames are NaN."""
    parts = store.parts([S.ITEM_ID, S.PART, S.TIME_S, S.VECTOR])
    rows = _positions(videos[C.VIDEO_ID], parts[S.ITEM_ID].cast(pl.String))
    known = rows >= 0
    part = parts[S.PART].to_numpy()
    vectors = np.zeros((videos.height, int(part.max()) + 1, store.manifest.dim), np.float16)
    times = np.full(vectors.shape[:2], np.nan, np.float32)
    vectors[rows[known], part[known]] = parts[S.VECTOR].to_numpy()[known].astype(np.float16)
    times[rows[known], part[known]] = parts[S.TIME_S].to_numpy()[known]
    return vectors, times


def _write_posters(folder: Path, store: Store, videos: pl.DataFrame) -> None:
    """One frame of each video, from its middle."""
    middle = store.items.select(S.ITEM_ID, **{S.PART: pl.col(S.N_PARTS) // 2})
    frames = store.parts([S.ITEM_ID, S.PART, S.JPEG]).join(middle, on=[S.ITEM_ID, S.PART])
    posters = frames.filter(pl.col(S.ITEM_ID).is_in(videos[C.VIDEO_ID].implode()))
    posters.select(pl.col(S.ITEM_ID).alias(C.VIDEO_ID), S.JPEG).write_parquet(folder / F.POSTERS)


def _write_manifest(folder: Path, store: Store, statistics: Statistics) -> str:
    """Write the manifest and return the version."""
    files = {str(file.relative_to(folder)): sha256_of(file) for file in sorted(folder.rglob("*")) if file.is_file()}
    space = {
        "encoder": store.manifest.encoder,
        "fingerprint": store.manifest.fingerprint,
        "dim": store.manifest.dim,
        "options": dict(store.manifest.options),
        "users": "products",
    }
    content = {
        "as_of": from_us(statistics.as_of_us).isoformat(),
        "markets": list(statistics.markets),
        "spaces": {CLIP_SPACE: space},
        "files": files,
    }
    name = version_of(content)
    manifest = {
        "kind": SNAPSHOT,
        "format": FORMAT,
        "version": name,
        "lookreel": version("lookreel"),
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
        **content,
    }
    (folder / MANIFEST).write_text(json.dumps(manifest, indent=1))
    return name
