"""Takes videos out of an embedding store: shards that hold one are written anew without it, under new numbers.

The manifest says what holds at every instant: first that a job is under way, then the new shards' records are committed
beside the old ones, then the old ones are no longer listed, and last their files go. A purge that is killed leaves a
store that opens, and the next one goes on.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace

import polars as pl

from indexing.columns import S
from indexing.fusing import Shift
from indexing.manifest import (
    CONTENTS,
    QUARANTINE,
    REJECTED,
    ShardRecord,
    StoreManifest,
    begin,
    parse_manifest,
    read_state,
    record_names,
    write_manifest,
)
from indexing.places import Place, sha256_at
from indexing.store import Store, commit_shard, current, finish, parquet_of, read_parquet
from retrieval.errors import StoreError
from retrieval.folders import MANIFEST
from retrieval.tables import VIDEOS

UNDER_WAY = "purge of "  # before the name of a job whose store was complete when the purge began


@dataclass(frozen=True)
class HeldByStore:
    """What a store holds of some videos: rows of *items* and of *frames*, superseded ones too, and of *quarantine*.

    *ids* are those that it knows at all; *shards* are the numbers of those that hold an item.
    """

    ids: frozenset[str]
    shards: tuple[int, ...]
    items: int
    frames: int
    quarantine: int

    @property
    def any(self) -> bool:
        return bool(self.ids)


def held_by_store(place: Place, ids: Collection[str]) -> HeldByStore:
    """What the store at *place* holds of the videos *ids*, its shards that do compared with their checksums.

    Raises:
        StoreError: there is none, it is damaged, of products, a part of one, or would hold nothing any more.
    """
    state = _require_purgeable(place)
    store = Store(str(place), state)
    mine = store.contents.filter(_is_one_of(ids))
    aside = store.quarantine_rows.filter(_is_one_of(ids))
    shards = tuple(sorted(mine[S.SHARD].unique().to_list()))
    _require_whole(place, state, shards)
    if mine.height and current(store.contents, store.quarantine_rows).filter(~_is_one_of(ids)).is_empty():
        raise StoreError(f"{place} holds no other videos.", "Remove the store itself.")
    frames = sum(store.shard(n, "parts", [S.ITEM_ID]).filter(_is_one_of(ids)).height for n in shards)
    known = frozenset([*mine[S.ITEM_ID], *aside[S.ITEM_ID]])
    return HeldByStore(known, shards, mine.height, frames, aside.height)


def _is_one_of(ids: Collection[str]) -> pl.Expr:
    return pl.col(S.ITEM_ID).is_in(list(ids))


def _require_purgeable(place: Place) -> StoreManifest:
    state = read_state(place)
    if state.kind != VIDEOS.name:
        raise StoreError(f"{place} is a store of {state.kind}, not of videos.", "Name the store of videos.")
    if state.part:
        raise StoreError(
            f"{place} is the part {state.part} of a store, whose shards have fixed numbers.",
            "Join the parts with lookreel embed merge, purge the whole, and remove the parts.",
        )
    return state


def _require_whole(place: Place, state: StoreManifest, shards: Collection[int]) -> None:
    """What is damaged is never given new checksums."""
    files = dict(state.files) if state.complete else {}
    for shard in state.shards:
        files |= shard.files if shard.number in shards else {}
    for name, checksum in files.items():
        if sha256_at(place, name) != checksum:
            raise StoreError(
                f"{place}/{name} is missing or differs from the manifest.", "Embed again with --overwrite."
            )


def purge_store(place: Place, held: HeldByStore) -> frozenset[str]:
    """Take out of the store at *place* all that it holds; return the ids of the shards that are gone.

    Call it as the only writer. What a killed purge left undone is done too.
    """
    state = read_state(place)
    gone = frozenset(shard.shard_id for shard in state.shards if shard.number in held.shards)
    if held.any or state.job.startswith(UNDER_WAY):
        _rewrite(place, state, held)
    _sweep(place)
    return gone


def _rewrite(place: Place, state: StoreManifest, held: HeldByStore) -> None:
    job = state.job.removeprefix(UNDER_WAY)
    was_complete = state.complete or job != state.job
    state = replace(state, job=UNDER_WAY + job if was_complete else job)
    begin(place, state)
    fresh = _write_rest(place, Store(str(place), state), held)
    begin(place, replace(state, shards=(*(_without(shard, held) for shard in state.shards), *fresh)))
    for name in (QUARANTINE, CONTENTS):
        _filter_file(place, name, held)
    if was_complete:
        write_manifest(place, replace(finish(place, read_parquet(place, REJECTED)), job=job))


def _write_rest(place: Place, store: Store, held: HeldByStore) -> list[ShardRecord]:
    """Commit what is left of each shard, if anything is, under new numbers: only what no later shard supersedes.

    A superseded row would become the latest of its item again.
    """
    living = current(store.contents, store.quarantine_rows).filter(~_is_one_of(held.ids))
    records: list[ShardRecord] = []
    for number in held.shards:
        rest = living.filter(pl.col(S.SHARD) == number)
        if rest.height:
            records.append(_write_one(place, store, number, store.manifest.next_shard + len(records), rest))
    return records


def _write_one(place: Place, store: Store, old: int, number: int, rest: pl.DataFrame) -> ShardRecord:
    """Shard *old* as *number*, of the items *rest* with the signatures last seen."""
    items, parts = (
        store.shard(old, table)
        .join(rest, on=S.ITEM_ID, how="semi", maintain_order="left")
        .with_columns(pl.lit(number, pl.Int32).alias(S.SHARD))
        for table in ("items", "parts")
    )
    seen = items.select(S.ITEM_ID).join(rest, on=S.ITEM_ID, how="left", maintain_order="left")
    return commit_shard(place, number, items.with_columns(seen[S.SIGNATURE]), parts, (), Shift())


def _without(shard: ShardRecord, held: HeldByStore) -> ShardRecord:
    """What stays of a shard under its number: its files if it holds none of the videos, and what it set aside.

    An empty one stays too: its number may stand in the quarantine and must not be given again.
    """
    aside: Sequence[Sequence[str]] = [row for row in shard.quarantine if row[0] not in held.ids]
    if shard.number not in held.shards:
        return replace(shard, quarantine=aside)
    return ShardRecord(shard.number, 0, {}, aside)


def _filter_file(place: Place, name: str, held: HeldByStore) -> None:
    if name in place.names():
        place.write(name, parquet_of(read_parquet(place, name).filter(~_is_one_of(held.ids))))


def _sweep(place: Place) -> None:
    """Remove the files of shards that are no longer listed, and the records of those that the manifest lists."""
    listed = {name for shard in read_state(place).shards for name in shard.files}
    next_shard = parse_manifest(place.read(MANIFEST), f"{place}/{MANIFEST}").next_shard
    for name in place.names():
        if name.startswith(("items-", "parts-")) and name not in listed:
            place.remove(name)
    for name in record_names(place):
        if int(name.removeprefix("shard-").removesuffix(".json")) < next_shard:
            place.remove(name)
