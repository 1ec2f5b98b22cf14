"""A snapshot's folder: where things stand in it, and how its parts are read and checked."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from retrieval.errors import SnapshotError
from retrieval.folders import sha256_of
from retrieval.index import build_index
from retrieval.index.protocol import Half, VectorIndex

FORMAT = 1
MANIFEST = "manifest.json"
CLIP_SPACE = "clip"


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


def read_manifest(path: Path) -> dict[str, Any]:
    file = path / MANIFEST
    if not file.exists():
        raise SnapshotError(
            f"{path} is not a snapshot: it has no {MANIFEST}.", "Build one: lookreel index build --help"
        )
    try:
        manifest: dict[str, Any] = json.loads(file.read_text())
    except ValueError as error:
        raise SnapshotError(f"{file} is damaged: {error}.", "Build the snapshot again.") from error
    if manifest.get("format") != FORMAT:
        raise SnapshotError(
            f"{path} has format {manifest.get('format')}, this version reads {FORMAT}.", "Build the snapshot again."
        )
    return manifest


def verify_files(path: Path, files: Mapping[str, str]) -> None:
    for name, checksum in files.items():
        if not (path / name).is_file() or sha256_of(path / name) != checksum:
            raise SnapshotError(f"{path / name} is missing or differs from the manifest.", "Build the snapshot again.")


def open_space(path: Path, name: str, about: Mapping[str, Any], index_kind: str) -> Space:
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
