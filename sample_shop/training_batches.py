"""Batches for training the small CLIP: drawn scenes, which a second process keeps fresh, and real photos."""

import multiprocessing
import queue
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from types import TracebackType

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from sample_shop.captions import attribute_rows
from sample_shop.clothing_photos import guess_colour, load_photos, load_squares
from sample_shop.training_scenes import Scene, draw_scene
from sample_shop.vocabulary import FINISHES, Garment

CHUNK = 32  # scenes that travel from the drawing process at a time
CACHED = 1.2  # photos are kept this much larger than the model's pictures, to be cropped
Garments = tuple[Garment, ...]


@dataclass(frozen=True)
class Batch:
    """Pictures `(n, 3, size, size)` in 0 to 1 and what they show.

    *named* is what captions may name, *shown* adds what else is visible; *finishes* is -1 where several show.
    """

    pixels: Tensor
    named: list[Garments]
    shown: list[Garments]
    finishes: Tensor

    @property
    def named_rows(self) -> Tensor:
        return torch.from_numpy(attribute_rows(list(self.named)))

    @property
    def shown_rows(self) -> Tensor:
        return torch.from_numpy(attribute_rows(list(self.shown)))


def joined(first: Batch, second: Batch) -> Batch:
    """Both batches as one."""
    return Batch(
        torch.cat([first.pixels, second.pixels]),
        first.named + second.named,
        first.shown + second.shown,
        torch.cat([first.finishes, second.finishes]),
    )


def _draw_forever(seed: int, size: int, out: "multiprocessing.Queue[list[Scene]]") -> None:
    rng = Random(f"scenes {seed}")
    while True:
        out.put([draw_scene(rng, size) for _ in range(CHUNK)])


@dataclass
class ScenePool:
    """Drawn scenes, the oldest of which give way to fresh ones."""

    size: int
    capacity: int
    seed: int
    scenes: list[Scene] = field(default_factory=list)
    _oldest: int = 0

    def __enter__(self) -> "ScenePool":
        context = multiprocessing.get_context("spawn")
        self._queue: multiprocessing.Queue[list[Scene]] = context.Queue(maxsize=6)
        arguments = (self.seed, self.size, self._queue)
        self._process = context.Process(target=_draw_forever, args=arguments, daemon=True)
        self._process.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._process.terminate()
        self._process.join()

    def fill(self, count: int) -> None:
        """Wait until the pool holds *count* scenes."""
        while len(self.scenes) < count:
            self.scenes.extend(self._queue.get())

    def refresh(self) -> None:
        """Take one chunk of fresh scenes if it is ready."""
        try:
            fresh = self._queue.get_nowait()
        except queue.Empty:
            return
        for scene in fresh:
            if len(self.scenes) < self.capacity:
                self.scenes.append(scene)
            else:
                self.scenes[self._oldest] = scene
                self._oldest = (self._oldest + 1) % self.capacity

    def sample(self, count: int, side: int, rng: np.random.Generator) -> Batch:
        """*count* scenes, each lightly changed, *side* pixels square."""
        chosen = [self.scenes[row] for row in rng.integers(len(self.scenes), size=count)]
        pixels = vary_scenes(_tensor(np.stack([scene.pixels for scene in chosen])), side)
        finishes = [FINISHES.index(s.garments[0].finish) if len(s.garments) == 1 else -1 for s in chosen]
        named = [scene.garments for scene in chosen]
        return Batch(pixels, named, [s.garments + s.basics for s in chosen], torch.tensor(finishes))


@dataclass(frozen=True)
class PhotoPool:
    """Real training photos, larger than the model's pictures, with the colour words that could be guessed."""

    squares: NDArray[np.uint8]
    garments: list[Garment]
    weights: NDArray[np.float64]

    def sample(self, count: int, side: int, rng: np.random.Generator) -> Batch:
        """*count* photos *side* pixels square: rare kinds more often than their share, cropped, recoloured, mixed."""
        rows = rng.choice(len(self.garments), size=count, p=self.weights)
        keep = torch.from_numpy((rng.random(count) < 0.5) & np.array([self.garments[i].colour != "" for i in rows]))
        pixels = vary_photos(_tensor(self.squares[rows]), side, keep)
        named: list[Garments] = [
            (self.garments[row] if keep[i] else Garment(self.garments[row].kind, "", ""),) for i, row in enumerate(rows)
        ]
        pixels, named = patched(pixels, named, rng)
        return Batch(pixels, named, named, torch.full((count,), -1))


def load_photo_pool(folder: Path, size: int) -> PhotoPool:
    """The training split of the CC0 photos."""
    photos = load_photos(folder, "train")
    squares = load_squares(photos, round(size * CACHED))
    garments = [Garment(photo.kind, guess_colour(square), "") for photo, square in zip(photos, squares, strict=True)]
    return PhotoPool(squares, garments, balanced_weights([garment.kind for garment in garments]))


def balanced_weights(labels: list[str]) -> NDArray[np.float64]:
    """Chances that sum to 1, each in proportion to one over the root of its label's count.

    >>> balanced_weights(["hat", "hat", "hat", "hat", "bag"]).round(3).tolist()
    [0.167, 0.167, 0.167, 0.167, 0.333]
    """
    raw = np.array([labels.count(label) ** -0.5 for label in labels])
    chances: NDArray[np.float64] = raw / raw.sum()
    return chances


def patched(
    pixels: Tensor, named: list[Garments], rng: np.random.Generator, share: float = 0.35
) -> tuple[Tensor, list[Garments]]:
    """Replace a rectangle of some pictures by the same part of another; such a picture shows both garments."""
    partners = rng.permutation(len(named))
    mixed, names, size = pixels.clone(), list(named), pixels.shape[-1]
    for i in np.flatnonzero(rng.random(len(named)) < share):
        height, width = (int(size * part) for part in rng.uniform(0.45, 0.75, size=2))
        top, left = int(rng.integers(size - height + 1)), int(rng.integers(size - width + 1))
        mixed[i, :, top : top + height, left : left + width] = pixels[
            partners[i], :, top : top + height, left : left + width
        ]
        names[i] = tuple(dict.fromkeys((*named[i], *named[partners[i]])))
    return mixed, names


def vary_scenes(pixels: Tensor, side: int) -> Tensor:
    """Mirror, shift and light scenes a little; their colours stay what their captions say."""
    n = len(pixels)
    warped = _warp(pixels, side, _affine(n, turn=0.05, zoom=(0.9, 1.05), stretch=0.06, shift=0.06))
    light = torch.rand(n, 1, 1, 1) * 0.24 + 0.86
    tint = 1 + torch.randn(n, 3, 1, 1) * 0.025
    return (warped * light * tint).clamp(0, 1)


def vary_photos(pixels: Tensor, side: int, keep_colour: Tensor) -> Tensor:
    """Crop, turn and light photos; recolour those whose colour is not named, and blank a rectangle of a third."""
    n = len(pixels)
    warped = _warp(pixels, side, _affine(n, turn=0.13, zoom=(0.62, 1.05), stretch=0.12, shift=0.05))
    strength = torch.where(keep_colour, 0.02, 0.14)[:, None, None]
    matrix = torch.eye(3) + torch.randn(n, 3, 3) * strength
    recoloured = torch.einsum("nij,njhw->nihw", matrix, warped)
    mean = recoloured.mean(dim=(2, 3), keepdim=True)
    contrast, light = torch.rand(n, 1, 1, 1) * 0.6 + 0.7, torch.rand(n, 1, 1, 1) * 0.5 + 0.75
    return _blanked(((recoloured - mean) * contrast + mean * light).clamp(0, 1))


def _blanked(pixels: Tensor, share: float = 0.3) -> Tensor:
    size = pixels.shape[-1]
    for i in torch.nonzero(torch.rand(len(pixels)) < share).flatten().tolist():
        side = int(size * (0.12 + 0.26 * torch.rand(()).item()))
        top, left = torch.randint(size - side, (2,)).tolist()
        pixels[i, :, top : top + side, left : left + side] = torch.rand(3, 1, 1)
    return pixels


def _affine(n: int, turn: float, zoom: tuple[float, float], stretch: float, shift: float) -> Tensor:
    """`(n, 2, 3)` maps from output to input; a *zoom* below 1 crops, and shifts stay within what it leaves."""
    angle = torch.randn(n) * turn
    scale = torch.rand(n) * (zoom[1] - zoom[0]) + zoom[0]
    aspect, mirror = torch.exp(torch.randn(n) * stretch), (torch.rand(n) < 0.5).float() * 2 - 1
    cos, sin = torch.cos(angle) * scale, torch.sin(angle) * scale
    maps = torch.zeros(n, 2, 3)
    maps[:, 0, 0], maps[:, 0, 1] = cos * mirror * aspect, -sin
    maps[:, 1, 0], maps[:, 1, 1] = sin * mirror, cos / aspect
    maps[:, :, 2] = (torch.rand(n, 2) * 2 - 1) * ((1 - scale).clamp(min=0) + shift)[:, None]
    return maps


def _warp(pixels: Tensor, size: int, maps: Tensor) -> Tensor:
    grid = functional.affine_grid(maps, [len(pixels), 3, size, size], align_corners=False)
    return functional.grid_sample(pixels, grid, padding_mode="border", align_corners=False)


def _tensor(pixels: NDArray[np.uint8]) -> Tensor:
    """`(n, size, size, 3)` bytes as `(n, 3, size, size)` in 0 to 1."""
    return torch.from_numpy(pixels).permute(0, 3, 1, 2).float() / 255
