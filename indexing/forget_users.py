"""Takes users' vectors out of every version that a snapshot keeps: what `lookreel users forget` does to a snapshot.

As a purge of videos does, it gives versions new names and keeps their numbers, order and parents.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from indexing.purge_versions import kept_versions, rewrite_versions
from indexing.versions import Publisher, publishing
from retrieval.given_files import given_name, load_mapped
from retrieval.snapshot_files import CONVENTIONAL_SPACE, F, SnapshotManifest, object_path, verify_objects
from retrieval.tables import Columns as C

USERS, VECTORS = given_name(F.USERS), given_name(F.USER_VECTORS)
Goes = Callable[[Sequence[str]], Sequence[bool]]


@dataclass(frozen=True)
class ForgottenInSnapshot:
    """How many *versions* held a vector of somebody who goes, and how many such *vectors*, those they share once."""

    versions: int
    vectors: int


def forget_in_snapshot(folder: Path, goes: Goes, dry_run: bool) -> ForgottenInSnapshot:
    """Take out of all versions of the snapshot at *folder* the vectors of users.

    Args:
        goes: says of each id whether it goes.
        dry_run: only count.

    Raises:
        SnapshotError: it is no snapshot, is damaged, or somebody else is publishing into it.
    """
    with publishing(folder) as publisher:
        holding = {one.version: one for one in kept_versions(folder) if CONVENTIONAL_SPACE in one.spaces}
        stays = {checksum: _stays(folder, checksum, goes) for checksum in {v.files[USERS] for v in holding.values()}}
        stale = [name for name, one in holding.items() if not stays[one.files[USERS]].all()]
        if stale and not dry_run:
            rewrite_versions(publisher, stale, _Writer(publisher, stays).content)
    gone = sum(int((~stay).sum()) for stay in stays.values())
    return ForgottenInSnapshot(len(stale), gone)


def _stays(folder: Path, checksum: str, goes: Goes) -> NDArray[np.bool_]:
    return ~np.asarray(goes(_users(folder, checksum)[C.USER_ID].to_list()), bool)


def _users(folder: Path, checksum: str) -> pl.DataFrame:
    verify_objects(folder, [(USERS, checksum)])
    return pl.read_parquet(object_path(folder, USERS, checksum))


class _Writer:
    """Writes versions without users; files that several share are written once. *stays* are by the users' checksum."""

    def __init__(self, publisher: Publisher, stays: Mapping[str, NDArray[np.bool_]]) -> None:
        self._publisher, self._stays = publisher, stays
        self._written: dict[tuple[str, str], dict[str, str]] = {}

    def content(self, version: SnapshotManifest) -> dict[str, Any]:
        """What the version binds without the users, its files written."""
        key = version.files[USERS], version.files[VECTORS]
        if key not in self._written:
            self._written[key] = self._write(*key)
        return {**version.content, "files": {**version.files, **self._written[key]}}

    def _write(self, users: str, vectors: str) -> dict[str, str]:
        folder, stay = self._publisher.folder, self._stays[users]
        verify_objects(folder, [(VECTORS, vectors)])
        mapped = load_mapped(object_path(folder, VECTORS, vectors))
        return {
            USERS: self._publisher.save(USERS, _users(folder, users).filter(stay)),
            VECTORS: self._publisher.save(VECTORS, mapped[stay]),
        }
