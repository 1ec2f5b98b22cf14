"""What a snapshot's folder holds, and whether all of it is right."""

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
    object_path,
    read_manifest,
    verify_objects,
)
from retrieval.version_files import load_placements

ROWS_AT_ONCE = 8192
K = 10


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
    live = read_manifest(snapshot)
    try:
        arranged = Arranged(live.segments, *load_placements(snapshot, live))
        segments = _segments(snapshot, live, arranged)
    except (OSError, ValueError) as error:
        raise SnapshotError(f"{snapshot} cannot be read: {error}.", AGAIN) from error
    versions = sorted(readable(snapshot), key=lambda one: one.number, reverse=True)
    objects = {object_path(snapshot, *one) for version in versions for one in version.objects()}
    space = live.spaces[CLIP_SPACE]
    return SnapshotInfo(
        snapshot,
        live.version,
        space["encoder"],
        space["fingerprint"],
        sum(file.stat().st_size for file in objects if file.is_file()),
        tuple(_version(snapshot, one, live.version) for one in versions),
        segments,
        arranged.compact_due,
        sum(_dead_bytes(segment) for segment in segments),
    )


def verify_snapshot(snapshot: Path, *, every: bool = False, n_searches: int = 5, seed: int = 0) -> VerifyReport:
    """Hash every file of the live version, or of *every* one kept, and compare some searches with brute force.

    Args:
        n_searches: how many videos, drawn by *seed*, are searched for in each version.

    Raises:
        SnapshotError: a file is missing or differs, or an exact index gave another answer than brute force.
    """
    live = live_version(snapshot)
    versions = [live, *(one.version for one in readable(snapshot) if every and one.version != live)]
    right: set[tuple[str, str]] = set()
    known: Snapshot | None = None
    for version in versions:
        manifest = read_manifest(snapshot, version)
        verify_objects(snapshot, list(manifest.objects()), {checksum for _, checksum in right})
        right |= set(manifest.objects())
        known = open_snapshot(snapshot, version=version, known=known, verify=False)
        _compare_searches(known, n_searches, np.random.default_rng(seed))
    files = {object_path(snapshot, *one) for one in right}
    n_bytes = sum(file.stat().st_size for file in files)
    return VerifyReport(snapshot, tuple(versions), len(files), n_bytes, n_searches * len(versions))


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


def _dead_bytes(segment: SegmentInfo) -> int:
    rows = segment.n_videos + segment.n_products
    return segment.n_bytes * (segment.dead_videos + segment.dead_products) // max(rows, 1)
