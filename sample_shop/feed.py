"""The video feed: a policy fills sessions of slots, shoppers watch, and every slot is logged.

`watching` gives the model of one viewing (interest, position, duration, skips, replays, reactions) with its formulas,
`policies` the choice of videos; this module delivers. A shopper has 1 to 20 feed sessions of 8 to 12 slots (median
about 8 in 14 days), spread over the window with a daily rhythm; a feed is delivered at once, so all its slots share
one shown_at. Eligible is every video published by then that this shopper was not shown before, and nobody is ever
shown more than two fifths of the videos: the rest stays unseen.

Policies, and the propensity P(this video at this position | policy) that they log, with n eligible videos:

    recency   the newest first                                                     1
    random    a uniform permutation                                                1/n
    explore   with probability ε a uniform permutation, else recency               ε/n + (1 − ε)·1[recency puts it here]
    scores    an array (n_users, n_videos), highest first, ties by row             1

Shoppers are simulated in blocks, all of a block at once, session by session. A potential outcome depends on (seed,
user, video, day) alone, and visits and patience on the seed, so two policies of one seed meet the same luck.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, fields, replace

import numpy as np

from sample_shop.arrays import Bools, Floats, Ints, keys_of
from sample_shop.browsing import times_of_day
from sample_shop.catalogue import DAY_US, Catalogue, make_catalogue, video_attributes
from sample_shop.policies import Policy, Rule, choose, ranks_of
from sample_shop.shoppers import Shoppers, drifted, make_shoppers, turned
from sample_shop.watching import (
    Dials,
    Feedback,
    Viewing,
    examination_probability,
    feedback,
    reach_probability,
    viewing,
    watch50_probability,
    watch_if_examined,
    watched_half,
)

FEWEST_SLOTS, MOST_SLOTS, MOST_SESSIONS = 8, 12, 20
MOST_SEEN_SHARE = 0.4
_BLOCK = 2048  # shoppers at a time


@dataclass(frozen=True)
class World:
    """A shop's truth: its catalogue and its shoppers, with their full drift."""

    catalogue: Catalogue
    shoppers: Shoppers


@dataclass(frozen=True)
class Log:
    """Delivered slots, one row each, in the order of feeds and positions; users and videos are rows of the world.

    *day* counts from 0; *watch_time_s* is NaN where the slot was not reached; *examined* is truth that the table of
    impressions leaves out.
    """

    feed: Ints
    user: Ints
    video: Ints
    position: Ints
    shown_us: Ints
    day: Ints
    reached: Bools
    examined: Bools
    watch_time_s: Floats
    liked: Bools
    commented: Bools
    followed: Bools
    shared: Bools
    selection_propensity: Floats
    examination_propensity: Floats

    def __len__(self) -> int:
        return len(self.feed)


@dataclass(frozen=True)
class Outcomes:
    """The truth of (user, video, day): interest, P(at least half watched | examined), and the draw the log uses."""

    interest: Floats
    p_watch50: Floats
    label: Bools


@dataclass(frozen=True)
class Simulation:
    """All that a log depends on. *scores* `(n_users, n_videos)` go with the policy `SCORES`."""

    seed: int
    world: World
    dials: Dials = field(default_factory=Dials)
    policy: Policy = Policy.RECENCY
    explore_rate: float = 0.2
    scores: Floats | None = None

    def __post_init__(self) -> None:
        if not 0 <= self.explore_rate <= 1:
            raise ValueError(f"explore_rate is {self.explore_rate}; it must be between 0 and 1")
        shape = (len(self.world.shoppers), len(self.world.catalogue.videos))
        given = None if self.scores is None else self.scores.shape
        if (self.policy is Policy.SCORES) != (given is not None) or given not in (None, shape):
            raise ValueError(f"policy {self.policy} with scores of shape {given}; scores must have shape {shape}")


def make_world(seed: int, n_users: int, n_videos: int = 600, n_products: int = 600, days: int = 14) -> World:
    """The world of a seed."""
    catalogue = make_catalogue(seed, n_products, n_videos, days)
    return World(catalogue, make_shoppers(seed, catalogue, n_users))


def simulate_log(
    seed: int,
    n_users: int,
    policy: str | Floats = Policy.RECENCY,
    dials: Dials | None = None,
    *,
    world: World | None = None,
    explore_rate: float = 0.2,
) -> Log:
    """The log of a feed over the window: about 90 impressions a shopper, a million of them in a few seconds.

    Args:
        seed: makes the world, unless one is given, and all of the log's luck.
        n_users: how many shoppers; those of *world* if that is given.
        policy: a `Policy` or its name, or scores `(n_users, n_videos)`.
        dials: the strength of each bias, all 1 unless given.
        world: its tastes keep their full drift here; the dial turns it.
        explore_rate: ε of the policy "explore".
    """
    world = world or make_world(seed, n_users)
    if len(world.shoppers) != n_users:
        raise ValueError(f"the world has {len(world.shoppers)} shoppers, not {n_users}")
    named = Policy(policy) if isinstance(policy, str) else Policy.SCORES
    scores = None if isinstance(policy, str) else policy
    return joined(list(iter_log(Simulation(seed, world, dials or Dials(), named, explore_rate, scores))))


def iter_log(simulation: Simulation) -> Iterator[Log]:
    """The log in blocks of shoppers, so that memory is flat; each block numbers its feeds from 0."""
    n_users = len(simulation.world.shoppers)
    for first in range(0, n_users, _BLOCK):
        yield _block_log(simulation, np.arange(first, min(first + _BLOCK, n_users)))


def outcomes(seed: int, world: World, dials: Dials, user: Ints, video: Ints, day: Ints) -> Outcomes:
    """The truth of each (user, video, day), examined or not."""
    seen = _viewing(world, dials, user, video, day)
    watch_s = watch_if_examined(keys_of(seed, user, video, day), seen, dials)
    return Outcomes(seen.interest, watch50_probability(seen, dials), watched_half(watch_s, seen.duration_s))


def video_affinity(world: World, drift: float, user: Ints, video: Ints, day: Ints) -> Floats:
    """The mean affinity of u to the products of v on a day, for each row of the three columns."""
    shoppers = drifted(world.shoppers, drift)
    attributes = video_attributes(world.catalogue).T
    distinct, row = np.unique(user, return_inverse=True)
    start, end = shoppers.taste_start[distinct] @ attributes, shoppers.taste_end[distinct] @ attributes
    old, new = turned(shoppers, user, day, world.catalogue.days)
    return np.asarray(old * start[row, video] + new * end[row, video])


def joined(blocks: Sequence[Log]) -> Log:
    """Blocks as one log: feeds numbered by the time they were shown, rows in that order."""
    n_feeds = [int(block.feed.max(initial=-1)) + 1 for block in blocks]
    shifts = np.cumsum([0, *n_feeds[:-1]])
    moved = [replace(block, feed=block.feed + shift) for block, shift in zip(blocks, shifts, strict=True)]
    log = Log(*(np.concatenate([getattr(block, column.name) for block in moved]) for column in fields(Log)))
    order = np.lexsort((log.position, log.user, log.shown_us))
    ordered = Log(*(getattr(log, column.name)[order] for column in fields(Log)))
    starts = np.diff(ordered.feed, prepend=-1) != 0
    return replace(ordered, feed=np.cumsum(starts) - 1)


@dataclass(frozen=True)
class _Visits:
    """Feed sessions of a block, `(n_users, most sessions)`, in order of time.

    *n_slots* is 0 where there is none; *patience* is U_feed: the feed's slots with reach_k above it are reached.
    """

    start_us: Ints
    n_slots: Ints
    patience: Floats


@dataclass(frozen=True)
class _Slots:
    """Delivered slots, one row each; *user* is a row of the block, *session* counts from 0 for each user."""

    user: Ints
    session: Ints
    video: Ints
    position: Ints
    shown_us: Ints
    propensity: Floats


def _block_log(simulation: Simulation, users: Ints) -> Log:
    rng = np.random.default_rng([simulation.seed, 6, int(users[0])])
    world, dials = simulation.world, simulation.dials
    visits = _plan_visits(rng, world.catalogue, len(users))
    slots = _deliver(rng, _rule(simulation, users), world.catalogue.videos.published_us, visits)
    user, day = users[slots.user], (slots.shown_us - world.catalogue.start_us) // DAY_US
    reached = visits.patience[slots.user, slots.session] < reach_probability(slots.position, dials)
    keys = keys_of(simulation.seed, user, slots.video, day)
    left = feedback(keys, slots.position, reached, _viewing(world, dials, user, slots.video, day), dials)
    return _log(slots, user, day, reached, left, examination_probability(slots.position, dials))


def _log(slots: _Slots, user: Ints, day: Ints, reached: Bools, left: Feedback, examination: Floats) -> Log:
    return Log(
        feed=slots.user * MOST_SESSIONS + slots.session,
        user=user,
        video=slots.video,
        position=slots.position,
        shown_us=slots.shown_us,
        day=day,
        reached=reached,
        examined=left.examined,
        watch_time_s=left.watch_time_s,
        liked=left.liked,
        commented=left.commented,
        followed=left.followed,
        shared=left.shared,
        selection_propensity=slots.propensity,
        examination_propensity=examination,
    )


def _plan_visits(rng: np.random.Generator, catalogue: Catalogue, n_users: int) -> _Visits:
    """When each shopper opens the feed, and how many slots it then has."""
    shape = (n_users, MOST_SESSIONS)
    wanted = np.round(rng.lognormal(np.log(8.0 * catalogue.days / 14), 0.6, n_users))
    planned = np.arange(MOST_SESSIONS) < np.clip(wanted, 1, MOST_SESSIONS)[:, None]
    time_of_day = times_of_day(rng, n_users * MOST_SESSIONS).reshape(shape)
    start_us = catalogue.start_us + rng.integers(catalogue.days, size=shape) * DAY_US + time_of_day
    start_us = np.sort(np.where(planned, start_us, np.iinfo(np.int64).max), axis=1)
    n_slots = rng.integers(FEWEST_SLOTS, MOST_SLOTS + 1, size=shape) * planned
    room = max(1, int(MOST_SEEN_SHARE * len(catalogue.videos)))
    before = np.cumsum(n_slots, axis=1) - n_slots
    return _Visits(start_us, np.clip(room - before, 0, n_slots), rng.random(shape))


def _rule(simulation: Simulation, users: Ints) -> Rule:
    scores = simulation.scores
    newest = simulation.world.catalogue.videos.published_us.astype(np.float64)
    return Rule(simulation.policy, ranks_of(newest if scores is None else scores[users]), simulation.explore_rate)


def _deliver(rng: np.random.Generator, rule: Rule, published_us: Ints, visits: _Visits) -> _Slots:
    """Fill all sessions of a block, every shopper's first session first."""
    delivered = np.zeros((len(visits.start_us), len(published_us)), dtype=bool)
    parts = []
    for session in range(MOST_SESSIONS):
        rows = np.flatnonzero(visits.n_slots[:, session])
        start_us, n_slots = visits.start_us[rows, session][:, None], visits.n_slots[rows, session][:, None]
        chosen = choose(rng, rule, (published_us <= start_us) & ~delivered[rows], rows, MOST_SLOTS)
        feed, slot = np.nonzero((chosen.video >= 0) & (np.arange(chosen.video.shape[1]) < n_slots))
        video = chosen.video[feed, slot]
        delivered[rows[feed], video] = True
        same = np.full(len(feed), session)
        parts.append(_Slots(rows[feed], same, video, slot + 1, start_us[feed, 0], chosen.propensity[feed, slot]))
    return _Slots(*(np.concatenate([getattr(part, column.name) for part in parts]) for column in fields(_Slots)))


def _viewing(world: World, dials: Dials, user: Ints, video: Ints, day: Ints) -> Viewing:
    videos = world.catalogue.videos
    liking = video_affinity(world, dials.drift, user, video, day)
    return viewing(liking, videos.quality[video], videos.popularity[video], videos.duration_s[video], dials)
