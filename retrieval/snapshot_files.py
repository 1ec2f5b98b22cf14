"""A snapshot's folder: where things stand in it, and how its parts are read and checked."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from retrieval.errors import SnapshotError
from retrieval.folders import MANIFEST as MANIFEST
from retrieval.folders import sha256_of
from retrieval.index import build_index
from retrieval.index.protocol import Half, VectorIndex

FORMAT = 1
SNAPSHOT = "snapshot"
CLIP_SPACE = "clip"
AGAIN = "Build the snapshot again."


class SnapshotFiles:
    """Where things stand in a snapshot's folder."""

    VIDEOS = "videos.parquet"
    PRODUCTS = "products.parquet"
    POSTERS = "posters.parquet"
    REJECTED = "rejected.parquet"
    VIDEO_POPULARITY = "video_popularity.npy"
    PRODUCT_POPULARITY = "product_popularity.npy"
    VIDEO_VECTORS = "video_vectors.npy"
    FRAME_VECTORS = "frame_vectors.npy"
    FRAME_TIMES = "frame_times.npy"
    PRODUCT_VECTORS = "product_vectors.npy"

    @staticmethod
    def of_space(space: str, name: str) -> str:
        return f"spaces/{space}/{name}"


F = SnapshotFiles


@dataclass(frozen=True)
class Space:
    """Vectors of one encoder, row by row as the snapshot's tables.

    *video_vectors* `(n_videos, dim)`, *frame_vectors* `(n_videos, m, dim)` with *frame_times_s* `(n_videos, m)` (NaN
    where a frame is missing), *product_vectors* `(n_products, dim)`; all fp16 but the times.
    """

    encoder: str
    fingerprint: str
    video_vectors: Half
    frame_vectors: Half
    frame_times_s: NDArray[np.float32]
    product_vectors: Half
    index: VectorIndex


@dataclass(frozen=True)
class SnapshotManifest:
    """What a snapshot's manifest binds: *files* by checksum, *spaces* by name, and the time its statistics count to."""

    version: str
    as_of: datetime
    markets: tuple[str, ...]
    spaces: Mapping[str, Mapping[str, Any]]
    files: Mapping[str, str]


def version_of(content: Mapping[str, Any]) -> str:
    """The version of a snapshot: twelve hexadecimal digits of everything that its manifest binds.

    Args:
        content: as_of, markets, spaces and files.
    """
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()[:12]


def read_manifest(path: Path) -> SnapshotManifest:
    """Read and check the manifest of the snapshot at *path*.

    Raises:
        SnapshotError: there is none, or it is damaged or of another format.
    """
    file = path / MANIFEST
    if not file.is_file():
        raise SnapshotError(
            f"{path} is not a snapshot: it has no {MANIFEST}.", "Build one: lookreel index build --help"
        )
    try:
        fields = json.loads(file.read_text())
        if fields.get("kind") != SNAPSHOT or fields["format"] != FORMAT:
            raise SnapshotError(
                f"{path} is {fields.get('kind')} of format {fields.get('format')}, not a snapshot of format {FORMAT}.",
                AGAIN,
            )
        return _checked(fields)
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise SnapshotError(f"{file} is damaged: {error}.", AGAIN) from error


def _checked(fields: Mapping[str, Any]) -> SnapshotManifest:
    """The manifest's fields, if its version is that of its content and every file is named that we shall read."""
    content = {name: fields[name] for name in ("as_of", "markets", "spaces", "files")}
    if fields["version"] != version_of(content):
        raise ValueError("its version is not that of its content")
    of_space = (F.VIDEO_VECTORS, F.FRAME_VECTORS, F.FRAME_TIMES, F.PRODUCT_VECTORS)
    needed = {F.VIDEOS, F.PRODUCTS, F.VIDEO_POPULARITY, F.PRODUCT_POPULARITY}
    needed |= {F.of_space(space, name) for space in (CLIP_SPACE, *fields["spaces"]) for name in of_space}
    if missing := needed - set(fields["files"]):
        raise ValueError(f"it does not name {min(missing)}")
    as_of = datetime.fromisoformat(fields["as_of"])
    return SnapshotManifest(fields["version"], as_of, tuple(fields["markets"]), fields["spaces"], fields["files"])


def verify_files(path: Path, files: Mapping[str, str]) -> None:
    """Compare every file of the snapshot at *path* with its checksum.

    Raises:
        SnapshotError: one is missing or differs.
    """
    for name, checksum in files.items():
        if not (path / name).is_file() or sha256_of(path / name) != checksum:
            raise SnapshotError(f"{path / name} is missing or differs from the manifest.", AGAIN)


def open_space(path: Path, name: str, about: Mapping[str, Any], index_kind: str) -> Space:
    """Open the space *name* of the snapshot at *path*, with an index of *index_kind* over its videos."""

    def array(file: str) -> Any:
        return np.load(path / F.of_space(name, file), mmap_mode="r")

    videos = np.asarray(array(F.VIDEO_VECTORS))
    return Space(
        about["encoder"],
        about["fingerprint"],
        videos,
        array(F.FRAME_VECTORS),
        np.asarray(array(F.FRAME_TIMES)),
        np.asarray(array(F.PRODUCT_VECTORS)),
        build_index(index_kind, videos),
    )
