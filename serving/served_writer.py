"""The files of the served log, as their one writer sees them: appended to, rotated, and held by a lock while open."""

import contextlib
import fcntl
import os
import re
import socket
from bisect import bisect_right
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import accumulate
from pathlib import Path

NAME = re.compile(r"served-(\d{4}-\d\d-\d\d)-(.+)-(\d+)-(\d+)\.jsonl")
ROTATE = ".rotate"  # NAME with this added asks the writer of NAME to let go of it
_US = 1_000_000
_DAY_US = 86_400 * _US


def this_host() -> str:
    """The name of this machine as it stands in the names of files."""
    return re.sub(r"[^A-Za-z0-9.-]", "_", socket.gethostname()) or "host"


def utc_date(at_us: int) -> str:
    """The UTC date of a time.

    >>> utc_date(86_400_000_000 - 1), utc_date(86_400_000_000)
    ('1970-01-01', '1970-01-02')
    """
    return datetime.fromtimestamp(at_us // _US, UTC).strftime("%Y-%m-%d")


@dataclass
class _Open:
    """The file of a *day* since 1970 that is being written.

    Where *marker* exists we are asked to let go of it. *cut* counts the bytes of the next line that it already holds.
    """

    path: str  # as texts: paths would be half of the time of a write
    marker: str
    descriptor: int
    inode: int
    day: int
    size: int = 0
    cut: int = 0


class ServedWriter:
    """Appends whole lines to a folder. One thread at a time may call it.

    While a file is open it is locked (`flock`): whoever gets the lock may take the file away, since no one will append
    to it again. The kernel gives the lock back, however the process ends.
    """

    def __init__(self, folder: Path, rotate_bytes: int, now_us: Callable[[], int]) -> None:
        """Nothing is touched before the first write."""
        self._folder, self._rotate_bytes, self._now_us = folder, rotate_bytes, now_us
        self._file: _Open | None = None
        self._last = 0

    def write(self, lines: Sequence[bytes]) -> int:
        """Append lines, each ending in a line break, by one write; return how many of them are whole in a file.

        The rest of a line that was cut is appended by the next call, which must begin with the same line.

        Raises:
            OSError: nothing could be written.
        """
        now_us = self._now_us()
        self._let_go_if_due(now_us // _DAY_US)
        if not lines:
            return 0
        file = self._file = self._file or self._create(now_us)
        done = os.write(file.descriptor, b"".join(lines)[file.cut :])
        file.size += done
        whole, file.cut = _whole_lines(lines, file.cut + done)
        return whole

    def close(self) -> None:
        """Let go of the open file; the next write begins another one."""
        if self._file is not None:
            os.close(self._file.descriptor)
            self._file = None

    def _let_go_if_due(self, day: int) -> None:
        file = self._file
        if file is None:
            return
        if file.day != day or file.size >= self._rotate_bytes or not _is_at(file) or os.path.exists(file.marker):
            self.close()

    def _create(self, now_us: int) -> _Open:
        self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        while True:
            # A number that no earlier process had: the parquet of a compacted file keeps its name for ever.
            self._last = max(self._last + 1, now_us)
            path = self._folder / f"served-{utc_date(now_us)}-{this_host()}-{os.getpid()}-{self._last}.jsonl"
            with contextlib.suppress(FileExistsError):
                file = _open(str(path), now_us // _DAY_US)
                if _is_held(file):
                    return file
                os.close(file.descriptor)


def _whole_lines(lines: Sequence[bytes], n_bytes: int) -> tuple[int, int]:
    """How many lines the first *n_bytes* hold whole, and the bytes after them.

    >>> _whole_lines([b"abc", b"de"], 4), _whole_lines([b"abc", b"de"], 5), _whole_lines([b"abc"], 0)
    ((1, 1), (2, 0), (0, 0))
    """
    ends = list(accumulate(map(len, lines)))
    whole = bisect_right(ends, n_bytes)
    return whole, n_bytes - (ends[whole - 1] if whole else 0)


def _open(path: str, day: int) -> _Open:
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND | os.O_CLOEXEC
    descriptor = os.open(path, flags, 0o600)
    return _Open(path, path + ROTATE, descriptor, os.fstat(descriptor).st_ino, day)


def _is_held(file: _Open) -> bool:
    """Lock a new file; false where somebody took it away between its making and its lock."""
    try:
        fcntl.flock(file.descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:  # a file system without locks: then only the date in the name protects the file
        return True
    return _is_at(file)


def _is_at(file: _Open) -> bool:
    try:
        return os.stat(file.path).st_ino == file.inode
    except FileNotFoundError:
        return False
