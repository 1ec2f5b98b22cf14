"""What says what a store holds: a record for each committed shard while a job runs, and the manifest of them all."""

import json
import re
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, field, replace
from typing import Any

from indexing.fusing import Shift
from indexing.places import Place
from retrieval.errors import StoreError
from retrieval.folders import MANIFEST

FORMAT = 2
QUARANTINE = "quarantine.parquet"
REJECTED = "rejected.parquet"
CONTENTS = "contents.parquet"
PRODUCTS = "products"
SHIFT = "modality_shift"


@dataclass(frozen=True)
class ShardRecord:
    """A committed shard: its *files* by checksum (none where all of it was set aside) and what was set aside.

    *quarantine* rows are (item_id, uri, reason, signature); *shift* is the shard's part of the modality shift.
    """

    number: int
    n_items: int
    files: Mapping[str, str]
    quarantine: Sequence[Sequence[str]] = ()
    shift: Shift = field(default_factory=Shift)

    @property
    def shard_id(self) -> str:
        """What names the shard's content: the checksum of its items; empty where it has none."""
        return self.files.get(f"items-{self.number:05d}.parquet", "")


@dataclass(frozen=True)
class StoreManifest:
    """What made a store.

    *kind* is videos or products; *job* names the last job's list of items, *part* which share of it this store holds
    (`2/8`, empty for all), *complete* whether that job has ended. Every shard, and the other *files* of a complete
    store, are listed with their checksums.
    """

    kind: str
    encoder: str
    fingerprint: str
    precision: str
    dim: int
    options: Mapping[str, Any]
    job: str = ""
    part: str = ""
    complete: bool = False
    n_items: int = 0
    n_quarantined: int = 0
    created: str = ""
    shards: Sequence[ShardRecord] = ()
    files: Mapping[str, str] = field(default_factory=dict)
    format: int = FORMAT

    @property
    def next_shard(self) -> int:
        return 1 + max((shard.number for shard in self.shards), default=-1)


def read_state(place: Place) -> StoreManifest:
    """The manifest of the store at *place*, with what an unfinished job has committed.

    Raises:
        StoreError: there is none, or it is damaged or of another format.
    """
    try:
        manifest = parse_manifest(place.read(MANIFEST), f"{place}/{MANIFEST}")
    except FileNotFoundError:
        raise StoreError(
            f"{place} is not an embedding store: it has no {MANIFEST}.", "Make one: lookreel embed --help"
        ) from None
    if manifest.complete:
        return manifest
    records = [record for record in committed(place) if record.number >= manifest.next_shard]
    shards = (*manifest.shards, *records)
    state = replace(manifest, shards=shards, n_items=sum(shard.n_items for shard in shards))
    return replace(state, options=_with_shift(state))


def committed(place: Place) -> list[ShardRecord]:
    """The records of shards that no manifest lists yet, by number; one that was cut short commits nothing."""
    records = []
    for name in record_names(place):
        with suppress(ValueError):
            records.append(_record(json.loads(place.read(name))))
    return sorted(records, key=lambda record: record.number)


def is_of_store(name: str) -> bool:
    """Whether a file is one that stores are made of, besides the manifest."""
    return name in (QUARANTINE, REJECTED, CONTENTS) or bool(
        re.fullmatch(r"(items|parts)-\d{5,}\.parquet|shard-\d{5,}\.json", name)
    )


def record_names(place: Place) -> list[str]:
    """The files that hold records."""
    return [name for name in place.names() if re.fullmatch(r"shard-\d{5,}\.json", name)]


def parse_manifest(content: bytes, name: str) -> StoreManifest:
    """A store's manifest from its JSON.

    Raises:
        StoreError: it is damaged or of another format.
    """
    try:
        fields = json.loads(content)
        if fields["format"] != FORMAT:
            raise StoreError(
                f"{name} has format {fields['format']}, this version reads {FORMAT}.", "Embed again with --overwrite."
            )
        manifest = StoreManifest(**{**fields, "shards": tuple(_record(shard) for shard in fields["shards"])})
        if manifest.complete and not {QUARANTINE, REJECTED, CONTENTS} <= manifest.files.keys():
            raise ValueError("it does not name its files")
        return manifest
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise StoreError(f"{name} is damaged: {error}.", "Embed again with --overwrite.") from error


def _record(fields: Mapping[str, Any]) -> ShardRecord:
    record = ShardRecord(**{**fields, "shift": Shift(**fields.get("shift", {}))})
    if record.files and set(record.files) != {f"{table}-{record.number:05d}.parquet" for table in ("items", "parts")}:
        raise ValueError("its shards are not those of its items")
    return record


def write_record(place: Place, record: ShardRecord) -> None:
    """Write a shard's record, which commits it."""
    place.write(f"shard-{record.number:05d}.json", json.dumps(asdict(record)).encode())


def begin(place: Place, manifest: StoreManifest) -> None:
    """Write the manifest of a store whose job begins: what it holds already, and that more will come."""
    write_manifest(place, replace(manifest, complete=False, files={}))


def write_manifest(place: Place, manifest: StoreManifest) -> None:
    """Replace the manifest; what shards have not is not written, as there may be many thousands."""
    fields = asdict(manifest)
    fields["shards"] = [_told(shard) for shard in manifest.shards]
    place.write(MANIFEST, json.dumps(fields, indent=1).encode())


def _told(shard: ShardRecord) -> dict[str, Any]:
    empty = {"quarantine": not shard.quarantine, "shift": not shard.shift.count}
    return {name: value for name, value in asdict(shard).items() if not empty.get(name)}


def _with_shift(manifest: StoreManifest) -> Mapping[str, Any]:
    """The options with the modality shift of all shards, once one is known kept as it is: vectors made with it stay."""
    if manifest.kind != PRODUCTS or any(manifest.options.get(SHIFT, ())):
        return manifest.options
    shift = Shift.summed([shard.shift for shard in manifest.shards], manifest.dim)
    return {**manifest.options, SHIFT: shift.mean(manifest.dim).tolist()}
