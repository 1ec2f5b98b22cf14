"""Rows that lie in several segments, read as if they were one array in the order of a snapshot."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Local = NDArray[np.int32]


@dataclass(frozen=True)
class Placement:
    """Where each row of a snapshot lies: its *segment* and its *local* row there, both `(n,)`.

    Rows of one segment stand in its own order, so that what is first among equals is the same in every segment and in
    the whole.
    """

    segment: Local
    local: Local

    def __len__(self) -> int:
        return len(self.segment)

    def __getitem__(self, rows: Any) -> "Placement":
        return Placement(self.segment[rows], self.local[rows])

    def is_whole(self, n_local: int) -> bool:
        """Whether these are just the *n_local* rows of the first segment, each at its own place."""
        return len(self) == n_local and not self.segment.any() and bool((self.local == np.arange(n_local)).all())

    def in_segment(self, number: int) -> NDArray[np.int64]:
        """The rows that lie in one segment, ascending."""
        return np.flatnonzero(self.segment == number)

    def counts(self, n_segments: int) -> NDArray[np.int64]:
        """How many rows lie in each segment."""
        return np.bincount(self.segment, minlength=n_segments)

    def as_array(self) -> Local:
        """`(2, n)`, as it is stored."""
        return np.stack([self.segment, self.local])


def placement_of(array: NDArray[Any], lengths: Sequence[int]) -> Placement:
    """The placement stored as `(2, n)`, over segments of these *lengths*.

    Raises:
        ValueError: it names a row that no segment has, or the rows of a segment twice or out of order.
    """
    placement = Placement(*np.asarray(array, np.int32).reshape(2, -1))
    if len(placement) and not 0 <= placement.segment.min() <= placement.segment.max() < len(lengths):
        raise ValueError("a placement names a segment that is not there")
    for number, length in enumerate(lengths):
        local = placement.local[placement.in_segment(number)]
        if len(local) and not (local[0] >= 0 and local[-1] < length and (np.diff(local) > 0).all()):
            raise ValueError("a placement names rows that its segment does not have, or out of order")
    return placement


def whole(n: int, segment: int = 0) -> Placement:
    """The placement of *n* rows that are all of one segment."""
    return Placement(np.full(n, segment, np.int32), np.arange(n, dtype=np.int32))


@dataclass(frozen=True)
class Stacked:
    """Arrays of several segments as one, gathered only where it is asked for; indexed like an array by its rows.

    Where segments differ in the second dimension (frames of a video) the shorter ones are padded with *fill*.
    """

    parts: Sequence[NDArray[Any]]
    placement: Placement
    fill: float = 0.0

    def __len__(self) -> int:
        return len(self.placement)

    @property
    def dtype(self) -> np.dtype[Any]:
        return self.parts[0].dtype

    @property
    def shape(self) -> tuple[int, ...]:
        return (len(self), *np.max([part.shape[1:] for part in self.parts], axis=0).astype(int).tolist())

    def __getitem__(self, rows: Any) -> NDArray[Any]:
        wanted = self.placement[rows]
        out = np.full((*np.shape(wanted.segment), *self.shape[1:]), self.fill, self.dtype)
        for number in np.unique(wanted.segment):
            mine = wanted.segment == number
            out[mine] = self._padded(self.parts[number][wanted.local[mine]])
        return out

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> NDArray[Any]:
        return np.asarray(self[:], dtype)

    def _padded(self, rows: NDArray[Any]) -> NDArray[Any]:
        missing = [(0, whole - there) for whole, there in zip(self.shape[1:], rows.shape[1:], strict=True)]
        return np.pad(rows, [(0, 0), *missing], constant_values=self.fill) if any(map(any, missing)) else rows


Rows = NDArray[Any] | Stacked
"""What is indexed by a snapshot's rows: one array, or several stacked."""


def stacked(parts: Sequence[NDArray[Any]], placement: Placement, fill: float = 0.0) -> Rows:
    """The rows of *placement*: the first array itself where they are all of its rows, and only these."""
    return parts[0] if placement.is_whole(len(parts[0])) else Stacked(parts, placement, fill)
