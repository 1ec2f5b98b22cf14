"""Lists of different lengths as flat arrays: what keeps Python loops over users out of the hot paths."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Ints = NDArray[np.int64]


@dataclass(frozen=True)
class Ragged:
    """Row i is values[offsets[i]:offsets[i + 1]].

    >>> lists = Ragged(np.array([7, 8, 9]), np.array([0, 2, 2, 3]))
    >>> lists[0].tolist(), lists[1].tolist(), lists.lengths.tolist()
    ([7, 8], [], [2, 0, 1])
    """

    values: Ints
    offsets: Ints

    def __len__(self) -> int:
        return len(self.offsets) - 1

    def __getitem__(self, row: int) -> Ints:
        return self.values[self.offsets[row] : self.offsets[row + 1]]

    @property
    def lengths(self) -> Ints:
        return np.diff(self.offsets)


def group(owners: Ints, values: Ints, n_owners: int) -> Ragged:
    """Gather *values* by owner, keeping their order.

    >>> group(np.array([1, 0, 1]), np.array([5, 6, 7]), 3)[1].tolist()
    [5, 7]
    """
    order = np.argsort(owners, kind="stable")
    return Ragged(values[order], offsets_of(np.bincount(owners, minlength=n_owners)))


def offsets_of(lengths: Ints) -> Ints:
    """Where each list starts, and where the last one ends."""
    return np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)


def spans(starts: Ints, lengths: Ints) -> Ints:
    """The positions starts[i] … starts[i] + lengths[i] − 1 of every i, one after the other.

    >>> spans(np.array([10, 20]), np.array([2, 3])).tolist()
    [10, 11, 20, 21, 22]
    """
    shift = np.repeat(starts - offsets_of(lengths)[:-1], lengths)
    return shift + np.arange(int(lengths.sum()))
