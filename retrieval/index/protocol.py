"""What a vector index is: the answer it gives and the one method that gives it."""

from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

Half = NDArray[np.float16]
Mask = NDArray[np.bool_]


@dataclass(frozen=True)
class Neighbours:
    """The best rows of each query, best first, equal scores by row.

    *rows* `(n_queries, k)`, −1 where fewer were eligible; *scores* `(n_queries, k)` float32, −inf there.
    """

    rows: NDArray[np.int64]
    scores: NDArray[np.float32]


class VectorIndex(Protocol):
    """Maximum inner product search over fp16 vectors. Every index here is exact: exhaustive over the stored values."""

    @property
    def n_items(self) -> int: ...

    def search(self, queries: NDArray[np.float32], k: int, eligible: Mask | None = None) -> Neighbours:
        """The *k* eligible rows of the largest inner product with each query.

        Args:
            queries: `(n_queries, dim)`.
            k: at least 1; more than the index holds is allowed and padded.
            eligible: `(n_items,)`, true where a row may be returned; all by default.
        """
        ...


def take_best(rows: NDArray[np.int64], scores: NDArray[np.float32], k: int) -> Neighbours:
    """The *k* best of unsorted candidates `(n_queries, n)`; a score of −inf means that there is none."""
    order = np.lexsort((rows, -scores), axis=-1)[:, :k]
    rows, scores = np.take_along_axis(rows, order, 1), np.take_along_axis(scores, order, 1)
    pad = ((0, 0), (0, max(0, k - rows.shape[1])))
    scores = np.pad(scores, pad, constant_values=-np.inf)
    return Neighbours(np.where(np.isneginf(scores), -1, np.pad(rows, pad, constant_values=-1)), scores)
