"""What a video decoder gives: frames at chosen instants, upright and small."""

from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Protocol, Self

import numpy as np
from numpy.typing import NDArray

MAX_PIXELS = 8192 * 4320  # a picture of 8K, in either orientation
MAX_DURATION_S = 6 * 3600.0
MAX_PACKETS = 1_500_000  # six hours at 60 pictures a second, and some


class UnreadableMediaError(Exception):
    """A file that gives no picture. Its text is the reason, for the quarantine."""


class Accuracy(StrEnum):
    """Which frame stands for an instant.

    EXACT: the one on screen. NEAREST: one that is cheap to decode, shown at most T/(4m) before or after the instant
    (T the duration, m the number of frames); where there is none, the one on screen.
    """

    EXACT = "exact"
    NEAREST = "nearest"


@dataclass(frozen=True)
class Frame:
    """One picture: *pixels* `(height, width, 3)` uint8 RGB, shown *time_s* seconds after the first frame."""

    time_s: float
    pixels: NDArray[np.uint8]


@dataclass(frozen=True)
class DecodedVideo:
    """The frames of one video, in order. *width* and *height* are those of the upright picture in the file, in pixels.

    *duration_s* is that of what is there: a file cut short counts up to the cut. *rotation* is by how many degrees
    counterclockwise the stored picture was turned. *partial* is true where the file ends before its header says, or
    where a frame asked for could not be decoded whole; the frame before the gap then stands for it.
    """

    duration_s: float
    width: int
    height: int
    frames: tuple[Frame, ...]
    partial: bool = False
    rotation: int = 0


class FrameReader(Protocol):
    """Reads frames of a video file. Readers are frozen and picklable: workers get them as they are."""

    def read(self, path: Path, n_frames: int, long_side: int) -> DecodedVideo:
        """The frames for the middles of *n_frames* equal parts, in the order of time, rotation applied.

        Args:
            long_side: pixels of the longer side at most; smaller videos keep their size.

        Raises:
            UnreadableMediaError: no frame could be had, or the picture or the duration is beyond the limits.
        """
        ...

    def within(self, max_pixels: int) -> Self:
        """This reader, for pictures of *max_pixels* at most, or of its own bound where that is lower."""
        ...
