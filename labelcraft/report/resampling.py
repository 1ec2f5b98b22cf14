"""Intervals for a whole table: `bootstrap_crossed`, with every label resampled by the same draws.

A comparison has hundreds of intervals over the same users. Drawing users anew for each costs seconds apiece at ten
thousand users; drawn once, each is a product of counts and values, and labels are compared on the same resamples.
"""

from copy import deepcopy
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from labelcraft.feedback import Floats
from retrieval.metrics.stats import N_RESAMPLES, Estimate


@dataclass(frozen=True)
class _Draws:
    """How often each of n units is drawn, `(N_RESAMPLES, n)` as floats for the product, and the stream after it."""

    counts: NDArray[np.float32]
    after: np.random.Generator


class Resamples:
    """Draws that are made once for each number of units."""

    def __init__(self, seed: int = 0) -> None:
        """Another *seed* gives other draws, so slightly other intervals."""
        self._seed = seed
        self._drawn: dict[int, _Draws] = {}

    def estimate(self, values: Floats) -> Estimate:
        """As `bootstrap_crossed` of *values* `(n_runs, n_units)` with a generator of this seed, to single precision."""
        present = ~np.isnan(values).any(axis=0)
        kept = np.asarray(values, np.float64)[:, present]
        (n_runs, n), skipped = kept.shape, int((~present).sum())
        if n == 0:
            return Estimate(np.nan, np.nan, np.nan, np.nan, 0, skipped)
        draws = self._draws(n)
        runs = deepcopy(draws.after).multinomial(n_runs, np.full(n_runs, 1.0 / n_runs), size=N_RESAMPLES) / n_runs
        means = draws.counts @ kept.T.astype(np.float32) / n  # (N_RESAMPLES, n_runs)
        low, high = np.quantile((means * runs).sum(axis=1), [0.025, 0.975])
        sd = float(kept.mean(axis=0).std(ddof=1)) if n > 1 else 0.0
        return Estimate(float(kept.mean()), sd, float(low), float(high), n, skipped)

    def _draws(self, n: int) -> _Draws:
        if n not in self._drawn:
            rng = np.random.default_rng(self._seed)
            counts = rng.multinomial(n, np.full(n, 1.0 / n), size=N_RESAMPLES).astype(np.float32)
            self._drawn[n] = _Draws(counts, rng)
        return self._drawn[n]
