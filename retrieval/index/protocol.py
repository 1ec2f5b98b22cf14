"""What a vector index is: the answer it gives and the one method that gives it."""

from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from retrieval.half import Half as Half

Mask = NDArray[np.bool_]


@dataclass(frozen=True)
class Neighbours:
    """The best rows of each query, best first, equal scores by row.

    *rows* `(n_queries, k)`, −1 where fewer were eligible; *scores* `(n_queries, k)` float32, −inf there.
    """

    rows: NDArray[np.int64]
    scores: NDArray[np.float32]


class VectorIndex(Protocol):
    """Maximum inner product search over fp16 vectors."""

    @property
    def n_items(self) -> int: ...

    @property
    def exact(self) -> bool:
        """Whether every answer is exhaustive over the stored vectors: the decoded fp16 values."""
        ...

    def search(self, queries: NDArray[np.float32], k: int, eligible: Mask | None = None) -> Neighbours:
        """The *k* eligible rows of the largest inner product with each query.

        An index that is not exact may miss some of the best, but returns *k* rows whenever so many are eligible.

        Args:
            queries: `(n_queries, dim)`.
            k: at least 1; more than the index holds is allowed and padded.
            eligible: `(n_items,)`, true where a row may be returned; all by default.
        """
        ...


def take_best(rows: NDArray[np.int64], scores: NDArray[np.float32], k: int) -> Neighbours:
    """The *k* best of unsorted candidates `(n_queries, n)`; a score of −inf means that there is none."""
    order = np.lexsort((rows, -scores), axis=-1)[:, :k]
    best, n = no_neighbours(len(rows), k), order.shape[1]
    best.scores[:, :n] = np.take_along_axis(scores, order, 1)
    best.rows[:, :n] = np.where(np.isneginf(best.scores[:, :n]), -1, np.take_along_axis(rows, order, 1))
    return best


def no_neighbours(n_queries: int, k: int) -> Neighbours:
    """The answer where nothing is eligible."""
    return Neighbours(np.full((n_queries, k), -1, np.int64), np.full((n_queries, k), -np.inf, np.float32))


def best_of_both(one: Neighbours, other: Neighbours, k: int) -> Neighbours:
    """The *k* best of two answers to the same queries over different rows."""
    return take_best(np.hstack([one.rows, other.rows]), np.hstack([one.scores, other.scores]), k)
