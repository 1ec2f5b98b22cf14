"""What all commands share: progress on long work, JSON, and errors that people can read."""

import json
import logging
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, is_dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from retrieval.errors import UserFacingError

if TYPE_CHECKING:
    from rich.table import Table

logger = logging.getLogger(__name__)
EXIT_USER_ERROR = UserFacingError.exit_code
EXIT_QUARANTINED = 3
LOG_EVERY_S = 10.0
WIDE = 400  # characters


def run(app: Callable[[], Any]) -> None:
    """Run a command line: a user's error is one message and its exit code, anything else ours and shows its trace."""
    logging.basicConfig(level=logging.WARNING, format="%(message)s", stream=sys.stderr)
    try:
        app()
    except UserFacingError as error:
        sys.stderr.write(f"{error}\n")
        sys.exit(error.exit_code)
    except OSError as error:  # a path that cannot be read or written, a full disk
        if error.strerror is None:
            raise
        named = f"{error.filename}: " if error.filename else ""
        sys.stderr.write(f"{named}{error.strerror}.\nCheck the path, its permissions and the room on the disk.\n")
        sys.exit(EXIT_USER_ERROR)


def print_table(table: "Table") -> None:
    """Print a table: elsewhere than on a terminal as wide as it is, so that logs get whole lines."""
    from rich.console import Console

    Console(width=None if sys.stdout.isatty() else WIDE).print(table)


@contextmanager
def progress(what: str) -> Iterator[Callable[[int, int], None]]:
    """Yield a function of (done, total): a bar with rate and time left on a terminal, a line now and then elsewhere."""
    if sys.stderr.isatty():
        with _bar(what) as update:
            yield update
    else:
        yield _LogLines(what)


@contextmanager
def _bar(what: str) -> Iterator[Callable[[int, int], None]]:
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (
        TextColumn("{task.description:<24}"), BarColumn(), MofNCompleteColumn(), TextColumn("{task.fields[rate]}"),
        TimeRemainingColumn(),
    )  # fmt: skip
    with Progress(*columns, console=Console(stderr=True)) as bar:
        task, rate = bar.add_task(what, total=None, rate=""), _Rate()
        yield lambda done, total: bar.update(task, completed=done, total=total, rate=f"{rate.of(done):.1f}/s")


class _Rate:
    """What is done in a second, leaving out what was done before the first call: a resumed job's earlier work."""

    def __init__(self) -> None:
        self._started: float | None = None
        self._before = 0

    def of(self, done: int) -> float:
        now = time.monotonic()
        if self._started is None:
            self._started, self._before = now, done
        return (done - self._before) / max(now - self._started, 1e-9)


class _LogLines:
    """Progress as plain lines: at most one every `LOG_EVERY_S` seconds, and the last."""

    def __init__(self, what: str) -> None:
        self._what, self._rate = what, _Rate()
        self._said = time.monotonic()

    def __call__(self, done: int, total: int) -> None:
        now, rate = time.monotonic(), self._rate.of(done)
        if done < total and now - self._said < LOG_EVERY_S:
            return
        self._said = now
        left = f", {(total - done) / rate:.0f} s left" if rate and done < total else ""
        sys.stderr.write(f"{self._what}: {done}/{total} ({rate:.1f}/s{left})\n")
        sys.stderr.flush()


def to_json(value: Any) -> str:
    """A dataclass or a plain value as JSON."""
    return json.dumps(asdict(value) if is_dataclass(value) and not isinstance(value, type) else value, default=_plain)


def _plain(value: Any) -> Any:
    if isinstance(value, datetime):
        return value.isoformat()
    if isinstance(value, Path):
        return str(value)
    raise TypeError(f"{type(value).__name__} has no JSON form")
