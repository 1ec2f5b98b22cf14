"""Forgets users in everything that was written outside of the event store, then settles the erasure list."""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from serving.closed_files import served_files
from serving.erasers import ERASERS, Erased, ForgetInSnapshot, Order, total
from serving.erasure import HashOf, forgotten
from serving.events.protocol import Erasure, EventStore
from serving.overlay import erasure_notice
from serving.places import PLACES, Place

GRACE_S = 3.0  # what a server showed before an erasure may wait for so long before it is in the log


@dataclass(frozen=True)
class Forgetting:
    """What was done. *users* is how many entries of the erasure list were applied, *settled* how many are done.

    *places* says by name what went. *left_open* are files that a server still appends to: they are done once it goes
    on in another file, and until then no entry is settled.
    """

    users: int
    settled: int
    places: Mapping[str, Erased] = field(default_factory=dict)

    @property
    def left_open(self) -> int:
        return total(self.places.values()).left_open


def forget(
    store: EventStore,
    users: Sequence[str],
    paths: Mapping[str, Sequence[str]],
    hash_of: HashOf,
    *,
    in_snapshot: ForgetInSnapshot | None = None,
    dry_run: bool = False,
    now_us: Callable[[], int] = lambda: time.time_ns() // 1000,
    sleep: Callable[[float], None] = time.sleep,
) -> Forgetting:
    """Erase *users* in the event store, apply the whole erasure list to every place, and settle it.

    A run that is interrupted leaves every file whole and the list as it was: a repeat finishes.

    Args:
        paths: of each place by its name; what is not there is passed over.
        hash_of: the keyed hash that takes the id's place in the list, and tells who is meant by a settled entry.
        in_snapshot: how a snapshot forgets; needed where one of *paths* is a snapshot.

    Raises:
        StoreDownError: the event store cannot be reached.
        UserFacingError: another job is changing the log.
    """
    erasures = _erasures(store, users, now_us(), dry_run)
    pending = [erasure for erasure in erasures if erasure.user_id]
    if not dry_run:
        _wait_for_log(paths.get("log", ()), pending, now_us(), sleep)
    order = Order(forgotten(erasures, hash_of), now_us(), dry_run, in_snapshot)
    done = {name: _erase_place(place, paths.get(name, ()), order) for name, place in PLACES.items()}
    result = Forgetting(len(erasures), 0, done)
    if dry_run or result.left_open:
        return result
    for erasure in pending:
        store.settle(erasure, hash_of(erasure.user_id))
    return Forgetting(len(erasures), len(pending), done)


def _erase_place(place: Place, paths: Sequence[str], order: Order) -> Erased:
    return total(ERASERS[place.kind](path, order) for path in paths)


def _erasures(store: EventStore, users: Sequence[str], at_us: int, dry_run: bool) -> list[Erasure]:
    """The erasure list with *users* on it, who are erased in the store unless this is only to count."""
    if dry_run:
        return [*store.erasures(), *(Erasure(at_us, user) for user in users)]
    for user in users:
        store.erase(user, at_us)
    if users:
        store.put_overlay([erasure_notice(at_us)])
    return store.erasures()


def _wait_for_log(logs: Sequence[str], pending: Sequence[Erasure], now_us: int, sleep: Callable[[float], None]) -> None:
    """Wait until servers have written down what they showed before the newest erasure."""
    newest_us = max((erasure.at_us for erasure in pending), default=0)
    left_s = GRACE_S - (now_us - newest_us) / 1e6
    if left_s > 0 and any(served_files(Path(log)) for log in logs if "://" not in log):
        sleep(min(left_s, GRACE_S))
