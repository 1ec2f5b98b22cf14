"""What a snapshot's folder holds, and whether all of it is right."""

import logging
from collections.abc import Collection, Iterator, Sequence
from collections.abc import Set as AbstractSet
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import numpy as np

from indexing.arrange import Arranged
from indexing.versions import readable
from retrieval.errors import SnapshotError
from retrieval.index.protocol import Half
from retrieval.snapshot import Snapshot, open_snapshot
from retrieval.snapshot_files import (
    AGAIN,
    CLIP_SPACE,
    SnapshotManifest,
    live_version,
    manifest_path,
    object_path,
    read_manifest,
    verify_objects,
    version_names,
)
from retrieval.version_files import load_placements

logger = logging.getLogger(__name__)
ROWS_AT_ONCE = 8192
K = 10
UNREADABLE = (OSError, ValueError, EOFError)  # the last is what numpy says of an empty file


@dataclass(frozen=True)
class VersionInfo:
    """One version that is kept. *number* counts publications; one of them is *live*."""

    version: str
    number: int
    live: bool
    created: datetime
    as_of: datetime
    n_videos: int
    n_products: int
    n_segments: int


@dataclass(frozen=True)
class SegmentInfo:
    """One segment of the live version: the first is the base. Dead rows are those that were replaced or deleted."""

    n_videos: int
    n_products: int
    dead_videos: int
    dead_products: int
    n_bytes: int


@dataclass(frozen=True)
class SnapshotInfo:
    """What `lookreel index info` tells. *versions* stand newest first; *compact_saves_bytes* is an estimate by rows."""

    snapshot: Path
    live: str
    encoder: str
    fingerprint: str
    n_bytes: int
    versions: tuple[VersionInfo, ...]
    segments: tuple[SegmentInfo, ...]
    compact_due: bool
    compact_saves_bytes: int


@dataclass(frozen=True)
class VerifyReport:
    """What was found right: files compared with their checksums, and searches compared with brute force."""

    snapshot: Path
    versions: tuple[str, ...]
    n_files: int
    n_bytes: int
    n_searches: int


def describe_snapshot(snapshot: Path) -> SnapshotInfo:
    """What the folder holds.

    Raises:
        SnapshotError: it is no snapshot, or its live version is damaged.
    """
    live = live_version(snapshot)
    try:
        return _described(snapshot, read_manifest(snapshot, live))
    except SnapshotError:
        if live_version(snapshot) == live:
            raise
        return describe_snapshot(snapshot)  # replaced and pruned while we were reading


def _described(snapshot: Path, live: SnapshotManifest) -> SnapshotInfo:
    try:
        arranged = Arranged(live.segments, *load_placements(snapshot, live))
        segments = _segments(snapshot, live, arranged)
    except UNREADABLE as error:
        raise SnapshotError(f"{snapshot} cannot be read: {error}.", AGAIN) from error
    versions = sorted(readable(snapshot), key=lambda one: one.number, reverse=True)
    space = live.spaces[CLIP_SPACE]
    return SnapshotInfo(
        snapshot,
        live.version,
        space["encoder"],
        space["fingerprint"],
        _bytes_of({object_path(snapshot, *one) for version in versions for one in version.objects()}),
        tuple(_versions(snapshot, versions, live.version)),
        segments,
        arranged.compact_due,
        sum(_dead_bytes(segment) for segment in segments),
    )


def verify_snapshot(snapshot: Path, *, every: bool = False, n_searches: int = 5, seed: int = 0) -> VerifyReport:
    """Hash every file of the live version, or of *every* one kept, and compare some searches with brute force.

    Versions that a publisher prunes meanwhile are passed over.

    Args:
        n_searches: how many videos, drawn by *seed*, are searched for in each version.

    Raises:
        SnapshotError: a file is missing or differs, or an exact index gave another answer than brute force.
    """
    live = live_version(snapshot)
    try:
        known = _verified(snapshot, live, frozenset(), None, (n_searches, seed))
    except SnapshotError:
        if live_version(snapshot) == live:
            raise
        return verify_snapshot(snapshot, every=every, n_searches=n_searches, seed=seed)  # replaced and pruned
    names, right = [live], set(known.manifest.objects())
    for version in sorted({*version_names(snapshot)} - {live}) if every else ():
        if old := _verified_old(snapshot, version, {checksum for _, checksum in right}, known, (n_searches, seed)):
            names, right, known = [*names, version], right | set(old.manifest.objects()), old
    files = {object_path(snapshot, *one) for one in right}
    return VerifyReport(snapshot, tuple(names), len(files), _bytes_of(files), n_searches * len(names))


def _verified(
    snapshot: Path, version: str, right: AbstractSet[str], known: Snapshot | None, searches: tuple[int, int]
) -> Snapshot:
    """The *version*, opened and found right.

    Args:
        right: checksums of files that were found right before.
        known: a version opened before.
        searches: how many to compare, and the seed that they are drawn by.
    """
    verify_objects(snapshot, list(read_manifest(snapshot, version).objects()), right)
    opened = open_snapshot(snapshot, version=version, known=known, verify=False)
    n, seed = searches
    _compare_searches(opened, n, np.random.default_rng(seed))
    return opened


def _verified_old(
    snapshot: Path, version: str, right: AbstractSet[str], known: Snapshot, searches: tuple[int, int]
) -> Snapshot | None:
    """The *version*, which is not live, as `_verified`; None where it was pruned meanwhile."""
    try:
        return _verified(snapshot, version, right, known, searches)
    except SnapshotError as error:
        if not manifest_path(snapshot, version).exists():
            return None
        raise SnapshotError(
            error.message, f"Only versions that are not live need it: do not roll back to {version}."
        ) from error


def _compare_searches(snapshot: Snapshot, n: int, rng: np.random.Generator) -> None:
    """Refuse a version whose index finds other scores than brute force does; an approximate one may."""
    space = snapshot.space
    if not space.index.exact:
        return
    vectors: Half = np.asarray(space.video_vectors)
    queries = vectors[rng.integers(0, len(vectors), n)].astype(np.float32)
    k = min(K, len(vectors))
    found = space.index.search(queries, k)
    starts = range(0, len(vectors), ROWS_AT_ONCE)
    scores = [queries @ vectors[start : start + ROWS_AT_ONCE].astype(np.float32).T for start in starts]
    expected = -np.sort(-np.concatenate(scores, axis=1), axis=1)[:, :k]
    if not np.allclose(found.scores, expected, rtol=1e-4, atol=1e-4):
        raise SnapshotError(
            f"The index of {snapshot.path}, version {snapshot.version}, finds other videos than brute force.", AGAIN
        )


def _versions(snapshot: Path, versions: Sequence[SnapshotManifest], live: str) -> Iterator[VersionInfo]:
    """All that can be told of; one that is damaged is named on the way, one pruned meanwhile is not."""
    for one in versions:
        try:
            yield _version(snapshot, one, live)
        except UNREADABLE as error:
            if manifest_path(snapshot, one.version).exists():
                logger.warning("version %s cannot be read: %s", one.version, error)


def _version(snapshot: Path, one: SnapshotManifest, live: str) -> VersionInfo:
    videos, products = load_placements(snapshot, one)
    return VersionInfo(
        one.version, one.number, one.version == live, one.created, one.as_of, len(videos), len(products),
        len(one.segments),
    )  # fmt: skip


def _segments(snapshot: Path, live: SnapshotManifest, arranged: Arranged) -> tuple[SegmentInfo, ...]:
    n = len(live.segments)
    living = zip(live.segments, arranged.videos.counts(n), arranged.products.counts(n), strict=True)
    return tuple(
        SegmentInfo(
            segment.n_videos,
            segment.n_products,
            segment.n_videos - int(videos),
            segment.n_products - int(products),
            sum(object_path(snapshot, *one).stat().st_size for one in segment.files.items()),
        )
        for segment, videos, products in living
    )


def _bytes_of(files: Collection[Path]) -> int:
    """How large *files* are together, without those that are pruned meanwhile."""
    total = 0
    for file in files:
        with suppress(FileNotFoundError):
            total += file.stat().st_size
    return total


def _dead_bytes(segment: SegmentInfo) -> int:
    rows = segment.n_videos + segment.n_products
    return segment.n_bytes * (segment.dead_videos + segment.dead_products) // max(rows, 1)
