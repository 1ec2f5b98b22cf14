"""Reads the files of one version of a snapshot, but for what is at hand already."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import polars as pl

from retrieval.conventional import GivenSpace
from retrieval.errors import SnapshotError
from retrieval.given_files import open_given
from retrieval.log import Statistics, to_us
from retrieval.snapshot_files import AGAIN, CONVENTIONAL_SPACE, F, SnapshotManifest, object_path, verify_objects
from retrieval.spaces import Space, open_space
from retrieval.stacked import Placement, placement_of


class Known(Protocol):
    """A version opened before: another may share its tables and segments."""

    @property
    def manifest(self) -> SnapshotManifest: ...
    @property
    def videos(self) -> pl.DataFrame: ...
    @property
    def products(self) -> pl.DataFrame: ...
    @property
    def spaces(self) -> Mapping[str, Space]: ...
    @property
    def conventional(self) -> GivenSpace | None: ...


@dataclass(frozen=True)
class Version:
    """What one version holds; rows of *videos* and *products* are the rows of every vector and count."""

    manifest: SnapshotManifest
    videos: pl.DataFrame
    products: pl.DataFrame
    statistics: Statistics
    spaces: Mapping[str, Space]
    conventional: GivenSpace | None


def open_version(
    path: Path, manifest: SnapshotManifest, index_kind: str, known: Known | None = None, *, verify: bool = True
) -> Version:
    """Open the version of the snapshot at *path* that *manifest* describes; what it shares with *known* is taken over.

    Raises:
        SnapshotError: a file is missing, differs from the manifest, or does not fit the others.
    """
    if verify:
        verify_objects(path, list(manifest.objects()), {c for _, c in known.manifest.objects()} if known else ())
    try:
        videos, products = (_table(path, manifest, known, name) for name in (F.VIDEOS, F.PRODUCTS))
        spaces = _spaces(path, manifest, known, index_kind)
        given = open_given(path, manifest, index_kind, known)
        popularity = [load_array(path, manifest, name) for name in (F.VIDEO_POPULARITY, F.PRODUCT_POPULARITY)]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise SnapshotError(f"{path} cannot be read: {error}.", AGAIN) from error
    for space in spaces.values():
        if (len(space.video_vectors), len(space.product_vectors)) != (videos.height, products.height):
            raise SnapshotError(f"{path} holds other numbers of vectors than of items.", AGAIN)
    if given and len(given.video_vectors) != videos.height:
        raise SnapshotError(f"{path} holds other numbers of conventional vectors than of videos.", AGAIN)
    statistics = Statistics(to_us(manifest.as_of), popularity[0], popularity[1], manifest.markets)
    return Version(manifest, videos, products, statistics, spaces, given)


def load_array(path: Path, manifest: SnapshotManifest, name: str) -> Any:
    """One of the version's own arrays."""
    return np.load(object_path(path, name, manifest.files[name]))


def load_placements(path: Path, manifest: SnapshotManifest) -> tuple[Placement, Placement]:
    """Where the rows of the videos and those of the products lie.

    Raises:
        ValueError: one of them does not fit the segments.
    """
    videos, products = manifest.lengths()
    return (
        placement_of(load_array(path, manifest, F.VIDEO_PLACEMENT), videos),
        placement_of(load_array(path, manifest, F.PRODUCT_PLACEMENT), products),
    )


def _spaces(path: Path, manifest: SnapshotManifest, known: Known | None, index_kind: str) -> dict[str, Space]:
    placements = load_placements(path, manifest)
    before = known.spaces if known else {}
    return {
        name: open_space(
            path, name, about, manifest.segments, *placements, index_kind,
            before[name].segments if name in before else (),
        )
        for name, about in manifest.spaces.items()
        if name != CONVENTIONAL_SPACE
    }  # fmt: skip


def _table(path: Path, manifest: SnapshotManifest, known: Known | None, name: str) -> pl.DataFrame:
    """A table of the version, that of *known* where it is the same."""
    if known and known.manifest.files[name] == manifest.files[name]:
        return {F.VIDEOS: known.videos, F.PRODUCTS: known.products}[name]
    return pl.read_parquet(object_path(path, name, manifest.files[name]))
