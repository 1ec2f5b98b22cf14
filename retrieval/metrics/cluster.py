"""Intervals of ratios of sums by a bootstrap over users, and what they say in words.

A user's feeds resemble one another, so users are drawn, not feeds. A metric is Σ_u a_u / Σ_u b_u over sums by user. A
resample gives every user a weight, Poisson with mean 1 instead of multinomial: the same to first order for a ratio, and
each block of users draws its own, so memory does not grow with the users. All columns of all systems are one product of
weights `(n_resamples, n_block)` and sums `(n_block, n_columns)`, so differences of systems are paired at no cost.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from functools import cache

import numpy as np
from numpy.typing import NDArray

from retrieval.metrics.stats import Estimate

Floats = NDArray[np.float64]

_BLOCK_USERS = 1024
_Z95, _Z_POWER80 = 1.959964, 0.841621  # normal quantiles of 0.975 and 0.8


class Verdict(StrEnum):
    """What an interval of a difference says."""

    BETTER = "better"
    WORSE = "worse"
    NOT_DISTINGUISHABLE = "not distinguishable"


@dataclass(frozen=True)
class Totals:
    """Sums over all users: *observed* `(n_columns,)`, and in each resample, *resampled* `(n_resamples, n_columns)`.

    *present* `(n_columns,)` counts the users whose sum is not 0, of *n_users*.
    """

    observed: Floats
    resampled: Floats
    present: NDArray[np.int64]
    n_users: int

    def ratio(self, numerator: int, denominator: int) -> Estimate:
        """One column over another, with its 95 % percentile interval; *n* users have the denominator."""
        return self._estimate(*self._ratios(numerator, denominator), denominator)

    def difference(self, first: tuple[int, int], second: tuple[int, int]) -> Estimate:
        """The ratio *first* minus the ratio *second*, (numerator, denominator) each, in the same resamples."""
        (mean, resampled), (other, others) = self._ratios(*first), self._ratios(*second)
        return self._estimate(mean - other, resampled - others, first[1])

    def _ratios(self, numerator: int, denominator: int) -> tuple[float, Floats]:
        with np.errstate(divide="ignore", invalid="ignore"):
            resampled = self.resampled[:, numerator] / self.resampled[:, denominator]
            return float(self.observed[numerator] / self.observed[denominator]), resampled

    def _estimate(self, mean: float, resampled: Floats, denominator: int) -> Estimate:
        n = int(self.present[denominator])
        # Few users may have the denominator, and then a resample can miss all of them: it says nothing.
        drawn = resampled[np.isfinite(resampled)]
        if not (n and len(drawn)):
            return Estimate(np.nan, np.nan, np.nan, np.nan, n, self.n_users - n)
        low, high = np.quantile(drawn, [0.025, 0.975])
        return Estimate(mean, float(drawn.std() * math.sqrt(n)), float(low), float(high), n, self.n_users - n)


@dataclass(frozen=True)
class Bootstrap:
    """Resamples of users; the same *seed* gives the same weights to the same users."""

    n_resamples: int = 1000
    seed: int = 0

    def totals(self, columns: Floats) -> Totals:
        """The sums of *columns* `(n_users, n_columns)` in every resample."""
        rng = np.random.default_rng(self.seed)
        resampled = np.zeros((self.n_resamples, columns.shape[1]))
        for first in range(0, len(columns), _BLOCK_USERS):
            block = columns[first : first + _BLOCK_USERS]
            resampled += _poisson(rng, self.n_resamples * len(block)).reshape(-1, len(block)) @ block
        return Totals(columns.sum(axis=0), resampled, np.count_nonzero(columns, axis=0), len(columns))

    def ratio(self, numerator: Floats, denominator: Floats) -> Estimate:
        """Σ numerator / Σ denominator over users, `(n_users,)` each."""
        return self.totals(np.stack([numerator, denominator], axis=1)).ratio(0, 1)

    def difference(self, numerator: Floats, baseline: Floats, denominator: Floats) -> Estimate:
        """The ratio of *numerator* minus that of *baseline*, over the same users, paired."""
        return self.totals(np.stack([numerator, baseline, denominator], axis=1)).difference((0, 2), (1, 2))

    def weights(self, n_users: int) -> Iterator[Floats]:
        """The weights of each resample in turn, `(n_users,)`, for what is no ratio of sums; others than in `totals`."""
        rng = np.random.default_rng([self.seed, 1])
        for _ in range(self.n_resamples):
            yield _poisson(rng, n_users)


def delta_interval(mean: float, influence: Floats, skipped: int = 0) -> Estimate:
    """A mean with the normal interval of its linearisation: the variance is Σ ψ_u² n/(n − 1).

    Args:
        influence: `(n_users,)` ψ_u, what each user adds to the estimate's error; adds up to about 0.
        skipped: users that had no part in it, whose influence is 0.
    """
    n = len(influence) - skipped
    if n < 2 or not np.isfinite(mean):
        return Estimate(mean, np.nan, np.nan, np.nan, n, skipped)
    error = math.sqrt(float(influence @ influence) * n / (n - 1))
    return Estimate(mean, error * math.sqrt(n), mean - _Z95 * error, mean + _Z95 * error, n, skipped)


def delta_ratio(numerator: Floats, denominator: Floats) -> Estimate:
    """Σ numerator / Σ denominator over users with the delta method's interval: ψ_u = (a_u − R b_u) / Σ b.

    >>> delta_ratio(np.array([1.0, 3.0]), np.array([1.0, 1.0])).mean
    2.0
    """
    total = denominator.sum()
    skipped = int((denominator == 0).sum())
    if not total:
        return Estimate(np.nan, np.nan, np.nan, np.nan, len(denominator) - skipped, skipped)
    ratio = float(numerator.sum() / total)
    return delta_interval(ratio, (numerator - ratio * denominator) / total, skipped)


def verdict(difference: Estimate, higher_is_better: bool = True) -> Verdict:
    """Better or worse where the interval of the difference leaves out 0."""
    if not difference.excludes_zero:
        return Verdict.NOT_DISTINGUISHABLE
    return Verdict.BETTER if (difference.mean > 0) is higher_is_better else Verdict.WORSE


def more_users(difference: Estimate, n_users: int) -> int | None:
    """About how many users in all would tell this difference from 0 with power 0.8; none if there is no difference.

    The standard error falls with √n, and a difference of (1.96 + 0.84) of them is found four times in five.

    >>> more_users(Estimate(mean=1.0, sd=1.0, low=-1.0, high=3.0, n=100), n_users=100)
    818
    """
    if not (np.isfinite(difference.mean) and difference.mean):
        return None
    error = (difference.high - difference.low) / (2 * _Z95)
    return math.ceil(n_users * ((_Z95 + _Z_POWER80) * error / difference.mean) ** 2)


def _poisson(rng: np.random.Generator, n: int) -> Floats:
    """Poisson(1) draws `(n,)`, each from 16 random bits: a tenth of the time of exact ones."""
    return _poisson_quantiles()[rng.integers(0, 1 << 64, -(-n // 4), np.uint64).view(np.uint16)[:n]]


@cache
def _poisson_quantiles() -> Floats:
    """The Poisson(1) quantile of (i + ½) / 65536, by i."""
    masses = np.exp(-1.0) / np.array([math.factorial(count) for count in range(12)])
    return np.searchsorted(np.cumsum(masses), (np.arange(1 << 16) + 0.5) / (1 << 16)).astype(np.float64)
