"""The vectors of a training in a version of a snapshot: arrays aligned with its table of videos, and users' own."""

from pathlib import Path
from typing import Any, Protocol

import numpy as np
import polars as pl

from retrieval.conventional import GivenSpace
from retrieval.ids import IdMap
from retrieval.index import build_index
from retrieval.snapshot_files import CONVENTIONAL_SPACE, OF_CONVENTIONAL, F, SnapshotManifest, object_path
from retrieval.tables import Columns as C

HEADER_BYTES = 128  # what numpy writes of an array that is empty


class Known(Protocol):
    """A version opened before, which may share these files."""

    @property
    def manifest(self) -> SnapshotManifest: ...
    @property
    def conventional(self) -> GivenSpace | None: ...


def given_name(name: str) -> str:
    """What a manifest calls a file of the conventional space."""
    return F.of_space(CONVENTIONAL_SPACE, name)


def open_given(path: Path, manifest: SnapshotManifest, index_kind: str, known: Known | None) -> GivenSpace | None:
    """The conventional space of a version of the snapshot at *path*; None where it has none.

    Vectors are mapped, ids are read once; what a *known* version shares is taken over.

    Raises:
        OSError, ValueError, KeyError, TypeError: a file is missing, or they do not fit each other.
    """
    about = manifest.spaces.get(CONVENTIONAL_SPACE)
    if about is None:
        return None
    if known and known.conventional and known.conventional.index_kind == index_kind and _same(manifest, known.manifest):
        return known.conventional
    videos, has, users, default = (
        np.asarray(_array(path, manifest, name))
        for name in (F.VIDEO_VECTORS, F.HAS_VECTOR, F.USER_VECTORS, F.DEFAULT_VECTOR)
    )
    opened = GivenSpace(
        videos, has, _users(path, manifest, known), users, default, build_index(index_kind, videos),
        about["fingerprint"], int(about["trained_before_us"]), dict(about["about"]), index_kind,
    )  # fmt: skip
    _require_fitting(opened)
    return opened


def _same(manifest: SnapshotManifest, other: SnapshotManifest) -> bool:
    shared = all(manifest.files[name] == other.files.get(name) for name in OF_CONVENTIONAL)
    return shared and manifest.spaces[CONVENTIONAL_SPACE] == other.spaces.get(CONVENTIONAL_SPACE)


def _array(path: Path, manifest: SnapshotManifest, name: str) -> Any:
    named = given_name(name)
    return load_mapped(object_path(path, named, manifest.files[named]))


def load_mapped(file: Path) -> Any:
    """An array, mapped unless it is empty, as those of users are when all of them were forgotten: nothing to map."""
    array = np.load(file, mmap_mode="r") if file.stat().st_size > HEADER_BYTES else np.load(file)
    return array


def _users(path: Path, manifest: SnapshotManifest, known: Known | None) -> IdMap:
    """The ids of the users: those of *known* where they are the same, since a million take a while."""
    name = given_name(F.USERS)
    if known and known.conventional and known.manifest.files.get(name) == manifest.files[name]:
        return known.conventional.users
    return IdMap(pl.read_parquet(object_path(path, name, manifest.files[name]))[C.USER_ID].to_list())


def _require_fitting(given: GivenSpace) -> None:
    videos, users, dim = given.video_vectors, given.user_vectors, len(given.default)
    if videos.shape != (len(given.has), dim) or users.shape != (len(given.users), dim) or given.has.dtype != bool:
        raise ValueError(
            f"conventional vectors of {videos.shape} and {users.shape} for {len(given.has)} videos and "
            f"{len(given.users)} users"
        )
