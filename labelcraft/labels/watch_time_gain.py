"""The label that measures a watch time against the mean of videos of like duration."""

from dataclasses import dataclass
from typing import ClassVar, Self

import numpy as np

from labelcraft.feedback import Feedback, Floats
from labelcraft.labels.duration_groups import CHUNK, UNKNOWN, DurationGroups, each_second
from labelcraft.labels.normal import normal_cdf, normal_quantile
from labelcraft.labels.protocol import Head, State, require_rows, unfitted

MIN_ROWS = 100  # a group's mean watch time is then known to a tenth of its deviation
MIN_SIGMA_SHARE, MIN_SIGMA_S = 0.05, 0.1  # of the deviation of all rows, and in any case
MAX_GAIN = 5.0  # standard deviations; float32 can hardly tell Φ of more from 1


@dataclass(frozen=True, eq=False)
class Moments:
    """Mean *mu_s* and standard deviation *sigma_s* `(n_groups,)` of the watch times of each duration group."""

    groups: DurationGroups
    mu_s: Floats
    sigma_s: Floats
    n_rows: int


@dataclass(frozen=True)
class WatchTimeGain:
    """DVR's watch-time gain: z = (w − μ) / σ of the row's duration group, its unit Φ(z).

    Groups are rounded seconds, neighbours merged until each holds *min_rows*. σ is the sample deviation, at least 5 %
    of that of all training rows and a tenth of a second, so that a group of equal watch times does not make a gain of
    every millisecond. Replays count in full, in μ and σ too. Rows of unknown duration are a group of their own, and
    compared with all rows where they are fewer than *min_rows*. Gains beyond 5 σ have the unit of 5 σ.
    """

    name: ClassVar[str] = "DVR"
    head: ClassVar[Head] = Head.MSE

    min_rows: int = MIN_ROWS
    moments: Moments | None = None

    def fit(self, feedback: Feedback) -> Self:
        require_rows(self.name, feedback)
        groups = each_second(feedback.duration_s, self.min_rows)
        return type(self)(self.min_rows, _moments_of(feedback, groups, self.min_rows))

    def transform(self, feedback: Feedback) -> Floats:
        fitted = self._fitted()
        gains = np.empty(len(feedback))
        for start in range(0, len(feedback), CHUNK):
            rows = slice(start, start + CHUNK)
            group = fitted.groups.of(feedback.duration_s[rows])
            gains[rows] = (feedback.watch_s[rows] - fitted.mu_s[group]) / fitted.sigma_s[group]
        return gains

    def to_unit(self, values: Floats) -> Floats:
        return normal_cdf(np.clip(values, -MAX_GAIN, MAX_GAIN))

    def seconds(self, unit: Floats, duration_s: Floats) -> Floats:
        """The watch time z σ + μ, at least 0."""
        fitted = self._fitted()
        group = fitted.groups.of(duration_s)
        gains = np.clip(normal_quantile(unit), -MAX_GAIN, MAX_GAIN)
        return np.maximum(gains * fitted.sigma_s[group] + fitted.mu_s[group], 0.0)

    def state(self) -> State:
        fitted = self._fitted()
        fields = {"min_rows": self.min_rows, "n_rows": fitted.n_rows}
        return State(fields, {**fitted.groups.arrays(), "mu_s": fitted.mu_s, "sigma_s": fitted.sigma_s})

    @classmethod
    def from_state(cls, state: State) -> Self:
        fields, arrays = state
        groups, mu_s, sigma_s = DurationGroups.from_arrays(arrays), arrays["mu_s"], arrays["sigma_s"]
        if not len(groups) == len(mu_s) == len(sigma_s):
            raise ValueError("its means are not those of its groups")
        return cls(int(fields["min_rows"]), Moments(groups, mu_s, sigma_s, int(fields["n_rows"])))

    def _fitted(self) -> Moments:
        if self.moments is None:
            raise unfitted(self.name)
        return self.moments


def _moments_of(feedback: Feedback, groups: DurationGroups, min_rows: int) -> Moments:
    """The moments of each group; of all rows in place of too few of unknown duration."""
    watch_s, group = feedback.watch_s, groups.of(feedback.duration_s)
    n_rows = np.bincount(group, minlength=len(groups))
    mu_s = np.bincount(group, watch_s, len(groups)) / np.maximum(n_rows, 1)
    squares = np.bincount(group, (watch_s - mu_s[group]) ** 2, len(groups))
    sigma_s = np.sqrt(squares / np.maximum(n_rows - 1, 1))
    overall_s = float(watch_s.std(ddof=1)) if len(watch_s) > 1 else 0.0
    if n_rows[UNKNOWN] < min_rows:
        mu_s[UNKNOWN], sigma_s[UNKNOWN] = watch_s.mean(), overall_s
    return Moments(groups, mu_s, np.maximum(sigma_s, max(MIN_SIGMA_SHARE * overall_s, MIN_SIGMA_S)), len(feedback))
