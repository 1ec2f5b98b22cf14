"""Which videos a feed shows: the policies, each with the propensity it logs.

`Rule.ranks` orders the videos for the policies that do not leave it to chance; the propensity of a slot is P(this
video at this position | policy, what was eligible), marginal over the policy's own randomness.
"""

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum

import numpy as np
from numpy.typing import NDArray

from sample_shop.arrays import Bools, Floats, Ints

Float32s = NDArray[np.float32]


class Policy(StrEnum):
    """How a feed is filled; `SCORES` stands for any array of scores."""

    RECENCY = "recency"
    RANDOM = "random"
    EXPLORE = "explore"
    SCORES = "scores"


@dataclass(frozen=True)
class Rule:
    """A policy ready to fill feeds. *ranks* `(n_videos,)` or `(n_users, n_videos)`: distinct, higher is shown first."""

    policy: Policy
    ranks: Float32s
    explore_rate: float


@dataclass(frozen=True)
class Chosen:
    """The slots of each feed, `(n_feeds, k)`: *video* is a row, −1 where nothing was left to show."""

    video: Ints
    propensity: Floats


def choose(rng: np.random.Generator, rule: Rule, eligible: Bools, rows: Ints, k: int) -> Chosen:
    """Fill *k* slots for the users in *rows*; *eligible* is `(n_rows, n_videos)`."""
    return _FILLERS[rule.policy](rng, rule, eligible, rows, min(k, eligible.shape[1]))


def ranks_of(scores: Floats) -> Float32s:
    """Distinct ranks along the last axis, higher for a higher score; of equal scores the first row wins.

    >>> ranks_of(np.array([0.1, 0.7, 0.1])).tolist()
    [1.0, 2.0, 0.0]
    """
    order = np.argsort(-scores, axis=-1, kind="stable")
    falling = np.arange(scores.shape[-1], dtype=np.float32)[::-1]
    ranks = np.empty(scores.shape, dtype=np.float32)
    np.put_along_axis(ranks, order, np.broadcast_to(falling, scores.shape), axis=-1)
    return ranks


def _best(keys: Float32s, eligible: Bools, k: int) -> Ints:
    """The *k* eligible videos of highest key, best first, −1 where there are fewer."""
    open_keys = np.where(eligible, keys, np.float32(-np.inf))
    found = np.argpartition(-open_keys, k - 1, axis=1)[:, :k]
    found_keys = np.take_along_axis(open_keys, found, axis=1)
    order = np.argsort(-found_keys, axis=1)
    best = np.take_along_axis(found, order, axis=1)
    return np.where(np.isfinite(np.take_along_axis(found_keys, order, axis=1)), best, -1)


def _ranked(rng: np.random.Generator, rule: Rule, eligible: Bools, rows: Ints, k: int) -> Chosen:
    ranks = rule.ranks if rule.ranks.ndim == 1 else rule.ranks[rows]
    video = _best(ranks, eligible, k)
    return Chosen(video, np.ones(video.shape))


def _random(rng: np.random.Generator, rule: Rule, eligible: Bools, rows: Ints, k: int) -> Chosen:
    video = _best(rng.random(eligible.shape, dtype=np.float32), eligible, k)
    return Chosen(video, np.broadcast_to(1.0 / _count(eligible), video.shape))


def _explore(rng: np.random.Generator, rule: Rule, eligible: Bools, rows: Ints, k: int) -> Chosen:
    newest = _ranked(rng, rule, eligible, rows, k).video
    explores = rng.random((len(rows), 1)) < rule.explore_rate
    video = np.where(explores, _random(rng, rule, eligible, rows, k).video, newest)
    return Chosen(video, rule.explore_rate / _count(eligible) + (1.0 - rule.explore_rate) * (video == newest))


def _count(eligible: Bools) -> Ints:
    return np.asarray(np.maximum(eligible.sum(axis=1, keepdims=True), 1))


_Filler = Callable[[np.random.Generator, Rule, Bools, Ints, int], Chosen]
_FILLERS: dict[Policy, _Filler] = {
    Policy.RECENCY: _ranked,
    Policy.SCORES: _ranked,
    Policy.RANDOM: _random,
    Policy.EXPLORE: _explore,
}
