"""What an event store is: what the API must remember of users between requests, and the live overlay.

Two stores keep it, `sqlite.py` for one host and `redis.py` for several; the same contract tests run on both. Times are
microseconds since 1970, UTC, and are given by the caller: a store reads no clock.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple, Protocol

from retrieval.errors import UserFacingError


class StoreDownError(Exception):
    """The store cannot be reached now: it may be later. The feed answers without it; events are answered 503."""


class EventStoreError(UserFacingError):
    """A store's URL, file or place cannot be used at all."""


class ProductEvent(NamedTuple):
    """A touch of a product in the catalogue. *event* is one of `retrieval.tables.EVENTS`.

    A tuple, since each feed call reads some fifty: a dataclass takes three times as long to make.
    """

    event_id: str
    user_id: str
    product_id: str
    event: str
    occurred_us: int


@dataclass(frozen=True)
class Watch:
    """What a client tells of a video that was reached. *flags* may hold liked, commented, followed and shared."""

    event_id: str
    user_id: str
    video_id: str
    feed_id: str
    watch_time_s: float
    occurred_us: int
    flags: Mapping[str, bool] = field(default_factory=dict)


Event = ProductEvent | Watch


@dataclass(frozen=True)
class UserState:
    """What is remembered of a user: product events oldest first, unexpired seen videos, and the market if known."""

    history: tuple[ProductEvent, ...] = ()
    seen: tuple[str, ...] = ()
    market: str | None = None


@dataclass(frozen=True)
class Erasure:
    """Somebody who is to be forgotten everywhere: what was written before *at_us* goes.

    While *user_id* is known the offline artefacts are yet to be done; then *user_hash*, a keyed hash, takes its place.
    """

    at_us: int
    user_id: str = ""
    user_hash: str = ""


@dataclass(frozen=True)
class OverlayEntry:
    """One fact that holds beside the snapshot: a block, an offer, what was decided of a version.

    *kind*, *key* and *market* ("" for all) name it once; *value* is JSON.
    """

    kind: str
    key: str
    market: str
    value: str
    reason: str
    at_us: int


@dataclass(frozen=True)
class Limits:
    """How much a store remembers: the last *history* product events of a user, and for how long the others."""

    history: int = 200
    seen_s: float = 90 * 86_400.0
    event_ids_s: float = 7 * 86_400.0


class EventStore(Protocol):
    """Remembers users and the overlay. Threads may call it side by side; every method may raise StoreDownError."""

    def put(self, events: Sequence[Event], now_us: int) -> list[bool]:
        """Store a batch, all or nothing, and say of each event whether it is new: a known event_id changes nothing.

        A watch marks its video as seen by the user at its time. When this returns, the batch survives a kill.
        """
        ...

    def user(self, user_id: str, now_us: int) -> UserState:
        """What is remembered of a user; nothing of an unknown one."""
        ...

    def put_markets(self, markets: Mapping[str, str]) -> None:
        """Remember the market of users."""
        ...

    def users(self, prefix: str, limit: int) -> list[str]:
        """Ids that begin with *prefix*, in the order of their UTF-8 bytes."""
        ...

    def erase(self, user_id: str, at_us: int) -> list[str]:
        """Forget a user, and all who were merged into them, at once, and append each to the erasure list.

        Returns:
            the ids erased, the user's own first.
        """
        ...

    def erasures(self) -> list[Erasure]:
        """The erasure list, oldest first."""
        ...

    def settle(self, done: Erasure, user_hash: str) -> None:
        """Replace the user_id of an entry of the list, whose artefacts are done, with its hash."""
        ...

    def merge(self, anonymous: str, user_id: str, now_us: int) -> int:
        """Give what is known of *anonymous* to *user_id* and return how many events moved; a repeat moves none."""
        ...

    def watches(self, from_us: int, to_us: int) -> Iterator[Watch]:
        """The watches of a span of time [from_us, to_us), in no order."""
        ...

    def drop_watches(self, before_us: int) -> int:
        """Forget watches before a time, once they were compacted elsewhere; return how many."""
        ...

    def overlay_revision(self) -> int:
        """A number that grows with every change of the overlay: cheap, asked for several times a second."""
        ...

    def overlay(self) -> list[OverlayEntry]:
        """All entries, oldest first."""
        ...

    def put_overlay(self, entries: Sequence[OverlayEntry], *, only_new: bool = False) -> None:
        """Write entries over those of the same name, all or nothing; *only_new* leaves those that are there."""
        ...

    def drop_overlay(self, names: Sequence[tuple[str, str, str]]) -> int:
        """Remove entries by (kind, key, market) and return how many there were."""
        ...

    def clean(self, now_us: int) -> None:
        """Drop what has expired."""
        ...

    def ping(self) -> None:
        """Return if the store answers."""
        ...

    def close(self) -> None: ...
