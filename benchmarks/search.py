"""Search at 10k, 100k and 1M vectors, unfiltered and under filters, beside the ways that people write first.

All times are medians over single queries on one thread, each the fastest of three. Recall is over the best 100, against
an exhaustive search of the eligible rows. The vectors are synthetic: unit vectors around seeded centres, with a common
direction as CLIP's have.
"""

import os
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.report import Figure, run
from retrieval.index import build_index
from retrieval.index.approximate import count_lists, sample_of
from retrieval.index.exact import ExactIndex
from retrieval.index.faiss import add_decoded
from retrieval.index.faiss_install import load_faiss
from retrieval.index.protocol import Half, Mask

DIM = 512
K = 100
CENTRES = 2000
SHARES = {"all": 1.0, "50%": 0.5, "10%": 0.1, "1%": 0.01, "0.1%": 0.001}
GRAPH_UP_TO = 20_000  # HNSW takes a minute to build over 100,000
NPROBE, EF = 16, 256
GB_FOR_A_MILLION = 10.0  # fp16 twice, fp32 twice, and what building takes

Search = Callable[[NDArray[np.float32], Mask], NDArray[np.int64]]
"""The rows of the best K eligible for a query `(1, DIM)`, −1 where there are none."""


@dataclass(frozen=True)
class Crowd:
    """Vectors to search and who asks: *vectors* `(n, DIM)`, *queries* `(n_queries, DIM)`."""

    vectors: Half
    queries: NDArray[np.float32]

    @property
    def name(self) -> str:
        return f"{len(self.vectors) // 1000}k" if len(self.vectors) < 1_000_000 else "1M"


def make_crowd(n_vectors: int, n_queries: int, seed: int = 0) -> Crowd:
    """A crowd around `CENTRES`; a query is the mean of three vectors of the crowd, as a user's is of products."""
    rng = np.random.default_rng(seed)
    spectrum = 1.0 / np.sqrt(1 + np.arange(DIM) / 32)  # variance falls along the axes, as embeddings' does
    common = rng.normal(size=DIM) * spectrum
    centres = common + rng.normal(size=(CENTRES, DIM)) * spectrum
    vectors = np.empty((n_vectors, DIM), np.float16)
    for start in range(0, n_vectors, 50_000):
        block = vectors[start : start + 50_000]
        block[:] = _unit(
            centres[rng.integers(CENTRES, size=len(block))] + 0.7 * rng.normal(size=block.shape) * spectrum
        )
    asked = vectors[rng.integers(n_vectors, size=(n_queries, 3))].astype(np.float32)
    return Crowd(vectors, asked.mean(axis=1))


def measure(quick: bool) -> list[Figure]:
    """Sizes 10k and 100k in the quick run, 10k, 100k and (where there is memory) 1M otherwise."""
    sizes = [10_000, 100_000] if quick or _free_gb() < GB_FOR_A_MILLION else [10_000, 100_000, 1_000_000]
    figures = [fp16_recall(20_000 if quick else 100_000, 20 if quick else 100)]
    filtered: list[float] = []
    for size in sizes:
        crowd = make_crowd(size, 10 if quick or size > 100_000 else 30)
        ways = dict(open_ways(crowd, quick))
        for label, share in SHARES.items():
            eligible = np.random.default_rng(1).random(size) < share
            measured = measure_ways(crowd, ways, label, eligible)
            figures += measured.figures
            filtered.append(measured.recall_of_ours)
        figures.append(bandwidth_share(crowd, ways["ours"]))
    detail = f"lowest over {', '.join(SHARES)} of {', '.join(str(size) for size in sizes)}, faiss-fp16, recall@{K}"
    return [*figures, Figure("search_filtered_recall", min(filtered), "share", "higher", detail)]


def fp16_recall(n_vectors: int, n_queries: int) -> Figure:
    """What rounding the vectors to fp16 costs: recall of the default index against exact search of fp32."""
    crowd = make_crowd(n_vectors, n_queries)
    rounding = np.random.default_rng(2).normal(size=crowd.vectors.shape).astype(np.float32) * np.float32(1e-4)
    exact = _unit(crowd.vectors.astype(np.float32) + rounding)  # fp32 vectors that are no fp16 numbers
    found = build_index("faiss-fp16", exact.astype(np.float16)).search(crowd.queries, K).rows
    best = np.argpartition(-(crowd.queries @ exact.T), K, axis=1)[:, :K]
    detail = f"recall@{K} of fp16 vectors against exact search of fp32, {n_vectors} vectors, {n_queries} queries"
    return Figure("search_fp16_recall", overlap(found, best), "share", "higher", detail)


@dataclass(frozen=True)
class MeasuredWays:
    """The figures of one size under one filter, and the recall of our default index among them."""

    figures: list[Figure]
    recall_of_ours: float


def measure_ways(crowd: Crowd, ways: Mapping[str, Search], label: str, eligible: Mask) -> MeasuredWays:
    """The median latency of each way under one filter, with its recall in the detail."""
    best = ExactIndex(crowd.vectors).search(crowd.queries, K, eligible).rows
    figures, recalls = [], {}
    for name, search in ways.items():
        answers, times_ms = zip(*(_timed(search, query[None], eligible) for query in crowd.queries), strict=True)
        recalls[name] = overlap(np.concatenate(answers), best)
        empty = float((np.concatenate(answers)[best >= 0] < 0).mean())
        detail = f"recall@{K} {recalls[name]:.4f}, {empty:.1%} of slots empty, {len(crowd.queries)} queries, one thread"
        figures.append(
            Figure(f"search_p50_{crowd.name}_{label}_{name}", float(np.median(times_ms)), "ms", "lower", detail)
        )
    return MeasuredWays(figures, recalls["ours"])


def open_ways(crowd: Crowd, quick: bool) -> Iterator[tuple[str, Search]]:
    """Our default index, then what people write first. Each is built over the same vectors."""
    faiss = load_faiss()
    ours = build_index("faiss-fp16", crowd.vectors)
    yield "ours", lambda query, eligible: ours.search(query, K, None if eligible.all() else eligible).rows
    decoded = crowd.vectors.astype(np.float32)
    yield "numpy", lambda query, eligible: _numpy_search(decoded, query, eligible)
    flat = faiss.IndexFlatIP(DIM)
    flat.add(decoded)
    yield "flat_selector", _selecting(faiss, flat, faiss.SearchParameters)
    if not quick or len(crowd.vectors) <= GRAPH_UP_TO:
        lists = min(count_lists(len(crowd.vectors)), 1024)
        inverted = faiss.IndexIVFFlat(faiss.IndexFlatIP(DIM), DIM, lists, faiss.METRIC_INNER_PRODUCT)
        inverted.train(sample_of(crowd.vectors, 80 * lists))
        add_decoded(inverted, crowd.vectors)
        yield f"ivf_nprobe{NPROBE}_selector", _selecting(faiss, inverted, faiss.SearchParametersIVF, nprobe=NPROBE)
    if len(crowd.vectors) <= GRAPH_UP_TO:
        graph = faiss.IndexHNSWFlat(DIM, 32, faiss.METRIC_INNER_PRODUCT)
        add_decoded(graph, crowd.vectors)
        yield f"hnsw_ef{EF}_selector", _selecting(faiss, graph, faiss.SearchParametersHNSW, efSearch=EF)


def bandwidth_share(crowd: Crowd, ours: Search) -> Figure:
    """How near the scan comes to the rate at which one thread can read the same bytes at all."""
    words = crowd.vectors.view(np.uint64).ravel()
    everything = np.ones(len(crowd.vectors), bool)
    read_ms = min(_timed(lambda *_: np.bitwise_or.reduce(words), crowd.queries[:1], everything)[1] for _ in range(7))
    scan_ms = min(_timed(ours, query[None], everything)[1] for query in crowd.queries[:7])
    rate = crowd.vectors.nbytes / 1e6
    detail = f"scan {rate / scan_ms:.1f} GB/s, a plain read of the same bytes {rate / read_ms:.1f} GB/s, one thread"
    return Figure(f"search_bandwidth_share_{crowd.name}", read_ms / scan_ms, "share", "higher", detail)


def _selecting(faiss: Any, index: Any, parameters: Any, **options: int) -> Search:
    """Plain FAISS: the filter as a selector, on one thread."""

    def search(query: NDArray[np.float32], eligible: Mask) -> NDArray[np.int64]:
        faiss.omp_set_num_threads(1)
        if eligible.all():
            chosen = parameters(**options)
        else:
            chosen = parameters(sel=faiss.IDSelectorBitmap(np.packbits(eligible, bitorder="little")), **options)
        return np.asarray(index.search(query, K, params=chosen)[1], np.int64)

    return search


def _numpy_search(decoded: NDArray[np.float32], query: NDArray[np.float32], eligible: Mask) -> NDArray[np.int64]:
    rows = np.flatnonzero(eligible)
    scores = (decoded if len(rows) == len(decoded) else decoded[rows]) @ query[0]
    k = min(K, len(rows))
    best = rows[np.argpartition(-scores, k - 1)[:k]]
    return np.pad(best, (0, K - k), constant_values=-1)[None]


def _timed(search: Search, query: NDArray[np.float32], eligible: Mask) -> tuple[NDArray[np.int64], float]:
    """The answer, and the least milliseconds of three tries: what else the machine does is not the search's doing."""
    found, times_ms = search(query, eligible), []
    for _ in range(3):
        started = time.perf_counter()
        search(query, eligible)
        times_ms.append((time.perf_counter() - started) * 1e3)
    return found, min(times_ms)


def overlap(found: NDArray[np.int64], best: NDArray[np.int64]) -> float:
    """The share of *best* `(n_queries, n)` that was found; −1 stands for none."""
    hits = [len(set(row[row >= 0]) & set(wanted[wanted >= 0])) for row, wanted in zip(found, best, strict=True)]
    return sum(hits) / max(1, int((best >= 0).sum()))


def _unit(vectors: NDArray[np.floating]) -> NDArray[np.floating]:
    return np.asarray(vectors / np.linalg.norm(vectors, axis=1, keepdims=True))


def _free_gb() -> float:
    return os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") / 1e9


if __name__ == "__main__":
    run(measure, __doc__.splitlines()[0])
