"""What training knows of users and videos, fitted on its rows alone: everything else is 0 (a user) or `NEW`."""

from dataclasses import dataclass, replace

import numpy as np

from labelcraft.dataset import NEW, Codes, Field, Ints, Items, Log
from labelcraft.feedback import Floats

VIDEO, DURATION = 0, 1  # the places of these fields in `Items.fields`
FIRST_LEVEL = NEW + 1


@dataclass(frozen=True)
class Vocabulary:
    """The levels that have an embedding of their own.

    *users* `(n_users + 1,)` gives each user's row of the embedding: 1 to the number of known users, 0 for others.
    *levels* gives for each field the code of every raw code, `NEW` where training had fewer than the wanted number of
    rows. A duration's code is 2 + the number of *edges_s* below it, `NEW` where it is not known.
    """

    users: Ints
    levels: tuple[Codes, ...]
    edges_s: Floats

    @property
    def n_users(self) -> int:
        """The number of known users."""
        return int(self.users.max(initial=0))


def fit_vocabulary(log: Log, train: Ints, items: Items, min_count: int = 2, n_buckets: int = 60) -> Vocabulary:
    """The vocabulary of the rows *train* of *log*, whose *items* have raw codes.

    A level needs *min_count* rows: rarer ones are `NEW`, so that this row of the embedding is trained, and by what is
    rare as new levels are. Duration buckets are of equal frequency over rows, at most *n_buckets*.
    """
    user, item = log.user[train], log.item[train]
    rows_of_item = np.bincount(item, minlength=len(items.codes))
    counts = (np.bincount(codes, rows_of_item, field.n_levels) for codes, field in _columns(items))
    levels = tuple(_kept_levels(count, min_count) for count in counts)
    users = np.bincount(user, minlength=len(log.user_ids) + 1) > 0
    edges = fit_edges(items.duration_s[item], n_buckets)
    return Vocabulary(np.where(users, np.cumsum(users), 0), levels, edges)


def fit_edges(duration_s: Floats, n_buckets: int) -> Floats:
    """The upper edges of all but the last bucket: of equal frequency, each bucket holding some of *duration_s*.

    Unknown durations (0) have no part in it. Equal edges are one: a duration that fills two buckets gets one.

    >>> fit_edges(np.array([0.0, 5.0, 5.0, 5.0, 8.0, 9.0]), 3).tolist()
    [5.0, 8.0]
    """
    known = duration_s[duration_s > 0]
    if not len(known):
        return np.zeros(0)
    edges = np.unique(np.quantile(known, np.arange(1, n_buckets) / n_buckets, method="inverted_cdf"))
    return np.asarray(edges[edges < known.max()])


def encode(items: Items, vocabulary: Vocabulary) -> Items:
    """*items* with the codes of *vocabulary* in place of raw ones."""
    columns = [vocabulary.levels[place][codes] for place, (codes, _) in enumerate(_columns(items))]
    known = items.duration_s > 0
    columns[DURATION] = np.where(known, duration_codes(items.duration_s, vocabulary.edges_s), NEW).astype(np.int32)
    columns[DURATION][0] = 0
    n_levels = [int(levels.max(initial=NEW)) + 1 for levels in vocabulary.levels]
    n_levels[DURATION] = FIRST_LEVEL + len(vocabulary.edges_s) + 1
    fields = tuple(Field(field.name, n) for field, n in zip(items.fields, n_levels, strict=True))
    return replace(items, fields=fields, codes=np.column_stack(columns))


def duration_codes(duration_s: Floats, edges_s: Floats) -> Codes:
    """The bucket of each known duration.

    >>> duration_codes(np.array([3.0, 8.0, 99.0]), np.array([8.0])).tolist()
    [2, 2, 3]
    """
    return (FIRST_LEVEL + np.searchsorted(edges_s, duration_s, side="left")).astype(np.int32)


def _columns(items: Items) -> list[tuple[Codes, Field]]:
    return [(items.codes[:, place], field) for place, field in enumerate(items.fields)]


def _kept_levels(count: Ints | Floats, min_count: int) -> Codes:
    """The code of each raw code: padding and `NEW` are themselves, levels of enough rows count on from 2."""
    kept = (count >= min_count) & (np.arange(len(count)) >= FIRST_LEVEL)
    codes = np.where(kept, NEW + np.cumsum(kept), NEW).astype(np.int32)
    codes[0] = 0
    return codes
