"""Sums per user as metrics see them: numerator and denominator by bucket, and the same of the time before."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from labelcraft.experiments import metrics as m
from labelcraft.experiments.counts import Counts
from labelcraft.experiments.metrics import Metric
from labelcraft.experiments.uplift import Arm, Floats, capped


@dataclass(frozen=True)
class UserTable:
    """The sums to compare, and the metrics made of them."""

    counts: Counts
    sums: Mapping[str, Floats]
    before: Mapping[str, Floats] | None
    metrics: Sequence[Metric]

    def users(self, bucket: str) -> np.ndarray:
        return np.flatnonzero(self.counts.bucket == self.counts.buckets.index(bucket))

    def arm(self, metric: Metric, bucket: str, centre: float | None = None) -> Arm:
        """The users of a bucket; with the covariates of CUPED where *centre*, the metric before, is given."""
        users = self.users(bucket)
        numerator, denominator = (one[users] for one in pair_of(self.sums, metric))
        return Arm(numerator, denominator, None if centre is None else self._covariates(metric, users, centre))

    def columns(self, bucket: str) -> Mapping[str, Floats]:
        """Each column that a metric is made of, once, of the users of a bucket; "" counts the users."""
        users = self.users(bucket)
        names = dict.fromkeys(name for metric in self.metrics for name in (metric.numerator, metric.denominator))
        return {name: self.sums[name][users] if name else np.ones(len(users)) for name in names}

    def had_before(self, metric: Metric) -> bool:
        return self.before is not None and {metric.numerator, metric.denominator or metric.numerator} <= set(
            self.before
        )

    def arm_before(self, metric: Metric, bucket: str) -> Arm:
        """The same users in the time before."""
        users = self.users(bucket)
        return Arm(*(one[users] for one in pair_of(self.before or {}, metric)))

    def _covariates(self, metric: Metric, users: np.ndarray, centre: float) -> Floats:
        """What of the metric a user had before, and whether they were there: a mean of one is no start of a new one."""
        numerator, denominator = (one[users] for one in pair_of(self.before or {}, metric))
        had = numerator - centre * denominator if metric.denominator else numerator
        return np.stack([had, self.counts.was_there[users].astype(np.float64)], axis=1)


def pair_of(sums: Mapping[str, Floats], metric: Metric) -> tuple[Floats, Floats]:
    """Numerator and denominator of each user."""
    numerator = sums[metric.numerator]
    return numerator, sums[metric.denominator] if metric.denominator else np.ones(len(numerator))


def capped_sums(
    counts: Counts, quantile: float
) -> tuple[Mapping[str, Floats], Mapping[str, Floats] | None, float | None]:
    """The sums with the watch time of each user capped, in the time before by a cap of its own."""
    if quantile >= 1:
        return counts.sums, counts.before, None
    watch_s, cap_s = capped(counts.sums[m.WATCH_S], quantile)
    before = counts.before
    if before is not None:
        before = {**before, m.WATCH_S: capped(before[m.WATCH_S], quantile)[0]}
    return {**counts.sums, m.WATCH_S: watch_s}, before, cap_s
