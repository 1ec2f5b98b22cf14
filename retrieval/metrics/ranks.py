"""Ranks within short lists: a feed is far shorter than a log, so it is compared with itself rather than sorted with it.

A feed of 10 slots has 45 pairs. Feeds of one length stand side by side as columns of a grid `(length, n_feeds)`, and
one comparison of two rows serves all of them: a few bytes and no branch for each pair. A sort of the whole log moves
every row log₂ n times.
"""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from retrieval.ragged import offsets_of, spans

Scores = NDArray[np.floating] | NDArray[np.integer]
Ints = NDArray[np.int64]
Ranks = NDArray[np.int32]

LONGEST_COMPARED = 128  # above this, pairs cost as much as a sort
_BLOCK_CELLS = 1 << 17  # a grid of float32 and its comparisons stay in a core's own cache


def ranks_within(scores: Scores, offsets: Ints, ties: Ints) -> Ranks:
    """The rank of each row within its feed, `(n,)`: 1 for the highest score.

    Args:
        scores: `(n,)`, finite or infinite.
        offsets: `(n_feeds + 1,)`, where each feed starts and the last one ends.
        ties: `(n,)`, which of equal scores comes first: the lower one. A hash of the ids, never the logged order, which
            would lend a policy without an opinion the opinion of the logging policy.

    Raises:
        ValueError: a score is not a number, or there are not as many as rows.

    >>> ranks_within(np.array([0.1, 0.7, 0.7, 0.3]), np.array([0, 3, 4]), ties=np.array([4, 2, 1, 3])).tolist()
    [3, 2, 1, 1]
    """
    if not len(scores) == len(ties) == offsets[-1]:
        raise ValueError(f"there are {len(scores)} scores and {len(ties)} ties for {offsets[-1]} rows")
    if np.isnan(scores).any():
        raise ValueError("a score is not a number")
    lengths = np.diff(offsets)
    short = np.ones(len(scores), np.uint8)
    with np.errstate(over="ignore"):
        rough = np.asarray(scores, np.float32)
    for cells in _grids(offsets[:-1], lengths):
        short[cells] = _compared(scores, rough, ties, cells)
    return _with_long(short, scores, offsets, ties)


def falling_ranks(values: Scores, offsets: Ints) -> Ranks:
    """As `ranks_within`, where it is all the same which of equal *values* comes first."""
    short = np.ones(len(values), np.uint8)
    for cells in _grids(offsets[:-1], np.diff(offsets)):
        short[cells] = _any_order(values.take(cells))
    return _with_long(short, values, offsets, np.zeros(len(values), np.int64))


def _with_long(short: NDArray[np.uint8], scores: Scores, offsets: Ints, ties: Ints) -> Ranks:
    """The ranks of *short* feeds as they are, and those of the long ones by a sort."""
    ranks, lengths = short.astype(np.int32), np.diff(offsets)
    long = lengths > LONGEST_COMPARED
    if long.any():
        rows = spans(offsets[:-1][long], lengths[long])
        ranks[rows] = _sorted(scores[rows], lengths[long], ties[rows])
    return ranks


def _grids(starts: Ints, lengths: Ints) -> Iterator[Ints]:
    """The rows of the short feeds with more than one, feeds of one length together: `(length, n_feeds)` at a time."""
    short = np.minimum(lengths, LONGEST_COMPARED + 1).astype(np.uint8)
    by_length = np.argsort(short, kind="stable")  # a radix sort of bytes
    ends = np.cumsum(np.bincount(short, minlength=LONGEST_COMPARED + 2))
    for length in range(2, LONGEST_COMPARED + 1):
        step = _BLOCK_CELLS // length
        for first in range(ends[length - 1], ends[length], step):
            feeds = by_length[first : min(first + step, ends[length])]
            yield starts[feeds] + np.arange(length)[:, None]


def _compared(scores: Scores, rough: NDArray[np.float32], ties: Ints, cells: Ints) -> NDArray[np.uint8]:
    """The ranks of a grid's rows: by *rough* scores, half as many bytes, and in full where those leave two equal.

    Rounding turns no order round, so where no two are equal the rough ranks are the ranks.
    """
    ranks = _competition(rough.take(cells))
    length = len(cells)
    # Ranks 1 … length add up to this; where two are equal, both have the better rank and less comes out.
    tied = np.flatnonzero(ranks.sum(axis=0, dtype=np.int32) < length * (length + 1) // 2)
    if len(tied):
        ranks[:, tied] = _total(scores[cells[:, tied]], ties[cells[:, tied]])
    return ranks


def _competition(values: Scores) -> NDArray[np.uint8]:
    """1 + how many of its column are higher, `(length, n_feeds)`."""
    ranks = np.ones(values.shape, np.uint8)
    for row in range(1, len(values)):
        ranks[row] += _count(values[:row] > values[row])
        ranks[:row] += values[row] > values[:row]
    return ranks


def _total(values: Scores, ties: Ints) -> NDArray[np.uint8]:
    ranks = np.ones(values.shape, np.uint8)
    for row in range(1, len(values)):
        equal_and_first = (values[:row] == values[row]) & (ties[:row] <= ties[row])
        above = (values[:row] > values[row]) | equal_and_first
        ranks[row] += _count(above)
        ranks[:row] += ~above
    return ranks


def _any_order(values: Scores) -> NDArray[np.uint8]:
    ranks = np.ones(values.shape, np.uint8)
    for row in range(1, len(values)):
        above = values[:row] >= values[row]
        ranks[row] += _count(above)
        ranks[:row] += ~above
    return ranks


def _sorted(scores: Scores, lengths: Ints, ties: Ints) -> Ints:
    """The ranks of feeds too long to compare."""
    feed = np.repeat(np.arange(len(lengths)), lengths)
    # Negated as float64: an unsigned score would wrap round, and a small integer loses nothing.
    order = np.lexsort((ties, -np.asarray(scores, np.float64), feed))
    ranks = np.empty(len(scores), np.int64)
    ranks[order] = np.arange(len(scores)) - np.repeat(offsets_of(lengths)[:-1], lengths) + 1
    return ranks


def _count(rows: NDArray[np.bool_]) -> NDArray[np.uint8]:
    """How many of each column are true, `(n_feeds,)`.

    As bytes, since a sum of booleans is converted first; into an array that is there, which numpy adds to row by row:
    without one it goes column by column, at a thirteenth of the speed.
    """
    counts = np.empty(rows.shape[1], np.uint8)
    np.add.reduce(rows.view(np.uint8), axis=0, out=counts)
    return counts
