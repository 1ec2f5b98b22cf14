"""What the API remembers of users, behind one protocol: SQLite for one host, Redis or Valkey for several."""

import re
from collections.abc import Callable, Mapping
from pathlib import Path

from serving.events.protocol import EventStore, EventStoreError, Limits

_SQLITE = "sqlite:///"


def open_event_store(url: str, limits: Limits = Limits()) -> EventStore:
    """Open the store that *url* names: `sqlite:///events.db` (four slashes before a full path) or `redis://HOST:6379/0`.

    A server that does not answer is no error here: it is asked at the first call.

    Raises:
        EventStoreError: nothing known has this scheme, or the file or URL cannot be used.
        MissingExtraError: the scheme needs a package that is not installed.
        StoreDownError: the SQLite file is locked.
    """
    scheme = url.partition("://")[0]
    if scheme not in OPENERS:
        raise EventStoreError(
            f"No event store is known by {shown_url(url)!r}.",
            f"Begin with {', '.join(f'{known}://' for known in OPENERS)}, such as {_SQLITE}events.db.",
        )
    return OPENERS[scheme](url, limits)


def shown_url(url: str) -> str:
    """*url* as it may be printed, without its password.

    >>> shown_url("redis://lookreel:secret@cache:6379/0")
    'redis://lookreel:***@cache:6379/0'
    """
    return re.sub("://([^:/]*):.*@", r"://\1:***@", url)


def _open_sqlite(url: str, limits: Limits) -> EventStore:
    from serving.events.sqlite import SqliteStore

    name = url.removeprefix(_SQLITE)
    if not name or name == url:
        raise EventStoreError(
            f"{url!r} names no file.", f"Write {_SQLITE}events.db, or {_SQLITE}/var/lib/events.db for a full path."
        )
    return SqliteStore(Path(name), limits)


def _open_redis(url: str, limits: Limits) -> EventStore:
    from serving.events.redis import RedisStore

    return RedisStore(url, limits)


OPENERS: Mapping[str, Callable[[str, Limits], EventStore]] = {
    "sqlite": _open_sqlite,
    "redis": _open_redis,
    "rediss": _open_redis,
    "valkey": _open_redis,
}
