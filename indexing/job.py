"""What a job has to do: the table against the store. It depends on both alone, so a killed job finds itself again."""

import hashlib
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import polars as pl

from indexing.columns import S
from indexing.fusing import Shift
from indexing.manifest import StoreManifest, begin, committed, parse_manifest
from indexing.media import hash_task, signature_of
from indexing.places import Place
from indexing.reading import ReaderPool
from indexing.remote import require_backends
from indexing.shards import Shard
from indexing.store import Store, commit_shard
from indexing.work import EmbedOptions, Item, Work
from retrieval.errors import StoreError
from retrieval.folders import MANIFEST

ROW = "row"
IDS = {S.ITEM_ID: pl.String, S.SIGNATURE: pl.String}


@dataclass(frozen=True)
class Part:
    """The *number*-th of *count* independent parts of a job, from 1: every count-th shard. One part is all of it."""

    number: int = 1
    count: int = 1

    def __str__(self) -> str:
        return "" if self.count == 1 else f"{self.number}/{self.count}"

    def has(self, shard: int) -> bool:
        return shard % self.count == self.number - 1


@dataclass(frozen=True)
class CopyShard:
    """Items whose content the store has already: *rows* have item_id, signature, source and source_shard."""

    number: int
    rows: pl.DataFrame

    def commit(self, place: Place, store: Store) -> None:
        """Write the shard from those that have the content."""
        items, parts = (
            pl.concat([self._taken(store, table, of) for of in self._sources]) for table in ("items", "parts")
        )
        order = self.rows.select(S.ITEM_ID)
        items, parts = (order.join(table, on=S.ITEM_ID, maintain_order="left_right") for table in (items, parts))
        commit_shard(place, self.number, items, parts, (), Shift())

    @property
    def _sources(self) -> list[int]:
        return self.rows["source_shard"].unique(maintain_order=True).to_list()

    def _taken(self, store: Store, table: str, of: int) -> pl.DataFrame:
        """The rows of shard *of* that stand for items of this one, under these items' names."""
        written = store.shard(of, table)
        wanted = self.rows.filter(pl.col("source_shard") == of).select(S.ITEM_ID, S.SIGNATURE, "source")
        taken = written.rename({S.ITEM_ID: "source"}).drop(S.SIGNATURE, strict=False).join(wanted, on="source")
        return taken.with_columns(pl.lit(self.number, pl.Int32).alias(S.SHARD)).select(written.columns)


@dataclass(frozen=True)
class Job:
    """The *shards* to embed and the *copies* to make; the numbers *done* are committed already."""

    kind: str
    store: Store
    shards: Sequence[Shard]
    copies: Sequence[CopyShard]
    done: frozenset[int]

    @cached_property
    def sizes(self) -> Mapping[int, int]:
        """Items of each shard, by its number."""
        copied = {copies.number: copies.rows.height for copies in self.copies}
        return copied | {shard.number: len(shard.items) for shard in self.shards}

    @property
    def n_copied(self) -> int:
        return sum(copies.rows.height for copies in self.copies_to_do())

    def shards_to_do(self) -> list[Shard]:
        return [shard for shard in self.shards if shard.number not in self.done]

    def copies_to_do(self) -> list[CopyShard]:
        return [copies for copies in self.copies if copies.number not in self.done]


def begun(
    place: Place, wanted: StoreManifest, work: Work, options: EmbedOptions, part: Part, *, overwrite: bool
) -> Job:
    """The job that brings the store at *place* up to *work*: begun anew, or the one that was interrupted.

    Raises:
        StoreError: the store was made otherwise than *wanted* and *overwrite* is false, or it is no store.
    """
    stored = _stored(place, wanted, overwrite=overwrite)
    signatures = _signatures(work, options)
    if part.count > 1:
        return _begun_part(place, stored, work, signatures, options, part)
    records = [] if stored.complete else [r for r in committed(place) if r.number >= stored.next_shard]
    job = _planned(place, stored, work, signatures, options)
    if not stored.complete and _key(job) == stored.job:
        return replace(job, done=frozenset(record.number for record in records))
    if records:  # the table changed since: what is committed counts, the rest is planned anew
        stored = replace(stored, shards=(*stored.shards, *records))
        job = _planned(place, stored, work, signatures, options)
    begin(place, replace(stored, job=_key(job)))
    return job


def pending_items(place: Place, wanted: StoreManifest, work: Work, options: EmbedOptions) -> list[Item]:
    """The items of *work* that the store at *place* has no vectors of.

    Raises:
        StoreError: the store was made otherwise.
    """
    stored = _stored(place, wanted, overwrite=False)
    if not stored.complete:
        stored = replace(stored, shards=(*stored.shards, *committed(place)))
    job = _planned(place, stored, work, _signatures(work, options), options)
    return [item for shard in job.shards for item in shard.items]


def _begun_part(
    place: Place, stored: StoreManifest, work: Work, signatures: Sequence[str], options: EmbedOptions, part: Part
) -> Job:
    """A part's shards are numbered over the whole table, whatever the part holds: other parts have the rest.

    Raises:
        StoreError: the part was begun with another table, so that it no longer fits the others.
    """
    whole = _planned(place, replace(stored, shards=()), work, signatures, options)
    done = frozenset(record.number for record in (*stored.shards, *committed(place)))
    if done and stored.job != _key(whole):
        raise StoreError(
            f"{place} is a part of a job over other files: the table or its media changed since.",
            "Embed all parts again, into new folders or with --overwrite.",
        )
    begin(place, replace(stored, job=_key(whole)))
    shards = [shard for shard in whole.shards if part.has(shard.number)]
    return replace(whole, shards=shards, done=done)


def _stored(place: Place, wanted: StoreManifest, *, overwrite: bool) -> StoreManifest:
    """The manifest that is there, or *wanted* where there is none or it may be replaced."""
    names = place.names()
    if MANIFEST not in names:
        if not all(
            re.fullmatch(r"(items|parts|shard)-\d+\.\w+|quarantine\.parquet|rejected\.parquet", n) for n in names
        ):
            raise StoreError(f"{place} holds something else than a store.", "Name another place with --out.")
        _clear(place)  # what an interrupted --overwrite left
        return wanted
    manifest = parse_manifest(place.read(MANIFEST), f"{place}/{MANIFEST}")
    difference = _difference(manifest, wanted)
    if not difference:
        return manifest
    if not overwrite or manifest.kind != wanted.kind:
        cure = "Name another place with --out" + (
            ", or replace it with --overwrite." if manifest.kind == wanted.kind else "."
        )
        raise StoreError(f"{place} was made with {difference}.", cure)
    _clear(place)
    return wanted


def _clear(place: Place) -> None:
    for name in [MANIFEST, *place.names()]:  # without its manifest the rest is known for remains
        place.remove(name)


def _difference(stored: StoreManifest, wanted: StoreManifest) -> str:
    """The first thing in which a store differs from what is wanted, in words; empty where it does not."""
    pairs = [
        (name, getattr(stored, name), getattr(wanted, name))
        for name in ("kind", "encoder", "fingerprint", "precision", "part")
    ]
    pairs += [(name, stored.options.get(name), value) for name, value in wanted.options.items()]
    for name, has, wants in pairs:
        if has != wants:
            return f"{name} {has or 'all'}, not {wants or 'all'}"
    return ""


def _planned(place: Place, stored: StoreManifest, work: Work, signatures: Sequence[str], options: EmbedOptions) -> Job:
    store = Store(str(place), stored)
    known = store.known_contents()
    if options.retry:
        known = known.filter(pl.col(S.CONTENT_HASH) != "")
    table = pl.DataFrame(
        {S.ITEM_ID: [item.item_id for item in work.items], S.SIGNATURE: signatures}, schema_overrides=IDS
    ).with_row_index(ROW)
    pending = table.join(known, on=[S.ITEM_ID, S.SIGNATURE], how="anti", maintain_order="left")
    changed = _hashed(pending, work, known, options)
    copies, fresh = (changed.filter(has) for has in (pl.col("source").is_not_null(), pl.col("source").is_null()))
    first = stored.next_shard
    copy_shards = [CopyShard(first + n, rows) for n, rows in enumerate(_slices(copies, options.shard_size))]
    first += len(copy_shards)
    shards = [
        Shard(first + n, [work.items[row] for row in rows[ROW]], rows[S.SIGNATURE].to_list())
        for n, rows in enumerate(_slices(fresh, options.shard_size))
    ]
    return Job(work.kind, store, shards, copy_shards, frozenset())


def _slices(rows: pl.DataFrame, size: int) -> Iterator[pl.DataFrame]:
    return (rows.slice(start, size) for start in range(0, rows.height, size))


def _hashed(pending: pl.DataFrame, work: Work, known: pl.DataFrame, options: EmbedOptions) -> pl.DataFrame:
    """The pending items with their content's hash and who has it already: *source* in *source_shard*, null for nobody.

    Items that have the content themselves, under another date, are left out. Where nothing is known nothing is hashed:
    reading an item tells its hash.
    """
    embedded = known.filter(pl.col(S.CONTENT_HASH) != "")
    hashes = [""] * pending.height
    if embedded.height and pending.height:
        with ReaderPool(options.workers, options.limits) as pool:
            hashes = list(pool.map(hash_task, (work.items[row].task for row in pending[ROW])))
    hashed = pending.with_columns(pl.Series(S.CONTENT_HASH, hashes, dtype=pl.String))
    changed = hashed.join(embedded, on=[S.ITEM_ID, S.CONTENT_HASH], how="anti", maintain_order="left")
    holders = embedded.unique(S.CONTENT_HASH, keep="last", maintain_order=True)
    holders = holders.select(S.CONTENT_HASH, source=S.ITEM_ID, source_shard=S.SHARD)
    return changed.join(holders, on=S.CONTENT_HASH, how="left", maintain_order="left")


def _signatures(work: Work, options: EmbedOptions) -> list[str]:
    """The state of every item's media; of remote ones, where each costs a round trip, side by side."""
    tasks = [item.task for item in work.items]
    if not any("://" in task.uri for task in tasks):
        return [task.signature() for task in tasks]
    require_backends(options.allowed)
    with ReaderPool(options.workers, options.limits) as pool:
        return list(pool.map(signature_of, tasks))


def _key(job: Job) -> str:
    """What a job is, as a hash: its shards, their items and the state of their media."""
    digest = hashlib.sha256()
    for shard in job.shards:
        digest.update(json.dumps([shard.number, [i.item_id for i in shard.items], list(shard.signatures)]).encode())
    for copies in job.copies:
        digest.update(json.dumps([copies.number, copies.rows.select(S.ITEM_ID, S.SIGNATURE).rows()]).encode())
    return digest.hexdigest()[:16]
