"""Exhaustive search in numpy: the oracle that other indexes are held to, and the index where FAISS is not installed."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from retrieval.index.protocol import Half, Mask, Neighbours, take_best

QUERIES_AT_ONCE = 64  # scores of one block over a million items take 256 MB


@dataclass(frozen=True)
class ExactIndex:
    """Inner products with the decoded fp16 values *vectors* `(n_items, dim)`."""

    vectors: Half

    @property
    def n_items(self) -> int:
        return len(self.vectors)

    def search(self, queries: NDArray[np.float32], k: int, eligible: Mask | None = None) -> Neighbours:
        """The *k* best eligible rows of each query; see `VectorIndex.search`."""
        rows = np.arange(self.n_items) if eligible is None else np.flatnonzero(eligible)
        decoded = self.vectors[rows].astype(np.float32)
        blocks = [
            _best_of(queries[start : start + QUERIES_AT_ONCE] @ decoded.T, rows, k)
            for start in range(0, len(queries), QUERIES_AT_ONCE)
        ]
        if not blocks:
            return Neighbours(np.empty((0, k), np.int64), np.empty((0, k), np.float32))
        return Neighbours(np.concatenate([b.rows for b in blocks]), np.concatenate([b.scores for b in blocks]))


def _best_of(scores: NDArray[np.float32], rows: NDArray[np.int64], k: int) -> Neighbours:
    """The *k* best of all scores: only those at least as good as the k-th are sorted, ties included."""
    if 0 < k < scores.shape[1]:
        bar = -np.partition(-scores, k - 1, axis=1)[:, k - 1 : k]
        n_kept = int((scores >= bar).sum(axis=1).max())
        picked = np.argpartition(np.where(scores >= bar, -scores, np.inf), n_kept - 1, axis=1)[:, :n_kept]
        return take_best(rows[picked], np.take_along_axis(scores, picked, 1), k)
    return take_best(np.broadcast_to(rows, scores.shape), scores, k)
