"""The label that ranks a watch time among those of videos of like duration."""

from dataclasses import dataclass
from typing import ClassVar, Self

import numpy as np

from labelcraft.feedback import Feedback, Floats
from labelcraft.labels.duration_groups import CHUNK, UNKNOWN, DurationGroups, Ints, equal_frequency
from labelcraft.labels.protocol import Head, State, require_rows, unfitted

MIN_ROWS = 30
STEPS = 4096  # a group's quantiles are exact up to so many distinct watch times, and within 1 / STEPS beyond


@dataclass(frozen=True, eq=False)
class Quantiles:
    """The empirical quantiles of watch time in each duration group, linear between knots.

    Group g's knots are *offsets*[g] to *offsets*[g + 1]: distinct training watch times *watch_s*, ascending, and the
    mid-rank *rank* of each, (rows below + half the rows equal) / rows.
    """

    groups: DurationGroups
    offsets: Ints
    watch_s: Floats
    rank: Floats
    n_rows: int

    def rank_of(self, watch_s: Floats, duration_s: Floats) -> Floats:
        return self._interpolated(watch_s, duration_s, self.watch_s, self.rank)

    def watch_of(self, rank: Floats, duration_s: Floats) -> Floats:
        return self._interpolated(rank, duration_s, self.rank, self.watch_s)

    def _interpolated(self, at: Floats, duration_s: Floats, knots: Floats, values: Floats) -> Floats:
        """*values* at *at* between the *knots* of each row's group; those of the ends beyond them."""
        found = np.empty(len(at))
        for start in range(0, len(at), CHUNK):
            asked, chunk = at[start : start + CHUNK], found[start : start + CHUNK]
            for group, rows in self.groups.rows_by_group(duration_s[start : start + CHUNK]):
                own = slice(self.offsets[group], self.offsets[group + 1])
                chunk[rows] = np.interp(asked[rows], knots[own], values[own])
        return found


@dataclass(frozen=True)
class DurationToQuantile:
    """D2Q: the quantile of a watch time among the training rows of its duration group, in (0, 1).

    Rows of equal watch time share the mean of their ranks. A watch time between two of training lies between their
    quantiles, one beyond all has the last. Replays rank above single views of their group. Rows of unknown duration are
    a group of their own, and compared with all rows where they are fewer than *min_rows*.
    """

    name: ClassVar[str] = "D2Q"
    head: ClassVar[Head] = Head.MSE

    n_groups: int = 30
    min_rows: int = MIN_ROWS
    quantiles: Quantiles | None = None

    def fit(self, feedback: Feedback) -> Self:
        require_rows(self.name, feedback)
        groups = equal_frequency(feedback.duration_s, self.n_groups, self.min_rows)
        return type(self)(self.n_groups, self.min_rows, _quantiles_of(feedback, groups, self.min_rows))

    def transform(self, feedback: Feedback) -> Floats:
        return self._fitted().rank_of(feedback.watch_s, feedback.duration_s)

    def to_unit(self, values: Floats) -> Floats:
        return values

    def seconds(self, unit: Floats, duration_s: Floats) -> Floats:
        """The watch time of this quantile in the group, between the shortest and the longest of training."""
        return self._fitted().watch_of(unit, duration_s)

    def state(self) -> State:
        fitted = self._fitted()
        fields = {"n_groups": self.n_groups, "min_rows": self.min_rows, "n_rows": fitted.n_rows}
        return State(
            fields,
            {
                **fitted.groups.arrays(),
                "offsets": fitted.offsets,
                "watch_s": fitted.watch_s,
                "rank": fitted.rank,
            },
        )

    @classmethod
    def from_state(cls, state: State) -> Self:
        fields, arrays = state
        groups = DurationGroups.from_arrays(arrays)
        offsets, watch_s, rank = arrays["offsets"], arrays["watch_s"], arrays["rank"]
        if len(offsets) != len(groups) + 1 or not offsets[-1] == len(watch_s) == len(rank):
            raise ValueError("its quantiles are not those of its groups")
        quantiles = Quantiles(groups, offsets, watch_s, rank, int(fields["n_rows"]))
        return cls(int(fields["n_groups"]), int(fields["min_rows"]), quantiles)

    def _fitted(self) -> Quantiles:
        if self.quantiles is None:
            raise unfitted(self.name)
        return self.quantiles


def _quantiles_of(feedback: Feedback, groups: DurationGroups, min_rows: int) -> Quantiles:
    """The quantiles of each group; of all rows in place of too few of unknown duration."""
    watch_s, rank = [np.empty(0)] * len(groups), [np.empty(0)] * len(groups)
    for group, rows in groups.rows_by_group(feedback.duration_s):
        watch_s[group], rank[group] = _knots(feedback.watch_s[rows])
    if np.count_nonzero(feedback.duration_s <= 0) < min_rows:
        watch_s[UNKNOWN], rank[UNKNOWN] = _knots(feedback.watch_s)
    offsets = np.cumsum([0, *(len(knots) for knots in watch_s)])
    return Quantiles(groups, offsets, np.concatenate(watch_s), np.concatenate(rank), len(feedback))


def _knots(watch_s: Floats) -> tuple[Floats, Floats]:
    """The distinct watch times of a group, and the mid-rank of each.

    Of more than `STEPS`, the first and the last of each `STEPS`-th of the ranks are kept, so that what is left out lies
    between two that differ by less.
    """
    values, counts = np.unique(watch_s, return_counts=True)
    rank = (2 * np.cumsum(counts) - counts) / (2 * len(watch_s))
    if len(values) <= STEPS:
        return values, rank
    step = np.floor(rank * STEPS)
    kept = (np.diff(step, prepend=-1) != 0) | (np.diff(step, append=STEPS) != 0)
    return values[kept], rank[kept]
