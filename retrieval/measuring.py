"""What a system of an opened snapshot shows the users of a log: the shell around `retrieval.gate`."""

import zlib

import numpy as np

from retrieval.gate import Measures, measures_of
from retrieval.log import Log
from retrieval.ragged import Ints
from retrieval.ranking import Lists, rank_lists
from retrieval.recommend import USERS_AT_ONCE, audience_of
from retrieval.snapshot import Snapshot
from retrieval.systems import SystemConfig
from retrieval.tables import Columns as C


def measure(snapshot: Snapshot, log: Log, config: SystemConfig, at_us: int, k: int, n_users: int) -> Measures:
    """What the system shows at most *n_users* users of *log*, each their top *k* as of *at_us*.

    What is popular is as the snapshot counts it, since that is what it would serve by.

    Raises:
        SnapshotError: the snapshot lacks what the system ranks by.
    """
    users = _sampled(log, n_users)
    system, may_be_shown = snapshot.system(config, at_us), snapshot.eligible(at_us, config.where)
    eligible = may_be_shown if system.has is None else may_be_shown & system.has
    k = min(k, max(1, len(snapshot.video_ids)))
    parts = [
        rank_lists(snapshot, system, audience_of(log, batch, at_us, config), k, config, eligible)
        for batch in np.array_split(users, max(1, -(-len(users) // USERS_AT_ONCE)))
    ]
    rows = np.concatenate([part.neighbours.rows for part in parts])
    return measures_of(rows, may_be_shown, _durations_s(snapshot), np.concatenate([_fallback(part) for part in parts]))


def _sampled(log: Log, n_users: int) -> Ints:
    """At most so many users, the same ones whatever else the log holds: those of the lowest checksums."""
    order = np.argsort([zlib.crc32(user.encode()) for user in log.users.ids], kind="stable")
    return np.sort(order[:n_users])


def _fallback(lists: Lists) -> np.ndarray[tuple[int], np.dtype[np.bool_]]:
    """True `(n_users,)` for the users of whom a personal system knew nothing."""
    known = lists.answer.known
    return np.zeros(len(lists.neighbours.rows), bool) if known is None else ~known


def _durations_s(snapshot: Snapshot) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    if C.DURATION_S not in snapshot.videos.columns:
        return np.full(snapshot.videos.height, np.nan)
    return snapshot.videos[C.DURATION_S].cast(float).fill_null(np.nan).to_numpy()
