"""Brings a snapshot to the state of the tables and stores: what is new becomes a delta, what is gone loses its row."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from indexing.arrange import Arranged, arrange, in_one_segment
from indexing.changes import Changes, carried_popularity
from indexing.given import SpaceSummary, carried, differs, from_run, summary_of
from indexing.guard import Guard
from indexing.publish import about_store, count_popular, save_placements, save_tables, space_of
from indexing.segments import segment_of
from indexing.state import PRODUCTS, VIDEOS, After, after_of, before_of
from indexing.versions import Keep, Publisher, publishing
from retrieval.conventional import RunVectors
from retrieval.gate import Verdict
from retrieval.log import Statistics, from_us, to_us
from retrieval.snapshot_files import CLIP_SPACE, F, SnapshotManifest, verify_objects
from retrieval.tables import Catalogue, Tables, load_catalogue, load_tables
from retrieval.tables import Columns as C
from retrieval.version_files import load_array, load_placements


@dataclass(frozen=True)
class UpdateSummary:
    """What an update did. Where nothing changed *published* is false, and *version* the one that was live already.

    *folded* says that all deltas became one, *compact_due* that deltas and dead rows exceed a fifth of the base.
    *conventional* tells of the conventional space, *gate* what was measured before it was published; None where there
    was no such.
    """

    snapshot: Path
    version: str
    published: bool
    videos: Changes
    products: Changes
    n_rejected: int
    n_segments: int
    folded: bool
    compact_due: bool
    conventional: SpaceSummary | None = None
    gate: Verdict | None = None


@dataclass(frozen=True)
class CompactSummary:
    """What a compaction did: how many segments became one, and how many dead rows went with them."""

    snapshot: Path
    version: str
    n_segments: int
    n_dead: int


@dataclass(frozen=True)
class _Pair:
    """The next version's videos and products."""

    videos: After
    products: After

    @property
    def changed(self) -> bool:
        return self.videos.changes.any or self.products.changes.any


def update_snapshot(
    snapshot: Path,
    videos: Path | str,
    products: Path | str,
    tables: Path,
    *,
    keep: Keep | None = None,
    recount: bool = False,
    run: RunVectors | None = None,
    guard: Guard | None = None,
) -> UpdateSummary:
    """Publish a version of *snapshot* that holds what the tables name now, as far as the stores have vectors.

    Items that stay keep their order, new ones follow in the order of their table. Only shards of the stores that the
    live version has not read are read. What is popular is carried over; new items have not been counted yet. So are the
    vectors of a conventional training; new videos have none until another *run* is put in.

    Args:
        videos: the store of videos, *products* that of products, by the encoder that built the snapshot.
        tables: the folder of the shop's tables; its log is read only to *recount* what is popular, and for *guard*.
        run: the vectors of a conventional training, in place of those that the live version has.
        guard: lets it be published only if what it shows keeps some bounds.

    Raises:
        GateError: it breaks a bound of *guard*; nothing was published.
        SnapshotError: there is no snapshot, it is damaged, or somebody else is publishing into it.
        StoreError: a store cannot be used, or was made by another encoder.
        TableError: a table cannot be used.
    """
    shop = load_tables(tables) if recount or guard else None
    catalogue = Catalogue(shop.videos, shop.products, shop.rejected) if shop else load_catalogue(tables)
    with publishing(snapshot) as publisher:
        live = _verified_live(publisher)
        before = Arranged(live.segments, *load_placements(snapshot, live))
        after = _after(snapshot, live, before, (videos, products), catalogue, tables)
        counted = _statistics(snapshot, live)
        statistics = _recounted(shop, after) if shop and recount else _carried(counted, after)
        ids = after.videos.table[C.VIDEO_ID].to_list()
        counted_anew = recount and not _same(statistics, counted)
        if not (after.changed or counted_anew or (run and differs(snapshot, live, run, ids))):
            summary = _summary(snapshot, live.version, after, catalogue, before, published=False)
            return replace(summary, conventional=summary_of(snapshot, live))
        arranged = _arrange(publisher, live, after)
        content = _content(publisher, live, after, arranged, statistics, catalogue)
        given = from_run(publisher, run, ids) if run else carried(publisher, live, after.videos.rows.old_rows)
        content = given.bound_in(content) if given else content
        verdict = guard.admit(publisher, content, shop, None) if guard and shop else None
        version = publisher.publish(content, keep or Keep())
    summary = _summary(snapshot, version, after, catalogue, arranged, published=True)
    return replace(summary, conventional=given.summary if given else None, gate=verdict)


def compact_snapshot(snapshot: Path, *, keep: Keep | None = None) -> CompactSummary:
    """Publish a version of one segment without dead rows: the same rows in the same order, and the same answers.

    Raises:
        SnapshotError: there is no snapshot, it is damaged, or somebody else is publishing into it.
    """
    with publishing(snapshot) as publisher:
        live = _verified_live(publisher)
        before = Arranged(live.segments, *load_placements(snapshot, live))
        if len(live.segments) == 1 and not any(before.dead):
            return CompactSummary(snapshot, live.version, 1, 0)
        after = in_one_segment(publisher, live, before.videos, before.products)
        files = {**live.files, **save_placements(publisher, after.videos, after.products)}
        content = {**live.content, "segments": [asdict(one) for one in after.segments], "files": files}
        version = publisher.publish(content, keep or Keep())
        return CompactSummary(snapshot, version, len(live.segments), sum(before.dead))


def _verified_live(publisher: Publisher) -> SnapshotManifest:
    """The live version, its own files compared with their checksums: none is carried on that is damaged."""
    live = publisher.require_live()
    verify_objects(publisher.folder, list(live.files.items()))
    return live


def _after(
    snapshot: Path,
    live: SnapshotManifest,
    before: Arranged,
    stores: tuple[Path | str, Path | str],
    catalogue: Catalogue,
    tables: Path,
) -> _Pair:
    videos = before_of(snapshot, live, VIDEOS, before.videos)
    products = before_of(snapshot, live, PRODUCTS, before.products)
    return _Pair(
        after_of(videos, stores[0], catalogue.videos, tables, len(live.segments)),
        after_of(products, stores[1], catalogue.products, tables, len(live.segments)),
    )


def _arrange(publisher: Publisher, live: SnapshotManifest, after: _Pair) -> Arranged:
    videos, products = after.videos, after.products
    fresh = segment_of(videos.store, videos.fresh_ids, products.store, products.fresh_ids)
    return arrange(publisher, live, fresh, videos.placement, products.placement)


def _content(
    publisher: Publisher,
    live: SnapshotManifest,
    after: _Pair,
    arranged: Arranged,
    statistics: Statistics,
    catalogue: Catalogue,
) -> Mapping[str, Any]:
    """What the next version binds, its files written."""
    videos, products = after.videos, after.products
    files = {
        **save_tables(publisher, videos.table, products.table, statistics),
        **save_placements(publisher, arranged.videos, arranged.products),
        F.REJECTED: publisher.save(F.REJECTED, catalogue.rejected),
        F.UNUSED: publisher.save(F.UNUSED, pl.concat([videos.unused, products.unused])),
    }
    return {
        **live.content,
        "as_of": from_us(statistics.as_of_us).isoformat(),
        "markets": list(statistics.markets),
        "spaces": {**live.spaces, CLIP_SPACE: space_of(videos.store)},
        "segments": [asdict(segment) for segment in arranged.segments],
        "files": files,
        "stores": {one.before.kind.name: about_store(one.store) for one in (videos, products)},
    }


def _statistics(folder: Path, live: SnapshotManifest) -> Statistics:
    """What the live version counts as popular."""
    names = (F.VIDEO_POPULARITY, F.PRODUCT_POPULARITY)
    videos, products = (load_array(folder, live, name) for name in names)
    return Statistics(to_us(live.as_of), videos, products, live.markets)


def _recounted(shop: Tables, after: _Pair) -> Statistics:
    return count_popular(shop, after.videos.table, after.products.table)


def _carried(before: Statistics, after: _Pair) -> Statistics:
    """What was popular, by the rows of the next version."""
    rows = after.videos.rows.old_rows
    videos = np.where(rows >= 0, before.video_popularity[np.maximum(rows, 0)], np.float32(0))
    prior, old_prior = _popularity(after.products.table), _popularity(after.products.before.table)
    products = carried_popularity(before.product_popularity, after.products.rows, old_prior, prior)
    return Statistics(before.as_of_us, videos, products, before.markets)


def _popularity(products: pl.DataFrame) -> NDArray[np.float32]:
    """What the table itself says of each product `(n,)`, 0 where it says nothing."""
    if C.POPULARITY not in products.columns:
        return np.zeros(products.height, np.float32)
    return products[C.POPULARITY].fill_null(0.0).cast(pl.Float32).to_numpy()


def _same(one: Statistics, other: Statistics) -> bool:
    return (
        (one.as_of_us, one.markets) == (other.as_of_us, other.markets)
        and np.array_equal(one.video_popularity, other.video_popularity)
        and np.array_equal(one.product_popularity, other.product_popularity)
    )


def _summary(
    snapshot: Path, version: str, after: _Pair, catalogue: Catalogue, arranged: Arranged, *, published: bool
) -> UpdateSummary:
    return UpdateSummary(
        snapshot,
        version,
        published,
        after.videos.changes,
        after.products.changes,
        catalogue.rejected.height,
        len(arranged.segments),
        arranged.folded,
        arranged.compact_due,
    )
