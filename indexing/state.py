"""Videos or products of a snapshot before and after an update: what a version holds, and what tables and stores ask."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl

from indexing.changes import Changes, NextRows, count_changes, next_placement, next_rows
from indexing.publish import require_some, unused_of
from indexing.segments import content_hashes
from indexing.store import S, Store, open_store
from retrieval.errors import StoreError
from retrieval.snapshot_files import CLIP_SPACE, F, SnapshotManifest, object_path
from retrieval.stacked import Placement
from retrieval.tables import Columns as C


@dataclass(frozen=True)
class Kind:
    """What videos and products differ in: the key of their table, and where a version keeps what is of them."""

    name: str
    key: str
    table: str
    items: str


VIDEOS = Kind("videos", C.VIDEO_ID, F.VIDEOS, F.VIDEO_ITEMS)
PRODUCTS = Kind("products", C.PRODUCT_ID, F.PRODUCTS, F.PRODUCT_ITEMS)


@dataclass(frozen=True)
class Before:
    """What a version holds of one kind: its *table* in order, each row's content *hashes* and *placement*.

    *unused* are the ids that the store held beside them; *shards* and *options* are the store's, *made_with* its
    encoder and the fingerprint.
    """

    kind: Kind
    table: pl.DataFrame
    hashes: pl.Series
    placement: Placement
    unused: pl.Series
    shards: frozenset[str]
    options: Mapping[str, Any]
    made_with: tuple[str, str]


@dataclass(frozen=True)
class After:
    """What the next version holds of one kind: its *table* in order, and how that differs from *before*.

    Fresh rows lie in a new segment, behind those of the version before. *store* is opened as far as it is needed.
    """

    before: Before
    store: Store
    table: pl.DataFrame
    rows: NextRows
    changes: Changes
    placement: Placement
    unused: pl.DataFrame

    @property
    def fresh_ids(self) -> pl.Series:
        return self.table[self.before.kind.key].filter(pl.Series(self.rows.fresh))


@dataclass(frozen=True)
class _Seen:
    """A store as far as it is needed: *whole*, or the shards since; *gone* are items that these have set aside."""

    store: Store
    whole: bool
    anew: bool
    gone: pl.Series


def before_of(folder: Path, live: SnapshotManifest, kind: Kind, placement: Placement) -> Before:
    """What the version *live* of the snapshot at *folder*, its own files verified, holds of one kind.

    Raises:
        SnapshotError: a file of one of its segments is missing or differs.
    """
    table, unused = (pl.read_parquet(object_path(folder, n, live.files[n])) for n in (kind.table, F.UNUSED))
    store, space = live.content["stores"][kind.name], live.spaces[CLIP_SPACE]
    return Before(
        kind,
        table,
        content_hashes(folder, live, kind.items, placement),
        placement,
        unused.filter(pl.col("kind") == kind.name)[S.ITEM_ID],
        frozenset(store["shards"]),
        store["options"],
        (space["encoder"], space["fingerprint"]),
    )


def after_of(before: Before, path: Path | str, table: pl.DataFrame, tables: Path, segment: int) -> After:
    """What the next version holds, after the checked *table* and the store at *path*; fresh rows lie in *segment*.

    Raises:
        StoreError: the store cannot be used, is of another encoder, or holds none of the table.
    """
    kind = before.kind
    seen = _open_since(before, path, table[kind.key])
    stored = seen.store.items.select(id=S.ITEM_ID, hash=S.CONTENT_HASH)
    old = pl.DataFrame({"id": before.table[kind.key], "hash": before.hashes})
    rows = next_rows(table[kind.key], old, stored, whole=seen.whole, gone=seen.gone, anew=seen.anew)
    following = require_some(table[rows.table_rows], seen.store, tables)
    held = stored["id"]
    if not seen.whole:
        held = pl.concat([series.cast(pl.String) for series in (held, before.unused, old["id"])])
        held = held.filter(~held.is_in(seen.gone.implode()))
    return After(
        before,
        seen.store,
        following,
        rows,
        count_changes(rows, table, before.table),
        next_placement(rows, before.placement, segment),
        unused_of(kind.name, held, following[kind.key]),
    )


def _open_since(before: Before, path: Path | str, table_ids: pl.Series) -> _Seen:
    """The shards that the version before has not read; the whole store where they alone do not tell.

    That is where known shards are gone or no longer the first, where it was embedded with other options, and where the
    table names again what it did not name then.
    """
    store = open_store(path, before.kind.name, known=before.shards)
    _require_encoder(before, store)
    anew = dict(store.manifest.options) != dict(before.options)
    appended = set(store.shard_ids[: len(before.shards)]) == before.shards
    nobody = pl.Series([], dtype=pl.String)
    if anew or not appended or table_ids.is_in(before.unused.implode()).any():
        return _Seen(open_store(path, before.kind.name), True, anew, nobody)
    last_known = max((s.number for s in store.manifest.shards if s.shard_id in before.shards), default=-1)
    set_aside = store.quarantine.filter(pl.col(S.SHARD) > last_known)[S.ITEM_ID]
    return _Seen(store, False, False, set_aside.filter(~set_aside.is_in(store.items[S.ITEM_ID].implode())))


def _require_encoder(before: Before, store: Store) -> None:
    encoder, fingerprint = before.made_with
    if store.manifest.fingerprint != fingerprint:
        raise StoreError(
            f"{store.path} was made with {store.manifest.encoder} ({store.manifest.fingerprint}), but the snapshot "
            f"with {encoder} ({fingerprint}).",
            "Embed with the snapshot's --model, or build it anew: lookreel index build --help",
        )
