"""Choosing an index: recall, latency, memory and build time of each on the snapshot's own vectors."""

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol, cast

import numpy as np
from numpy.typing import NDArray

from retrieval.errors import UnknownItemError
from retrieval.index import build_index
from retrieval.index.approximate import HnswIndex, IvfIndex, lists_to_scan
from retrieval.index.exact import ExactIndex
from retrieval.index.protocol import Half, Mask, Neighbours, VectorIndex

DEFAULT = "faiss-fp16"
FAMILIES = ("faiss-fp32", DEFAULT, "faiss-int8", "faiss-ivf", "faiss-hnsw")
NPROBES = (1, 4, 16, 64, 256)
EFS = (64, 128, 256, 512)
INSTANT_MS = 0.5  # nobody notices less, and an exact index needs no second look
REPEATS = 3
MIXED_PRODUCTS = 20  # at most so many in the history of a drawn user


@dataclass(frozen=True)
class Limits:
    """What the index may cost: *max_ms* at the 99th percentile, *max_mb* of memory, and the recall it must reach."""

    max_ms: float = float("inf")
    max_mb: float = float("inf")
    min_recall: float = 0.99


@dataclass(frozen=True)
class Measured:
    """One index. *recall* is the share of the exact *k* best found; latencies are of one query on one thread.

    Each query is timed three times and the fastest counts: what else the machine does is not the index's doing.
    *memory_mb* is what the index holds beside the snapshot's own vectors. Indexes that differ only in how they search
    are built once and share their *build_s*.
    """

    kind: str
    recall: float
    p50_ms: float
    p99_ms: float
    memory_mb: float
    build_s: float

    def misses(self, limits: Limits) -> tuple[str, ...]:
        """The limits that it fails, each with by how much."""
        checks = (
            (self.p99_ms - limits.max_ms, f"p99 {self.p99_ms:.2f} ms is {{:.2f}} ms over --max-ms {limits.max_ms:g}"),
            (self.memory_mb - limits.max_mb, f"{self.memory_mb:.1f} MB is {{:.1f}} MB over --max-mb {limits.max_mb:g}"),
            (
                limits.min_recall - self.recall,
                f"recall {self.recall:.4f} is {{:.4f}} under --min-recall {limits.min_recall:g}",
            ),
        )
        return tuple(text.format(excess) for excess, text in checks if excess > 0)


@dataclass(frozen=True)
class Tuning:
    """What was measured, on how much, and what follows: *kind* is None where no index is within the limits."""

    n_videos: int
    dim: int
    n_eligible: int
    n_queries: int
    k: int
    measured: tuple[Measured, ...]
    kind: str | None
    reason: str


class _HeldIndex(VectorIndex, Protocol):
    """An index that knows its size: all that FAISS holds do."""

    @property
    def held_bytes(self) -> int: ...


def tune(
    vectors: Half, products: Half, eligible: Mask | None, limits: Limits, *, k: int = 100, n_queries: int = 100,
    families: Sequence[str] = FAMILIES, seed: int = 0, progress: Callable[[int, int], None] = lambda done, total: None,
) -> Tuning:  # fmt: skip
    """Measure every index of *families* over *vectors* `(n_videos, dim)` and choose the cheapest within *limits*.

    Args:
        products: `(n_products, dim)`, of which users are mixed.
        eligible: `(n_videos,)`, the filter to search under.
        progress: told how many families are done.

    Raises:
        UnknownItemError: no video is eligible.
    """
    n_eligible = len(vectors) if eligible is None else int(np.count_nonzero(eligible))
    if not n_eligible:
        raise UnknownItemError("No video passes these filters.", "Loosen --where.")
    k = min(k, n_eligible)
    queries = draw_queries(products if len(products) else vectors, n_queries, seed)
    bars = ExactIndex(vectors).search(queries, k, eligible).scores[:, -1]
    measured: list[Measured] = []
    for done, family in enumerate(families):
        progress(done, len(families))
        measured += _measure_family(family, vectors, queries, bars, k, eligible)
    progress(len(families), len(families))
    kind, reason = choose(measured, limits)
    return Tuning(len(vectors), vectors.shape[1], n_eligible, n_queries, k, tuple(measured), kind, reason)


def draw_queries(products: Half, n_queries: int, seed: int) -> NDArray[np.float32]:
    """Users as they come `(n_queries, dim)`: every other one has touched one product, the rest up to twenty.

    The products of a history weigh less the older they are, as in the user tower: each 0.8 of the one before.
    """
    rng = np.random.default_rng(seed)
    users = []
    for number in range(n_queries):
        size = 1 if number % 2 == 0 else int(rng.integers(2, MIXED_PRODUCTS + 1))
        weights = 0.8 ** np.arange(size)
        history = products[rng.integers(len(products), size=size)].astype(np.float64)
        users.append(weights @ history / weights.sum())
    return np.array(users, np.float32)


def choose(measured: Sequence[Measured], limits: Limits) -> tuple[str | None, str]:
    """The kind of the cheapest index within *limits*, the one with the lowest median latency, and why; or None."""
    within = [one for one in measured if not one.misses(limits)]
    default = next((one for one in within if one.kind == DEFAULT), None)
    if default and default.p50_ms <= INSTANT_MS:
        return DEFAULT, f"Any index is instant at this size: exact search takes {default.p50_ms:.2f} ms."
    if within:
        best = min(within, key=lambda one: one.p50_ms)
        return best.kind, f"{best.kind} is the fastest of the {len(within)} within the limits: {best.p50_ms:.2f} ms."
    nearest = min(measured, key=lambda one: (len(one.misses(limits)), _excess(one, limits)))
    return None, f"No index is within the limits; of {nearest.kind}, the nearest, {_joined(nearest.misses(limits))}."


def _excess(one: Measured, limits: Limits) -> float:
    """By how many times the worst of the limits is exceeded."""
    tiny = 1e-6  # a limit may be 0, and a recall of 1 asked for
    missed = (1 - one.recall) / max(1 - limits.min_recall, tiny)
    return max(one.p99_ms / max(limits.max_ms, tiny), one.memory_mb / max(limits.max_mb, tiny), missed)


def _joined(parts: Sequence[str]) -> str:
    return ", and ".join(parts)


def _measure_family(
    family: str, vectors: Half, queries: NDArray[np.float32], bars: NDArray[np.float32], k: int, eligible: Mask | None
) -> list[Measured]:
    started = time.perf_counter()
    built = cast(_HeldIndex, build_index(family, vectors))
    build_s, memory_mb = time.perf_counter() - started, built.held_bytes / 1e6
    measured = []
    n_eligible = len(vectors) if eligible is None else int(np.count_nonzero(eligible))
    for kind, index in _variants(family, built, k, n_eligible):
        found, times_ms = _answers(index, queries, k, eligible)
        p50, p99 = np.percentile(times_ms, [50, 99])
        measured.append(Measured(kind, recall(found, bars), float(p50), float(p99), memory_mb, build_s))
    return measured


def _variants(family: str, index: VectorIndex, k: int, n_eligible: int) -> Iterator[tuple[str, VectorIndex]]:
    """The ways to search one built *index* that differ in what they do, each with the kind that asks for it."""
    if isinstance(index, IvfIndex):
        nprobes = sorted(min(nprobe, index.lists) for nprobe in NPROBES)
        differing = {lists_to_scan(nprobe, index.lists, k, n_eligible, index.n_items): nprobe for nprobe in nprobes}
        for nprobe in differing.values():
            yield f"{family}:nprobe={nprobe}", index.scanning(nprobe)
    elif isinstance(index, HnswIndex):
        for ef in sorted({max(ef, k) for ef in EFS}):  # a search keeps k candidates at least
            yield f"{family}:ef={ef}", index.keeping(ef)
    else:
        yield family, index


def _answers(
    index: VectorIndex, queries: NDArray[np.float32], k: int, eligible: Mask | None
) -> tuple[Neighbours, list[float]]:
    """Each query searched alone: the answers, and the least milliseconds that each took."""
    index.search(queries[:1], k, eligible)  # the first allocates and starts threads
    answers, times_ms = [], []
    for query in queries:
        timed = [_timed(index, query[None], k, eligible) for _ in range(REPEATS)]
        answers.append(timed[0][0])
        times_ms.append(min(ms for _, ms in timed))
    rows, scores = (np.concatenate(parts) for parts in zip(*((a.rows, a.scores) for a in answers), strict=True))
    return Neighbours(rows, scores), times_ms


def _timed(index: VectorIndex, query: NDArray[np.float32], k: int, eligible: Mask | None) -> tuple[Neighbours, float]:
    started = time.perf_counter()
    found = index.search(query, k, eligible)
    return found, (time.perf_counter() - started) * 1e3


def recall(found: Neighbours, bars: NDArray[np.float32]) -> float:
    """The share of answers that score at least as high as the exact k-th, *bars* `(n_queries,)`: twins count alike.

    >>> recall(Neighbours(np.array([[4, 7]]), np.array([[0.9, 0.4]], np.float32)), np.array([0.5], np.float32))
    0.5
    """
    slack = 1e-5 * np.abs(bars[:, None])  # sums run in another order
    return float((found.scores >= bars[:, None] - slack).mean())
