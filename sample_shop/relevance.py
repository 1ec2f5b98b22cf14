"""The planted grade: how relevant a video is to what a shopper looked at, 1 to 5, as a pure function.

The history is the last (at most 12) products, the most recent first; product j = 0, 1, … weighs ρ^j, ρ = 0.9. The share
of level l of factor f in the history is

    share_f(l) = Σ_j ρ^j · 1[h_{j,f} = l] / Σ_j ρ^j

A product of the video matches by the weighted shares of its own levels, and the video by its products' mean:

    match(v) = mean_{p ∈ v} Σ_f w_f · share_f(p_f)       in [0, 1]
    w: kind 0.30, colour 0.28, pattern 0.10, brand 0.05, style 0.12, finish 0.15

    grade = 1 + number of the thresholds 0.12, 0.17, 0.24, 0.35 that match reaches (match rounded to 9 decimals)
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from sample_shop.arrays import Floats, Ints
from sample_shop.catalogue import FACTORS, LEVELS, N_LEVELS, OFFSETS
from sample_shop.vocabulary import Garment

HISTORY_LENGTH = 12
RECENCY = 0.9
WEIGHTS = {"kind": 0.30, "colour": 0.28, "pattern": 0.10, "brand": 0.05, "style": 0.12, "finish": 0.15}
THRESHOLDS = (0.12, 0.17, 0.24, 0.35)
_DECIMALS = 9  # so that the two forms, which add in different orders, never part at a threshold


@dataclass(frozen=True)
class Item:
    """A product as the grade sees it: the garment and whose it is."""

    garment: Garment
    brand: str

    def level(self, factor: str) -> str:
        return self.brand if factor == "brand" else str(getattr(self.garment, factor))


def grade(history: Sequence[Item], video: Sequence[Item]) -> int:
    """The grade of a video for a history, most recent product first; products after the twelfth do not count.

    >>> coat = Item(Garment("jacket", "red", "plain", "street", "tonal"), "Alder")
    >>> cap = Item(Garment("hat", "blue", "dotted", "casual", "blocked"), "Brisa")
    >>> grade([coat], [coat]), grade([coat], [coat, cap]), grade([coat], [cap])
    (5, 5, 1)
    """
    if not history or not video:
        raise ValueError(f"a grade needs products: the history has {len(history)}, the video {len(video)}")
    weights = [RECENCY**j for j in range(min(len(history), HISTORY_LENGTH))]
    match = sum(
        factor_weight * _share(factor, product, history, weights)
        for product in video
        for factor, factor_weight in WEIGHTS.items()
    ) / len(video)
    return 1 + sum(round(match, _DECIMALS) >= threshold for threshold in THRESHOLDS)


def grades(histories: Ints, videos: Ints) -> Ints:
    """The grade of every video for every history, `(n, m)`.

    Args:
        histories: `(n, 12, 6)` levels in the order of `FACTORS`, most recent first, −1 where there is no product.
        videos: `(m, 4, 6)` levels of the products shown, −1 where there is none.
    """
    return 1 + np.asarray(np.searchsorted(np.array(THRESHOLDS), matches(histories, videos), side="right"))


def matches(histories: Ints, videos: Ints) -> Floats:
    """match(v) of every video for every history, `(n, m)`, for the arguments of `grades`."""
    return np.asarray(np.round(taste_shares(histories) @ mean_levels(videos).T, _DECIMALS))


def taste_shares(histories: Ints) -> Floats:
    """w_f · share_f(l) of every level, `(n, 41)`; all zero, so grade 1, for a history without a product."""
    present = histories[:, :, 0] >= 0
    weights = RECENCY ** np.arange(histories.shape[1]) * present
    total = np.maximum(weights.sum(axis=1, keepdims=True), 1e-12)
    factor_weights = np.array([WEIGHTS[factor] for factor in FACTORS])
    return np.asarray(_summed(histories, weights / total) * np.repeat(factor_weights, LEVELS))


def mean_levels(videos: Ints) -> Floats:
    """The mean over each video's products of their one-hot levels, `(m, 41)`."""
    present = videos[:, :, 0] >= 0
    return _summed(videos, present / np.maximum(present.sum(axis=1, keepdims=True), 1))


def _summed(codes: Ints, weights: Floats) -> Floats:
    """The weight of every level in each row of products, `(n, 41)`."""
    n, length, n_factors = codes.shape
    cells = np.arange(n)[:, None, None] * N_LEVELS + np.maximum(codes, 0) + OFFSETS
    spread = np.broadcast_to(weights[:, :, None], (n, length, n_factors))
    total = np.bincount(cells.ravel(), weights=spread.ravel(), minlength=n * N_LEVELS)
    return np.asarray(total, dtype=np.float64).reshape(n, N_LEVELS)


def _share(factor: str, product: Item, history: Sequence[Item], weights: Sequence[float]) -> float:
    level = product.level(factor)
    alike = sum(weight for item, weight in zip(history, weights, strict=False) if item.level(factor) == level)
    return alike / sum(weights)
