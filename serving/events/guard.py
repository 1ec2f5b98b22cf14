"""Keeps requests from waiting for an event store that does not answer."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import ParamSpec, TypeVar

from serving.events.protocol import Erasure, Event, EventStore, OverlayEntry, StoreDownError, UserState, Watch

P = ParamSpec("P")
T = TypeVar("T")


class GuardedStore:
    """An `EventStore` that, once it was found down, refuses at once until `probe` finds it up again."""

    def __init__(self, store: EventStore, on_error: Callable[[], None]) -> None:
        """Guard a store.

        Args:
            on_error: called for each call and probe that found the store down; not for those refused unasked.
        """
        self._store, self._on_error = store, on_error
        self._up = True  # one flag, set and read whole: threads need no lock

    @property
    def up(self) -> bool:
        """Whether the store answered when it was last asked."""
        return self._up

    def probe(self) -> bool:
        """Ask the store whether it answers, and let calls through or refuse them accordingly."""
        try:
            self._store.ping()
            self._up = True
        except StoreDownError:
            self._fail()
        return self._up

    def put(self, events: Sequence[Event], now_us: int) -> list[bool]:
        return self._call(self._store.put, events, now_us)

    def user(self, user_id: str, now_us: int) -> UserState:
        return self._call(self._store.user, user_id, now_us)

    def put_markets(self, markets: Mapping[str, str]) -> None:
        return self._call(self._store.put_markets, markets)

    def users(self, prefix: str, limit: int) -> list[str]:
        return self._call(self._store.users, prefix, limit)

    def erase(self, user_id: str, at_us: int) -> list[str]:
        return self._call(self._store.erase, user_id, at_us)

    def erasures(self) -> list[Erasure]:
        return self._call(self._store.erasures)

    def settle(self, done: Erasure, user_hash: str) -> None:
        return self._call(self._store.settle, done, user_hash)

    def merge(self, anonymous: str, user_id: str, now_us: int) -> int:
        return self._call(self._store.merge, anonymous, user_id, now_us)

    def watches(self, from_us: int, to_us: int) -> Iterator[Watch]:
        found = self._call(self._store.watches, from_us, to_us)
        while (watch := self._call(next, found, None)) is not None:  # it is read while it is gone through
            yield watch

    def drop_watches(self, before_us: int) -> int:
        return self._call(self._store.drop_watches, before_us)

    def overlay_revision(self) -> int:
        return self._call(self._store.overlay_revision)

    def overlay(self) -> list[OverlayEntry]:
        return self._call(self._store.overlay)

    def put_overlay(self, entries: Sequence[OverlayEntry], *, only_new: bool = False) -> None:
        return self._call(self._store.put_overlay, entries, only_new=only_new)

    def drop_overlay(self, names: Sequence[tuple[str, str, str]]) -> int:
        return self._call(self._store.drop_overlay, names)

    def clean(self, now_us: int) -> None:
        return self._call(self._store.clean, now_us)

    def ping(self) -> None:
        return self._call(self._store.ping)

    def close(self) -> None:
        self._store.close()

    def _call(self, method: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        if not self._up:
            raise StoreDownError("The event store did not answer when it was last asked.")
        try:
            return method(*args, **kwargs)
        except StoreDownError:
            self._fail()
            raise

    def _fail(self) -> None:
        self._up = False
        self._on_error()
