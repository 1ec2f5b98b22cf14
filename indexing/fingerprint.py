"""Near-duplicate clips by a perceptual hash of a few frames: the same pictures encoded, scaled or compressed again."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image

HASH_SIDE = 8  # 8 × 8 comparisons of neighbours: 64 bits a frame
MAX_BITS_SHARE = 0.12  # of the bits may differ; noise and another codec cost a few, another clip about half
MAX_COLOUR_OFF = 16.0  # levels of 255, in a frame's mean colour: flat pictures have no neighbours that differ
DURATION_TOLERANCE = 0.02, 0.2  # share, and seconds
BLOCK = 512


@dataclass(frozen=True)
class Fingerprint:
    """What to compare of one clip: *bits* `(frames · 64,)` bool, *colours* `(frames, 3)` in levels, and seconds."""

    bits: NDArray[np.bool_]
    colours: NDArray[np.float32]
    duration_s: float


def fingerprint(frames: Sequence[NDArray[np.uint8]], duration_s: float) -> Fingerprint:
    """The fingerprint of a clip from some of its frames `(height, width, 3)` RGB, in order."""
    colours = np.array([frame.reshape(-1, 3).mean(axis=0) for frame in frames], np.float32)
    return Fingerprint(np.concatenate([difference_hash(frame) for frame in frames]), colours, duration_s)


def difference_hash(pixels: NDArray[np.uint8]) -> NDArray[np.bool_]:
    """Where the picture, made 9 × 8 and grey, gets brighter from left to right: `(64,)`."""
    grey = Image.fromarray(pixels).convert("L").resize((HASH_SIDE + 1, HASH_SIDE), Image.Resampling.BOX)
    levels = np.asarray(grey, np.int16)
    return (np.diff(levels, axis=1) > 0).ravel()


def duplicates(prints: Sequence[Fingerprint]) -> list[int | None]:
    """For each clip the first earlier one that it nearly equals, by row, or None.

    Clips are compared only with those of about their duration: sorted by it, these stand together.
    """
    order = np.argsort([p.duration_s for p in prints], kind="stable")
    sorted_prints = [prints[row] for row in order]
    first: list[int | None] = [None] * len(prints)
    for start in range(0, len(prints), BLOCK):
        for row, earlier in _block(sorted_prints, order, start):
            first[row] = earlier
    return first


def _block(prints: Sequence[Fingerprint], order: NDArray[np.intp], start: int) -> list[tuple[int, int]]:
    """(row, first earlier row alike) of those clips of a block of the sorted ones that have one."""
    durations = np.array([p.duration_s for p in prints])
    block = slice(start, min(start + BLOCK, len(prints)))
    low, high = durations[block.start] - _slack_s(durations[block.stop - 1]), durations[block.stop - 1]
    near = slice(int(np.searchsorted(durations, low)), int(np.searchsorted(durations, high + _slack_s(high), "right")))
    alike = _alike(prints[block], prints[near]) & (order[near][None, :] < order[block][:, None])
    earliest = np.where(alike, order[near][None, :], len(prints)).min(axis=1)
    return [(int(row), int(e)) for row, e in zip(order[block], earliest, strict=True) if e < len(prints)]


def _alike(some: Sequence[Fingerprint], others: Sequence[Fingerprint]) -> NDArray[np.bool_]:
    """Which of *others* each of *some* nearly equals: `(some, others)`."""
    signs, other_signs = (np.array([p.bits for p in ps], np.float32) * 2 - 1 for ps in (some, others))
    differing = (1 - signs @ other_signs.T / signs.shape[1]) / 2  # the dot product of ±1 counts equal less unequal
    colours, other_colours = (np.array([p.colours.ravel() for p in ps]) for ps in (some, others))
    colour_off = np.zeros(differing.shape, np.float32)
    for ours, theirs in zip(colours.T, other_colours.T, strict=True):
        np.maximum(colour_off, np.abs(ours[:, None] - theirs[None, :]), out=colour_off)
    durations, other_durations = (np.array([p.duration_s for p in ps]) for ps in (some, others))
    close = np.abs(durations[:, None] - other_durations[None, :]) <= _slack_s(durations)[:, None]
    return np.asarray((differing <= MAX_BITS_SHARE) & (colour_off <= MAX_COLOUR_OFF) & close)


def _slack_s(duration_s: NDArray[np.float64] | float) -> NDArray[np.float64]:
    share, least_s = DURATION_TOLERANCE
    return np.maximum(np.asarray(duration_s) * share, least_s)
