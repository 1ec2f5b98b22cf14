"""Parts of one job, joined to the store that an undivided run would have made."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import polars as pl

from indexing.columns import S
from indexing.manifest import QUARANTINE, REJECTED, SHIFT, StoreManifest, begin, read_state, write_record
from indexing.places import Place, alone, open_place
from indexing.store import finish, open_store, read_parquet
from retrieval.errors import StoreError


def merge_parts(parts: Sequence[Path | str], out: Path | str) -> StoreManifest:
    """Join the parts of one job (`--shard 1/n` … `n/n`) at *out*; killed, the same call goes on.

    Raises:
        StoreError: they are not all the parts of one job, one has not ended, or *out* holds something else.
    """
    places = [open_place(part) for part in parts]
    states = [read_state(place) for place in places]
    _require_whole(places, states)
    target = open_place(out)
    wanted = replace(states[0], part="", options=_options(states[0]), shards=(), n_items=0, n_quarantined=0)
    with alone(target):
        if _is_joined(target, wanted):
            return read_state(target)
        begin(target, wanted)
        for part, place in zip(parts, places, strict=True):
            _copy(part, place, target)
        return finish(target, read_parquet(places[0], REJECTED))


def _require_whole(places: Sequence[Place], states: Sequence[StoreManifest]) -> None:
    for place, state in zip(places, states, strict=True):
        if not state.complete:
            raise StoreError(f"{place} has not ended.", "Run its embed command again; it goes on where it was.")
        if _job_of(state) != _job_of(states[0]):
            raise StoreError(
                f"{place} and {places[0]} are not of one job: the table, the model or the options differ.",
                "Embed all parts from the same table with the same options.",
            )
    count = int(states[0].part.partition("/")[2] or 1)
    missing = {f"{number}/{count}" for number in range(1, count + 1)} - {state.part for state in states}
    if count == 1 or missing:
        raise StoreError(
            f"The part {min(missing)} is missing." if count > 1 else f"{places[0]} is a whole store, not a part.",
            "Name all parts that embed --shard made.",
        )


def _job_of(state: StoreManifest) -> tuple[object, ...]:
    """All that parts of one job have in common."""
    count = state.part.partition("/")[2]
    return state.job, state.kind, state.fingerprint, state.precision, state.dim, dict(_options(state)), count


def _options(state: StoreManifest) -> Mapping[str, object]:
    return {name: value for name, value in state.options.items() if name != SHIFT}  # that is each part's own


def _is_joined(target: Place, wanted: StoreManifest) -> bool:
    """Whether an earlier call has done it all.

    Raises:
        StoreError: something else stands there.
    """
    if not target.names():
        return False
    state = read_state(target)
    if state.job != wanted.job or state.part:
        raise StoreError(f"{target} holds another store.", "Name another place with --out.")
    return state.complete


def _copy(part: Path | str, place: Place, target: Place) -> None:
    """Copy every shard of a part that is not there yet, its record last; the part is verified first."""
    state = read_state(place)
    if any(shard.files for shard in state.shards):
        open_store(part, state.kind)
    quarantine = read_parquet(place, QUARANTINE)
    there = set(target.names())
    for shard in state.shards:
        if f"shard-{shard.number:05d}.json" in there:
            continue
        for name in shard.files:
            target.write(name, place.read(name))
        rows = quarantine.filter(pl.col(S.SHARD) == shard.number).drop(S.SHARD).rows()
        write_record(target, replace(shard, quarantine=rows))
