"""Means with their intervals: what stands behind every figure that is reported."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

N_RESAMPLES = 2000


@dataclass(frozen=True)
class Estimate:
    """A mean over *n* units with its standard deviation across them and a 95 % interval; *skipped* had no value."""

    mean: float
    sd: float
    low: float
    high: float
    n: int
    skipped: int = 0

    @property
    def excludes_zero(self) -> bool:
        return self.low > 0 or self.high < 0


def bootstrap_mean(values: NDArray[np.floating], rng: np.random.Generator) -> Estimate:
    """The mean of one value per unit, NaN where a unit has none, with a percentile bootstrap over units.

    Args:
        values: `(n_units,)`; for a paired difference, the difference of each unit.
    """
    present = np.asarray(values, np.float64)[~np.isnan(values)]
    n, skipped = len(present), int(np.isnan(values).sum())
    if n == 0:
        return Estimate(np.nan, np.nan, np.nan, np.nan, 0, skipped)
    # How often each unit is drawn is multinomial, so a resample's mean is one product of counts and values.
    counts = rng.multinomial(n, np.full(n, 1.0 / n), size=N_RESAMPLES)
    low, high = np.quantile(counts @ present / n, [0.025, 0.975])
    sd = float(present.std(ddof=1)) if n > 1 else 0.0
    return Estimate(float(present.mean()), sd, float(low), float(high), n, skipped)


def mean_of_present(values: NDArray[np.floating]) -> float:
    """The mean of the values that are there; NaN if none is.

    >>> mean_of_present(np.array([1.0, np.nan, 3.0]))
    2.0
    """
    present = values[~np.isnan(values)]
    return float(present.mean()) if len(present) else float("nan")


def bootstrap_crossed(values: NDArray[np.floating], rng: np.random.Generator) -> Estimate:
    """The mean over units of *values* `(n_runs, n_units)`, with an interval over units and runs, both drawn anew.

    A unit whose value is NaN has none in any run. *sd* is that of the units' means over runs.
    """
    present = ~np.isnan(values).any(axis=0)
    kept = np.asarray(values, np.float64)[:, present]
    (n_runs, n), skipped = kept.shape, int((~present).sum())
    if n == 0:
        return Estimate(np.nan, np.nan, np.nan, np.nan, 0, skipped)
    units = rng.multinomial(n, np.full(n, 1.0 / n), size=N_RESAMPLES) / n
    runs = rng.multinomial(n_runs, np.full(n_runs, 1.0 / n_runs), size=N_RESAMPLES) / n_runs
    low, high = np.quantile(((runs @ kept) * units).sum(axis=1), [0.025, 0.975])
    sd = float(kept.mean(axis=0).std(ddof=1)) if n > 1 else 0.0
    return Estimate(float(kept.mean()), sd, float(low), float(high), n, skipped)
