"""How likely a position of a feed is examined: curves, and their estimation from counts of slots.

A positive needs a video that is relevant and a slot that is examined, P(positive | v, p) = q_p · γ_v (the
position-based model, Joachims et al. 2017), so a log knows q only up to a factor: every curve has q_1 = 1. A slot is
delivered, perhaps reached (the feed was scrolled to it, which is observed), and once reached perhaps attended to
(which is not): q_p = P(reached) · P(attended to | reached). `METHODS` says what each estimator takes for granted.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
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
N_GROUPS, _T_95 = 20, 2.093  # groups of users, and the 97.5 % quantile of Student's t with one degree less


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

    def without(self, part: "Counts") -> "Counts":
        """These counts, made by `merged`, less those of one of their parts."""
        longest = len(self.at_risk)
        row = np.searchsorted(_keys(self, longest), _keys(part, longest))
        less = {name: getattr(self, name).copy() for name in _OF_CELLS}
        for name, values in less.items():
            np.subtract.at(values, row, getattr(part, name))
        feeds = {name: getattr(self, name) - _padded(getattr(part, name), longest) for name in _OF_FEEDS}
        return replace(self, **less, **feeds)

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
    n = int(length.max(initial=0))
    ends = (np.minimum(length, last_reached + 1), last_reached)
    at_risk, went_on = (np.bincount(end, np.asarray(n_feeds), n + 1)[:0:-1].cumsum()[::-1] for end in ends)
    return at_risk.astype(np.int64), went_on.astype(np.int64)


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
        ValueError: no other position can be compared with the first.
    """
    known = np.isfinite(values) & (values > 0)
    n = len(values) if known.all() else int(np.argmin(known))
    if n == 0 or (n == 1 and len(values) > 1):
        raise ValueError(f"{name}: no position can be compared with the first")
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
    """The counts of several parts of a log that number videos alike and share no feed, one row a cell."""
    longest = max(len(part.at_risk) for part in parts)
    keys, row = np.unique(np.concatenate([_keys(part, longest) for part in parts]), return_inverse=True)
    cells = {
        name: np.bincount(row, np.concatenate([getattr(part, name) for part in parts]), len(keys)).astype(np.int64)
        for name in _OF_CELLS
    }
    feeds = {name: np.sum([_padded(getattr(part, name), longest) for part in parts], axis=0) for name in _OF_FEEDS}
    return Counts(keys // (longest + 1), keys % (longest + 1), **cells, **feeds)


_OF_CELLS, _OF_FEEDS = ("shown", "reached", "positives"), ("at_risk", "went_on")


def _keys(counts: Counts, longest: int) -> Ints:
    return counts.video * (longest + 1) + counts.position


def _padded(by_position: Ints, longest: int) -> Ints:
    return np.pad(by_position, (0, longest - len(by_position)))


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
class Interval:
    """The 95 % interval of each value of a curve, `(n,)`; NaN where there is none."""

    low: Floats
    high: Floats


def intervals(curves: Mapping[Method, Curve], parts: Sequence[Counts]) -> dict[Method, Interval]:
    """How far *curves* may be off by chance, from what they are without one of `N_GROUPS` *parts* at a time.

    Parts must be groups of users, whose slots hang together. The spread of log q over the groups is that of a jackknife
    with N_GROUPS − 1 degrees of freedom; there is no interval where a curve needs the group that was left out.
    """
    total = merged(parts)
    logs = {method: np.full((N_GROUPS, len(curve.q)), np.nan) for method, curve in curves.items()}
    for group, part in enumerate(parts):
        others = total.without(part)
        for method, values in logs.items():
            q = _if_any(method, others)[: values.shape[1]]
            values[group, : len(q)] = np.log(q)
    return {method: _interval(curves[method], values) for method, values in logs.items()}


def _if_any(method: Method, counts: Counts) -> Floats:
    try:
        return estimate(method, counts, min_reaches=1).q
    except ValueError:  # nothing at position 1
        return np.empty(0)


def _interval(curve: Curve, logs: Floats) -> Interval:
    squares = ((logs - logs.mean(axis=0)) ** 2).sum(axis=0)
    half = _T_95 * np.sqrt((N_GROUPS - 1) / N_GROUPS * squares)
    return Interval(curve.q * np.exp(-half), curve.q * np.exp(half))


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
