"""The file of the SQLite event store: opened, checked, lent to threads, and kept to one host.

The only module that imports sqlite3.
"""

import os
import socket
import sqlite3
import time
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from serving.events import sql
from serving.events.protocol import EventStoreError, StoreDownError

Connection = sqlite3.Connection
BUSY_S = 5.0
HOST_S = 60.0  # a host that said nothing for so long has left the file
SAY_EVERY_S = 15.0
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


class SqliteFile:
    """Connections to one file. Each serves one thread at a time and is kept for the next."""

    def __init__(self, path: Path, host: str | None, clock: Callable[[], float], busy_s: float) -> None:
        self._path, self._clock, self._busy_s = path, clock, busy_s
        self._host = host or this_host()
        self._said_s = 0.0
        self._idle: list[Connection] = []
        self._closed = False
        _make_private(path)
        with _opening(path):
            with self.lent() as connection:
                _check_kind(connection, path)
                _use_wal(connection, busy_s)
            with self.writing() as connection:
                for statement in sql.CREATE:
                    connection.execute(statement)
                self._say_host(connection)

    @contextmanager
    def lent(self) -> Iterator[Connection]:
        """Lend a connection; after an error it is closed, which also undoes its transaction."""
        connection = None
        try:
            connection = self._kept() or self._connect()
            yield connection
        except BaseException as error:
            if connection:
                connection.close()
            if isinstance(error, sqlite3.Error) and _code(error) in _DOWN:
                raise StoreDownError(f"The event store {self._path} cannot be used now: {error}.") from error
            raise
        self._idle.append(connection)
        if self._closed:
            self.close()

    @contextmanager
    def writing(self) -> Iterator[Connection]:
        """Lend a connection in a transaction that waits for other writers before it reads anything."""
        with self.lent() as connection:
            connection.execute("BEGIN IMMEDIATE")
            yield connection
            connection.execute("COMMIT")

    def read(self, statement: str, values: Sequence[Any] | Mapping[str, Any] = ()) -> list[Any]:
        """All rows of a statement outside of a transaction."""
        with self.lent() as connection:
            return connection.execute(statement, values).fetchall()

    def keep_host(self) -> None:
        """Say now and then that this host has the file open.

        Raises:
            StoreDownError: another host has opened it meanwhile.
        """
        if abs(self._clock() - self._said_s) < SAY_EVERY_S:
            return
        try:
            with self.writing() as connection:
                self._say_host(connection)
        except EventStoreError as error:
            raise StoreDownError(error.message) from error

    def empty_log(self) -> None:
        """Move the write-ahead log into the file; where others hold it, the next one does."""
        with suppress(StoreDownError):
            self.read("PRAGMA wal_checkpoint(TRUNCATE)")

    def close(self) -> None:
        """Close the connections; one that is in use goes when it comes back."""
        self._closed = True
        while self._idle:
            self._idle.pop().close()

    def _kept(self) -> Connection | None:
        try:
            return self._idle.pop()
        except IndexError:
            return None

    def _connect(self) -> Connection:
        connection = sqlite3.connect(self._path, timeout=self._busy_s, isolation_level=None, check_same_thread=False)
        try:
            connection.execute("PRAGMA synchronous = FULL")  # what was acknowledged survives a power cut
            connection.execute("PRAGMA secure_delete = ON")  # what was erased is overwritten
        except sqlite3.Error:
            connection.close()
            raise
        return connection

    def _say_host(self, connection: Connection) -> None:
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


def _code(error: sqlite3.Error) -> int:
    """The primary result code; 0 for errors of the Python module itself."""
    return getattr(error, "sqlite_errorcode", 0) & 0xFF


def _make_private(path: Path) -> None:
    """Make an empty file that only its owner reads, unless one is there; SQLite gives its log the same mode.

    Never opens a file that exists: closing it again would free the locks that SQLite holds on it in this process.
    """
    try:
        path.parent.mkdir(exist_ok=True)  # one level: a longer path that is not there is a slip
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


def _check_kind(connection: Connection, path: Path) -> None:
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


def _use_wal(connection: Connection, busy_s: float) -> None:
    """Switch to a write-ahead log.

    SQLite does not always wait for another who does so, too (12 of 2,400 times when eight opened a new file), so we do.
    """
    give_up_s = time.monotonic() + busy_s
    while True:
        try:
            connection.execute("PRAGMA journal_mode = WAL")
            return
        except sqlite3.OperationalError as error:
            if _code(error) != sqlite3.SQLITE_BUSY or time.monotonic() > give_up_s:
                raise
            time.sleep(0.01)
