"""From the best videos by score to the list of one user: fresh ones raised, near ones spread, repeats and caps kept."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from retrieval.half import decoded
from retrieval.index.protocol import Half, Mask

Places = NDArray[np.int64]
Codes = NDArray[np.integer[Any]]

WIDER = 4
MOST_COMPARED = 12_800  # 26 MB as float32 at 512 dimensions; all of 100,000 took a request a second
COSINE_ROUNDING = 1e-6  # of a dot product in float32: a vector's cosine with its own copy may come out as 0.9999999
BOUNDS = {
    "diversity": (0.0, 1.0),
    "freshness": (0.0, 10.0),
    "freshness_half_life_s": (1.0, math.inf),
    "cap_creator": (0, math.inf),
    "cap_brand": (0, math.inf),
    "collapse": (0.0, 1.0),
    "pool": (1, math.inf),
}


@dataclass(frozen=True)
class FeedRules:
    """What a list keeps to beside the scores: every rule is off by default, and then without effect to the last bit.

    *diversity* d is the weight of dissimilarity, 0 to 1 (maximal marginal relevance, Carbonell & Goldstein 1998, with
    λ = 1 − d); *freshness* is the bonus of a video published now, 0 to 10 standard deviations of the pool's scores,
    halved with each *freshness_half_life_s* of age; at most *cap_creator* videos of one creator and *cap_brand* of one
    brand stand in a list, 0 for any number; of videos whose vectors agree to at least the cosine *collapse* only the
    first chosen stays, 0 for all. *pool* is how many of the best by score these choose from.

    Raises:
        ValueError: a value lies outside its range.
    """

    diversity: float = 0.0
    freshness: float = 0.0
    freshness_half_life_s: float = 7 * 86_400.0
    cap_creator: int = 0
    cap_brand: int = 0
    collapse: float = 0.0
    pool: int = 200

    def __post_init__(self) -> None:
        for name, (low, high) in BOUNDS.items():
            value = getattr(self, name)
            if not low <= value <= high or value == math.inf:  # written so that NaN is refused too
                limits = f"a number from {low:g}" + (f" to {high:g}" if high < math.inf else " up")
                raise ValueError(f"{name} is {value}, not {limits}")

    @property
    def active(self) -> bool:
        """Whether any rule is on."""
        return any((self.diversity, self.freshness, self.cap_creator, self.cap_brand, self.collapse))

    @property
    def compares(self) -> bool:
        """Whether a rule needs the vectors of the videos."""
        return self.diversity > 0 or self.collapse > 0

    def depth(self, k: int) -> int:
        """How many of the best by score to fetch for a list of *k*: *k* itself where no rule is on.

        Never fewer than four times *k* otherwise: a pool of just *k* can be reordered, but nothing near is left out.
        """
        return max(self.pool, WIDER * k) if self.active else k

    def widest(self, n_eligible: int) -> int:
        """How far a pool that fell short is widened: to all, unless each one's vector must be read.

        >>> FeedRules(cap_creator=1).widest(100_000), FeedRules(collapse=0.9).widest(100_000)
        (100000, 12800)
        """
        return min(n_eligible, MOST_COMPARED) if self.compares else n_eligible


@dataclass(frozen=True)
class Candidates:
    """The best videos of one user by score: the pool, whose row numbers are called places.

    *scores* `(n,)` are finite, best first; *age_s* `(n,)` at least 0; *creators* and *brands* `(n,)` are codes, −1 for
    none. *vectors* gives the videos' vectors `(n, dim)`, of any length, and is called only where a rule compares them.

    Raises:
        ValueError: the lengths differ, or scores or ages are not as said.
    """

    scores: NDArray[np.float32]
    age_s: NDArray[np.floating]
    creators: Codes
    brands: Codes
    vectors: Callable[[], Half] | None = None

    def __post_init__(self) -> None:
        if len({len(array) for array in (self.scores, self.age_s, self.creators, self.brands)}) > 1:
            raise ValueError("scores, ages, creators and brands of the candidates differ in number")
        if not (self.scores[:-1] >= self.scores[1:]).all():
            raise ValueError("the scores of candidates must be numbers and stand best first")
        if len(self) and not np.isfinite(self.scores[[0, -1]]).all():  # in order, only the ends can be infinite
            raise ValueError("the scores of candidates must be finite")
        if not (self.age_s >= 0).all():
            raise ValueError("the ages of candidates must be at least 0")

    def __len__(self) -> int:
        return len(self.scores)


@dataclass(frozen=True)
class Arranged:
    """The list of one user as places of the pool.

    *chosen* stand in the order of the list; *spare* are the places, best score first, that each could still follow them
    without breaking a cap or repeating a near-duplicate.
    """

    chosen: Places
    spare: Places

    def falls_short(self, k: int) -> bool:
        """Whether the rules left fewer than *k*: see `widen`."""
        return len(self.chosen) < k


def widen(pool: int, widest: int) -> int:
    """The next size of a pool that fell short: four times as many, at most the *widest* one.

    >>> widen(200, 100_000), widen(200, 300)
    (800, 300)
    """
    return min(WIDER * pool, widest)


def arrange(candidates: Candidates, rules: FeedRules, k: int) -> Arranged:
    """Choose at most *k* of the pool, one after the other, each the best of those still allowed.

    With rel the relevance of `relevance_of` and cos the cosine of two videos' vectors, the next is the argmax of
    (1 − d)·rel(v) − d·max over the chosen c of cos(v, c), equals by place; the first is the most relevant. Passed over
    are videos whose creator or brand has reached its cap, and those whose cosine with a chosen one is at least
    *collapse*. With no rule on, the pool's own order stands and no vector is touched. Takes about 0.3 ms for 10 of 200
    at 512 dimensions, a fifth of it to decode the vectors.

    Args:
        candidates: the pool, of `FeedRules.depth` or wider.

    Raises:
        ValueError: *k* is negative, or a rule compares vectors and there are none, or another number.
    """
    if k < 0:
        raise ValueError(f"k must be at least 0, not {k}")
    if not rules.active or not len(candidates):
        places = np.arange(len(candidates))
        return Arranged(places[:k], places[k:])
    gains = relevance_of(candidates, rules)
    wanted = (1.0 - rules.diversity) * gains  # −inf once a video is chosen or passed over for good
    cosines = _cosines_of(candidates) if rules.compares else None
    closest = np.full(len(candidates), -1.0, np.float32)
    chosen: list[int] = []
    while len(chosen) < k and gains[place := int(gains.argmax())] > -np.inf:
        chosen.append(place)
        if cosines is not None and (len(chosen) < k or rules.collapse):
            closest = np.maximum(closest, cosines.to(place))
        wanted[_ended_by(chosen, closest, candidates, rules)] = -np.inf
        gains = wanted - rules.diversity * closest
    return Arranged(np.array(chosen, np.int64), np.flatnonzero(wanted > -np.inf))


def relevance_of(candidates: Candidates, rules: FeedRules) -> NDArray[np.float64]:
    """The scores with their freshness, scaled to [0, 1] over the pool, so that systems of any scale can be diversified.

    rel = (s − min s) / (max s − min s), s = score + *freshness* · σ · 2^(−age / half-life), σ the standard deviation of
    the pool's scores. A bonus is at most *freshness* · σ, so no lead larger than that is ever overturned by it. All 0
    where every s is the same. Both σ and the range are the pool's: a wider pool weighs anew.
    """
    scores = candidates.scores.astype(np.float64)
    if rules.freshness:
        scores += rules.freshness * scores.std() * np.exp2(-candidates.age_s / rules.freshness_half_life_s)
    low = scores.min()
    return np.asarray((scores - low) / ((scores.max() - low) or 1.0))


@dataclass(frozen=True)
class _Cosines:
    """Vectors `(n, dim)` of any length, with 1 over each one's length, 0 for a vector of zeros."""

    vectors: NDArray[np.float32]
    inverse_norms: NDArray[np.float32]

    def to(self, place: int) -> NDArray[np.float32]:
        """The cosine of every vector with the one at *place* `(n,)`."""
        unit = self.vectors[place] * self.inverse_norms[place]
        return _dots(self.vectors, unit[:, None]) * self.inverse_norms


def _cosines_of(candidates: Candidates) -> _Cosines:
    if candidates.vectors is None:
        raise ValueError("diversity and collapse compare vectors, and the candidates have none")
    vectors = decoded(candidates.vectors())
    if len(vectors) != len(candidates):
        raise ValueError(f"there are {len(candidates)} candidates and {len(vectors)} vectors")
    norms = np.sqrt(_dots(vectors, vectors[:, :, None]))
    return _Cosines(vectors, np.divide(1.0, norms, out=np.zeros_like(norms), where=norms > 0))


def _dots(vectors: NDArray[np.float32], others: NDArray[np.float32]) -> NDArray[np.float32]:
    """Inner products row by row: as one product of a matrix, copies of a vector would differ in their last bits."""
    return np.asarray(np.matmul(vectors[:, None, :], others).reshape(len(vectors)))


def _ended_by(chosen: list[int], closest: NDArray[np.float32], candidates: Candidates, rules: FeedRules) -> Mask:
    """Whom the last choice ends: itself, its near-duplicates, and the others of a creator or brand at its cap.

    Args:
        closest: `(n,)`, the largest cosine of each candidate with a chosen one.
    """
    last, ended = chosen[-1], np.zeros(len(candidates), bool)
    ended[last] = True
    if rules.collapse:
        ended |= closest >= rules.collapse - COSINE_ROUNDING
    for codes, cap in ((candidates.creators, rules.cap_creator), (candidates.brands, rules.cap_brand)):
        if cap and codes[last] >= 0 and np.count_nonzero(codes[chosen] == codes[last]) >= cap:
            ended |= codes == codes[last]
    return ended
