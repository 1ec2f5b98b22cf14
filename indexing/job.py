"""What a job has to do: the table against the store. It depends on both alone, so a killed job finds itself again."""

import hashlib
import json
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import polars as pl

from indexing.columns import S
from indexing.fusing import Shift
from indexing.manifest import StoreManifest, begin, committed, is_of_store, parse_manifest
from indexing.media import hash_task, signature_of
from indexing.places import Place
from indexing.reading import ReaderPool
from indexing.remote import require_backends
from indexing.shards import Shard
from indexing.store import Store, commit_shard, current
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
    """The *shards* to embed and the *copies* to make; the numbers *done* are committed already.

    *seen* are item_id and signature of items whose files have another state but the content they had; *n_absent* items
    have vectors, but their files are not there now.
    """

    kind: str
    store: Store
    shards: Sequence[Shard]
    copies: Sequence[CopyShard]
    seen: pl.DataFrame
    n_absent: int
    done: frozenset[int] = frozenset()

    @cached_property
    def sizes(self) -> Mapping[int, int]:
        """Items of each shard, by its number."""
        copied = {copies.number: copies.rows.height for copies in self.copies}
        return copied | {shard.number: len(shard.items) for shard in self.shards}

    @property
    def nothing_to_do(self) -> bool:
        return self.sizes.keys() <= self.done and self.seen.is_empty()

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
        return _begun_part(place, stored, work, signatures, options, part, overwrite=overwrite)
    records = [] if stored.complete else [r for r in committed(place) if r.number >= stored.next_shard]
    job = _planned(place, stored, work, signatures, options)
    if not stored.complete and _key(job) == stored.job:
        return replace(job, done=frozenset(record.number for record in records))
    if records:  # the table changed since: what is committed counts, the rest is planned anew
        stored = replace(stored, shards=(*stored.shards, *records))
        job = _planned(place, stored, work, signatures, options)
    if not (stored.complete and job.nothing_to_do):
        begin(place, replace(stored, job=_key(job)))
    return job


def pending_items(
    place: Place, wanted: StoreManifest, work: Work, options: EmbedOptions, part: Part = Part()
) -> list[Item]:
    """The items of *work* that the store at *place* knows nothing of, by the state of their files; nothing is read.

    Raises:
        StoreError: the store was made otherwise.
    """
    stored = wanted if MANIFEST not in place.names() else _checked(place, wanted)
    if not stored.complete:
        stored = replace(stored, shards=(*stored.shards, *committed(place)))
    pending, _ = _pending(_table(work, _signatures(work, options)), Store(str(place), stored), options)
    rows = [
        row for number, rows in enumerate(_slices(pending, options.shard_size)) if part.has(number) for row in rows[ROW]
    ]
    return [work.items[row] for row in rows]


def _begun_part(
    place: Place,
    stored: StoreManifest,
    work: Work,
    signatures: Sequence[str],
    options: EmbedOptions,
    part: Part,
    *,
    overwrite: bool,
) -> Job:
    """A part's shards are numbered over the whole table, whatever the part holds: other parts have the rest.

    Raises:
        StoreError: the part was begun with another table, so that it no longer fits the others.
    """
    nowhere = Store(str(place), replace(stored, shards=(), files={}))
    items = _table(work, signatures)
    whole = Job(work.kind, nowhere, _shards(items, work, 0, options), (), items.head(0), 0)
    done = frozenset(record.number for record in (*stored.shards, *committed(place)))
    if done and stored.job != _key(whole):
        if not overwrite:
            raise StoreError(
                f"{place} is a part of a job over other files: the table or its media changed since.",
                "Embed all parts again, into new folders or with --overwrite.",
            )
        stored, done = _cleared(place, replace(stored, shards=(), files={}, complete=False, job="")), frozenset()
    shards = [shard for shard in whole.shards if part.has(shard.number)]
    job = replace(whole, shards=shards, done=done)
    if not (stored.complete and job.nothing_to_do):
        begin(place, replace(stored, job=_key(whole)))
    return job


def _stored(place: Place, wanted: StoreManifest, *, overwrite: bool) -> StoreManifest:
    """The manifest that is there, or *wanted* where there is none or it may be replaced.

    A store that is not complete is gone on with, overwritten or not: it may be an overwriting that was stopped.
    """
    names = place.names()
    if MANIFEST not in names:
        if names:
            raise StoreError(f"{place} holds something else than a store.", "Name another place with --out.")
        return wanted
    if not overwrite:
        stored = _checked(place, wanted)
    else:
        stored = _readable(place) or wanted
        if stored.kind != wanted.kind:
            _checked(place, wanted)
        if stored.complete or _difference(stored, wanted):
            stored = wanted
    begun_before = stored.job or stored.complete
    return stored if begun_before else _cleared(place, wanted)


def _readable(place: Place) -> StoreManifest | None:
    """The manifest at *place*, if it is one of a store, however it was made."""
    try:
        return parse_manifest(place.read(MANIFEST), f"{place}/{MANIFEST}")
    except StoreError:
        if set(place.names()) - {MANIFEST} and not any(map(is_of_store, place.names())):
            raise
        return None


def _checked(place: Place, wanted: StoreManifest) -> StoreManifest:
    manifest = parse_manifest(place.read(MANIFEST), f"{place}/{MANIFEST}")
    difference = _difference(manifest, wanted)
    if difference:
        replaceable = ", or replace it with --overwrite." if manifest.kind == wanted.kind else "."
        raise StoreError(f"{place} was made with {difference}.", f"Name another place with --out{replaceable}")
    return manifest


def _cleared(place: Place, wanted: StoreManifest) -> StoreManifest:
    """An empty store: its manifest first, so that what is left of the old one is known for remains."""
    begin(place, wanted)
    for name in place.names():
        if is_of_store(name):
            place.remove(name)
    return wanted


def _difference(stored: StoreManifest, wanted: StoreManifest) -> str:
    """The first thing in which a store differs from what is wanted, in words; empty where it does not."""
    names = ("kind", "encoder", "fingerprint", "precision", "dim", "part")
    pairs = [(name, getattr(stored, name), getattr(wanted, name)) for name in names]
    pairs += [(name, stored.options.get(name), value) for name, value in wanted.options.items()]
    for name, has, wants in pairs:
        if has != wants:
            return f"{name} {'all' if has == '' else has}, not {'all' if wants == '' else wants}"
    return ""


def _table(work: Work, signatures: Sequence[str]) -> pl.DataFrame:
    """Row, item_id and signature of every item."""
    ids = [item.item_id for item in work.items]
    return pl.DataFrame({S.ITEM_ID: ids, S.SIGNATURE: signatures}, schema_overrides=IDS).with_row_index(ROW)


def _planned(place: Place, stored: StoreManifest, work: Work, signatures: Sequence[str], options: EmbedOptions) -> Job:
    store = Store(str(place), stored)
    pending, n_absent = _pending(_table(work, signatures), store, options)
    hashed = _hashed(pending, work, store.contents, options)
    now = current(store.contents, store.quarantine_rows).select(S.ITEM_ID, S.CONTENT_HASH)
    seen = hashed.join(now, on=[S.ITEM_ID, S.CONTENT_HASH], how="semi", maintain_order="left")
    changed = hashed.join(seen, on=ROW, how="anti", maintain_order="left")
    holders = store.contents.unique(S.CONTENT_HASH, keep="last", maintain_order=True)
    holders = holders.select(S.CONTENT_HASH, source=S.ITEM_ID, source_shard=S.SHARD)
    placed = changed.join(holders, on=S.CONTENT_HASH, how="left", maintain_order="left")
    copies, fresh = (placed.filter(has) for has in (pl.col("source").is_not_null(), pl.col("source").is_null()))
    first = stored.next_shard
    copy_shards = [CopyShard(first + n, rows) for n, rows in enumerate(_slices(copies, options.shard_size))]
    shards = _shards(fresh, work, first + len(copy_shards), options)
    return Job(work.kind, store, shards, copy_shards, seen.select(S.ITEM_ID, S.SIGNATURE), n_absent)


def _pending(table: pl.DataFrame, store: Store, options: EmbedOptions) -> tuple[pl.DataFrame, int]:
    """The items whose files have another state than when they were read, and how many known ones are not there now.

    An absent file keeps its vectors: a share that is away for a night must not empty the index.
    """
    known = current(store.contents, store.quarantine_rows)
    aside = current(store.quarantine_rows, store.contents)
    columns = [S.ITEM_ID, S.SIGNATURE]
    settled = known.join(aside, on=S.ITEM_ID, how="anti") if options.retry else pl.concat([
        known.select(columns), aside.select(columns)
    ])  # fmt: skip
    pending = table.join(settled, on=columns, how="anti", maintain_order="left")
    gone = (pl.col(S.SIGNATURE) == "") & pl.col(S.ITEM_ID).is_in(known[S.ITEM_ID].implode())
    return pending.filter(~gone), pending.filter(gone).height


def _shards(rows: pl.DataFrame, work: Work, first: int, options: EmbedOptions) -> list[Shard]:
    return [
        Shard(number, [work.items[row] for row in few[ROW]], few[S.SIGNATURE].to_list())
        for number, few in enumerate(_slices(rows, options.shard_size), first)
    ]


def _slices(rows: pl.DataFrame, size: int) -> Iterator[pl.DataFrame]:
    return (rows.slice(start, size) for start in range(0, rows.height, size))


def _hashed(pending: pl.DataFrame, work: Work, contents: pl.DataFrame, options: EmbedOptions) -> pl.DataFrame:
    """The pending items with their content's hash, null where no content that is held can be theirs.

    A video's state tells its size, so that only files as large as one that is held are read. Where nothing is held
    nothing is hashed: reading an item tells its hash.
    """
    held = {part for signature in contents[S.SIGNATURE] for part in signature.split(":")}
    hashable = [row for row, state in pending.select(ROW, S.SIGNATURE).iter_rows() if _may_be_held(state, held)]
    hashes: list[str] = []
    if hashable:
        with ReaderPool(options.workers, options.limits) as pool:
            hashes = list(pool.map(hash_task, [work.items[row].task for row in hashable]))
    table = pl.DataFrame(
        {ROW: hashable, S.CONTENT_HASH: hashes}, schema={ROW: pending[ROW].dtype, S.CONTENT_HASH: pl.String}
    )
    return pending.join(table, on=ROW, how="left", maintain_order="left")


def _may_be_held(signature: str, held: Collection[str]) -> bool:
    """Whether a part of the state, such as the size, is that of a file that is held. A product's state has one part."""
    parts = signature.split(":")
    return bool(held) and (len(parts) == 1 or not set(parts).isdisjoint(held)) and signature != ""


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
