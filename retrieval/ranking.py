"""From a system's candidates to the lists that are shown: the rules of the feed, and the slot that explores."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from retrieval.exploration import explore
from retrieval.index.protocol import Mask, Neighbours
from retrieval.ragged import Ints
from retrieval.rules import Arranged, Candidates, arrange, widen
from retrieval.systems import Audience, System, SystemConfig, SystemKind


class Videos(Protocol):
    """What the rules must know of the videos, by row."""

    @property
    def published_us(self) -> Ints: ...
    @property
    def creator_codes(self) -> Ints: ...
    @property
    def brand_codes(self) -> Ints: ...

    def vectors(self, rows: Ints) -> NDArray[np.float16]:
        """Their vectors `(len(rows), dim)`."""
        ...


@dataclass(frozen=True)
class Lists:
    """What each user is shown. *propensities* `(n_users, k)` are P(this video at this place | the system).

    *vectors* `(n_users, dim)` are the users' own, where the system has such.
    """

    neighbours: Neighbours
    propensities: NDArray[np.float64]
    vectors: NDArray[np.float32] | None


def rank_lists(
    videos: Videos,
    system: System,
    audience: Audience,
    k: int,
    config: SystemConfig,
    eligible: Mask,
    uniforms: Sequence[float] | None = None,
) -> Lists:
    """The *k* videos for each user, as *config* says.

    Args:
        uniforms: a number in [0, 1) for each user, which draws the slot that explores; without them nothing is drawn.
    """
    if not config.rules.active and not (uniforms and config.exploration.active):
        answer = system.rank(audience, k, eligible)
        return Lists(answer.neighbours, _propensities(config, answer.neighbours, eligible), answer.vectors)
    return _arranged_lists(videos, system, audience, k, config, eligible, uniforms)


def _propensities(config: SystemConfig, found: Neighbours, eligible: Mask) -> NDArray[np.float64]:
    """1 where the system decides alone; the random system might have put any eligible video there."""
    likely = 1.0 / max(1, int(eligible.sum())) if config.kind is SystemKind.RANDOM else 1.0
    return np.full(found.rows.shape, likely)


def _arranged_lists(
    videos: Videos,
    system: System,
    audience: Audience,
    k: int,
    config: SystemConfig,
    eligible: Mask,
    uniforms: Sequence[float] | None,
) -> Lists:
    """A pool is ranked and rearranged; where rules left fewer than *k* of it, a larger one is."""
    n_eligible = int(eligible.sum())
    pool = max(config.rules.depth(k), k + config.exploration.pool)
    while True:
        answer = system.rank(audience, min(pool, len(eligible)), eligible)
        found, n_users = answer.neighbours, len(audience)
        arranged = [_arrange_one(videos, found, user, k, config, audience.at_us) for user in range(n_users)]
        if pool >= n_eligible or not any(one.falls_short(k) for one in arranged):
            break
        pool = widen(pool, n_eligible)
    lists = _padded(len(audience), k)
    for user, one in enumerate(arranged):
        _fill(lists, found, user, one, config, uniforms[user] if uniforms else None)
    return Lists(lists.neighbours, lists.propensities, answer.vectors)


def _arrange_one(videos: Videos, found: Neighbours, user: int, k: int, config: SystemConfig, at_us: int) -> Arranged:
    rows = found.rows[user][found.rows[user] >= 0]
    candidates = Candidates(
        scores=found.scores[user][: len(rows)],
        age_s=(at_us - videos.published_us[rows]) / 1e6,
        creators=videos.creator_codes[rows],
        brands=videos.brand_codes[rows],
        vectors=partial(videos.vectors, rows),
    )
    return arrange(candidates, config.rules, k)


def _padded(n_users: int, k: int) -> Lists:
    nothing = Neighbours(np.full((n_users, k), -1, np.int64), np.full((n_users, k), -np.inf, np.float32))
    return Lists(nothing, np.ones((n_users, k)), None)


def _fill(
    lists: Lists, found: Neighbours, user: int, arranged: Arranged, config: SystemConfig, uniform: float | None
) -> None:
    """Write one user's list into *lists*."""
    k = lists.neighbours.rows.shape[1]
    places, propensities = arranged.chosen, np.ones(len(arranged.chosen))
    if uniform is not None and config.exploration.active:
        order = np.concatenate([arranged.chosen, arranged.spare])
        drawn = explore(found.scores[user][order], k, config.exploration, uniform)
        places, propensities = order[drawn.places], drawn.propensities
    lists.neighbours.rows[user, : len(places)] = found.rows[user][places]
    lists.neighbours.scores[user, : len(places)] = found.scores[user][places]
    lists.propensities[user, : len(places)] = propensities
