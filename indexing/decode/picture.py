"""Decoded frames to upright RGB pictures, scaled while their colours are converted."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from indexing.decode.index import StreamIndex
from indexing.decode.protocol import DecodedVideo, Frame


@dataclass(frozen=True)
class Picture:
    """*pixels* `(height, width, 3)` uint8 RGB; the size of the upright picture in the file; by which degrees turned."""

    pixels: NDArray[np.uint8]
    width: int
    height: int
    rotation: int


class Developer:
    """Makes pictures of frames, the longer side *long_side* pixels at most. A frame given twice in a row costs once."""

    def __init__(self, av: Any, long_side: int) -> None:
        # One for all frames: each new one costs half a millisecond.
        self._scaler = av.video.reformatter.VideoReformatter()
        self._long_side = long_side
        self._last: tuple[Any, Picture | None] = (None, None)

    def __call__(self, frame: Any) -> Picture:
        """The picture of *frame*."""
        known, picture = self._last
        if picture is None or known is not frame:
            picture = self._picture(frame)
            self._last = frame, picture
        return picture

    def _picture(self, frame: Any) -> Picture:
        scale = min(1.0, self._long_side / max(frame.width, frame.height))
        width, height = max(1, round(frame.width * scale)), max(1, round(frame.height * scale))
        small = self._scaler.reformat(
            frame, width=width, height=height, format="rgb24", interpolation="AREA", threads=1
        )
        turns = round(frame.rotation / 90) % 4
        # The display matrix turns counterclockwise, as rot90 does.
        pixels = np.ascontiguousarray(np.rot90(small.to_ndarray(), k=turns))
        upright = (frame.height, frame.width) if turns % 2 else (frame.width, frame.height)
        return Picture(pixels, *upright, rotation=90 * turns)


def assembled(index: StreamIndex, ticks: Sequence[int], pictures: Sequence[Picture], *, partial: bool) -> DecodedVideo:
    """The video of *pictures*, shown at *ticks*, in order; at least one."""
    frames = tuple(
        Frame(max(0.0, (tick - index.shown.start) * index.tick_s), picture.pixels)
        for tick, picture in zip(ticks, pictures, strict=True)
    )
    first = pictures[0]
    return DecodedVideo(index.duration_s, first.width, first.height, frames, partial, first.rotation)
