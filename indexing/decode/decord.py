"""Frames through decord (the decord2 distribution). The only module that imports it.

Kept thin, for comparison and as a second opinion. What it cannot do: it tells nothing of damage, so a file cut short
gives frames as if whole and is never *partial*; the picture's size is known only once a picture has been decoded; some
damaged files make it wait for ever, so read untrusted ones in a worker that can be killed. It shows what an edit list
leaves out, mistakes small pictures of some widths (96, say) for ones of four channels, and fails on many files without
presentation times, such as AVI. Of several video streams it takes the larger one; and it often refuses a transport
stream (TS), pictures at varying intervals, MPEG-2 and MPEG-4, or gives another picture than the one on screen.
"""

import ctypes
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from types import ModuleType
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from indexing.decode.protocol import (
    MAX_DURATION_S,
    MAX_PIXELS,
    Accuracy,
    DecodedVideo,
    Frame,
    UnreadableMediaError,
)
from indexing.sampling import sample_times
from retrieval.errors import import_extra


@dataclass(frozen=True)
class DecordReader:
    """Decodes on one thread, at full size, the frames on screen; *accuracy* makes no difference. It turns pictures."""

    accuracy: Accuracy = Accuracy.EXACT
    max_pixels: int = MAX_PIXELS
    max_duration_s: float = MAX_DURATION_S

    def read(self, path: Path, n_frames: int, long_side: int) -> DecodedVideo:
        """See `FrameReader.read`."""
        with _worded_errors() as decord:
            video = decord.VideoReader(str(path), ctx=decord.cpu(0), num_threads=1)
            spans_s = np.asarray(video.get_frame_timestamp(range(len(video))), np.float64)  # (n, 2): from, to
            duration_s = float(spans_s.max() - spans_s[0, 0])
            rows = _on_screen(spans_s[:, 0], sample_times(duration_s, n_frames))
            height, width, _ = video[0].shape
            self._check(width, height, duration_s)
            pixels = video.get_batch(rows.tolist()).asnumpy()
        times_s = spans_s[rows, 0] - spans_s[0, 0]
        frames = tuple(Frame(float(t), _scaled(p, long_side)) for t, p in zip(times_s, pixels, strict=True))
        return DecodedVideo(duration_s, width, height, frames)

    def within(self, max_pixels: int) -> Self:
        """See `FrameReader.within`."""
        return replace(self, max_pixels=min(self.max_pixels, max_pixels))

    def _check(self, width: int, height: int, duration_s: float) -> None:
        if width * height > self.max_pixels:
            raise UnreadableMediaError(
                f"its picture has {width} × {height} pixels, more than the {self.max_pixels} allowed"
            )
        if duration_s > self.max_duration_s:
            raise UnreadableMediaError(f"it lasts {duration_s:.0f} s, more than the {self.max_duration_s:.0f} allowed")


def import_decord() -> ModuleType:
    """The decord package, with the libraries that it loads kept to itself.

    It loads every CUDA library of torch's for all to see, among them one that takes the place of BLAS: a process that
    imports torch after that dies in its first product of matrices.
    """
    visible = ctypes.RTLD_GLOBAL
    vars(ctypes)["RTLD_GLOBAL"] = ctypes.RTLD_LOCAL
    try:
        return import_extra("decord", "embed")
    finally:
        vars(ctypes)["RTLD_GLOBAL"] = visible


@contextmanager
def _worded_errors() -> Iterator[Any]:
    """Yield decord; what it raises becomes one line, without its C++ trace and our path."""
    decord = import_decord()
    try:
        yield decord
    except (decord.DECORDError, RuntimeError, ValueError, IndexError) as error:
        raise UnreadableMediaError(f"decord cannot read it ({type(error).__name__})") from error


def _on_screen(starts_s: NDArray[np.float64], instants_s: NDArray[np.float64]) -> NDArray[np.int64]:
    """The row of the last frame that begins by each instant, or the first."""
    rows = np.searchsorted(starts_s - starts_s[0], instants_s, side="right") - 1
    return np.maximum(rows, 0).astype(np.int64)


def _scaled(pixels: NDArray[np.uint8], long_side: int) -> NDArray[np.uint8]:
    height, width, _ = pixels.shape
    scale = min(1.0, long_side / max(height, width))
    if scale == 1.0:
        return pixels
    size = max(1, round(width * scale)), max(1, round(height * scale))
    return np.asarray(Image.fromarray(pixels).resize(size, Image.Resampling.BOX))
