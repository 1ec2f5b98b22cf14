"""The lists that each system would show the test users at the split: how exposure falls, how long, how coherent."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

import numpy as np
import polars as pl
from numpy.typing import NDArray

from labelcraft.adapters.impressions import scan_log
from labelcraft.adapters.raw import collected
from labelcraft.evaluation.contestants import Contestant
from labelcraft.evaluation.feeds import Bools, Floats
from labelcraft.evaluation.setting import LOG_FILE, Setting
from retrieval.index.protocol import Mask
from retrieval.log import Log, make_log, products_of_videos
from retrieval.metrics.coherence import mean_rows, visual_coherence
from retrieval.ragged import Ints, Ragged
from retrieval.ranking import rank_lists
from retrieval.recommend import USERS_AT_ONCE
from retrieval.systems import Audience, SystemConfig
from retrieval.tables import Columns as C

LISTED_USERS = 2000
DEPTH = 100


@dataclass(frozen=True)
class Content:
    """Embeddings of products that no ranker uses: *ids*, *vectors* `(n, dim)`, and who made them."""

    ids: list[str]
    vectors: NDArray[np.floating]
    fingerprint: str
    place: str


@dataclass(frozen=True)
class Listed:
    """One system's lists for the sampled users: *rows* `(n_users, depth)`, −1 where a list is shorter.

    *fallback* `(n_users,)` is true where a personal system knew nothing of the user.
    """

    rows: Ints
    fallback: Bools


@dataclass(frozen=True)
class Lists:
    """The lists by system, of *user_ids*, over the videos that were *eligible* at the split."""

    user_ids: list[str]
    eligible: Mask
    by_system: Mapping[str, Listed]


def make_lists(
    setting: Setting,
    contestants: tuple[Contestant, ...],
    k: int,
    n_users: int = LISTED_USERS,
    seed: int = 0,
    update: Callable[[int, int], None] = lambda done, total: None,
) -> Lists:
    """The lists at the split of at most *n_users* test users, drawn with *seed*; what they had reached is left out."""
    all_users = np.array(setting.feeds.users.ids, object)
    chosen = np.sort(np.random.default_rng(seed).permutation(len(all_users))[:n_users])
    user_ids = [str(user) for user in all_users[chosen]]
    seen = seen_log(setting, user_ids, setting.split.at_us)
    eligible = setting.snapshot.eligible(setting.split.at_us, ())
    depth = max(1, min(max(DEPTH, k), int(eligible.sum())))
    listing = [one for one in contestants if one.system is not None]
    by_system = {}
    for done, one in enumerate(listing, start=1):
        by_system[one.name] = _lists_of(setting, one, seen, user_ids, depth)
        update(done, len(listing))
    return Lists(user_ids, eligible, by_system)


def seen_log(setting: Setting, user_ids: list[str], before_us: int) -> Log:
    """A log that knows what these users reached before a time."""
    file = setting.tables / LOG_FILE
    earlier = pl.col(C.SHOWN_AT).dt.timestamp("us") < before_us
    mine = pl.col(C.USER_ID).is_in(pl.Series(user_ids).implode())
    kept = scan_log(file, {}).filter(earlier & mine & pl.col(C.REACHED) & pl.col(C.POSITION).is_not_null())
    rows = collected(kept, file)
    return make_log(
        setting.interactions.head(1), rows if rows.height else None, None,
        videos=setting.snapshot.videos, products=setting.snapshot.products,
    )  # fmt: skip


def _lists_of(setting: Setting, one: Contestant, seen: Log, user_ids: list[str], depth: int) -> Listed:
    if one.system is None or one.config is None:
        raise ValueError(f"{one.name} has only scores, and makes no lists")
    eligible = setting.snapshot.eligible(setting.split.at_us, one.config.where)
    eligible = eligible if one.system.has is None else eligible & one.system.has
    found = []
    for ids in _batches(user_ids):
        audience = audience_at(setting, seen, ids, setting.split.at_us, one.config)
        lists = rank_lists(setting.snapshot, one.system, audience, depth, one.config, eligible)
        rows = lists.neighbours.rows
        padded = np.full((len(ids), depth), -1, np.int64)
        padded[:, : rows.shape[1]] = rows
        known = lists.answer.known if lists.answer.known is not None else np.ones(len(ids), bool)
        found.append(Listed(padded, ~known))
    return Listed(np.concatenate([f.rows for f in found]), np.concatenate([f.fallback for f in found]))


def audience_at(setting: Setting, seen: Log, user_ids: list[str], at_us: int, config: SystemConfig) -> Audience:
    """Users as they were known at a time: their events by the catalogue's log, what they reached by *seen*."""
    log = setting.log_of(config)
    rows = log.users.rows(user_ids)
    markets = [log.user_markets[row] if row >= 0 else None for row in rows]
    events = log.events(rows, at_us, config.max_events)
    return Audience(user_ids, events, seen.seen(seen.users.rows(user_ids), at_us), at_us, markets)


def _batches(user_ids: list[str]) -> Iterator[list[str]]:
    for first in range(0, len(user_ids), USERS_AT_ONCE):
        yield user_ids[first : first + USERS_AT_ONCE]


def coherence(setting: Setting, lists: Lists, content: Content, k: int) -> dict[str, Floats]:
    """The visual coherence of each user's top *k* with their history, `(n_users,)` by system; NaN without a history.

    Videos that show none of the catalogue are left out of a list's mean, and a product without a picture out of
    everything.
    """
    vectors, has = _content_vectors(setting, content)
    audience_log = setting.log_of(SystemConfig())
    rows = audience_log.users.rows(lists.user_ids)
    events = audience_log.events(rows, setting.split.at_us)
    users = mean_rows(vectors, _only(Ragged(events.product_rows, events.offsets), has))
    shown = products_of_videos(setting.snapshot.videos, setting.snapshot.product_ids)
    videos = mean_rows(vectors, _only(shown, has))
    return {name: visual_coherence(users, videos, one.rows[:, :k]) for name, one in lists.by_system.items()}


def _content_vectors(setting: Setting, content: Content) -> tuple[Floats, Bools]:
    ids = setting.snapshot.product_ids
    rows = ids.rows(content.ids)
    vectors, has = np.zeros((len(ids), content.vectors.shape[1])), np.zeros(len(ids), bool)
    vectors[rows[rows >= 0]], has[rows[rows >= 0]] = content.vectors[rows >= 0], True
    return vectors, has


def _only(lists: Ragged, has: Bools) -> Ragged:
    """The lists without the values that have nothing."""
    kept = has[lists.values]
    before = np.concatenate([[0], np.cumsum(kept)])
    return Ragged(lists.values[kept], before[lists.offsets])
