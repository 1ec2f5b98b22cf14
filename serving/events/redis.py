"""The event store of several hosts, in Redis (6.2 or newer) or Valkey. The only module that imports redis.

What was acknowledged is only as safe as the server keeps it. Its operator must set `appendonly yes`, with `appendfsync
always` where a power cut may not lose the last second, and `maxmemory-policy noeviction`: any other forgets users in
silence. It must be one server, with replicas or without, not a Redis Cluster. What was erased leaves the append-only
file with its next rewrite (`BGREWRITEAOF`).
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import chain, takewhile
from typing import TYPE_CHECKING, Any

from retrieval.errors import import_extra
from serving.events import lua
from serving.events.ids import mark_of
from serving.events.protocol import (
    Erasure,
    Event,
    EventStoreError,
    Limits,
    OverlayEntry,
    ProductEvent,
    StoreDownError,
    UserState,
    Watch,
)

if TYPE_CHECKING:
    from redis.commands.core import Script

PREFIX = "lookreel:"
PAGE = 1000  # entries a script goes through at once: others wait meanwhile
# How the server says that it is busy, cannot write its file or lacks replicas: states that pass, without a class.
_OUTAGES = ("BUSY", "MISCONF", "NOREPLICAS")


class RedisStore:
    """An `EventStore` on a server. Nothing is connected before the first call, and nothing is tried twice."""

    def __init__(
        self,
        url: str,
        limits: Limits = Limits(),
        *,
        connect_s: float = 0.25,
        read_s: float = 0.5,
        prefix: str = PREFIX,
    ) -> None:
        """Prepare the connections; a server that does not answer is no error yet.

        Args:
            url: `redis://`, `rediss://` or `valkey://`, as the redis package reads it.
            prefix: of all keys.

        Raises:
            EventStoreError: the URL cannot be read.
            MissingExtraError: the package redis is not installed.
        """
        self._library = import_extra("redis", "redis")
        retry, backoff = import_extra("redis.retry", "redis"), import_extra("redis.backoff", "redis")
        self._limits, self._prefix = limits, prefix
        try:
            self._client = self._library.Redis.from_url(
                url.replace("valkey://", "redis://", 1),
                socket_connect_timeout=connect_s,
                socket_timeout=read_s,
                retry=retry.Retry(backoff.NoBackoff(), 0),
                decode_responses=True,
            )
        except ValueError as error:
            raise EventStoreError(
                f"The URL of the event store cannot be read: {error}.", "Write it as redis://HOST:6379/0."
            ) from error
        self._scripts: dict[str, Script] = {}

    def put(self, events: Sequence[Event], now_us: int) -> list[bool]:
        """As the protocol says."""
        limits = self._limits
        known_after, mark_ms = now_us - _us(limits.event_ids_s), max(round(limits.event_ids_s * 1e3), 1)
        values = list(chain.from_iterable(map(_put_values, events)))
        if not values:
            return []
        is_new = self._run(lua.PUT, now_us, known_after, self._seen_after(now_us), limits.history, mark_ms, *values)
        return [bool(one) for one in is_new]

    def user(self, user_id: str, now_us: int) -> UserState:
        """As the protocol says, in one round trip; seen videos oldest first."""
        history, seen, market = self._run(lua.USER, user_id, self._limits.history, self._seen_after(now_us))
        cells = list(json.loads(history))  # an empty list of Lua's is {} in JSON
        return UserState(_product_events(user_id, cells), tuple(json.loads(seen)), market)

    def put_markets(self, markets: Mapping[str, str]) -> None:
        """As the protocol says."""
        if not markets:
            return
        with self._answering(), self._client.pipeline(transaction=True) as pipeline:
            pipeline.hset(self._prefix + "markets", mapping=dict(markets))
            pipeline.zadd(self._prefix + "users", dict.fromkeys(markets, 0))
            pipeline.execute()

    def users(self, prefix: str, limit: int) -> list[str]:
        """As the protocol says."""
        with self._answering():
            found = self._client.zrangebylex(self._prefix + "users", f"[{prefix}", "+", start=0, num=limit)
        return list(takewhile(lambda user_id: user_id.startswith(prefix), found))

    def erase(self, user_id: str, at_us: int) -> list[str]:
        """As the protocol says."""
        _, *merged = self._run(lua.ERASE, user_id, at_us)
        return [user_id, *sorted(merged)]

    def erasures(self) -> list[Erasure]:
        """As the protocol says."""
        with self._answering():
            entries = self._client.lrange(self._prefix + "erasures", 0, -1)
        return sorted(map(_erasure, entries), key=lambda entry: entry.at_us)

    def settle(self, done: Erasure, user_hash: str) -> None:
        """As the protocol says."""
        settled = Erasure(done.at_us, user_hash=user_hash)
        self._run(lua.SETTLE, _erasure_entry(done), _erasure_entry(settled))

    def merge(self, anonymous: str, user_id: str, now_us: int) -> int:
        """As the protocol says. A market that the user has already stays."""
        if anonymous == user_id:
            return 0
        return int(self._run(lua.MERGE, anonymous, user_id, self._limits.history, self._seen_after(now_us)))

    def watches(self, from_us: int, to_us: int) -> Iterator[Watch]:
        """As the protocol says, a page at a time."""
        after = str(from_us)
        while rows := self._run(lua.WATCHES, after, to_us, PAGE):
            cells = iter(rows)
            for event_id, at_us, value in zip(cells, cells, cells, strict=True):
                yield _watch(event_id, int(at_us), value)
            after = f"({rows[-2]}"

    def drop_watches(self, before_us: int) -> int:
        """As the protocol says."""
        dropped = 0
        while page := int(self._run(lua.DROP_WATCHES, before_us, PAGE)):
            dropped += page
        return dropped

    def overlay_revision(self) -> int:
        """As the protocol says."""
        with self._answering():
            return int(self._client.get(self._prefix + "overlay-revision") or 0)

    def overlay(self) -> list[OverlayEntry]:
        """As the protocol says."""
        with self._answering():
            entries = self._client.hgetall(self._prefix + "overlay")
        found = [_overlay_entry(name, about) for name, about in entries.items()]
        return sorted(found, key=lambda entry: (entry.at_us, entry.kind, entry.key, entry.market))

    def put_overlay(self, entries: Sequence[OverlayEntry], *, only_new: bool = False) -> None:
        """As the protocol says."""
        values = [(_json(one.kind, one.key, one.market), _json(one.value, one.reason, one.at_us)) for one in entries]
        self._run(lua.PUT_OVERLAY, "HSETNX" if only_new else "HSET", *chain.from_iterable(values))

    def drop_overlay(self, names: Sequence[tuple[str, str, str]]) -> int:
        """As the protocol says."""
        return int(self._run(lua.DROP_OVERLAY, *(_json(*name) for name in names)))

    def clean(self, now_us: int) -> None:
        """As the protocol says, and users of whom nothing is left; marks of event ids go by themselves."""
        last = self._run(lua.CLEAN, self._seen_after(now_us), "-", PAGE)
        while last is not None:
            last = self._run(lua.CLEAN, self._seen_after(now_us), f"({last}", PAGE)

    def ping(self) -> None:
        """As the protocol says."""
        with self._answering():
            self._client.ping()

    def close(self) -> None:
        """Close the connections."""
        self._client.close()

    def _run(self, script: str, *values: Any) -> Any:
        if script not in self._scripts:
            self._scripts[script] = self._client.register_script(script)
        with self._answering():
            return self._scripts[script](keys=[self._prefix], args=values)

    def _seen_after(self, now_us: int) -> int:
        return now_us - _us(self._limits.seen_s)

    @contextmanager
    def _answering(self) -> Iterator[None]:
        """Tell an outage, which passes, from an error of ours."""
        errors = self._library.exceptions
        refusals = (errors.ReadOnlyError, errors.OutOfMemoryError, errors.NoPermissionError, errors.MasterDownError)
        try:
            yield
        except (errors.ConnectionError, errors.TimeoutError) as error:
            raise StoreDownError(f"The event store does not answer: {_words(error)}.") from error
        except errors.ResponseError as error:
            if not isinstance(error, refusals) and not str(error).startswith(_OUTAGES):
                raise
            raise StoreDownError(f"The event store refuses for now: {_words(error)}.") from error


def _words(error: Exception) -> str:
    return str(error).rstrip(".")


def _us(span_s: float) -> int:
    return round(span_s * 1e6)


def _json(*values: Any) -> str:
    return json.dumps(values, ensure_ascii=False, separators=(",", ":"))


def _put_values(event: Event) -> tuple[Any, ...]:
    """What the script wants of an event: mark, kind, user, time, id, item, value."""
    mark, kept = mark_of(event.event_id), (event.user_id, int(event.occurred_us), event.event_id)
    if isinstance(event, ProductEvent):
        return (mark, "product", *kept, event.product_id, _member(event))
    value = _json(event.video_id, event.feed_id, event.watch_time_s, dict(event.flags))
    return (mark, "watch", *kept, event.video_id, value)


def _member(event: ProductEvent) -> str:
    r"""An entry of a history, which sorts as its event id does: the id with \0 and \1 escaped, a \0, and JSON."""
    escaped = event.event_id.replace("\1", "\1\2").replace("\0", "\1\1")
    return f"{escaped}\0{_json(event.product_id, event.event)}"


def _product_events(user_id: str, cells: Sequence[str]) -> tuple[ProductEvent, ...]:
    """The events of a history's members, each followed by its time."""
    members = [member.partition("\0") for member in cells[::2]]
    abouts = json.loads(f"[{','.join([about for _, _, about in members])}]")  # at once: one by one took 100 µs longer
    return tuple(
        [
            ProductEvent(_unescaped(escaped), user_id, product_id, event, int(at_us))
            for (escaped, _, _), (product_id, event), at_us in zip(members, abouts, cells[1::2], strict=True)
        ]
    )


def _unescaped(event_id: str) -> str:
    return event_id.replace("\1\1", "\0").replace("\1\2", "\1") if "\1" in event_id else event_id


def _watch(event_id: str, occurred_us: int, value: str) -> Watch:
    about, _, user_id = value.partition("\0")
    video_id, feed_id, watch_time_s, flags = json.loads(about)
    return Watch(event_id, user_id, video_id, feed_id, watch_time_s, occurred_us, flags)


def _erasure_entry(erasure: Erasure) -> str:
    return f"{erasure.at_us}\0{erasure.user_hash}\0{erasure.user_id}"


def _erasure(entry: str) -> Erasure:
    at_us, user_hash, user_id = entry.split("\0", 2)
    return Erasure(int(at_us), user_id, user_hash)


def _overlay_entry(name: str, about: str) -> OverlayEntry:
    kind, key, market = json.loads(name)
    value, reason, at_us = json.loads(about)
    return OverlayEntry(kind, key, market, value, reason, at_us)
