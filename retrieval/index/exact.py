"""Exhaustive search in numpy: the oracle that other indexes are held to, and the index where FAISS is not installed."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from retrieval.index.protocol import Half, Mask, Neighbours, best_of_both, no_neighbours, take_best

ROWS_AT_ONCE = 65_536  # decoded to fp32 they take 128 MB at 512 dimensions, where a million at once would take 2 GB
QUERIES_AT_ONCE = 64  # scores of one block take 16 MB


@dataclass(frozen=True)
class ExactIndex:
    """Inner products with the decoded fp16 values *vectors* `(n_items, dim)`: it holds no copy of them."""

    vectors: Half
    exact = True

    @property
    def n_items(self) -> int:
        return len(self.vectors)

    def search(self, queries: NDArray[np.float32], k: int, eligible: Mask | None = None) -> Neighbours:
        """The *k* best eligible rows of each query; see `VectorIndex.search`."""
        rows = np.arange(self.n_items) if eligible is None else np.flatnonzero(eligible)
        best = no_neighbours(len(queries), k)
        for start in range(0, len(rows), ROWS_AT_ONCE):
            block = rows[start : start + ROWS_AT_ONCE]
            best = best_of_both(best, _best_of_block(queries, self.vectors[block].astype(np.float32), block, k), k)
        return best


def _best_of_block(
    queries: NDArray[np.float32], decoded: NDArray[np.float32], rows: NDArray[np.int64], k: int
) -> Neighbours:
    answers = [
        _best_of(queries[start : start + QUERIES_AT_ONCE] @ decoded.T, rows, k)
        for start in range(0, len(queries), QUERIES_AT_ONCE)
    ]
    answers = answers or [no_neighbours(0, k)]
    return Neighbours(np.concatenate([a.rows for a in answers]), np.concatenate([a.scores for a in answers]))


def _best_of(scores: NDArray[np.float32], rows: NDArray[np.int64], k: int) -> Neighbours:
    """The *k* best of all scores: only those at least as good as the k-th are sorted, ties included."""
    if 0 < k < scores.shape[1]:
        bar = -np.partition(-scores, k - 1, axis=1)[:, k - 1 : k]
        n_kept = int((scores >= bar).sum(axis=1).max())
        picked = np.argpartition(np.where(scores >= bar, -scores, np.inf), n_kept - 1, axis=1)[:, :n_kept]
        return take_best(rows[picked], np.take_along_axis(scores, picked, 1), k)
    return take_best(np.broadcast_to(rows, scores.shape), scores, k)
