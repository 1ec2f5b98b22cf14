"""What a video decoder gives: frames at chosen instants, upright and small."""

from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray


class UnreadableMediaError(Exception):
    """A file that gives no picture. Its text is the reason, for the quarantine."""


@dataclass(frozen=True)
class Frame:
    """One picture: *pixels* `(height, width, 3)` uint8 RGB, shown *time_s* seconds after the first frame."""

    time_s: float
    pixels: NDArray[np.uint8]


@dataclass(frozen=True)
class DecodedVideo:
    """The frames of one video, in order. *width* and *height* are those of the upright picture in the file, in pixels.

    *partial* is true where a part of the file up to the last instant asked for could not be decoded; the frame before
    the gap then stands for it.
    """

    duration_s: float
    width: int
    height: int
    frames: tuple[Frame, ...]
    partial: bool = False


class FrameReader(Protocol):
    """Reads frames of a video file."""

    def read(self, path: Path, n_frames: int, long_side: int) -> DecodedVideo:
        """The frames on screen at the middles of *n_frames* equal parts, rotation applied.

        Args:
            long_side: pixels of the longer side at most; smaller videos keep their size.

        Raises:
            UnreadableMediaError: no frame could be had.
        """
        ...
