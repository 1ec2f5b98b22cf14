"""One log as training, hold-out, stopping and test rows, split by time, with what training may know fitted on it alone.

    day          0 … 11           12                       13
    part         train            hold-out │ stopping      test        (of other lengths by `SplitOptions.days`)
                                  (users in two halves)

LabelCraft's labelling model learns from the hold-out users (D_v of the paper); the stopping users say when to stop, so
that neither is judged by what it was fitted on. Baselines have no use for a hold-out, so they train on it as well.
"""

import hashlib
import logging
from dataclasses import dataclass, replace
from enum import StrEnum

import numpy as np

from labelcraft.dataset import Dataset, Histories, Ints, Log, histories_of
from labelcraft.feedback import Bools, Feedback
from labelcraft.vocabulary import FIRST_LEVEL, VIDEO, Vocabulary, encode, fit_vocabulary
from retrieval.errors import ConfigError

logger = logging.getLogger(__name__)

DAY_US = 86_400_000_000
HALF = 0.5


class CoreRows(StrEnum):
    """The rows that the k-core filter counts."""

    TRAIN = "train"  # what is known when training starts
    ALL = "all"  # as in the paper: it knows how often users come back later


class HistoryRows(StrEnum):
    """The rows that histories are made of."""

    REACHED = "reached"
    LIKED = "liked"  # watched at least half, or with explicit feedback; of an unknown duration no half is known


@dataclass(frozen=True)
class SplitOptions:
    """How a log is split.

    *days* are the lengths of training, validation and test, from the log's first day (UTC) on; later rows are left
    out, with a count. Users and videos need *core* rows, counted over *core_rows*: rows of others are left out of
    every part, so a core of 1 or more leaves out videos that training never saw, and 0 filters nothing. Levels with
    fewer than *min_count* training rows are `NEW`. *seed* halves the validation users.
    """

    days: tuple[int, int, int] = (12, 1, 1)
    core: int = 0
    core_rows: CoreRows = CoreRows.TRAIN
    min_count: int = 2
    n_buckets: int = 60
    history_rows: HistoryRows = HistoryRows.REACHED
    seed: int = 0

    def __post_init__(self) -> None:
        if min(self.days) < 1:
            raise ConfigError(f"days is {self.days}, but each part needs a day.", "Give three whole numbers from 1 on.")
        if self.core < 0 or self.min_count < 1 or self.n_buckets < 1:
            raise ConfigError(
                f"core is {self.core}, min_count {self.min_count} and n_buckets {self.n_buckets}.",
                "Give a core of at least 0, the others at least 1.",
            )


@dataclass(frozen=True)
class Split:
    """A log with fitted codes, and the row numbers of its parts, each ascending.

    *n_users* is the number of users that training saw: embeddings of users have n_users + 1 rows.
    """

    data: Dataset
    histories: Histories
    train: Ints
    holdout: Ints
    stop: Ints
    test: Ints
    vocabulary: Vocabulary
    options: SplitOptions

    @property
    def n_users(self) -> int:
        """The number of users that training saw."""
        return self.vocabulary.n_users

    @property
    def train_of_baselines(self) -> Ints:
        """The rows that labels and recommenders without a hold-out are fitted on, ascending."""
        return np.sort(np.concatenate([self.train, self.holdout]))

    def part(self, rows: Ints) -> tuple[Log, Histories]:
        """*rows* as a log of their own, with histories that still reach back before them."""
        return self.data.log[rows], self.histories[rows]


def split_dataset(raw: Dataset, options: SplitOptions) -> Split:
    """*raw* split by time; its codes are fitted on the training rows, its histories are what came before each row.

    Raises:
        ConfigError: a part has no rows.
    """
    day = days_of(raw.log.time_us)
    first_of_part = np.cumsum(options.days)
    kept = (day < first_of_part[2]) & _in_core(raw.log, day, options)
    _report_left_out(day, kept, int(first_of_part[2]))
    log, part = raw.log[kept], np.searchsorted(first_of_part, day[kept], side="right")
    _refuse_empty(part, int(day.max(initial=-1)) + 1, options)
    train, validation, test = (np.flatnonzero(part == place) for place in range(3))
    is_holdout = holdout_users(log, validation, options.seed)[log.user[validation]]
    vocabulary = fit_vocabulary(log, train, raw.items, options.min_count, options.n_buckets)
    encoded = replace(log, user_codes=vocabulary.users)
    histories = histories_of(log, history_mask(log.feedback, options.history_rows))
    split = Split(
        Dataset(encoded, encode(raw.items, vocabulary)),
        histories,
        train,
        validation[is_holdout],
        validation[~is_holdout],
        test,
        vocabulary,
        options,
    )
    check_leakage(split, raw)
    return split


def days_of(time_us: Ints) -> Ints:
    """The day of each time, counted in UTC from that of the earliest.

    >>> days_of(np.array([DAY_US - 1, DAY_US, 3 * DAY_US])).tolist()
    [0, 1, 3]
    """
    day = time_us // DAY_US
    return np.asarray(day - day.min(initial=np.iinfo(np.int64).max))


def k_core(user: Ints, item: Ints, k: int, counted: Bools) -> Bools:
    """The rows, `(n,)`, of users and videos that keep at least *k* of the *counted* rows when all others are gone.

    Rows that are not counted are kept by the same users and videos.

    >>> k_core(np.array([1, 1, 2]), np.array([1, 2, 2]), 2, np.array([True, True, True])).tolist()
    [False, False, False]
    """
    left = counted
    while True:
        users = np.bincount(user[left], minlength=user.max(initial=0) + 1) >= k
        items = np.bincount(item[left], minlength=item.max(initial=0) + 1) >= k
        kept = users[user] & items[item]
        if not (left & ~kept).any():
            return np.asarray(kept)
        left = left & kept


def holdout_users(log: Log, validation: Ints, seed: int) -> Bools:
    """Whether each user, `(n_users + 1,)`, is in the half of the *validation* rows' users that is held out.

    Users are drawn by a hash of their id: another user in the log moves nobody but one at the border.
    """
    users = np.unique(log.user[validation])
    key = seed.to_bytes(8, "little", signed=True)
    draws = [hashlib.blake2b(log.user_ids[user - 1].encode(), digest_size=8, key=key).digest() for user in users]
    chosen = np.zeros(len(log.user_ids) + 1, np.bool_)
    chosen[users[np.argsort(np.array(draws, "S8"), kind="stable")[: (len(users) + 1) // 2]]] = True
    return chosen


def history_mask(feedback: Feedback, rows: HistoryRows) -> Bools:
    """Which rows may stand in the histories of later ones, `(n,)`."""
    match rows:
        case HistoryRows.REACHED:
            return np.ones(len(feedback), np.bool_)
        case HistoryRows.LIKED:
            known = feedback.duration_s > 0
            return np.asarray(feedback.engaged | (known & (feedback.watch_s >= HALF * feedback.duration_s)))


def check_leakage(split: Split, raw: Dataset) -> None:
    """Refuse a *split* of *raw* in which something knows what comes later.

    Raises:
        ValueError: parts overlap in rows or in time, or a code, a bucket or a history is not that of earlier rows.
    """
    _check_parts(split)
    _check_times(split)
    _check_codes(split, raw)
    _check_histories(split)


def _in_core(log: Log, day: Ints, options: SplitOptions) -> Bools:
    if options.core == 0:
        return np.ones(len(log), np.bool_)
    n_days = options.days[0] if options.core_rows is CoreRows.TRAIN else sum(options.days)
    return k_core(log.user, log.item, options.core, day < n_days)


def _report_left_out(day: Ints, kept: Bools, n_days: int) -> None:
    late = int((day >= n_days).sum())
    sparse = len(day) - late - int(kept.sum())
    if late or sparse:
        logger.info("%d rows after day %d left out, %d of sparse users or videos", late, n_days, sparse)


def _refuse_empty(part: Ints, n_days: int, options: SplitOptions) -> None:
    sizes = np.bincount(part, minlength=3)
    if sizes.min() == 0:
        names = ("training", "validation", "test")
        raise ConfigError(
            f"The {names[int(sizes.argmin())]} part has no rows: the log has {n_days} days, split into "
            f"{'/'.join(map(str, options.days))}, and the core is {options.core}.",
            "Give fewer days (--days 8,3,3), a smaller core, or a longer log.",
        )


def _check_parts(split: Split) -> None:
    rows = np.concatenate([split.train, split.holdout, split.stop, split.test])
    if np.bincount(rows, minlength=1).max() > 1:  # numpy 2.4's unique takes 10 s for five million distinct numbers
        raise ValueError("a row is in two parts")
    users = split.data.log.user
    if len(np.intersect1d(users[split.holdout], users[split.stop])):
        raise ValueError("a user is held out and in the stopping set")


def _check_times(split: Split) -> None:
    time_us = split.data.log.time_us
    validation = np.concatenate([split.holdout, split.stop])
    order = [
        (split.train, validation, "validation"),
        (validation, split.test, "test"),
        (split.train, split.test, "test"),
    ]
    for earlier, later, name in order:
        latest, first = time_us[earlier].max(initial=np.iinfo(np.int64).min), time_us[later].min(initial=2**63 - 1)
        if latest >= first:
            raise ValueError(f"a row at {latest} μs trains what a {name} row at {first} μs tests")


def _check_codes(split: Split, raw: Dataset) -> None:
    """What is encoded must be what the training rows alone give."""
    options, log = split.options, split.data.log
    fitted = fit_vocabulary(log, split.train, raw.items, options.min_count, options.n_buckets)
    if not np.array_equal(log.user_codes if log.user_codes is not None else log.user, fitted.users):
        raise ValueError("users' codes are not those of the training rows")
    if not np.array_equal(split.data.items.codes, encode(raw.items, fitted).codes):
        raise ValueError("videos' codes or duration buckets are not those of the training rows")
    seen = np.unique(split.data.items.codes[log.item[split.train], VIDEO])
    if len(seen[seen >= FIRST_LEVEL]) != split.data.items.fields[VIDEO].n_levels - FIRST_LEVEL:
        raise ValueError("a video has a code of its own that no training row has")


def _check_histories(split: Split) -> None:
    """Histories stand in the order of user and time, so that their ends tell for all that is between."""
    log, histories = split.data.log, split.histories
    source = log[history_mask(log.feedback, split.options.history_rows)]
    if not np.array_equal(histories.items, source.item):
        raise ValueError("histories are not made of the log's own rows")
    rows = np.flatnonzero(histories.lengths() > 0)
    first, last = histories.start[rows], histories.end[rows] - 1
    if (source.user[first] != log.user[rows]).any() or (source.user[last] != log.user[rows]).any():
        raise ValueError("a history holds what another user watched")
    if (source.time_us[last] >= log.time_us[rows]).any():
        raise ValueError("a history holds what was watched at its row's time or later")
