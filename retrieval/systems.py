"""The systems that rank videos: who is asked, at what time, answered with rows and scores."""

import hashlib
import json
import zlib
from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from enum import StrEnum
from functools import cached_property
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from retrieval.conventional import GivenSpace
from retrieval.exploration import Exploration
from retrieval.half import floats
from retrieval.index.protocol import Mask, Neighbours, VectorIndex, take_best
from retrieval.log import DEFAULT_EVENT_WEIGHTS, Events, full_weights
from retrieval.ragged import Ints, Ragged
from retrieval.rules import FeedRules
from retrieval.towers.user import recency_weights, user_vectors
from retrieval.where import Where

DAY_S = 86_400.0


class SystemKind(StrEnum):
    """How videos are scored."""

    RANDOM = "random"
    RECENCY = "recency"
    POPULARITY = "popularity"
    MULTIMODAL = "multimodal"
    CONVENTIONAL = "conventional"


@dataclass(frozen=True)
class SystemConfig:
    """A named way to recommend, as `lookreel.toml` describes it.

    *half_life_s* is that of the user tower, *event_weights* are those of event kinds (kinds not named keep their
    default), *max_events* is how far back a history goes, *where* are filters that always hold, *seed* is for `random`.
    *rules* rearrange what was found, *exploration* gives a place to chance; both are off by default.
    """

    kind: SystemKind = SystemKind.MULTIMODAL
    half_life_s: float = 7 * DAY_S
    event_weights: Mapping[str, float] = field(default_factory=lambda: dict(DEFAULT_EVENT_WEIGHTS))
    max_events: int = 100
    where: Where = ()
    seed: int = 0
    rules: FeedRules = FeedRules()
    exploration: Exploration = Exploration()

    def __post_init__(self) -> None:
        object.__setattr__(self, "event_weights", full_weights(self.event_weights))
        if self.kind is SystemKind.RANDOM and (self.rules.active or self.exploration.active):
            raise ValueError("a random system takes no rules and no exploration: their propensities would be unknown")

    @cached_property
    def hash(self) -> str:
        """Eight hexadecimal digits that change with any choice above."""
        return hashlib.sha256(json.dumps(asdict(self), sort_keys=True).encode()).hexdigest()[:8]


@dataclass(frozen=True)
class Audience:
    """The users who ask, at *at_us*: their events before it, their markets, and the video rows they have seen.

    Of those who are *forgotten* nothing is used that was learned of them, such as a vector that a training gave them.
    """

    user_ids: Sequence[str]
    events: Events
    seen: Ragged
    at_us: int
    markets: Sequence[str | None]
    forgotten: Collection[str] = ()

    def __len__(self) -> int:
        return len(self.user_ids)

    def only(self, user: int) -> "Audience":
        """One of them alone."""
        seen = self.seen[user]
        alone = Ragged(seen, np.array([0, len(seen)]))
        own_id, events = [self.user_ids[user]], self.events.of_user(user)
        return Audience(own_id, events, alone, self.at_us, [self.markets[user]], self.forgotten)


@dataclass(frozen=True)
class Answer:
    """The best unseen videos of each user.

    *vectors* are the users' own, where the system makes such, *touched* what they are made of. *known* `(n_users,)` is
    false where a personal system knew nothing of the user; None of a system that is not personal. *exact* says that all
    videos were compared.
    """

    neighbours: Neighbours
    vectors: NDArray[np.float32] | None = None
    touched: "Touched | None" = None
    known: Mask | None = None
    exact: bool = True


@dataclass(frozen=True)
class Touched:
    """The products of the audience's events: their *vectors* `(n_events, dim)` and *weights* `(n_events,)`."""

    vectors: NDArray[np.floating]
    weights: NDArray[np.float64]

    def of(self, events: slice) -> "Touched":
        """Those of some of the events."""
        return Touched(self.vectors[events], self.weights[events])


class System(Protocol):
    """Ranks videos for users. It sees only what the audience and its own statistics know."""

    @property
    def has(self) -> Mask | None:
        """True `(n_videos,)` for the videos that it can rank; None where that is all of them."""
        ...

    def rank(self, audience: Audience, k: int, eligible: Mask) -> Answer:
        """The *k* best videos of each user that are *eligible* `(n_videos,)` and that this user has not seen."""
        ...


@dataclass(frozen=True)
class StaticSystem:
    """One order for everybody: by *scores* `(n_videos,)`, such as publication time or popularity; *order* has it."""

    scores: NDArray[np.float64]
    order: Ints
    has = None

    def rank(self, audience: Audience, k: int, eligible: Mask) -> Answer:
        """The *k* best of the one order, less what each user has seen."""
        depth = k + int(audience.seen.lengths.max(initial=0))
        order = self.order[eligible[self.order]][:depth]
        shape = (len(audience), len(order))
        scores = self.scores[order].astype(np.float32)
        everybody = Neighbours(np.broadcast_to(order, shape), np.broadcast_to(scores, shape))
        return Answer(drop_seen(everybody, audience.seen, k, len(eligible)))


def best_first(scores: NDArray[np.number]) -> Ints:
    """All rows, the highest score first, equal ones by row.

    >>> best_first(np.array([1.0, 3.0, 3.0])).tolist()
    [1, 2, 0]
    """
    return np.argsort(-scores, kind="stable")


@dataclass(frozen=True)
class RandomSystem:
    """Another order for each user, the same at each call."""

    seed: int
    has = None

    def keys(self, user_ids: Sequence[str]) -> NDArray[np.uint64]:
        """A number for each user, to ask `scores` with."""
        return np.array([zlib.crc32(f"{self.seed}/{user}".encode()) for user in user_ids], np.uint64)

    def scores(self, keys: NDArray[np.uint64], rows: Ints) -> NDArray[np.float32]:
        """Uniform scores in [0, 1) of (seed, user, video), of users' *keys* and videos' *rows* that broadcast."""
        return _uniform(keys * np.uint64(0x9E3779B97F4A7C15) + rows.astype(np.uint64))

    def rank(self, audience: Audience, k: int, eligible: Mask) -> Answer:
        """The *k* highest of the scores."""
        rows = np.flatnonzero(eligible)
        scores = self.scores(self.keys(audience.user_ids)[:, None], rows[None])
        depth = k + int(audience.seen.lengths.max(initial=0))
        best = take_best(np.broadcast_to(rows, scores.shape), scores, depth)
        return Answer(drop_seen(best, audience.seen, k, len(eligible)))


@dataclass(frozen=True)
class MultimodalSystem:
    """The paper's system: f(u, v) = e_u · e_v over an index of videos.

    *product_vectors* `(n_products, dim)`; *fallbacks* `(1 + n_markets, dim)` are the global vectors of new users: row 0
    of all, then one for each of *markets*.
    """

    index: VectorIndex
    product_vectors: NDArray[np.floating]
    fallbacks: NDArray[np.float32]
    markets: tuple[str, ...]
    half_life_s: float
    has = None

    def rank(self, audience: Audience, k: int, eligible: Mask) -> Answer:
        """The nearest unseen videos of each user's vector."""
        products = floats(self.product_vectors[audience.events.product_rows])
        touched = Touched(products, event_weights(audience.events, self.half_life_s))
        vectors = self.vectors(audience, touched)
        depth = min(self.index.n_items, k + int(audience.seen.lengths.max(initial=0)))
        found = self.index.search(vectors, max(1, depth), eligible)
        unseen = drop_seen(found, audience.seen, k, len(eligible))
        return Answer(unseen, vectors, touched, audience.events.lengths > 0, self.index.exact)

    def vectors(self, audience: Audience, touched: Touched) -> NDArray[np.float32]:
        """The users' vectors `(n_users, dim)`: the tower's, or the market's or overall global vector."""
        lengths = audience.events.lengths
        known = np.flatnonzero(lengths > 0)
        market_rows = {market: row + 1 for row, market in enumerate(self.markets)}
        rows = np.array([market_rows.get(market or "", 0) for market in audience.markets], np.int64)
        vectors = self.fallbacks[rows].astype(np.float32)
        if len(known):
            offsets = np.append(audience.events.offsets[known], audience.events.offsets[-1])
            vectors[known] = user_vectors(touched.vectors, touched.weights, offsets)
        return vectors


@dataclass(frozen=True)
class ConventionalSystem:
    """The two-tower baseline: the dot product of the vectors that a training gave to users and videos."""

    given: GivenSpace

    @property
    def has(self) -> Mask:
        return self.given.has

    def rank(self, audience: Audience, k: int, eligible: Mask) -> Answer:
        """The nearest unseen videos of each user's given vector; videos without a vector of their own have no place."""
        users = self.given.of_users(audience.user_ids, audience.forgotten)
        depth = min(self.given.index.n_items, k + int(audience.seen.lengths.max(initial=0)))
        found = self.given.index.search(users.vectors, max(1, depth), eligible & self.given.has)
        unseen = drop_seen(found, audience.seen, k, len(eligible))
        return Answer(unseen, known=~users.unknown, exact=self.given.index.exact)


def event_weights(events: Events, half_life_s: float) -> NDArray[np.float64]:
    """The weights of every user's events `(n_events,)`, each user's relative to their own newest event."""
    newest = events.times_us[np.maximum(events.offsets[1:] - 1, 0)] if len(events.times_us) else events.times_us
    age_us = np.repeat(newest, events.lengths) - events.times_us if len(events.times_us) else events.times_us
    # Each user's newest event has age 0 already, so the batch's least age is 0 too and the weights are the tower's.
    return recency_weights(age_us / 1e6, half_life_s, events.weights)


def drop_seen(found: Neighbours, seen: Ragged, k: int, n_videos: int) -> Neighbours:
    """The first *k* of each user's list that this user has not seen."""
    if not len(seen.values) and found.rows.shape[1] <= k:
        return found  # as it mostly is in serving, where it costs more than the search's own bookkeeping
    owners = np.arange(len(found.rows))
    seen_keys = np.repeat(owners, seen.lengths) * n_videos + seen.values
    again = np.isin(owners[:, None] * n_videos + found.rows, seen_keys) | (found.rows < 0)
    order = np.argsort(again, axis=1, kind="stable")[:, :k]
    dropped = np.take_along_axis(again, order, 1)
    rows = np.where(dropped, -1, np.take_along_axis(found.rows, order, 1))
    scores = np.where(dropped, -np.inf, np.take_along_axis(found.scores, order, 1)).astype(np.float32)
    return Neighbours(rows, scores)


def _uniform(keys: NDArray[np.uint64]) -> NDArray[np.float32]:
    """SplitMix64's output function: well-mixed values in [0, 1) from distinct keys, without state."""
    keys = (keys ^ (keys >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    keys = (keys ^ (keys >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return ((keys ^ (keys >> np.uint64(31))) >> np.uint64(40)).astype(np.float32) / np.float32(2**24)
