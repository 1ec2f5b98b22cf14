"""One place of a list left to chance, with the exact probability of what stands there: what off-policy values need."""

import hashlib
import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from retrieval.rules import Places


@dataclass(frozen=True)
class Exploration:
    """A place of the list that is drawn instead of ranked.

    *position* counts from 1, 0 for none; the draw is among the *pool* candidates that follow those ranked for certain;
    *temperature* is in standard deviations of these candidates' scores: small ones keep to the best, large ones come
    near to a uniform draw.

    Raises:
        ValueError: a value lies outside its range.
    """

    position: int = 0
    pool: int = 50
    temperature: float = 1.0

    def __post_init__(self) -> None:
        if self.position < 0:
            raise ValueError(f"the position to explore is {self.position}, not 0 for none or a rank from 1")
        if self.pool < 1:
            raise ValueError(f"the pool to explore is {self.pool}, not at least 1")
        if not 0 < self.temperature < math.inf:
            raise ValueError(f"the temperature is {self.temperature}, not a finite number above 0")

    @property
    def active(self) -> bool:
        return self.position > 0

    def explores(self, k: int) -> bool:
        """Whether a list of *k* has the place: rules then choose its first k − 1 alone."""
        return 0 < self.position <= k


@dataclass(frozen=True)
class Explored:
    """A list as places of the ranked candidates, and P(this one at this position | policy) of each, both `(k,)`."""

    places: Places
    propensities: NDArray[np.float64]


def explore(scores: NDArray[np.floating], k: int, exploration: Exploration, u: float) -> Explored:
    """The first *k* of the ranked candidates, one of them drawn: k − 1 for certain and in their order, X in the slot.

    X is drawn from the places k − 1 to k − 2 + *pool* by `draw_probabilities`, which is a Plackett-Luce model's first
    draw. What is certain neither depends on X nor can be X, so each has propensity exactly 1 and X its own probability.
    With the slot off or beyond *k*, or fewer than *k* candidates, all are as ranked and have propensity 1.

    Args:
        scores: `(n,)`, in the order of the ranked list, where only those from place k − 1 on matter: after rules, the
            chosen k − 1 followed by the spare ones of `retrieval.rules.Arranged`.
        u: in [0, 1), as `uniform_of` gives it.

    Raises:
        ValueError: *k* is below 1, or *u* outside its range.
    """
    if k < 1:
        raise ValueError(f"k must be at least 1, not {k}")
    slot, n_certain = exploration.position - 1, k - 1
    if not exploration.explores(k) or len(scores) < k:
        n = min(k, len(scores))
        return Explored(np.arange(n), np.ones(n))
    probabilities = draw_probabilities(scores[n_certain : n_certain + exploration.pool], exploration.temperature)
    drawn = int(draw(probabilities, u))
    places, propensities = np.arange(k), np.ones(k)
    places[slot + 1 :] -= 1
    places[slot], propensities[slot] = n_certain + drawn, probabilities[drawn]
    return Explored(places, propensities)


def draw_probabilities(scores: NDArray[np.floating], temperature: float) -> NDArray[np.float64]:
    """P(v) = exp(s_v / (temperature · σ)) / Σ over all, σ the standard deviation of *scores* `(n,)`; uniform for σ = 0.

    >>> draw_probabilities(np.array([2.0, 2.0, 2.0, 2.0]), temperature=1.0).tolist()
    [0.25, 0.25, 0.25, 0.25]
    """
    below = scores.astype(np.float64)
    below -= below.max()  # at most 0, so no power overflows, and equal scores have a spread of exactly 0
    weights = np.exp(below / (temperature * below.std() or 1.0))
    return np.asarray(weights / weights.sum())


def draw(probabilities: NDArray[np.float64], u: float | NDArray[np.float64]) -> Places:
    """The number that each *u* in [0, 1) draws: the first whose cumulated probability exceeds it.

    Raises:
        ValueError: a *u* lies outside its range.

    >>> draw(np.array([0.5, 0.25, 0.25]), np.array([0.0, 0.49, 0.5, 0.99])).tolist()
    [0, 0, 1, 2]
    """
    if not np.all((np.asarray(u) >= 0) & (np.asarray(u) < 1)):
        raise ValueError("a uniform number must lie in [0, 1)")
    cumulated = probabilities.cumsum()
    # The last must be 1 exactly: a rounded sum below it would let the largest u fall behind the end.
    return np.asarray(np.searchsorted(cumulated / cumulated[-1], u, side="right"))


def uniform_of(request_id: str, salt: str) -> float:
    """A uniform number in [0, 1) of 53 bits, the same whenever the same request is answered with the same *salt*."""
    text = f"{salt}\0{request_id}".encode("utf-8", "surrogatepass")  # an id from JSON may hold half a character
    return (int.from_bytes(hashlib.blake2b(text, digest_size=8).digest(), "big") >> 11) / 2**53
