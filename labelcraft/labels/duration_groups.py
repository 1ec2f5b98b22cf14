"""Groups of videos of like duration, made from training rows.

A duration of 0 means that it is not known. Such rows say nothing of short videos, so they are group 0, apart from the
groups of known durations, which count from 1 in ascending order.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray

from labelcraft.feedback import Floats
from labelcraft.labels.protocol import Arrays

Ints = NDArray[np.int64]
UNKNOWN = 0
CHUNK = 1 << 18  # rows that a label transforms at a time, so that memory is flat


@dataclass(frozen=True, eq=False)
class DurationGroups:
    """*low_s* and *high_s* `(n_groups − 1,)` are the shortest and longest training durations of groups 1 and on."""

    low_s: Floats
    high_s: Floats

    def __len__(self) -> int:
        return len(self.low_s) + 1

    def of(self, duration_s: Floats) -> NDArray[np.uint32]:
        """The group of each duration `(n,)`: of one between two groups the nearer, of two as near the shorter.

        >>> DurationGroups(np.array([5.0, 20.0]), np.array([10.0, 90.0])).of(np.array([0.0, 1.0, 15.0, 16.0])).tolist()
        [0, 1, 1, 2]
        """
        # Longest durations that still belong to the shorter group; the middle of neighbouring floats may be the upper.
        middle = (self.high_s[:-1] + self.low_s[1:]) / 2
        until = np.where(middle < self.low_s[1:], middle, self.high_s[:-1])
        group = np.searchsorted(until, duration_s, side="left").astype(np.uint32) + np.uint32(1)
        group[duration_s <= 0] = UNKNOWN
        return group if len(self.low_s) else np.zeros_like(group)

    def rows_by_group(self, duration_s: Floats) -> Iterator[tuple[int, Ints]]:
        """Each group that has rows in *duration_s* `(n,)`, with those rows in their order."""
        group = self.of(duration_s)
        narrow = group.astype(np.uint16) if len(self) <= 1 << 16 else group  # which numpy sorts by radix
        order = np.argsort(narrow, kind="stable")
        offsets = np.cumsum([0, *np.bincount(group, minlength=len(self))])
        for present in np.flatnonzero(np.diff(offsets)).tolist():
            yield present, order[offsets[present] : offsets[present + 1]]

    def arrays(self) -> Arrays:
        return {"low_s": self.low_s, "high_s": self.high_s}

    @classmethod
    def from_arrays(cls, arrays: Arrays) -> Self:
        """The groups whose `arrays` are among these.

        Raises:
            KeyError or ValueError: they are not groups.
        """
        low_s, high_s = arrays["low_s"], arrays["high_s"]
        if len(low_s) != len(high_s):
            raise ValueError("its groups do not end where they begin")
        return cls(low_s, high_s)


def equal_frequency(duration_s: Floats, n_groups: int, min_rows: int) -> DurationGroups:
    """About *n_groups* groups of as many rows each, equal durations together, none below *min_rows* where that can be.

    Args:
        duration_s: `(n,)`, of the training rows.

    >>> equal_frequency(np.array([1.0, 2.0, 3.0, 4.0, 0.0]), 2, min_rows=1).high_s.tolist()
    [2.0, 4.0]
    """
    values, counts = np.unique(duration_s[duration_s > 0], return_counts=True)
    end = np.cumsum(counts)
    # A duration's group is where the middle of its rows falls, in whole numbers.
    wanted = n_groups * (2 * end - counts) // (2 * max(1, int(counts.sum())))
    return _grouped(values, counts, wanted, min_rows)


def each_second(duration_s: Floats, min_rows: int) -> DurationGroups:
    """A group for each rounded second, neighbours merged until each holds *min_rows*.

    Args:
        duration_s: `(n,)`, of the training rows.
    """
    values, counts = np.unique(duration_s[duration_s > 0], return_counts=True)
    return _grouped(values, counts, np.rint(values).astype(np.int64), min_rows)


def _grouped(values: Floats, counts: Ints, wanted: Ints, min_rows: int) -> DurationGroups:
    """Groups of the ascending durations *values*, of which those of one *wanted* stay together."""
    if not len(values):
        return DurationGroups(values, values)
    starts = np.flatnonzero(np.diff(wanted, prepend=wanted[0] - 1))
    firsts = starts[_merged(np.add.reduceat(counts, starts), min_rows)]
    lasts = np.append(firsts[1:], len(values)) - 1
    return DurationGroups(values[firsts], values[lasts])


def _merged(counts: Ints, min_rows: int) -> Ints:
    """Which groups start one of at least *min_rows*: a small one takes in the next, the last joins the one before."""
    firsts, n_rows = [0], 0
    for group, count in enumerate(counts.tolist()):
        if n_rows >= min_rows:
            firsts.append(group)
            n_rows = 0
        n_rows += count
    if n_rows < min_rows and len(firsts) > 1:
        firsts.pop()
    return np.array(firsts, np.int64)
