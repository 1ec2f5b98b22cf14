"""One index over several immutable ones: a base and the deltas since, of which some rows are no longer living."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from retrieval.index.protocol import Mask, Neighbours, VectorIndex, take_best
from retrieval.stacked import Placement


@dataclass(frozen=True)
class _Part:
    """One segment's index. *rows* `(n_local + 1,)` are the rows outside of its own, −1 for the dead and for none.

    *alive* is None where no row is dead.
    """

    index: VectorIndex
    rows: NDArray[np.int64]
    alive: Mask | None

    def search(self, queries: NDArray[np.float32], k: int, eligible: Mask | None) -> Neighbours:
        found = self.index.search(queries, k, self.alive if eligible is None else self._local(eligible))
        return Neighbours(self.rows[found.rows], found.scores)  # −1, for none, takes the last of rows: −1

    def _local(self, eligible: Mask) -> Mask:
        """*eligible* by the segment's own rows: those that are dead read the False behind its end."""
        return np.append(eligible, False)[self.rows[:-1]]


class SegmentedIndex:
    """The living rows of several *indexes*, as *placement* says; it answers as one index over them would."""

    def __init__(self, indexes: Sequence[VectorIndex], placement: Placement) -> None:
        self._n_items = len(placement)
        rows_of = [placement.in_segment(number) for number in range(len(indexes))]
        self._parts = [
            _part_of(index, placement, rows) for index, rows in zip(indexes, rows_of, strict=True) if len(rows)
        ]

    @property
    def n_items(self) -> int:
        return self._n_items

    @property
    def exact(self) -> bool:
        return all(part.index.exact for part in self._parts)

    def search(self, queries: NDArray[np.float32], k: int, eligible: Mask | None = None) -> Neighbours:
        """The *k* best eligible rows of each query; see `VectorIndex.search`."""
        if eligible is not None and np.count_nonzero(eligible) == self._n_items:
            eligible = None  # nothing is filtered out: spare the copy of the mask for each segment
        found = [part.search(queries, k, eligible) for part in self._parts]
        if not found:
            return take_best(np.empty((len(queries), 0), np.int64), np.empty((len(queries), 0), np.float32), k)
        rows = np.concatenate([one.rows for one in found], axis=1)
        return take_best(rows, np.concatenate([one.scores for one in found], axis=1), k)


def segmented(indexes: Sequence[VectorIndex], placement: Placement) -> VectorIndex:
    """An index over the rows of *placement*: the first itself where they are all of its rows, and only these."""
    return indexes[0] if placement.is_whole(indexes[0].n_items) else SegmentedIndex(indexes, placement)


def _part_of(index: VectorIndex, placement: Placement, rows: NDArray[np.int64]) -> _Part:
    outside = np.full(index.n_items + 1, -1, np.int64)
    outside[placement.local[rows]] = rows
    return _Part(index, outside, None if len(rows) == index.n_items else outside[:-1] >= 0)
