"""The event store of one host, a SQLite file that several processes share."""

import json
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import islice, takewhile
from pathlib import Path
from typing import Any

import orjson

from serving.events import sql
from serving.events.ids import mark_of
from serving.events.protocol import (
    Erasure,
    Event,
    Limits,
    OverlayEntry,
    ProductEvent,
    UserState,
    Watch,
)
from serving.events.sqlite_file import BUSY_S, Connection, SqliteFile

PAGE = 1000  # rows read, or deleted in a transaction, at once


class SqliteStore:
    """An `EventStore` in one file."""

    def __init__(
        self,
        path: Path,
        limits: Limits = Limits(),
        *,
        host: str | None = None,
        clock: Callable[[], float] = time.time,
        busy_s: float = BUSY_S,
    ) -> None:
        """Open the file, or make it, readable to its owner alone.

        Args:
            host: who opens it; by default this machine.
            clock: seconds since 1970, for the signs of life of hosts.
            busy_s: how long to wait for other writers.

        Raises:
            EventStoreError: the place cannot be used, the file is not ours or newer, or another host has it open.
            StoreDownError: another process has held its lock for too long.
        """
        self._limits = limits
        self._file = SqliteFile(path, host, clock, busy_s)

    def put(self, events: Sequence[Event], now_us: int) -> list[bool]:
        """As the protocol says."""
        known_after = now_us - _us(self._limits.event_ids_s)
        marks = [{"mark": mark_of(event.event_id), "now_us": now_us, "known_after": known_after} for event in events]
        with self._file.writing() as connection:
            is_new = [connection.execute(sql.MARK, mark).rowcount == 1 for mark in marks]
            new = [event for event, this_is_new in zip(events, is_new, strict=True) if this_is_new]
            connection.executemany(sql.ADD_USER, {(event.user_id,) for event in new})
            self._add_history(connection, [event for event in new if isinstance(event, ProductEvent)])
            self._add_watches(connection, [event for event in new if isinstance(event, Watch)], now_us)
        return is_new

    def user(self, user_id: str, now_us: int) -> UserState:
        """As the protocol says; seen videos in the order of their ids."""
        asked = {"user": user_id, "seen_after": now_us - _us(self._limits.seen_s)}
        history, seen, market = self._file.read(sql.USER, asked)[0]
        kept = sorted(orjson.loads(history))[-self._limits.history :]  # more stand there after the limit was lowered
        events = [ProductEvent(event_id, user_id, item, event, at_us) for at_us, event_id, item, event in kept]
        return UserState(tuple(events), tuple(orjson.loads(seen)), market)

    def put_markets(self, markets: Mapping[str, str]) -> None:
        """As the protocol says."""
        with self._file.writing() as connection:
            connection.executemany(sql.PUT_MARKET, markets.items())

    def users(self, prefix: str, limit: int) -> list[str]:
        """As the protocol says."""
        rows = self._file.read(sql.USERS_FROM, (prefix, limit))
        return list(takewhile(lambda user_id: user_id.startswith(prefix), (row[0] for row in rows)))

    def erase(self, user_id: str, at_us: int) -> list[str]:
        """As the protocol says. What is erased is overwritten in the file, too, and leaves the write-ahead log."""
        with self._file.writing() as connection:
            merged = connection.execute(sql.MERGED_INTO, {"user": user_id}).fetchall()
            erased = [user_id, *(row[0] for row in merged)]
            for statement in sql.ERASE:
                connection.executemany(statement, [{"user": one, "at_us": at_us} for one in erased])
        self._file.empty_log()
        return erased

    def erasures(self) -> list[Erasure]:
        """As the protocol says."""
        return [Erasure(at_us, user_id, user_hash) for at_us, user_id, user_hash in self._file.read(sql.ERASURES)]

    def settle(self, done: Erasure, user_hash: str) -> None:
        """As the protocol says."""
        entry = {"at_us": done.at_us, "user_id": done.user_id, "user_hash": done.user_hash, "settled": user_hash}
        with self._file.writing() as connection:
            connection.execute(sql.SETTLE, entry)
        self._file.empty_log()

    def merge(self, anonymous: str, user_id: str, now_us: int) -> int:
        """As the protocol says. A market that the user has already stays."""
        if anonymous == user_id:
            return 0
        names = {"anonymous": anonymous, "user": user_id, "seen_after": now_us - _us(self._limits.seen_s)}
        with self._file.writing() as connection:
            moved = sum(connection.execute(move, names).rowcount for move in (sql.MOVE_HISTORY, sql.MOVE_WATCHES))
            for statement in sql.MOVE_REST:
                connection.execute(statement, names)
            self._trim(connection, {user_id})
        return moved

    def watches(self, from_us: int, to_us: int) -> Iterator[Watch]:
        """As the protocol says, a page at a time: a long read would keep the write-ahead log from being emptied."""
        after: tuple[int, str | bytes] = (from_us - 1, b"")  # SQLite sorts bytes behind every text
        while rows := self._file.read(sql.WATCHES, (*after, to_us, PAGE)):
            yield from map(_watch, rows)
            event_id, *_, occurred_us, _ = rows[-1]
            after = (occurred_us, event_id)

    def drop_watches(self, before_us: int) -> int:
        """As the protocol says."""
        with self._file.writing() as connection:
            return connection.execute(sql.DROP_WATCHES, (before_us,)).rowcount

    def overlay_revision(self) -> int:
        """As the protocol says."""
        return int(self._file.read(sql.REVISION)[0][0])

    def overlay(self) -> list[OverlayEntry]:
        """As the protocol says."""
        return [OverlayEntry(*row) for row in self._file.read(sql.OVERLAY)]

    def put_overlay(self, entries: Sequence[OverlayEntry], *, only_new: bool = False) -> None:
        """As the protocol says."""
        rows = [(one.kind, one.key, one.market, one.value, one.reason, one.at_us) for one in entries]
        self._change_overlay(sql.PUT_OVERLAY[only_new], rows)

    def drop_overlay(self, names: Sequence[tuple[str, str, str]]) -> int:
        """As the protocol says."""
        return self._change_overlay(sql.DROP_OVERLAY, names)

    def clean(self, now_us: int) -> None:
        """As the protocol says, and users of whom nothing is left."""
        marks_until, seen_until = (now_us - _us(span) for span in (self._limits.event_ids_s, self._limits.seen_s))
        self._delete(sql.DROP_MARK, [(*row, marks_until) for row in self._file.read(sql.EXPIRED_MARKS, (marks_until,))])
        self._delete(sql.DROP_SEEN, [(*row, seen_until) for row in self._file.read(sql.EXPIRED_SEEN, (seen_until,))])
        self._delete(sql.DROP_EMPTY_USER, self._file.read(sql.EMPTY_USERS))

    def ping(self) -> None:
        """As the protocol says, and now and then say that this host has the file open.

        Raises:
            StoreDownError: another host has opened it meanwhile, or as the protocol says.
        """
        self._file.read(sql.REVISION)
        self._file.keep_host()

    def close(self) -> None:
        """Close the connections; one that is in use goes when it comes back."""
        self._file.close()

    def _add_history(self, connection: Connection, events: Iterable[ProductEvent]) -> None:
        rows = [(one.user_id, one.occurred_us, one.event_id, one.product_id, one.event) for one in events]
        connection.executemany(sql.ADD_PRODUCT_EVENT, rows)
        self._trim(connection, {row[0] for row in rows})

    def _add_watches(self, connection: Connection, watches: Iterable[Watch], now_us: int) -> None:
        rows = [
            (one.occurred_us, one.event_id, one.user_id, one.video_id, one.feed_id, one.watch_time_s,
             json.dumps(dict(one.flags))) for one in watches
        ]  # fmt: skip
        connection.executemany(sql.ADD_WATCH, rows)
        seen_after = now_us - _us(self._limits.seen_s)
        seen = [(user_id, video_id, at_us) for at_us, _, user_id, video_id, *_ in rows if at_us > seen_after]
        connection.executemany(sql.ADD_SEEN, seen)

    def _trim(self, connection: Connection, user_ids: Iterable[str]) -> None:
        connection.executemany(sql.TRIM, [{"user": one, "keep": self._limits.history} for one in user_ids])

    def _change_overlay(self, statement: str, rows: Sequence[tuple[Any, ...]]) -> int:
        with self._file.writing() as connection:
            changed = connection.executemany(statement, rows).rowcount if rows else 0
            if changed:
                connection.execute(sql.NEXT_REVISION)
        return changed

    def _delete(self, statement: str, rows: Iterable[tuple[Any, ...]]) -> None:
        left = iter(rows)
        while page := list(islice(left, PAGE)):
            with self._file.writing() as connection:
                connection.executemany(statement, page)


def _us(span_s: float) -> int:
    return round(span_s * 1e6)


def _watch(row: Sequence[Any]) -> Watch:
    event_id, user_id, video_id, feed_id, watch_time_s, occurred_us, flags = row
    return Watch(event_id, user_id, video_id, feed_id, watch_time_s, occurred_us, json.loads(flags))
