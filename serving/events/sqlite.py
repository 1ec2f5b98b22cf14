"""The event store of one host, a SQLite file that several processes share. The only module that imports sqlite3."""

import json
import os
import socket
import sqlite3
import time
import uuid
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from itertools import islice, takewhile
from pathlib import Path
from typing import Any

from serving.events import sql
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

BUSY_S = 5.0
HOST_S = 60.0  # a host that said nothing for so long has left the file
SAY_EVERY_S = 15.0
PAGE = 1000  # rows read, or deleted in a transaction, at once
_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")
_NOT_A_DATABASE = (sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_CORRUPT)
_UNUSABLE = (sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_READONLY, sqlite3.SQLITE_PERM)
_DOWN = frozenset(
    {*_NOT_A_DATABASE, *_UNUSABLE, sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED, sqlite3.SQLITE_NOMEM}
    | {sqlite3.SQLITE_IOERR, sqlite3.SQLITE_FULL, sqlite3.SQLITE_PROTOCOL}
)


def this_host() -> str:
    """What tells this machine from others: the running kernel's id, since a WAL is shared through its memory.

    Containers of one machine share it, and a container that is made anew keeps it; elsewhere than on Linux it is the
    host name with the network card's number.
    """
    try:
        return _BOOT_ID.read_text().strip()
    except OSError:
        return f"{socket.gethostname()}/{uuid.getnode():x}"


class SqliteStore:
    """An `EventStore` in one file. Each connection serves one thread at a time and is kept for the next."""

    def __init__(
        self,
        path: Path,
        limits: Limits = Limits(),
        *,
        host: str | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        """Open the file, or make it, readable to its owner alone.

        Args:
            host: who opens it; by default this machine.
            clock: seconds since 1970, for the signs of life of hosts.

        Raises:
            EventStoreError: the place cannot be used, the file is not ours or newer, or another host has it open.
            StoreDownError: another process has held its lock for too long.
        """
        self._path, self._limits, self._clock = path, limits, clock
        self._host = host or this_host()
        self._said_s = 0.0
        self._idle: list[sqlite3.Connection] = []
        self._closed = False
        _make_private(path)
        with _opening(path):
            with self._lent() as connection:
                _check_kind(connection, path)
                _use_wal(connection)
            with self._writing() as connection:
                for statement in sql.CREATE:
                    connection.execute(statement)
                self._say_host(connection)

    def put(self, events: Sequence[Event], now_us: int) -> list[bool]:
        """As the protocol says."""
        known_after = now_us - _us(self._limits.event_ids_s)
        marks = [{"mark": mark_of(event.event_id), "now_us": now_us, "known_after": known_after} for event in events]
        with self._writing() as connection:
            is_new = [connection.execute(sql.MARK, mark).rowcount == 1 for mark in marks]
            new = [event for event, this_is_new in zip(events, is_new, strict=True) if this_is_new]
            connection.executemany(sql.ADD_USER, {(event.user_id,) for event in new})
            self._add_history(connection, [event for event in new if isinstance(event, ProductEvent)])
            self._add_watches(connection, [event for event in new if isinstance(event, Watch)], now_us)
        return is_new

    def user(self, user_id: str, now_us: int) -> UserState:
        """As the protocol says; seen videos in the order of their ids."""
        asked = {"user": user_id, "seen_after": now_us - _us(self._limits.seen_s)}
        history, seen, market = self._read(sql.USER, asked)[0]
        kept = sorted(json.loads(history))[-self._limits.history :]  # more stand there after the limit was lowered
        events = [ProductEvent(event_id, user_id, item, event, at_us) for at_us, event_id, item, event in kept]
        return UserState(tuple(events), tuple(json.loads(seen)), market)

    def put_markets(self, markets: Mapping[str, str]) -> None:
        """As the protocol says."""
        with self._writing() as connection:
            connection.executemany(sql.PUT_MARKET, markets.items())

    def users(self, prefix: str, limit: int) -> list[str]:
        """As the protocol says."""
        rows = self._read(sql.USERS_FROM, (prefix, limit))
        return list(takewhile(lambda user_id: user_id.startswith(prefix), (row[0] for row in rows)))

    def erase(self, user_id: str, at_us: int) -> list[str]:
        """As the protocol says. What is erased is overwritten in the file, too, and leaves the write-ahead log."""
        with self._writing() as connection:
            merged = connection.execute(sql.MERGED_INTO, {"user": user_id}).fetchall()
            erased = [user_id, *(row[0] for row in merged)]
            for statement in sql.ERASE:
                connection.executemany(statement, [{"user": one, "at_us": at_us} for one in erased])
        self._empty_log()
        return erased

    def erasures(self) -> list[Erasure]:
        """As the protocol says."""
        return [Erasure(at_us, user_id, user_hash) for at_us, user_id, user_hash in self._read(sql.ERASURES)]

    def settle(self, done: Erasure, user_hash: str) -> None:
        """As the protocol says."""
        entry = {"at_us": done.at_us, "user_id": done.user_id, "user_hash": done.user_hash, "settled": user_hash}
        with self._writing() as connection:
            connection.execute(sql.SETTLE, entry)
        self._empty_log()

    def merge(self, anonymous: str, user_id: str, now_us: int) -> int:
        """As the protocol says. A market that the user has already stays."""
        if anonymous == user_id:
            return 0
        names = {"anonymous": anonymous, "user": user_id, "seen_after": now_us - _us(self._limits.seen_s)}
        with self._writing() as connection:
            moved = sum(connection.execute(move, names).rowcount for move in (sql.MOVE_HISTORY, sql.MOVE_WATCHES))
            for statement in sql.MOVE_REST:
                connection.execute(statement, names)
            self._trim(connection, {user_id})
        return moved

    def watches(self, from_us: int, to_us: int) -> Iterator[Watch]:
        """As the protocol says, a page at a time: a long read would keep the write-ahead log from being emptied."""
        after: tuple[int, str | bytes] = (from_us - 1, b"")  # SQLite sorts bytes behind every text
        while rows := self._read(sql.WATCHES, (*after, to_us, PAGE)):
            yield from map(_watch, rows)
            event_id, *_, occurred_us, _ = rows[-1]
            after = (occurred_us, event_id)

    def drop_watches(self, before_us: int) -> int:
        """As the protocol says."""
        with self._writing() as connection:
            return connection.execute(sql.DROP_WATCHES, (before_us,)).rowcount

    def overlay_revision(self) -> int:
        """As the protocol says."""
        return int(self._read(sql.REVISION)[0][0])

    def overlay(self) -> list[OverlayEntry]:
        """As the protocol says."""
        return [OverlayEntry(*row) for row in self._read(sql.OVERLAY)]

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
        self._delete(sql.DROP_MARK, [(*row, marks_until) for row in self._read(sql.EXPIRED_MARKS, (marks_until,))])
        self._delete(sql.DROP_SEEN, [(*row, seen_until) for row in self._read(sql.EXPIRED_SEEN, (seen_until,))])
        self._delete(sql.DROP_EMPTY_USER, self._read(sql.EMPTY_USERS))

    def ping(self) -> None:
        """As the protocol says, and now and then say that this host has the file open.

        Raises:
            StoreDownError: another host has opened it meanwhile, or as the protocol says.
        """
        self._read(sql.REVISION)
        if abs(self._clock() - self._said_s) < SAY_EVERY_S:
            return
        try:
            with self._writing() as connection:
                self._say_host(connection)
        except EventStoreError as error:
            raise StoreDownError(error.message) from error

    def close(self) -> None:
        """Close the connections; one that is in use goes when it comes back."""
        self._closed = True
        while self._idle:
            self._idle.pop().close()

    @contextmanager
    def _lent(self) -> Iterator[sqlite3.Connection]:
        """Lend a connection; after an error it is closed, which also undoes its transaction."""
        try:
            connection = self._idle.pop() if self._idle else self._connect()
        except IndexError:  # another thread took the last one
            connection = self._connect()
        try:
            yield connection
        except BaseException as error:
            connection.close()
            if isinstance(error, sqlite3.Error) and _code(error) in _DOWN:
                raise StoreDownError(f"The event store {self._path} cannot be used now: {error}.") from error
            raise
        self._idle.append(connection)
        if self._closed:
            self.close()

    @contextmanager
    def _writing(self) -> Iterator[sqlite3.Connection]:
        """Lend a connection in a transaction that waits for other writers before it reads anything."""
        with self._lent() as connection:
            connection.execute("BEGIN IMMEDIATE")
            yield connection
            connection.execute("COMMIT")

    def _read(self, statement: str, values: Sequence[Any] | Mapping[str, Any] = ()) -> list[Any]:
        with self._lent() as connection:
            return connection.execute(statement, values).fetchall()

    def _connect(self) -> sqlite3.Connection:
        connection = sqlite3.connect(self._path, timeout=BUSY_S, isolation_level=None, check_same_thread=False)
        connection.execute("PRAGMA synchronous = FULL")  # what was acknowledged survives a power cut
        connection.execute("PRAGMA secure_delete = ON")  # what was erased is overwritten
        return connection

    def _say_host(self, connection: sqlite3.Connection) -> None:
        now_s = self._clock()
        other = connection.execute(sql.OTHER_HOST, (self._host, now_s - HOST_S)).fetchone()
        if other:
            name, said_s = other
            raise EventStoreError(
                f"The event store {self._path} is in use on another host, {name} ({max(now_s - said_s, 0):.0f} s ago); "
                "a SQLite file serves one host.",
                f"For several hosts use Redis: --events redis://HOST:6379/0. When {name} has stopped, wait a minute.",
            )
        connection.execute(sql.FORGET_HOSTS, (now_s - HOST_S,))
        connection.execute(sql.SAY_HOST, (self._host, socket.gethostname(), now_s))
        self._said_s = now_s

    def _add_history(self, connection: sqlite3.Connection, events: Iterable[ProductEvent]) -> None:
        rows = [(one.user_id, one.occurred_us, one.event_id, one.product_id, one.event) for one in events]
        connection.executemany(sql.ADD_PRODUCT_EVENT, rows)
        self._trim(connection, {row[0] for row in rows})

    def _add_watches(self, connection: sqlite3.Connection, watches: Iterable[Watch], now_us: int) -> None:
        rows = [
            (one.occurred_us, one.event_id, one.user_id, one.video_id, one.feed_id, one.watch_time_s,
             json.dumps(dict(one.flags))) for one in watches
        ]  # fmt: skip
        connection.executemany(sql.ADD_WATCH, rows)
        seen_after = now_us - _us(self._limits.seen_s)
        seen = [(user_id, video_id, at_us) for at_us, _, user_id, video_id, *_ in rows if at_us > seen_after]
        connection.executemany(sql.ADD_SEEN, seen)

    def _trim(self, connection: sqlite3.Connection, user_ids: Iterable[str]) -> None:
        connection.executemany(sql.TRIM, [{"user": one, "keep": self._limits.history} for one in user_ids])

    def _change_overlay(self, statement: str, rows: Sequence[tuple[Any, ...]]) -> int:
        with self._writing() as connection:
            changed = connection.executemany(statement, rows).rowcount if rows else 0
            if changed:
                connection.execute(sql.NEXT_REVISION)
        return changed

    def _delete(self, statement: str, rows: Iterable[tuple[Any, ...]]) -> None:
        left = iter(rows)
        while page := list(islice(left, PAGE)):
            with self._writing() as connection:
                connection.executemany(statement, page)

    def _empty_log(self) -> None:
        """Move the write-ahead log into the file; where others hold it, the next one does."""
        with suppress(StoreDownError):
            self._read("PRAGMA wal_checkpoint(TRUNCATE)")


def _us(span_s: float) -> int:
    return round(span_s * 1e6)


def _watch(row: Sequence[Any]) -> Watch:
    event_id, user_id, video_id, feed_id, watch_time_s, occurred_us, flags = row
    return Watch(event_id, user_id, video_id, feed_id, watch_time_s, occurred_us, json.loads(flags))


def _code(error: sqlite3.Error) -> int:
    """The primary result code; 0 for errors of the Python module itself."""
    return getattr(error, "sqlite_errorcode", 0) & 0xFF


def _make_private(path: Path) -> None:
    """Make an empty file that only its owner reads, unless one is there; SQLite gives its log the same mode.

    Never opens a file that exists: closing it again would free the locks that SQLite holds on it in this process.
    """
    try:
        os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
    except FileExistsError:
        if path.is_dir():
            raise EventStoreError(f"{path} is a folder, not an event store.", "Name a file in it.") from None
    except FileNotFoundError:
        raise EventStoreError(
            f"The folder {path.parent} of the event store {path.name} does not exist.",
            f"Make it, mkdir -p {path.parent}, or name another place.",
        ) from None
    except OSError as error:
        raise EventStoreError(
            f"The event store {path} cannot be made: {error.strerror}.", "Name a place that may be written to."
        ) from error


@contextmanager
def _opening(path: Path) -> Iterator[None]:
    """Say at once of a file that waiting does not mend it."""
    try:
        yield
    except StoreDownError as error:
        cause = error.__cause__
        code = _code(cause) if isinstance(cause, sqlite3.Error) else 0
        if code in _NOT_A_DATABASE:
            raise EventStoreError(
                f"{path} is not an event store: {cause}.", "Name another file, or restore this one from a backup."
            ) from error
        if code in _UNUSABLE:
            raise EventStoreError(
                f"The event store {path} cannot be opened: {cause}.", "Check the file's and its folder's permissions."
            ) from error
        raise


def _check_kind(connection: sqlite3.Connection, path: Path) -> None:
    (tables,), (application,), (version,) = (
        connection.execute(question).fetchone()
        for question in ("SELECT count(*) FROM sqlite_schema", "PRAGMA application_id", "PRAGMA user_version")
    )
    if tables and application != sql.APPLICATION_ID:
        raise EventStoreError(f"{path} is another program's database.", "Name another file.")
    if version > sql.SCHEMA_VERSION:
        raise EventStoreError(
            f"{path} has schema version {version}; this version of Lookreel knows up to {sql.SCHEMA_VERSION}.",
            "Update Lookreel, or name another file.",
        )


def _use_wal(connection: sqlite3.Connection) -> None:
    """Switch to a write-ahead log. Two who open a new file at once do not wait for each other here, so we do."""
    give_up_s = time.monotonic() + BUSY_S
    while True:
        try:
            connection.execute("PRAGMA journal_mode = WAL")
            return
        except sqlite3.OperationalError as error:
            if _code(error) != sqlite3.SQLITE_BUSY or time.monotonic() > give_up_s:
                raise
            time.sleep(0.01)
