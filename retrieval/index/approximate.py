"""Indexes that look at a part of the vectors only: faster or smaller, and complete under every filter all the same."""

from abc import ABC, abstractmethod
from copy import copy
from math import ceil, isqrt
from typing import Any

import numpy as np
from numpy.typing import NDArray

from retrieval.index.faiss import add_decoded, held_bytes, search_gathered, selecting, use_all_threads, use_threads
from retrieval.index.faiss_install import load_faiss
from retrieval.index.planner import GATHER_ROWS, graph_gather_rows
from retrieval.index.protocol import Half, Mask, Neighbours, no_neighbours, take_best

TRAINED_ON = 65_536  # rows that int8 learns its ranges from
ROWS_A_LIST = 40  # at least so many to train each list of IVF with: FAISS warns below 39
SEED = 1


class ApproximateIndex(ABC):
    """What approximate indexes share: few eligible rows are multiplied exactly, and short answers are made whole so.

    The fp16 *vectors* `(n_items, dim)` are kept as given, not copied.
    """

    exact = False
    _index: Any

    def __init__(self, vectors: Half) -> None:
        self._faiss = load_faiss()
        self._vectors = vectors
        use_all_threads(self._faiss)

    @property
    def n_items(self) -> int:
        return len(self._vectors)

    @property
    def held_bytes(self) -> int:
        return held_bytes(self._index)

    @property
    def gather_rows(self) -> int:
        """Up to how many eligible rows are multiplied exactly."""
        return GATHER_ROWS

    def search(self, queries: NDArray[np.float32], k: int, eligible: Mask | None = None) -> Neighbours:
        """The *k* eligible rows that seem best for each query; see `VectorIndex.search`."""
        queries = np.ascontiguousarray(queries, np.float32)
        n_eligible = self.n_items if eligible is None else int(np.count_nonzero(eligible))
        if not n_eligible or not len(queries):
            return no_neighbours(len(queries), k)
        if eligible is not None and n_eligible <= self.gather_rows:
            return search_gathered(self._vectors, queries, k, eligible)
        use_threads(self._faiss, len(queries), n_eligible)
        found = self._candidates(queries, k, eligible, n_eligible)
        if len(short := np.flatnonzero((found.rows >= 0).sum(axis=1) < min(k, n_eligible))):
            everybody = np.ones(self.n_items, bool) if eligible is None else eligible
            full = search_gathered(self._vectors, queries[short], k, everybody)
            found.rows[short], found.scores[short] = full.rows, full.scores
        return found

    @abstractmethod
    def _candidates(self, queries: NDArray[np.float32], k: int, eligible: Mask | None, n_eligible: int) -> Neighbours:
        """What the index finds among the *n_eligible* rows: fewer than *k* where it finds no more."""


class Int8Index(ApproximateIndex):
    """Each dimension in 8 bits, scanned whole; twice *k* candidates are scored again with the fp16 vectors.

    FAISS holds 1 byte a dimension: 512 bytes for each video of 512 dimensions.
    """

    def __init__(self, vectors: Half) -> None:
        super().__init__(vectors)
        kind = self._faiss.ScalarQuantizer.QT_8bit
        self._index = self._faiss.IndexScalarQuantizer(vectors.shape[1], kind, self._faiss.METRIC_INNER_PRODUCT)
        self._index.train(sample_of(vectors, TRAINED_ON))
        add_decoded(self._index, vectors)

    def _candidates(self, queries: NDArray[np.float32], k: int, eligible: Mask | None, n_eligible: int) -> Neighbours:
        chosen = None if eligible is None else selecting(self._faiss.SearchParameters, eligible)
        _, rows = self._index.search(queries, min(2 * k + 16, self.n_items), params=chosen)
        return rescored(self._vectors, queries, rows, k)


class IvfIndex(ApproximateIndex):
    """Lists of fp16 vectors around k-means centroids: a search scans the *nprobe* lists nearest to the query.

    FAISS holds 2 bytes a dimension and 8 for the row: 1,032 bytes for each video of 512 dimensions, and the centroids.
    Under a filter as many lists more are scanned as fewer of their rows are eligible.

    Args:
        nprobe: lists to scan.
        lists: how many there are; by default 4·√n, but never so many that k-means had too little to learn from.
    """

    def __init__(self, vectors: Half, nprobe: int = 16, lists: int = 0) -> None:
        super().__init__(vectors)
        self.lists = count_lists(len(vectors), lists)
        self._nprobe = nprobe
        self._centroids = self._faiss.IndexFlatIP(vectors.shape[1])
        self._index = self._faiss.IndexIVFScalarQuantizer(
            self._centroids, vectors.shape[1], self.lists, self._faiss.ScalarQuantizer.QT_fp16,
            self._faiss.METRIC_INNER_PRODUCT, False,  # not residuals: the codes are the fp16 values themselves
        )  # fmt: skip
        self._index.cp.spherical = True
        self._index.train(sample_of(vectors, 2 * ROWS_A_LIST * self.lists))
        add_decoded(self._index, vectors)

    def scanning(self, nprobe: int) -> "IvfIndex":
        """The same lists, of which a search scans *nprobe*."""
        other = copy(self)
        other._nprobe = nprobe
        return other

    def _candidates(self, queries: NDArray[np.float32], k: int, eligible: Mask | None, n_eligible: int) -> Neighbours:
        nprobe = lists_to_scan(self._nprobe, self.lists, k, n_eligible, self.n_items)
        chosen = self._faiss.SearchParametersIVF(nprobe=nprobe)
        if eligible is not None:
            chosen = selecting(self._faiss.SearchParametersIVF, eligible, nprobe=nprobe)
        return _answer(self._index, queries, k, chosen)


class HnswIndex(ApproximateIndex):
    """A graph of fp16 vectors: a search walks it and keeps the *ef* best that it met.

    FAISS holds 2 bytes a dimension and about 8 for each link: 1,300 bytes for each video of 512 dimensions and 32
    links. It is slow to build (a minute for 100,000 on two cores) and nothing can be removed from it.

    Args:
        ef: how many candidates a search keeps; under a filter as many more as fewer are eligible.
        links: of each vector.
    """

    def __init__(self, vectors: Half, ef: int = 128, links: int = 32) -> None:
        super().__init__(vectors)
        self._ef = ef
        self._index = self._faiss.IndexHNSWSQ(
            vectors.shape[1], self._faiss.ScalarQuantizer.QT_fp16, links, self._faiss.METRIC_INNER_PRODUCT
        )
        self._index.train(sample_of(vectors, 1))
        add_decoded(self._index, vectors)

    @property
    def gather_rows(self) -> int:
        return graph_gather_rows(self.n_items, self._ef)

    def keeping(self, ef: int) -> "HnswIndex":
        """The same graph, of which a search keeps *ef* candidates."""
        other = copy(self)
        other._ef = ef
        return other

    def _candidates(self, queries: NDArray[np.float32], k: int, eligible: Mask | None, n_eligible: int) -> Neighbours:
        ef = min(self.n_items, ceil(max(self._ef, k) * self.n_items / n_eligible))
        chosen = self._faiss.SearchParametersHNSW(efSearch=ef)
        if eligible is not None:
            chosen = selecting(self._faiss.SearchParametersHNSW, eligible, efSearch=ef)
        return _answer(self._index, queries, k, chosen)


def count_lists(n_items: int, asked: int = 0) -> int:
    """How many lists IVF has over *n_items* vectors: those *asked* for or 4·√n, as far as k-means can be trained.

    >>> count_lists(10_000), count_lists(300), count_lists(5), count_lists(10_000, 16)
    (250, 7, 1, 16)
    """
    return max(1, min(asked or 4 * isqrt(n_items), n_items // ROWS_A_LIST))


def lists_to_scan(nprobe: int, n_lists: int, k: int, n_eligible: int, n_items: int) -> int:
    """How many lists hold as many eligible rows as *nprobe* lists hold rows, and twice *k* of them on the average.

    >>> lists_to_scan(16, 1000, 10, n_eligible=50_000, n_items=100_000)  # each list holds half as many
    32
    >>> lists_to_scan(1, 1000, 100, n_eligible=100_000, n_items=100_000)  # a list holds 100, and 200 are wanted
    2
    """
    as_many = ceil(nprobe * n_items / n_eligible)
    return min(n_lists, max(as_many, ceil(2 * k * n_lists / n_eligible)))


def sample_of(vectors: Half, size: int) -> NDArray[np.float32]:
    """At most *size* of *vectors*, drawn with a fixed seed, as fp32."""
    if len(vectors) <= size:
        return vectors.astype(np.float32)
    rows = np.random.default_rng(SEED).choice(len(vectors), size, replace=False)
    return vectors[np.sort(rows)].astype(np.float32)


def rescored(vectors: Half, queries: NDArray[np.float32], rows: NDArray[np.int64], k: int) -> Neighbours:
    """The *k* best of candidate *rows* `(n_queries, n)`, −1 for none, by the decoded fp16 *vectors*."""
    scores = [vectors[found].astype(np.float32) @ query for found, query in zip(rows, queries, strict=True)]
    return take_best(rows, np.where(rows < 0, -np.inf, np.array(scores)).astype(np.float32), k)


def _answer(index: Any, queries: NDArray[np.float32], k: int, parameters: Any) -> Neighbours:
    scores, rows = index.search(queries, min(k, index.ntotal), params=parameters)
    return take_best(rows, np.where(rows < 0, -np.inf, scores).astype(np.float32), k)
