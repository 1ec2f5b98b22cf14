"""From a system's candidates to the lists that are shown: the rules of the feed, and the slot that explores."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from retrieval.exploration import explore
from retrieval.index.protocol import Mask, Neighbours, no_neighbours
from retrieval.ragged import Ints
from retrieval.rules import Arranged, Candidates, arrange, widen
from retrieval.systems import Answer, Audience, System, SystemConfig, SystemKind


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

    *answer* is the system's own, of which these lists were made: whom it knew, and by which vectors it ranked.
    """

    neighbours: Neighbours
    propensities: NDArray[np.float64]
    answer: Answer


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
    if not config.rules.active and (uniforms is None or not config.exploration.active):
        answer = system.rank(audience, k, eligible)
        propensities = _propensities(config, answer.neighbours, audience, eligible)
        return Lists(answer.neighbours, propensities, answer)
    return _arranged_lists(videos, system, audience, k, config, eligible, uniforms)


def _propensities(config: SystemConfig, found: Neighbours, audience: Audience, eligible: Mask) -> NDArray[np.float64]:
    """1 where the system decides alone; the random system might have put any video there that the user may see."""
    propensities = np.ones(found.rows.shape)
    if config.kind is SystemKind.RANDOM:
        seen = [int(eligible[np.unique(audience.seen[user])].sum()) for user in range(len(audience))]
        propensities /= np.maximum(1, int(np.count_nonzero(eligible)) - np.array(seen, np.int64))[:, None]
    return propensities


def _arranged_lists(
    videos: Videos,
    system: System,
    audience: Audience,
    k: int,
    config: SystemConfig,
    eligible: Mask,
    uniforms: Sequence[float] | None,
) -> Lists:
    """A pool is ranked and rearranged; for users of whom rules left fewer than *k*, a larger one is.

    What explores is drawn from the same pool, which is therefore a little larger where the rules' own is very small.
    """
    widest = config.rules.widest(int(np.count_nonzero(eligible)))
    pool = max(config.rules.depth(k), k + config.exploration.pool)
    answer = system.rank(audience, min(pool, len(eligible)), eligible)
    lists = Lists(*_padded(len(audience), k), answer)
    for user in range(len(audience)):
        found, size = Neighbours(answer.neighbours.rows[user], answer.neighbours.scores[user]), pool
        arranged = _arrange_one(videos, found, k, config, audience.at_us)
        while arranged.falls_short(k) and size < widest:
            size = widen(size, widest)
            wider = system.rank(audience.only(user), size, eligible).neighbours
            found = Neighbours(wider.rows[0], wider.scores[0])
            arranged = _arrange_one(videos, found, k, config, audience.at_us)
        _fill(lists, found, user, arranged, config, None if uniforms is None else uniforms[user])
    return lists


def _arrange_one(videos: Videos, found: Neighbours, k: int, config: SystemConfig, at_us: int) -> Arranged:
    rows = found.rows[found.rows >= 0]
    candidates = Candidates(
        scores=found.scores[: len(rows)],
        age_s=(at_us - videos.published_us[rows]) / 1e6,
        creators=videos.creator_codes[rows],
        brands=videos.brand_codes[rows],
        vectors=partial(videos.vectors, rows),
    )
    return arrange(candidates, config.rules, k)


def _padded(n_users: int, k: int) -> tuple[Neighbours, NDArray[np.float64]]:
    return no_neighbours(n_users, k), np.ones((n_users, k))


def _fill(
    lists: Lists, found: Neighbours, user: int, arranged: Arranged, config: SystemConfig, uniform: float | None
) -> None:
    """Write one user's list into *lists*."""
    k = lists.neighbours.rows.shape[1]
    places, propensities = arranged.chosen, np.ones(len(arranged.chosen))
    if uniform is not None and config.exploration.explores(k):
        order = np.concatenate([arranged.chosen, arranged.spare])
        drawn = explore(found.scores[order], k, config.exploration, uniform)
        places, propensities = order[drawn.places], drawn.propensities
    lists.neighbours.rows[user, : len(places)] = found.rows[places]
    lists.neighbours.scores[user, : len(places)] = found.scores[places]
    lists.propensities[user, : len(places)] = propensities
