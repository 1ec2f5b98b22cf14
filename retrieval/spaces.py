"""The vectors of a snapshot's version, opened: segment by segment, and as one space over all of them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from retrieval.index import build_index, default_index_kind
from retrieval.index.protocol import Half, VectorIndex
from retrieval.index.segmented import segmented
from retrieval.snapshot_files import F, SegmentFiles, object_path
from retrieval.stacked import Placement, Rows, stacked


@dataclass(frozen=True)
class Segment:
    """One segment's vectors in one space, row by row of its own, living or not; never changed once written.

    *files* are those of the manifest, by checksum; *index* is of *index_kind* over *video_vectors*.
    """

    files: Mapping[str, str]
    index_kind: str
    video_vectors: Half
    frame_vectors: Half
    frame_times_s: NDArray[np.float32]
    product_vectors: Half
    index: VectorIndex


@dataclass(frozen=True)
class Space:
    """Vectors of one encoder, row by row as the snapshot's tables.

    *video_vectors* `(n_videos, dim)`, *frame_vectors* `(n_videos, m, dim)` with *frame_times_s* `(n_videos, m)` (NaN
    where a frame is missing), *product_vectors* `(n_products, dim)`; all fp16 but the times. They are gathered from
    *segments*; those of videos only where they are asked for.
    """

    encoder: str
    fingerprint: str
    video_vectors: Rows
    frame_vectors: Rows
    frame_times_s: Rows
    product_vectors: Half
    index: VectorIndex
    segments: tuple[Segment, ...] = ()


def open_space(
    path: Path,
    name: str,
    about: Mapping[str, Any],
    segments: Sequence[SegmentFiles],
    videos: Placement,
    products: Placement,
    index_kind: str,
    known: Sequence[Segment] = (),
) -> Space:
    """Open the space *name* of a version of the snapshot at *path*, with an index of *index_kind* over its videos.

    Args:
        about: what the manifest says of the space.
        videos: where the videos' rows lie; *products* likewise.
        known: segments opened already, taken over where they are of this version too.

    Raises:
        ValueError: a segment holds other numbers of rows than the manifest says.
    """
    kinds = [index_kind, *[_delta_kind(index_kind)] * (len(segments) - 1)]
    opened = [_taken_over(path, name, *one, known) for one in zip(segments, kinds, strict=True)]
    for segment, files in zip(opened, segments, strict=True):
        _require_lengths(segment, files)
    return Space(
        about["encoder"],
        about["fingerprint"],
        stacked([segment.video_vectors for segment in opened], videos),
        stacked([segment.frame_vectors for segment in opened], videos),
        stacked([segment.frame_times_s for segment in opened], videos, np.nan),
        np.asarray(stacked([segment.product_vectors for segment in opened], products)),
        segmented([segment.index for segment in opened], videos),
        tuple(opened),
    )


def _delta_kind(index_kind: str) -> str:
    """What searches a delta beside a base of *index_kind*: too few rows to train or to approximate anything."""
    return index_kind if index_kind == "exact" else default_index_kind()


def _taken_over(path: Path, space: str, segment: SegmentFiles, index_kind: str, known: Sequence[Segment]) -> Segment:
    same = (one for one in known if one.files == segment.files and one.index_kind == index_kind)
    return next(same, None) or _open_segment(path, space, segment, index_kind)


def _require_lengths(segment: Segment, said: SegmentFiles) -> None:
    of_videos = (segment.video_vectors, segment.frame_vectors, segment.frame_times_s)
    if {len(array) for array in of_videos} != {said.n_videos} or len(segment.product_vectors) != said.n_products:
        raise ValueError(
            f"a segment holds {len(segment.video_vectors)} videos and {len(segment.product_vectors)} products, not the "
            f"{said.n_videos} and {said.n_products} of its manifest"
        )


def _open_segment(path: Path, space: str, segment: SegmentFiles, index_kind: str) -> Segment:
    def array(file: str) -> Any:
        name = F.of_space(space, file)
        return np.load(object_path(path, name, segment.files[name]), mmap_mode="r")

    videos = np.asarray(array(F.VIDEO_VECTORS))
    return Segment(
        segment.files,
        index_kind,
        videos,
        array(F.FRAME_VECTORS),
        np.asarray(array(F.FRAME_TIMES)),
        np.asarray(array(F.PRODUCT_VECTORS)),
        build_index(index_kind if segment.n_videos else "exact", videos),
    )
