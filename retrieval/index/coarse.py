"""A scan over half of the bytes that still finds exactly the best: int8 first, then the few that may be among them.

Each vector is held as v = μ + s∘c + δ with whole numbers c from −127 to 127, a scale s for each dimension, and a rest δ
whose length is known; a query as q∘s = b·d + ρ, likewise. Then q·v − q·μ = b·(d·c) + ρ·c + q·δ, and with E the longest
δ and C the longest c the coarse score b·(d·c) is wrong by at most ε = |ρ|·C + |q|·E. The k-th best is not below the
k-th coarse score − ε, so nothing whose coarse score lies more than 2 ε below that one is among the k best.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from retrieval.half import decoded
from retrieval.index.protocol import Half, Mask

MOST = 127
ROWS_AT_ONCE = 4096  # 8 MB as float32 at 512 dimensions: what is done to a block stays in the cache
FIRST, LAST = 512, 4096  # rows fetched by coarse score; where the second leave doubt, the plain scan answers
TINY = 1e-30  # below it float32 rounds by more than is allowed for
ROUNDING = 4e-6  # of |q| |v|: what float32 sums of 512 products are off by, with room to spare
Floats = NDArray[np.float32]


@dataclass(frozen=True)
class CoarseScan:
    """The int8 codes of vectors in a FAISS *index*, *scale* s `(dim,)` and what bounds a coarse score's error.

    *longest_rest* is E, *longest_code* is C, *longest* the largest |v|.
    """

    index: Any
    scale: Floats
    longest_rest: float
    longest_code: float
    longest: float

    def candidates(self, query: Floats, k: int, eligible: Mask | None = None) -> NDArray[np.int64] | None:
        """All rows that may be among the *k* best eligible for a query `(dim,)`, ascending; None where it is unclear.

        They hold the *k* best for certain, equals of the k-th included.
        """
        step, whole, error = self._rounded(query)
        for n_fetched in (FIRST, LAST):
            if k > n_fetched // 2 or not step:
                continue
            scores, rows = self.index.search(whole[None], min(n_fetched, self.index.ntotal))
            coarse, rows = step * scores[0].astype(np.float64), rows[0]
            kept = slice(None) if eligible is None else eligible[rows]
            among = coarse[kept]
            if len(among) >= k and coarse[-1] < (bar := among[k - 1] - 2 * error):
                return np.sort(rows[kept][among >= bar])
        return None

    def _rounded(self, query: Floats) -> tuple[float, Floats, float]:
        """b, d as float32 `(dim,)`, and ε. FAISS would cut a query to whole numbers itself, without a word."""
        folded = query.astype(np.float64) * self.scale
        step = float(np.abs(folded).max()) / MOST
        if not TINY < step < np.inf:
            return 0.0, query, 0.0
        whole = np.rint(folded / step)
        length = float(np.linalg.norm(query))
        rest = float(np.linalg.norm(folded - step * whole))
        error = rest * self.longest_code + length * (self.longest_rest + ROUNDING * self.longest)
        return step, whole.astype(np.float32), error


def make_coarse_scan(faiss: Any, vectors: Half) -> CoarseScan:
    """The codes of *vectors* `(n, dim)`, n at least 1: a byte for each number."""
    total, low, high = (np.array(one) for one in zip(*map(_spread, _blocks(vectors)), strict=True))
    mean = (total.sum(axis=0) / len(vectors)).astype(np.float32)
    widest = np.maximum(high.max(axis=0) - mean, mean - low.min(axis=0))
    scale = np.where(widest > 0, widest / MOST, 1.0).astype(np.float32)
    index = faiss.IndexScalarQuantizer(
        vectors.shape[1], faiss.ScalarQuantizer.QT_8bit_direct_signed, faiss.METRIC_INNER_PRODUCT
    )
    longest_rest = longest_code = longest = 0.0
    for block in _blocks(vectors):
        longest = max(longest, _longest(block))
        block -= mean
        codes = block / scale
        np.rint(codes, out=codes)
        index.add_sa_codes((codes + 128).astype(np.uint8))
        longest_code = max(longest_code, _longest(codes))
        codes *= scale
        block -= codes
        longest_rest = max(longest_rest, _longest(block))
    return CoarseScan(index, scale, longest_rest, longest_code, longest)


def _blocks(vectors: Half) -> Iterator[Floats]:
    for start in range(0, len(vectors), ROWS_AT_ONCE):
        yield decoded(np.ascontiguousarray(vectors[start : start + ROWS_AT_ONCE]))


def _spread(block: Floats) -> tuple[NDArray[np.float64], Floats, Floats]:
    """Sum, least and largest of each dimension."""
    return block.sum(axis=0, dtype=np.float64), block.min(axis=0), block.max(axis=0)


def _longest(rows: Floats) -> float:
    """The largest length of a row, rounded up a little: it bounds an error."""
    return float(np.sqrt(np.einsum("nd,nd->n", rows, rows).max())) * (1 + 1e-4)
