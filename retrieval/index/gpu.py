"""Search on a GPU with FAISS. It is never given a selector, which it may ignore without a word."""

from collections.abc import Callable
from functools import cache
from threading import Lock
from typing import Any

import numpy as np
from numpy.typing import NDArray

from retrieval.errors import MissingExtraError
from retrieval.index.approximate import ROWS_A_LIST, ApproximateIndex, count_lists, lists_to_scan, rescored, sample_of
from retrieval.index.faiss import add_decoded
from retrieval.index.faiss_install import count_gpus, load_faiss
from retrieval.index.planner import over_fetch
from retrieval.index.protocol import Half, Mask, Neighbours, take_best

MAX_K = 2048  # what FAISS can select, and lists it can probe, on a GPU
ROUNDING = 2.0**-10  # of unit query and vector: the query becomes fp16 (at most 2⁻¹¹), sums run in fp32 (3·10⁻⁵)
LISTS = 4096


_one_at_a_time = Lock()  # FAISS's GPU resources serve one thread


@cache
def _resources() -> Any:
    """The GPU's streams and scratch memory, 1.5 GB, shared by all indexes of the process."""
    return load_faiss().StandardGpuResources()


class _GpuIndex(ApproximateIndex):
    """What both share."""

    _index: Any

    def __init__(self, vectors: Half) -> None:
        super().__init__(vectors)
        require_gpu(count_gpus())

    def _fetch(self, queries: NDArray[np.float32], depth: int, parameters: Any = None) -> Neighbours:
        """The *depth* best rows, whoever is eligible."""
        with _one_at_a_time:
            scores, rows = self._index.search(queries, depth, params=parameters)
        return Neighbours(rows, scores)


class GpuFlatIndex(_GpuIndex):
    """Every vector as fp16 on the GPU, 2 bytes a dimension: exact.

    The GPU rounds queries to fp16. So it only proposes: candidates are scored again on the processor, and where the
    k-th score leaves room for a row that was not proposed, that query is answered by an exhaustive search there.
    """

    exact = True

    def __init__(self, vectors: Half) -> None:
        super().__init__(vectors)
        config = self._faiss.GpuIndexFlatConfig()
        config.useFloat16 = True
        self._index = self._faiss.GpuIndexFlatIP(_resources(), vectors.shape[1], config)
        add_decoded(self._index, vectors)
        self._longest = _longest(vectors)

    def _candidates(self, queries: NDArray[np.float32], k: int, eligible: Mask | None, n_eligible: int) -> Neighbours:
        return proven_best(self._fetch, self._vectors, self._longest, queries, k, eligible, n_eligible)


class GpuIvfIndex(_GpuIndex):
    """Lists of fp32 vectors around k-means centroids, trained and held on the GPU: 4 bytes a dimension."""

    def __init__(self, vectors: Half, nprobe: int = 16, lists: int = 0) -> None:
        super().__init__(vectors)
        self.lists = count_lists(len(vectors), lists or LISTS)
        self._nprobe = nprobe
        self._index = self._faiss.GpuIndexIVFFlat(
            _resources(), vectors.shape[1], self.lists, self._faiss.METRIC_INNER_PRODUCT
        )
        self._index.train(sample_of(vectors, 2 * ROWS_A_LIST * self.lists))
        add_decoded(self._index, vectors)

    def _candidates(self, queries: NDArray[np.float32], k: int, eligible: Mask | None, n_eligible: int) -> Neighbours:
        nprobe = min(lists_to_scan(self._nprobe, self.lists, k, n_eligible, self.n_items), MAX_K)
        depth = min(over_fetch(k, n_eligible, self.n_items), MAX_K)
        found = self._fetch(queries, depth, self._faiss.SearchParametersIVF(nprobe=nprobe))
        rows = only(found.rows, eligible)
        return take_best(rows, np.where(rows < 0, -np.inf, found.scores).astype(np.float32), k)


def proven_best(
    fetch: Callable[[NDArray[np.float32], int], Neighbours], vectors: Half, longest: float,
    queries: NDArray[np.float32], k: int, eligible: Mask | None, n_eligible: int,
) -> Neighbours:  # fmt: skip
    """The *k* best rows by *vectors* among those that *fetch* proposes; −1 for a query where others may be better.

    Args:
        fetch: the best rows of all for unit queries, so many; its scores are off by at most `ROUNDING` · *longest*.
        longest: the length of the longest of *vectors*.
    """
    depth = min(over_fetch(2 * k, n_eligible, len(vectors)), MAX_K)
    length = np.maximum(np.linalg.norm(queries, axis=1, keepdims=True), np.finfo(np.float32).tiny)
    found = fetch(queries / length, depth)
    best = rescored(vectors, queries, only(found.rows, eligible), k)
    if depth < len(vectors):
        unseen = (found.scores[:, -1:] + ROUNDING * longest) * length  # no row that was not fetched scores above it
        best.rows[best.scores[:, min(k, n_eligible) - 1] <= unseen[:, 0]] = -1
    return best


def only(rows: NDArray[np.int64], eligible: Mask | None) -> NDArray[np.int64]:
    """*rows* with −1 in place of those that are not *eligible*."""
    return rows if eligible is None else np.where((rows >= 0) & eligible[rows], rows, -1)


def require_gpu(n_gpus: int) -> None:
    """Refuse to go on without a GPU that FAISS can use.

    Raises:
        MissingExtraError: there is none.
    """
    if not n_gpus:
        raise MissingExtraError(
            "FAISS finds no GPU: there is none, or the installed FAISS is built without them.",
            "Choose another index kind, or replace faiss-cpu: pip uninstall -y faiss-cpu; pip install 'lookreel[gpu]'",
        )


def _longest(vectors: Half) -> float:
    """The greatest length of *vectors*, some decoded at a time."""
    parts = np.array_split(vectors, len(vectors) // 65_536 + 1)
    return float(max(np.linalg.norm(part.astype(np.float32), axis=1).max(initial=0.0) for part in parts))
