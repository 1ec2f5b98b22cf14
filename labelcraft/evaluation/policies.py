"""What the systems' own lists would earn, from the selection propensities of a log that left something to chance.

A logged slot says something of a system where the system would have put the same video there: then its label counts
1 / selection_propensity times. Where a log is all but deterministic few slots do, which the effective sample size
tells. Position and user are the same in both, so examination plays no part.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from labelcraft.evaluation.contestants import Contestant
from labelcraft.evaluation.feeds import Bools, Floats, Part
from labelcraft.evaluation.lists import seen_log
from labelcraft.evaluation.results import Policy
from labelcraft.evaluation.scoring import ranked_last
from labelcraft.evaluation.setting import Setting
from labelcraft.evaluation.slot_counts import count_slots
from retrieval.errors import ConfigError
from retrieval.log import Log
from retrieval.metrics.cluster import Bootstrap
from retrieval.metrics.listwise import Feeds
from retrieval.metrics.policy_value import (
    LoggedChoices,
    Predicted,
    folds_of,
    listwise_doubly_robust,
    policy_value,
)
from retrieval.metrics.propensity import Curve, Method, apply, estimate
from retrieval.metrics.ranks import ranks_within
from retrieval.metrics.stats import Estimate
from retrieval.ragged import Ints
from retrieval.ranking import rank_lists
from retrieval.systems import Audience, SystemKind
from retrieval.tables import Columns as C

MAX_FEEDS = 20_000
FEEDS_AT_ONCE = 256
N_FOLDS = 5
PRIOR = 5.0  # expected positives that a video begins with: what few rows say of it is drawn towards the mean


@dataclass(frozen=True)
class _Slots:
    """Logged slots of the top k with a selection propensity, `(n,)` each; *feed* is a row of the feeds `(n_feeds,)`."""

    feed: Ints
    video: Ints
    position: Ints
    reward: Floats
    selection: Floats
    users: Ints
    shown_us: Ints


def policy_values(
    setting: Setting, contestants: tuple[Contestant, ...], k: int, bootstrap: Bootstrap
) -> dict[str, Policy]:
    """The value of every system that makes lists, on at most `MAX_FEEDS` test feeds (some whole parts of the hash).

    Raises:
        ConfigError: the log has no selection propensities.
    """
    slots = _logged(setting, k)
    if not len(slots.feed):
        raise ConfigError(
            f"No test slot has a {C.SELECTION_PROPENSITY}, so --policy-value has nothing to weight by.",
            "Let a place explore (explore_position in lookreel.toml) and export the served log.",
        )
    seen = seen_log(setting, sorted({setting.feeds.users.ids[u] for u in slots.users}), setting.split.last_us + 1)
    fold = folds_of(slots.users[slots.feed], len(setting.feeds.users), N_FOLDS, bootstrap.seed)
    model = _Model(slots, fold, len(setting.snapshot.video_ids), k)
    listwise = _listwise(setting, contestants, k, bootstrap)
    return {
        one.name: _policy(setting, one, slots, seen, model, k, bootstrap, listwise[one.name])
        for one in contestants
        if one.system is not None
    }


def _logged(setting: Setting, k: int) -> _Slots:
    columns: list[tuple[np.ndarray, ...]] = []
    users, shown, n_feeds = [np.empty(0, np.int64)], [np.empty(0, np.int64)], 0
    for part in setting.feeds.parts():
        kept = ~np.isnan(part.selection) & (part.positions <= k)
        feed = part.owners[kept] + n_feeds
        columns.append((feed, part.videos[kept], part.positions[kept], part.label[kept], part.selection[kept]))
        users.append(part.users)
        shown.append(part.shown_us)
        n_feeds += len(part)
        if n_feeds >= MAX_FEEDS:
            break
    feed, video, position, label, selection = (np.concatenate(column) for column in zip(*columns, strict=True))
    return _Slots(
        feed, video, position, label.astype(np.float64), selection, np.concatenate(users), np.concatenate(shown)
    )


@dataclass(frozen=True)
class _Model:
    """r̂ of a video at a position, the position's share of positives times what the video has more, of other folds."""

    slots: _Slots
    fold: Ints
    n_videos: int
    k: int

    def of(self, video: Ints) -> Floats:
        """At the slots' positions, of these videos instead `(n,)`; 0 where there is none (−1)."""
        predicted = np.zeros(len(video))
        for fold in range(N_FOLDS):
            own = (self.fold == fold) & (video >= 0)
            rate, ratio = self._fitted(self.fold != fold)
            predicted[own] = rate[self.slots.position[own]] * ratio[video[own]]
        return predicted

    def mean(self, eligible: Bools) -> Floats:
        """Of a video drawn at random."""
        predicted = np.zeros(len(self.fold))
        for fold in range(N_FOLDS):
            own = self.fold == fold
            rate, ratio = self._fitted(~own)
            predicted[own] = rate[self.slots.position[own]] * ratio[eligible].mean()
        return predicted

    def _fitted(self, rows: Bools) -> tuple[Floats, Floats]:
        reward, position, video = self.slots.reward[rows], self.slots.position[rows], self.slots.video[rows]
        n = np.bincount(position, minlength=self.k + 1)
        rate = np.bincount(position, reward, self.k + 1) / np.maximum(n, 1)
        positives = np.bincount(video, reward, self.n_videos)
        expected = np.bincount(video, rate[position], self.n_videos)
        return rate, (positives + PRIOR) / (expected + PRIOR)


def _policy(
    setting: Setting, one: Contestant, slots: _Slots, seen: Log, model: _Model, k: int, bootstrap: Bootstrap,
    listwise: Estimate,
) -> Policy:  # fmt: skip
    target, same, expected = _target(setting, one, slots, seen, model, k)
    choices = LoggedChoices(slots.reward, slots.selection, target, slots.users[slots.feed], len(setting.feeds.users))
    value = policy_value(choices, bootstrap, predicted=Predicted(model.of(slots.video), expected))
    return Policy(value, len(slots.feed), same, listwise)


def _target(
    setting: Setting, one: Contestant, slots: _Slots, seen: Log, model: _Model, k: int
) -> tuple[Floats, int, Floats]:
    """P(the logged video there | this system), how many slots are the same, and what the model expects of its own."""
    if one.kind == SystemKind.RANDOM.value:
        eligible = setting.snapshot.eligible(setting.split.at_us, one.config.where if one.config else ())
        chance = 1.0 / max(1, int(eligible.sum()))
        return np.full(len(slots.feed), chance), len(slots.feed), model.mean(eligible)
    own = np.concatenate(list(_lists_at(setting, one, slots, seen, k)))[_places(slots)]
    video = own[slots.feed, slots.position - 1]
    same = video == slots.video
    return same.astype(np.float64), int(same.sum()), model.of(video)


def _by_time(slots: _Slots) -> Ints:
    return np.argsort(slots.shown_us, kind="stable")


def _places(slots: _Slots) -> Ints:
    """Where each feed stands among those sorted by time."""
    places = np.empty(len(slots.users), np.int64)
    places[_by_time(slots)] = np.arange(len(slots.users))
    return places


def _lists_at(setting: Setting, one: Contestant, slots: _Slots, seen: Log, k: int) -> Iterator[Ints]:
    """The top *k* `(n_feeds, k)` of each feed, by time, as of when it was shown; −1 where a list is shorter."""
    if one.system is None or one.config is None:
        raise ValueError(f"{one.name} has only scores, and makes no lists")
    published, order = setting.snapshot.published_us, _by_time(slots)
    for first in range(0, len(order), FEEDS_AT_ONCE):
        feeds = order[first : first + FEEDS_AT_ONCE]
        times = slots.shown_us[feeds]
        eligible = setting.snapshot.eligible(int(times[-1]), one.config.where)
        eligible = eligible if one.system.has is None else eligible & one.system.has
        depth = k + int(((published > times[0]) & (published <= times[-1])).sum())
        audience = _audience(setting, one, slots.users[feeds], times, seen)
        found = rank_lists(setting.snapshot, one.system, audience, depth, one.config, eligible).neighbours.rows
        yield _published_first(found, published, times, k)


def _audience(setting: Setting, one: Contestant, users: Ints, times: Ints, seen: Log) -> Audience:
    if one.config is None:
        raise ValueError(f"{one.name} has only scores")
    log, ids = setting.log_of(one.config), [setting.feeds.users.ids[user] for user in users]
    rows = log.users.rows(ids)
    markets = [log.user_markets[row] if row >= 0 else None for row in rows]
    events = log.events(rows, times, one.config.max_events)
    return Audience(ids, events, seen.seen(seen.users.rows(ids), times), int(times[-1]), markets)


def _published_first(rows: Ints, published: Ints, times: Ints, k: int) -> Ints:
    """The first *k* of each list that were published by its time."""
    there = (rows >= 0) & (published[np.maximum(rows, 0)] <= times[:, None])
    order = np.argsort(~there, axis=1, kind="stable")
    best = np.where(np.take_along_axis(there, order, 1), np.take_along_axis(rows, order, 1), -1)[:, :k]
    return np.pad(best, ((0, 0), (0, k - best.shape[1])), constant_values=-1)


def _listwise(
    setting: Setting, contestants: tuple[Contestant, ...], k: int, bootstrap: Bootstrap
) -> dict[str, Estimate]:
    """The doubly robust DCG of the test feeds as each contestant ranks them.

    Whether a slot was examined must be observed, so it is reaching that counts, by the curve of reaching before the
    split; r̂ is the video's share watched among the slots that other users' folds reached.
    """
    try:
        reach = estimate(Method.REACH, count_slots(setting.tables, setting.split.at_us).counts)
    except ValueError as error:
        raise ConfigError(f"How far feeds are scrolled cannot be told: {error}.", "Export a longer log.") from error
    n_users = len(setting.feeds.users)
    fold_of_user = folds_of(np.arange(n_users), n_users, N_FOLDS, bootstrap.seed)
    share = _watched_share(setting, fold_of_user)
    sums = {one.name: np.zeros((n_users, 2)) for one in contestants}
    for part in setting.feeds.parts():
        predicted = share[fold_of_user[part.users[part.owners]], part.videos]
        for one in contestants:
            values = _robust(part, one, reach, predicted, k)
            sums[one.name] += np.stack([np.bincount(part.users, v, n_users) for v in (values, np.ones(len(part)))], 1)
    return {name: bootstrap.ratio(each[:, 0], each[:, 1]) for name, each in sums.items()}


def _robust(part: Part, one: Contestant, reach: Curve, predicted: Floats, k: int) -> Floats:
    feeds = Feeds(part.offsets, part.label, apply(reach, part.positions), part.users, part.reached)
    ranks = ranks_within(ranked_last(one.scorer.score(part)), part.offsets, part.ties).astype(np.int64)
    return listwise_doubly_robust(feeds, ranks, part.reached, predicted, k)


def _watched_share(setting: Setting, fold_of_user: Ints) -> Floats:
    """The share watched of each video among the slots that users of the other folds reached, `(N_FOLDS, n_videos)`."""
    n = len(setting.snapshot.video_ids)
    counts = np.zeros((2, N_FOLDS, n))
    for part in setting.feeds.parts():
        cell = (fold_of_user[part.users[part.owners]] * n + part.videos)[part.reached]
        counts[0] += np.bincount(cell, part.label[part.reached], N_FOLDS * n).reshape(N_FOLDS, n)
        counts[1] += np.bincount(cell, minlength=N_FOLDS * n).reshape(N_FOLDS, n)
    others = counts.sum(axis=1, keepdims=True) - counts
    mean = others[0].sum(axis=1, keepdims=True) / np.maximum(others[1].sum(axis=1, keepdims=True), 1)
    return np.asarray((others[0] + PRIOR * mean) / (others[1] + PRIOR))
