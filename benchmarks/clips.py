"""Made clips for measuring decoders: busy, textured, moving, with grain, as a phone films a shop.

Every codec is the encoder of the wheel of PyAV. The pictures are drawn straight as Y, U and V, which takes less time
than encoding them.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
from numpy.typing import NDArray

WIDTH, HEIGHT, FPS = 720, 1280, 30
MARGIN = 160  # how far the texture goes beyond the picture, which pans over it
BIT_RATE = 3_000_000


@dataclass(frozen=True)
class ClipRecipe:
    """A clip to make. *gop* is the largest number of frames from one keyframe to the next."""

    codec: str
    encoder: str
    gop: int
    seconds: float = 15.0
    options: dict[str, str] = field(default_factory=dict)

    @property
    def name(self) -> str:
        return f"{self.codec} GOP {self.gop}"


def recipes(seconds: float) -> list[ClipRecipe]:
    """H.264 with long and short keyframe intervals, then the other codecs with both."""
    x264 = {"preset": "medium", "sc_threshold": "0"}
    h264 = [ClipRecipe("H.264", "libx264", gop, seconds, x264) for gop in (250, 60, 30)]
    others = {
        ("HEVC", "libx265"): {"preset": "ultrafast", "x265-params": "log-level=error:bframes=3:scenecut=0"},
        ("VP9", "libvpx-vp9"): {"deadline": "realtime", "cpu-used": "8"},
        ("AV1", "libsvtav1"): {"preset": "12"},
    }
    return h264 + [
        ClipRecipe(codec, encoder, gop, seconds, options)
        for (codec, encoder), options in others.items()
        for gop in (250, 60)
    ]


def write_recipe(recipe: ClipRecipe, folder: Path, seed: int = 0) -> Path:
    """Encode the clip into *folder* and return its path."""
    path = folder / f"{recipe.codec}_{recipe.gop}.mp4"
    with av.open(str(path), "w") as container:
        stream: Any = container.add_stream(recipe.encoder, rate=FPS, options=recipe.options)
        stream.width, stream.height, stream.pix_fmt = WIDTH, HEIGHT, "yuv420p"
        stream.bit_rate, stream.gop_size = BIT_RATE, recipe.gop
        stream.time_base = Fraction(1, FPS)
        for number, planes in enumerate(_pictures(round(recipe.seconds * FPS), seed)):
            frame = av.VideoFrame.from_ndarray(planes, format="yuv420p")
            frame.pts = number
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path


def _pictures(n_frames: int, seed: int) -> Iterator[NDArray[np.uint8]]:
    """Pictures as yuv420p `(height · 3/2, width)`: a texture that pans, a figure before it, grain on both."""
    rng = np.random.default_rng(seed)
    luma, figure = _texture(rng, HEIGHT + MARGIN, WIDTH + MARGIN), _texture(rng, HEIGHT // 2, WIDTH // 2)
    chroma = _texture(rng, (HEIGHT + MARGIN) // 2, WIDTH + MARGIN)
    grain = rng.normal(0, 3, (HEIGHT + MARGIN, WIDTH + MARGIN)).astype(np.int16)
    for number in range(n_frames):
        y, x = (int(MARGIN / 2 * (1 + np.sin(number / period))) for period in (37.0, 53.0))
        planes = np.empty((HEIGHT * 3 // 2, WIDTH), np.uint8)
        planes[:HEIGHT] = luma[y : y + HEIGHT, x : x + WIDTH]
        top, left = HEIGHT // 4 + x, int(WIDTH / 4 * (1 + np.sin(number / 19)))
        planes[top : top + HEIGHT // 2, left : left + WIDTH // 2] = figure
        down, right = rng.integers(0, MARGIN, 2)
        planes[:HEIGHT] = np.clip(planes[:HEIGHT] + grain[down : down + HEIGHT, right : right + WIDTH], 0, 255)
        planes[HEIGHT:] = chroma[y // 2 : y // 2 + HEIGHT // 2, x : x + WIDTH]
        yield planes


def _texture(rng: np.random.Generator, height: int, width: int) -> NDArray[np.uint8]:
    """Random detail at several scales, as cloth, walls and leaves have it, around mid-grey."""
    total = np.zeros((height, width))
    for cell in (4, 16, 64):
        coarse = rng.normal(0, 1, (height // cell + 2, width // cell + 2))
        total += cell**0.5 * np.kron(coarse, np.ones((cell, cell)))[:height, :width]
    return np.clip(128 + 7 * total, 16, 235).astype(np.uint8)
