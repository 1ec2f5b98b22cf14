"""Exact fp16 inner product in FAISS. The only module that imports faiss."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from retrieval.errors import import_extra
from retrieval.index.exact import ExactIndex
from retrieval.index.planner import Plan, plan_search
from retrieval.index.protocol import Half, Mask, Neighbours, take_best


class FaissIndex:
    """A flat index of fp16 *vectors* `(n_items, dim)`, kept as given and scanned whole: search is exact."""

    def __init__(self, vectors: Half) -> None:
        self._faiss: Any = import_extra("faiss", "cpu")
        self._oracle = ExactIndex(vectors)
        fp16, inner_product = self._faiss.ScalarQuantizer.QT_fp16, self._faiss.METRIC_INNER_PRODUCT
        self._index = self._faiss.IndexScalarQuantizer(vectors.shape[1], fp16, inner_product)
        self._index.add(np.ascontiguousarray(vectors, np.float32))

    @property
    def n_items(self) -> int:
        return int(self._index.ntotal)

    def search(self, queries: NDArray[np.float32], k: int, eligible: Mask | None = None) -> Neighbours:
        """The *k* best eligible rows of each query; see `VectorIndex.search`."""
        queries = np.ascontiguousarray(queries, np.float32)
        n_eligible = self.n_items if eligible is None else int(eligible.sum())
        if eligible is None or n_eligible == self.n_items:
            return self._scan(queries, k, None)
        match plan_search(n_eligible, self.n_items):
            case Plan.GATHER:
                return self._oracle.search(queries, k, eligible)
            case Plan.SELECT:
                return self._scan(queries, k, self._selector(eligible))
            case Plan.SCAN:
                return self._scan_and_drop(queries, k, eligible, n_eligible)

    def _selector(self, eligible: Mask) -> Any:
        bits = np.packbits(eligible, bitorder="little")
        return self._faiss.SearchParameters(sel=self._faiss.IDSelectorBitmap(bits))

    def _scan_and_drop(self, queries: NDArray[np.float32], k: int, eligible: Mask, n_eligible: int) -> Neighbours:
        """Fetch more than *k* and drop what is not eligible, until every query has its *k*."""
        wanted = min(k, n_eligible)
        fetch = min(self.n_items, int(wanted / (n_eligible / self.n_items) * 1.3) + 16)
        while True:
            found = self._scan(queries, fetch, None)
            kept = eligible[found.rows] & (found.rows >= 0)
            if fetch == self.n_items or kept.sum(axis=1).min(initial=wanted) >= wanted:
                return take_best(found.rows, np.where(kept, found.scores, -np.inf).astype(np.float32), k)
            fetch = min(self.n_items, fetch * 4)

    def _scan(self, queries: NDArray[np.float32], k: int, selector: Any) -> Neighbours:
        """Fetch one more than *k*, to see whether a tie runs over the edge: FAISS keeps any of the equals there."""
        depth = min(k + 1, self.n_items)
        scores, rows = self._index.search(queries, depth, params=selector)
        best = take_best(rows, np.where(rows < 0, -np.inf, scores).astype(np.float32), k)
        if depth <= k:
            return best
        for query in np.flatnonzero((scores[:, k - 1] == scores[:, k]) & (rows[:, k] >= 0)):
            best.rows[query], best.scores[query] = self._with_ties(queries[query], k, scores[query, k], selector)
        return best

    def _with_ties(
        self, query: NDArray[np.float32], k: int, bar: np.float32, selector: Any
    ) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
        """The *k* best of every row that reaches *bar*: among equals the lowest rows."""
        below = float(np.nextafter(bar, np.float32(-np.inf)))
        _, scores, rows = self._index.range_search(query[None], below, params=selector)
        best = take_best(rows[None], scores[None], k)
        return best.rows[0], best.scores[0]
