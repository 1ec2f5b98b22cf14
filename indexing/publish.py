"""Stores and tables to a snapshot: a version of one segment, made from nothing."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import polars as pl

from indexing.given import SpaceSummary, from_run
from indexing.guard import Guard
from indexing.segments import save_segment, segment_of
from indexing.store import S, Store, open_store
from indexing.versions import Keep, Publisher, publishing, refuse_foreign
from retrieval.conventional import RunVectors
from retrieval.errors import StoreError
from retrieval.gate import Verdict
from retrieval.log import DEFAULT_EVENT_WEIGHTS, Statistics, from_us, make_log
from retrieval.snapshot_files import CLIP_SPACE, F, SegmentFiles
from retrieval.stacked import Placement, Rows, whole
from retrieval.tables import Columns as C
from retrieval.tables import Tables, load_tables


@dataclass(frozen=True)
class BuildSummary:
    """What a snapshot holds. *videos_left_out* are in the table but not in the store, *products_left_out* likewise.

    *conventional* tells of its conventional space, *gate* what was measured before it was published; None where there
    was no such.
    """

    snapshot: Path
    version: str
    n_videos: int
    n_products: int
    videos_left_out: int
    products_left_out: int
    n_rejected: int
    conventional: SpaceSummary | None = None
    gate: Verdict | None = None


@dataclass(frozen=True)
class Stores:
    """The stores that a version is made of, by one encoder."""

    videos: Store
    products: Store


def build_snapshot(
    videos: Path | str,
    products: Path | str,
    tables: Path,
    out: Path,
    *,
    at_us: int | None = None,
    event_weights: Mapping[str, float] = DEFAULT_EVENT_WEIGHTS,
    keep: Keep | None = None,
    run: RunVectors | None = None,
    guard: Guard | None = None,
) -> BuildSummary:
    """Publish the videos and products that have vectors, with what is popular, as the live version of *out*.

    A snapshot that stands there keeps its earlier versions, as *keep* says.

    Args:
        videos: a store of videos.
        products: a store of products, made by the same encoder.
        tables: the folder of the shop's tables.
        at_us: what is popular is counted before this time; by default at the end of the log.
        run: the vectors of a conventional training; a version that is built without has none.
        guard: lets it be published only if what it shows keeps some bounds.

    Raises:
        GateError: it breaks a bound of *guard*; nothing was published.
        StoreError: a store cannot be used, or the two were made by different encoders.
        TableError: a table cannot be used.
        SnapshotError: somebody else is publishing there, or what stands there is of another format.
        UserFacingError: *out* holds something else than a snapshot.
    """
    refuse_foreign(out)
    stores = Stores(open_store(videos, "videos"), open_store(products, "products"))
    _require_same_encoder(stores)
    shop = load_tables(tables)
    shop_videos = _with_vectors(shop.videos, C.VIDEO_ID, stores.videos, tables)
    shop_products = _with_vectors(shop.products, C.PRODUCT_ID, stores.products, tables)
    statistics = count_popular(shop, shop_videos, shop_products, at_us, event_weights)
    with publishing(out, new=True) as publisher:
        content = _content(publisher, stores, shop, shop_videos, shop_products, statistics)
        given = from_run(publisher, run, shop_videos[C.VIDEO_ID].to_list()) if run else None
        content = given.bound_in(content) if given else content
        verdict = guard.admit(publisher, content, shop, at_us) if guard else None
        name = publisher.publish(content, keep or Keep())
    return BuildSummary(
        out, name, shop_videos.height, shop_products.height,
        shop.videos.height - shop_videos.height, shop.products.height - shop_products.height, shop.rejected.height,
        given.summary if given else None, verdict,
    )  # fmt: skip


def _content(
    publisher: Publisher,
    stores: Stores,
    shop: Tables,
    videos: pl.DataFrame,
    products: pl.DataFrame,
    statistics: Statistics,
) -> dict[str, Any]:
    """What a version of one segment binds, its files written."""
    data = segment_of(stores.videos, videos[C.VIDEO_ID], stores.products, products[C.PRODUCT_ID])
    files = {
        **save_tables(publisher, videos, products, statistics),
        **save_placements(publisher, whole(videos.height), whole(products.height)),
        F.REJECTED: publisher.save(F.REJECTED, shop.rejected),
        F.UNUSED: publisher.save(F.UNUSED, _unused(stores, videos, products)),
    }
    return _bound(stores, statistics, [save_segment(publisher, data)], files)


def _require_same_encoder(stores: Stores) -> None:
    """Refuse stores of two encoders.

    Raises:
        StoreError: naming both.
    """
    videos, products = stores.videos, stores.products
    if videos.manifest.fingerprint != products.manifest.fingerprint:
        raise StoreError(
            f"{videos.path} was made with {videos.manifest.encoder} ({videos.manifest.fingerprint}), but "
            f"{products.path} with {products.manifest.encoder} ({products.manifest.fingerprint}).",
            "Embed both with the same --model.",
        )


def _with_vectors(table: pl.DataFrame, key: str, store: Store, folder: Path) -> pl.DataFrame:
    """The rows of *table* that the store has, in the table's order."""
    return require_some(table.filter(pl.col(key).is_in(store.items[S.ITEM_ID].implode())), store, folder)


def require_some(kept: pl.DataFrame, store: Store, folder: Path) -> pl.DataFrame:
    """The rows of a table that have a vector, if there are any.

    Raises:
        StoreError: there is none.
    """
    if kept.is_empty():
        raise StoreError(
            f"{store.path} holds none of the {store.manifest.kind} of {folder}.", "Embed this table's items first."
        )
    return kept


def count_popular(
    shop: Tables,
    videos: pl.DataFrame,
    products: pl.DataFrame,
    at_us: int | None = None,
    event_weights: Mapping[str, float] = DEFAULT_EVENT_WEIGHTS,
) -> Statistics:
    """What was popular of *videos* and *products* before *at_us*, by default at the end of the shop's log."""
    log = make_log(
        shop.interactions, shop.impressions, shop.users,
        videos=videos, products=products, event_weights=event_weights,
    )  # fmt: skip
    return log.statistics(log.end_us if at_us is None else at_us)


def save_tables(
    publisher: Publisher, videos: pl.DataFrame, products: pl.DataFrame, statistics: Statistics
) -> dict[str, str]:
    """Write the tables and what is popular, and return the checksums by name."""
    contents: dict[str, pl.DataFrame | Rows] = {
        F.VIDEOS: videos,
        F.PRODUCTS: products,
        F.VIDEO_POPULARITY: statistics.video_popularity,
        F.PRODUCT_POPULARITY: statistics.product_popularity,
    }
    return {name: publisher.save(name, content) for name, content in contents.items()}


def save_placements(publisher: Publisher, videos: Placement, products: Placement) -> dict[str, str]:
    """Write where the rows lie, and return the checksums by name."""
    placements = {F.VIDEO_PLACEMENT: videos, F.PRODUCT_PLACEMENT: products}
    return {name: publisher.save(name, placement.as_array()) for name, placement in placements.items()}


def _unused(stores: Stores, videos: pl.DataFrame, products: pl.DataFrame) -> pl.DataFrame:
    """What the stores hold beside these items, as kind and item_id: an update finds it again when a table names it."""
    return pl.concat(
        [
            unused_of(stores.videos.manifest.kind, stores.videos.items[S.ITEM_ID], videos[C.VIDEO_ID]),
            unused_of(stores.products.manifest.kind, stores.products.items[S.ITEM_ID], products[C.PRODUCT_ID]),
        ]
    )


def unused_of(kind: str, held: pl.Series, living: pl.Series) -> pl.DataFrame:
    """Those *held* in a store that are not among the *living*, sorted."""
    ids = held.filter(~held.is_in(living.implode())).unique().sort()
    return pl.DataFrame(
        {"kind": pl.repeat(kind, len(ids), dtype=pl.String, eager=True), S.ITEM_ID: ids.cast(pl.String)}
    )


def _bound(
    stores: Stores, statistics: Statistics, segments: list[SegmentFiles], files: Mapping[str, str]
) -> dict[str, Any]:
    """What a version of these stores binds."""
    return {
        "as_of": from_us(statistics.as_of_us).isoformat(),
        "markets": list(statistics.markets),
        "spaces": {CLIP_SPACE: space_of(stores.videos)},
        "segments": [asdict(segment) for segment in segments],
        "files": dict(files),
        "stores": {store.manifest.kind: about_store(store) for store in (stores.videos, stores.products)},
    }


def space_of(videos: Store) -> dict[str, Any]:
    """What a version says of the space of this store's vectors."""
    made = videos.manifest
    return {
        "encoder": made.encoder,
        "fingerprint": made.fingerprint,
        "dim": made.dim,
        "options": dict(made.options),
        "users": "products",
    }


def about_store(store: Store) -> dict[str, Any]:
    """What a version remembers of a store: its shards, so that the next update reads only others, and its options."""
    return {"shards": store.shard_ids, "options": dict(store.manifest.options)}
