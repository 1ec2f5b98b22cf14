"""Embedding stores: shards of parquet that are committed one by one, and a manifest that says what made them.

A shard is two files and a record of them, written last: `items-00000.parquet`, `parts-00000.parquet`,
`shard-00000.json`. While a job runs the records say what is committed; when it ends the manifest lists them all. Shards
are never changed. An item may stand in several: the last one holds.
"""

import io
from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import cached_property
from hashlib import sha256
from pathlib import Path

import numpy as np
import polars as pl
from numpy.typing import NDArray

from indexing.columns import S as S
from indexing.fusing import Shift, with_fused
from indexing.manifest import (
    CONTENTS,
    PRODUCTS,
    QUARANTINE,
    REJECTED,
    SHIFT,
    ShardRecord,
    StoreManifest,
    read_state,
    record_names,
    write_manifest,
    write_record,
)
from indexing.places import Place, open_place, sha256_at
from retrieval.errors import StoreError
from retrieval.folders import MANIFEST
from retrieval.towers.product import FusionWeights

CONTENTS_SCHEMA = {**dict.fromkeys((S.ITEM_ID, S.SIGNATURE, S.CONTENT_HASH), pl.String), S.SHARD: pl.Int32}
QUARANTINE_SCHEMA = {**dict.fromkeys((S.ITEM_ID, S.URI, S.REASON, S.SIGNATURE), pl.String), S.SHARD: pl.Int32}


@dataclass(frozen=True)
class Store:
    """An opened embedding store; shards whose content is *known* elsewhere are left out."""

    path: Path | str
    manifest: StoreManifest
    known: frozenset[str] = frozenset()

    @cached_property
    def place(self) -> Place:
        return open_place(self.path)

    @property
    def shard_ids(self) -> list[str]:
        """What names each shard's content, the known ones too."""
        return [shard.shard_id for shard in self.manifest.shards if shard.files]

    @cached_property
    def items(self) -> pl.DataFrame:
        """A row for each item, from the last shard that has it; products with their fused vector."""
        items = current(self._read("items"), self.quarantine_rows)
        if self.manifest.kind != PRODUCTS or items.is_empty():
            return items
        options = self.manifest.options
        shift = np.asarray(options[SHIFT], np.float32)
        return with_fused(items, shift, FusionWeights(**options["fusion"]))

    @cached_property
    def quarantine(self) -> pl.DataFrame:
        """What could not be read and why, a row for each file."""
        return current(self.quarantine_rows, self.contents)

    @cached_property
    def quarantine_rows(self) -> pl.DataFrame:
        """What could not be read by any run, of items that could be read since too."""
        return quarantined(self.place, self.manifest)

    @cached_property
    def contents(self) -> pl.DataFrame:
        """What every shard holds: item, the last known signature of its files, content hash and shard.

        A complete store lists it in a file; only shards that are newer than that are read.
        """
        numbers = [shard.number for shard in self.manifest.shards if shard.files]
        try:
            listed = read_parquet(self.place, CONTENTS).filter(pl.col(S.SHARD).is_in(numbers))
        except FileNotFoundError:
            listed = pl.DataFrame(schema=CONTENTS_SCHEMA)
        new = sorted(set(numbers) - set(listed[S.SHARD].unique()))
        return pl.concat([listed, *[self.shard(number, "items", list(CONTENTS_SCHEMA)) for number in new]])

    @property
    def n_items(self) -> int:
        """How many items have vectors."""
        return current(self.contents, self.quarantine_rows).height

    @property
    def ids(self) -> list[str]:
        ids: list[str] = self.items[S.ITEM_ID].to_list()
        return ids

    @property
    def vectors(self) -> NDArray[np.float32]:
        """`(n_items, dim)`: the videos' means or the fused products."""
        return self.items[S.VECTOR].to_numpy()

    def parts(self, columns: Sequence[str]) -> pl.DataFrame:
        """The frames or photos, item after item, with these columns."""
        wanted = list(dict.fromkeys([*columns, S.ITEM_ID, S.SHARD]))
        living = self.items.select(S.ITEM_ID, S.SHARD)
        parts = self._read("parts", wanted).join(living, on=[S.ITEM_ID, S.SHARD], how="semi", maintain_order="left")
        return parts.select(columns)

    def shard(self, number: int, table: str, columns: Sequence[str] | None = None) -> pl.DataFrame:
        """The `items` or `parts` of one shard, as written."""
        return read_parquet(self.place, f"{table}-{number:05d}.parquet", columns)

    def _read(self, table: str, columns: Sequence[str] | None = None) -> pl.DataFrame:
        new = [shard for shard in self.manifest.shards if shard.files and shard.shard_id not in self.known]
        files = [f"{table}-{shard.number:05d}.parquet" for shard in new]
        if not files:
            return pl.DataFrame(schema=CONTENTS_SCHEMA).select(columns or list(CONTENTS_SCHEMA))
        return pl.concat([read_parquet(self.place, file, columns) for file in files])


def current(rows: pl.DataFrame, others: pl.DataFrame) -> pl.DataFrame:
    """The rows of *rows* from the last shard that tells of their item, here or in *others*."""
    told = pl.concat([rows.select(S.ITEM_ID, S.SHARD), others.select(S.ITEM_ID, S.SHARD)])
    last = told.group_by(S.ITEM_ID).agg(pl.col(S.SHARD).max())
    return rows.join(last, on=[S.ITEM_ID, S.SHARD], how="semi", maintain_order="left")


def open_store(path: Path | str, kind: str, *, known: Collection[str] = ()) -> Store:
    """Open the store at *path* and check it against its manifest. A store whose job has not ended opens too.

    Args:
        path: a folder or an fsspec URL.
        kind: `videos` or `products`.
        known: shards (by `Store.shard_ids`) that are neither checked nor read.

    Raises:
        StoreError: it is absent, damaged, empty, or of the other kind.
    """
    place = open_place(path)
    manifest = read_state(place)
    if manifest.kind != kind:
        raise StoreError(f"{path} is a store of {manifest.kind}, not of {kind}.", f"Name the store of {kind}.")
    _require_items(manifest, place)
    checksums = dict(manifest.files) if manifest.complete else {}
    for shard in manifest.shards:
        checksums |= {} if shard.shard_id in known else shard.files
    for name, checksum in checksums.items():
        if sha256_at(place, name) != checksum:
            raise StoreError(
                f"{place}/{name} is missing or differs from the manifest.", "Embed again with --overwrite."
            )
    store = Store(path, manifest, frozenset(known))
    if manifest.complete and not known and not _fits(store):
        raise StoreError(f"{place}/{MANIFEST} does not describe the shards beside it.", "Embed again with --overwrite.")
    return store


def _require_items(manifest: StoreManifest, place: Place) -> None:
    if any(shard.files for shard in manifest.shards):
        return
    if not manifest.complete:
        raise StoreError(f"{place} is not finished and holds nothing yet.", "Run its embed command again; it goes on.")
    raise StoreError(
        f"{place} holds no {manifest.kind}: all were quarantined.", f"See {place}/{QUARANTINE} for the reasons."
    )


def _fits(store: Store) -> bool:
    """Whether the manifest counts the items that are there, and their vectors are as long as it says."""
    last = next(shard for shard in reversed(store.manifest.shards) if shard.files)
    vectors = store.shard(last.number, "parts", [S.VECTOR])[S.VECTOR]
    return vectors.dtype == pl.Array(pl.Float32, store.manifest.dim) and store.n_items == store.manifest.n_items


def commit_shard(
    place: Place,
    number: int,
    items: pl.DataFrame,
    parts: pl.DataFrame,
    quarantine: Sequence[Sequence[str]],
    shift: Shift,
) -> ShardRecord:
    """Write one shard: a row for each item, one for each of their frames or photos, and last the record of both."""
    contents = {}
    if items.height:
        contents = {f"{name}-{number:05d}.parquet": parquet_of(t) for name, t in (("items", items), ("parts", parts))}
    for name, content in contents.items():
        place.write(name, content)
    checksums = {name: sha256(content).hexdigest() for name, content in contents.items()}
    record = ShardRecord(number, items.height, checksums, quarantine, shift)
    write_record(place, record)
    return record


def finish(
    place: Place, rejected: pl.DataFrame, living: Collection[str] | None = None, seen: pl.DataFrame | None = None
) -> StoreManifest:
    """Write what is set aside, the table's *rejected* rows, the contents and the manifest of all shards: the job ends.

    Args:
        living: the ids of the table; what others could not be read is forgotten. By default all.
        seen: item_id and signature of items whose files have another state but the content they had.
    """
    state = read_state(place)
    store = Store(str(place), state)
    quarantine = store.quarantine if living is None else store.quarantine.filter(pl.col(S.ITEM_ID).is_in(list(living)))
    contents = store.contents if seen is None else _with_signatures(store.contents, seen)
    files = {QUARANTINE: parquet_of(quarantine), REJECTED: parquet_of(rejected), CONTENTS: parquet_of(contents)}
    for name, content in files.items():
        place.write(name, content)
    manifest = replace(
        state,
        complete=True,
        n_items=store.n_items,
        n_quarantined=quarantine.height,
        created=datetime.now(UTC).isoformat(timespec="seconds"),
        shards=tuple(_slim(shard, keep_shift=bool(state.part)) for shard in state.shards),
        files={name: sha256(content).hexdigest() for name, content in files.items()},
    )
    write_manifest(place, manifest)
    for name in record_names(place):
        place.remove(name)
    return manifest


def _with_signatures(contents: pl.DataFrame, seen: pl.DataFrame) -> pl.DataFrame:
    new = seen.select(S.ITEM_ID, pl.col(S.SIGNATURE).alias("seen"))
    joined = contents.join(new, on=S.ITEM_ID, how="left", maintain_order="left")
    return joined.with_columns(pl.coalesce("seen", S.SIGNATURE).alias(S.SIGNATURE)).drop("seen")


def _slim(shard: ShardRecord, *, keep_shift: bool) -> ShardRecord:
    """What a manifest keeps of a record: the quarantine has its own file, and only `embed merge` still adds shifts."""
    return replace(shard, quarantine=(), shift=shard.shift if keep_shift else Shift())


def quarantined(place: Place, manifest: StoreManifest) -> pl.DataFrame:
    """All rows set aside so far, those of an unfinished job too."""
    fresh = [(*row, shard.number) for shard in manifest.shards for row in shard.quarantine]
    rows = pl.DataFrame(fresh, schema=QUARANTINE_SCHEMA, orient="row")
    try:
        return pl.concat([read_parquet(place, QUARANTINE), rows]).unique(maintain_order=True)
    except FileNotFoundError:
        return rows


def read_parquet(place: Place, name: str, columns: Sequence[str] | None = None) -> pl.DataFrame:
    """A parquet file of *place*."""
    opened = place.open(name)
    if isinstance(opened, Path):
        return pl.read_parquet(opened, columns=list(columns) if columns else None)
    with opened as file:
        return pl.read_parquet(file.read(), columns=list(columns) if columns else None)


def checksum_of(table: pl.DataFrame) -> str:
    """The checksum of the file that a table would be."""
    return sha256(parquet_of(table)).hexdigest()


def parquet_of(table: pl.DataFrame) -> bytes:
    """The file that a table would be."""
    buffer = io.BytesIO()
    table.write_parquet(buffer)
    return buffer.getvalue()
