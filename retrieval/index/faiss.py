"""Exhaustive inner product in FAISS, and the ways to search it under a filter."""

import os
from enum import StrEnum
from functools import partial, reduce
from threading import local
from typing import Any

import numpy as np
from numpy.typing import NDArray

from retrieval.index.coarse import CoarseScan, make_coarse_scan
from retrieval.index.faiss_install import load_faiss
from retrieval.index.planner import CACHED_ITEMS, FROM_MEMORY, Plan, over_fetch, plan_search
from retrieval.index.protocol import Half, Mask, Neighbours, best_of_both, no_neighbours, take_best

GATHERED_AT_ONCE = 4096
MS_FOR_A_THREAD = 20  # of work, before a batch gets one more
DECODED_AT_ONCE = 65_536  # rows given to FAISS as fp32 at a time: 128 MB at 512 dimensions


class Codec(StrEnum):
    """How FAISS holds the vectors: both give the decoded fp16 values, fp32 in twice the room and time."""

    FP16 = "fp16"
    FP32 = "fp32"


class FaissIndex:
    """A flat index of fp16 *vectors* `(n_items, dim)`, kept as given and scanned whole: search is exact.

    FAISS holds 2 bytes a dimension (4 as fp32), beside the given vectors, which are not copied but gathered from under
    selective filters; and in fp16 one more, for `CoarseScan`, once there are more than fit into the processor's cache:
    at 512 dimensions 1.5 KB for each video beside the snapshot's own 1 KB. Many threads may search at once, and hold
    little more than their answers; a process that has searched must not fork.
    """

    exact = True

    def __init__(self, vectors: Half, codec: Codec = Codec.FP16) -> None:
        self._faiss = load_faiss()
        self._vectors = vectors
        self._index = _OPENERS[codec](self._faiss, vectors)
        self._coarse: CoarseScan | None = None
        if codec is Codec.FP16 and len(vectors) > CACHED_ITEMS:
            self._coarse = make_coarse_scan(self._faiss, vectors)

    @property
    def n_items(self) -> int:
        return int(self._index.ntotal)

    @property
    def held_bytes(self) -> int:
        return held_bytes(self._index) + (held_bytes(self._coarse.index) if self._coarse else 0)

    def search(self, queries: NDArray[np.float32], k: int, eligible: Mask | None = None) -> Neighbours:
        """The *k* best eligible rows of each query; see `VectorIndex.search`."""
        queries = np.ascontiguousarray(queries, np.float32)
        n_eligible = self.n_items if eligible is None else int(np.count_nonzero(eligible))
        if not n_eligible or not len(queries):
            return no_neighbours(len(queries), k)
        use_threads(self._faiss, len(queries), n_eligible)
        if eligible is None or n_eligible == self.n_items:
            return self._scan_coarsely(queries, k, None) or scan(self._index, queries, k)
        match plan_search(n_eligible, self.n_items, n_queries=len(queries), k=k):
            case Plan.GATHER:
                return search_gathered(self._vectors, queries, k, eligible)
            case Plan.SELECT:
                return scan(self._index, queries, k, selecting(self._faiss.SearchParameters, eligible))
            case Plan.SCAN:
                found = self._scan_coarsely(queries, k, eligible)
                return found or self._scan_and_drop(queries, k, eligible, n_eligible)

    def _scan_coarsely(self, queries: NDArray[np.float32], k: int, eligible: Mask | None) -> Neighbours | None:
        """The answer to a single query by way of int8; None where that leaves doubt, and for batches."""
        if self._coarse is None or len(queries) > 1:
            return None
        rows = self._coarse.candidates(queries[0], k, eligible)
        return None if rows is None else _search_rows(self._vectors, queries, k, rows)

    def _scan_and_drop(self, queries: NDArray[np.float32], k: int, eligible: Mask, n_eligible: int) -> Neighbours:
        """Fetch more than *k* and drop what is not eligible; queries left short are asked again otherwise."""
        found = scan(self._index, queries, over_fetch(k, n_eligible, self.n_items))
        kept = eligible[found.rows] & (found.rows >= 0)
        best = take_best(found.rows, np.where(kept, found.scores, -np.inf).astype(np.float32), k)
        if len(short := np.flatnonzero(kept.sum(axis=1) < min(k, n_eligible))):
            again = search_gathered(self._vectors, queries[short], k, eligible)
            best.rows[short], best.scores[short] = again.rows, again.scores
        return best


def scan(index: Any, queries: NDArray[np.float32], k: int, selector: Any = None) -> Neighbours:
    """The *k* best rows of a flat FAISS *index*, ties by row.

    One more than *k* is fetched, to see whether a tie runs over the edge: FAISS keeps any of the equals there.
    """
    depth = min(k + 1, index.ntotal)
    scores, rows = index.search(queries, depth, params=selector)
    if depth > k and (scores[:, 1:] < scores[:, :-1]).all():  # no equals, and none missing: as good as always
        return Neighbours(rows[:, :k], scores[:, :k])
    best = take_best(rows, np.where(rows < 0, -np.inf, scores).astype(np.float32), k)
    if depth <= k:
        return best
    for query in np.flatnonzero((scores[:, k - 1] == scores[:, k]) & (rows[:, k] >= 0)):
        tied = _with_ties(index, queries[query], k, selector)
        best.rows[query], best.scores[query] = tied.rows[0], tied.scores[0]
    return best


def _with_ties(index: Any, query: NDArray[np.float32], k: int, selector: Any) -> Neighbours:
    """The *k* best rows, among equals the lowest: more and more are fetched until all equals of the k-th are there.

    FAISS's range search would fetch them at once, but it rounds otherwise unless 16 divides the dimension.
    """
    depth = k
    while True:
        depth = min(8 * depth, index.ntotal)
        scores, rows = index.search(query[None], depth, params=selector)
        if depth == index.ntotal or rows[0, -1] < 0 or scores[0, -1] < scores[0, k - 1]:
            return take_best(rows, np.where(rows < 0, -np.inf, scores).astype(np.float32), k)


def search_gathered(vectors: Half, queries: NDArray[np.float32], k: int, eligible: Mask) -> Neighbours:
    """The *k* best *eligible* rows of *vectors*, exactly: copied into an index of their own, some at a time."""
    rows = np.flatnonzero(eligible)
    parts = [
        _search_rows(vectors, queries, k, rows[start : start + GATHERED_AT_ONCE])
        for start in range(0, len(rows), GATHERED_AT_ONCE)
    ]
    return reduce(partial(best_of_both, k=k), parts)


class _Scratch(local):
    """What a thread gathers into, kept between searches: 8 MB at 512 dimensions.

    Memory asked for anew comes in fresh pages from the system, which made 1,000 rows take 1.2 ms in place of 0.2.
    """

    def __init__(self) -> None:
        self._rows: dict[int, Half] = {}
        self._indexes: dict[int, Any] = {}

    def filled(self, vectors: Half, rows: NDArray[np.int64]) -> Any:
        """A flat index of these *rows* of *vectors*, at most `GATHERED_AT_ONCE`; the next call fills it anew."""
        dim = vectors.shape[1]
        if dim not in self._indexes:
            self._rows[dim] = np.empty((GATHERED_AT_ONCE, dim), np.float16)
            self._indexes[dim] = _open_fp16(load_faiss(), self._rows[dim][:0])
        copied = np.take(vectors, rows, axis=0, out=self._rows[dim][: len(rows)], mode="clip")  # "raise" would buffer
        self._indexes[dim].reset()
        self._indexes[dim].add_sa_codes(copied.view(np.uint8))
        return self._indexes[dim]


_scratch = _Scratch()


def _search_rows(vectors: Half, queries: NDArray[np.float32], k: int, rows: NDArray[np.int64]) -> Neighbours:
    use_threads(load_faiss(), len(queries), len(rows))
    found = scan(_scratch.filled(vectors, rows), queries, k)
    return Neighbours(np.where(found.rows < 0, -1, rows[found.rows]), found.scores)


def selecting(parameters: Any, eligible: Mask, **options: int) -> Any:
    """Search parameters of the FAISS class *parameters* that pass only *eligible* rows."""
    bits = np.packbits(eligible, bitorder="little")
    return parameters(sel=load_faiss().IDSelectorBitmap(bits), **options)


def use_threads(faiss: Any, n_queries: int, n_rows: int) -> None:
    """Let FAISS use one thread for a query alone, so that requests share the cores, and more for a large batch.

    OpenMP keeps this number for each calling thread (a test holds it to that), so concurrent requests do not disturb
    each other. A single query gains nothing by more: two threads took 14 ms where one took 8. Nor does a small batch:
    on a busy machine each meeting of the threads was seen to cost 12 ms.
    """
    worth = int(n_queries * n_rows * FROM_MEMORY.scan / 1e6 / MS_FOR_A_THREAD)
    faiss.omp_set_num_threads(1 if n_queries == 1 else max(1, min(worth, _allowed_cores())))


def use_all_threads(faiss: Any) -> None:
    """Let FAISS build an index on all cores: the calling thread may have asked a single query before."""
    faiss.omp_set_num_threads(_allowed_cores())


def _allowed_cores() -> int:
    return len(os.sched_getaffinity(0))


def add_decoded(index: Any, vectors: Half) -> None:
    """Add *vectors* to a trained FAISS *index* as fp32, some at a time."""
    for start in range(0, len(vectors), DECODED_AT_ONCE):
        index.add(vectors[start : start + DECODED_AT_ONCE].astype(np.float32))


def held_bytes(index: Any) -> int:
    """How many bytes a FAISS *index* takes when written, which is what it holds in memory but for small change."""
    sizes: list[int] = []
    load_faiss().write_index(index, load_faiss().PyCallbackIOWriter(lambda part: sizes.append(len(part))))
    return sum(sizes)


def _open_fp16(faiss: Any, vectors: Half) -> Any:
    """FAISS's code of fp16 is the number itself: the bytes are taken as they are, with no fp32 between."""
    index = faiss.IndexScalarQuantizer(vectors.shape[1], faiss.ScalarQuantizer.QT_fp16, faiss.METRIC_INNER_PRODUCT)
    if len(vectors):
        index.add_sa_codes(np.ascontiguousarray(vectors, np.float16).view(np.uint8))
    return index


def _open_fp32(faiss: Any, vectors: Half) -> Any:
    index = faiss.IndexFlatIP(vectors.shape[1])
    add_decoded(index, vectors)
    return index


_OPENERS = {Codec.FP16: _open_fp16, Codec.FP32: _open_fp32}
