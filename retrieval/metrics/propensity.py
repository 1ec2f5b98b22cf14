"""How likely a position of a feed is examined: curves, and their estimation from counts of slots.

A positive needs a video that is relevant and a slot that is examined, P(positive | v, p) = q_p · γ_v (the
position-based model, Joachims et al. 2017), so a log knows q only up to a factor: every curve has q_1 = 1. A slot is
delivered, perhaps reached (the feed was scrolled to it, which is observed), and once reached perhaps attended to
(which is not): q_p = P(reached) · P(attended to | reached). `METHODS` says what each estimator takes for granted.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import StrEnum

import numpy as np
from numpy.typing import ArrayLike

from retrieval.metrics.harvest import (
    Cells,
    Floats,
    Ints,
    adjacent_chain,
    all_pairs,
    harvest,
    pivot,
    power,
    powers,
    rates,
    ratio,
    regression_em,
)

MIN_REACHES = 100  # a curve ends before the first position reached less often


class Method(StrEnum):
    """How a curve is estimated."""

    RATES = "rates"
    PIVOT = "pivot"
    ADJACENT_CHAIN = "adjacent-chain"
    ALL_PAIRS = "all-pairs"
    REGRESSION_EM = "regression-em"
    POWER = "power"
    REACH = "reach"
    IMMERSIVE = "immersive"
    IMMERSIVE_POWER = "immersive-power"


@dataclass(frozen=True)
class Curve:
    """Examination by position: *q* `(n,)` of *positions* 1 … n, with q_1 = 1.

    *reaches* `(n,)` counts the reached slots behind each value. Noise may lift a value above 1; `apply` cuts it.
    """

    positions: Ints
    q: Floats
    reaches: Ints
    name: str

    def __post_init__(self) -> None:
        n = len(self.q)
        if not n or not np.array_equal(self.positions, np.arange(1, n + 1)) or len(self.reaches) != n:
            raise ValueError(f"curve {self.name} must have one value for each of the positions 1 … n")
        if self.q[0] != 1 or not (np.isfinite(self.q) & (self.q > 0)).all():
            raise ValueError(f"curve {self.name} must begin with 1 and be above 0")


@dataclass(frozen=True)
class Counts:
    """All that the estimators need of a log, additive over its parts.

    One row a cell, `(n_cells,)`: *shown* slots of *video* delivered at *position*, *reached* of them, and *positives*
    among those. Of whole feeds, `(longest feed,)` by position p: *at_risk* that have a slot p and were scrolled to
    p − 1, and *went_on* of them, scrolled to p.
    """

    video: Ints
    position: Ints
    shown: Ints
    reached: Ints
    positives: Ints
    at_risk: Ints
    went_on: Ints

    def by_position(self, values: Ints) -> Ints:
        """The sums of a cell's column at each position, `(longest feed,)`."""
        return np.bincount(self.position, values, len(self.at_risk) + 1)[1:].astype(np.int64)

    def delivered_cells(self, n: int) -> Cells:
        """What was delivered at the first *n* positions: a slot that was not reached is a trial without success."""
        return self._cells(self.shown, n)

    def reached_cells(self, n: int) -> Cells:
        """What was reached at the first *n* positions."""
        return self._cells(self.reached, n)

    def _cells(self, trials: Ints, n: int) -> Cells:
        kept = (self.position <= n) & (trials > 0)
        return Cells(self.video[kept], self.position[kept], trials[kept], self.positives[kept])


def feeds_by_position(length: ArrayLike, last_reached: ArrayLike, n_feeds: ArrayLike) -> tuple[Ints, Ints]:
    """*at_risk* and *went_on* of `Counts`, from how many feeds have each length and last reached position (0 for none).

    >>> at_risk, went_on = feeds_by_position([2, 3, 3], [2, 1, 3], [1, 1, 1])
    >>> at_risk.tolist(), went_on.tolist()
    ([3, 3, 1], [3, 2, 1])
    """
    length, last_reached = np.asarray(length, np.int64), np.asarray(last_reached, np.int64)
    position = np.arange(1, int(length.max(initial=0)) + 1)[:, None]
    feeds = np.asarray(n_feeds, np.int64)
    at_risk = ((length >= position) & (last_reached >= position - 1)) @ feeds
    went_on = (last_reached >= position) @ feeds
    return np.asarray(at_risk), np.asarray(went_on)


def apply(curve: Curve, position: ArrayLike) -> Floats:
    """The curve at each of *position* `(n,)`, in (0, 1]; a position beyond it has its last value: see `n_beyond`."""
    wanted = np.asarray(position, np.int64)
    if wanted.size and wanted.min() < 1:
        raise ValueError(f"positions count from 1, and one is {wanted.min()}")
    return np.asarray(np.minimum(curve.q, 1.0)[np.minimum(wanted, len(curve.q)) - 1])


def n_beyond(curve: Curve, position: ArrayLike) -> int:
    """How many of *position* the curve does not reach."""
    return int((np.asarray(position) > len(curve.q)).sum())


def n_positions(counts: Counts, min_reaches: int = MIN_REACHES) -> int:
    """How many positions from the first on were reached at least *min_reaches* times each."""
    few = counts.by_position(counts.reached) < min_reaches
    return int(np.argmax(few)) if few.any() else len(few)


def curve_of(name: str, values: Floats, counts: Counts) -> Curve:
    """*values* by position over the first of them, up to the first that is 0 or unknown.

    Raises:
        ValueError: there is nothing at position 1.
    """
    known = np.isfinite(values) & (values > 0)
    n = len(values) if known.all() else int(np.argmin(known))
    if n == 0:
        raise ValueError(f"{name}: there is nothing to estimate from at position 1")
    reaches = counts.by_position(counts.reached)[:n]
    return Curve(np.arange(1, n + 1), values[:n] / values[0], reaches, name)


def survival(counts: Counts, n: int) -> Floats:
    """P(a feed is scrolled to p), relative to the first position: the survival function of scrolling (Kaplan, Meier).

    A feed of length L says nothing of p > L. Assumes that how long a feed is does not depend on how far its user would
    have scrolled.
    """
    steps = ratio(counts.went_on[:n], counts.at_risk[:n])
    return np.asarray(np.cumprod(np.concatenate([[1.0], steps[1:]])))


def merged(parts: Sequence[Counts]) -> Counts:
    """The counts of several parts of a log that number videos alike and share no feed."""
    longest = max(len(part.at_risk) for part in parts)
    video, position = (np.concatenate([getattr(part, name) for part in parts]) for name in ("video", "position"))
    keys, row = np.unique(video * (longest + 1) + position, return_inverse=True)
    shown, reached, positives = (
        np.bincount(row, np.concatenate([getattr(part, name) for part in parts]), len(keys)).astype(np.int64)
        for name in ("shown", "reached", "positives")
    )
    at_risk, went_on = (
        np.sum([np.pad(feeds, (0, longest - len(feeds))) for feeds in columns], axis=0)
        for columns in ([part.at_risk for part in parts], [part.went_on for part in parts])
    )
    return Counts(keys // (longest + 1), keys % (longest + 1), shown, reached, positives, at_risk, went_on)


def estimate(method: Method, counts: Counts, min_reaches: int = MIN_REACHES) -> Curve:
    """The curve by *method*, up to the first position reached fewer than *min_reaches* times.

    Raises:
        ValueError: position 1 itself was reached less often, or has no positive to compare with.
    """
    n = n_positions(counts, min_reaches)
    if n == 0:
        n_first = int(counts.by_position(counts.reached)[:1].sum())
        raise ValueError(f"position 1 was reached {n_first} times, and {min_reaches} are needed")
    return curve_of(method.value, METHODS[method].fit(counts, n), counts)


@dataclass(frozen=True)
class Estimator:
    """How a method is computed, and in words what it *assumes* of the log besides the position-based model."""

    fit: Callable[[Counts, int], Floats]
    assumes: str


def _paired(combine: Callable[..., Floats]) -> Callable[[Counts, int], Floats]:
    return lambda counts, n: combine(harvest(counts.delivered_cells(n), n))


def _power(cells: Cells, n: int) -> Floats:
    positives = np.bincount(cells.position, cells.positives, n + 1)[1:]
    return powers(power(all_pairs(harvest(cells, n)), positives), n)


def _immersive(counts: Counts, n: int) -> Floats:
    return survival(counts, n) * all_pairs(harvest(counts.reached_cells(n), n))


def _immersive_power(counts: Counts, n: int) -> Floats:
    return survival(counts, n) * _power(counts.reached_cells(n), n)


_ALIKE = "a video is as relevant to those who met it at one position as to those who met it at another"
METHODS: dict[Method, Estimator] = {
    Method.RATES: Estimator(
        lambda counts, n: rates(counts.delivered_cells(n), n), "what is shown does not depend on the position"
    ),
    Method.PIVOT: Estimator(_paired(pivot), _ALIKE),
    Method.ADJACENT_CHAIN: Estimator(_paired(adjacent_chain), _ALIKE),
    Method.ALL_PAIRS: Estimator(_paired(all_pairs), _ALIKE),
    Method.REGRESSION_EM: Estimator(lambda counts, n: regression_em(counts.delivered_cells(n), n), _ALIKE),
    Method.POWER: Estimator(
        lambda counts, n: _power(counts.delivered_cells(n), n), f"{_ALIKE}, and examination is 1 / position^η"
    ),
    Method.REACH: Estimator(survival, "what is reached is examined"),
    Method.IMMERSIVE: Estimator(_immersive, f"{_ALIKE}; reaching is observed"),
    Method.IMMERSIVE_POWER: Estimator(
        _immersive_power, f"{_ALIKE}; reaching is observed, and attention to what is reached is 1 / position^η"
    ),
}
