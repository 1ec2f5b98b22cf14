"""Which files of the served log nobody appends to any more, and how to get a living writer to let go of one."""

import fcntl
import os
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path

from retrieval.errors import UserFacingError
from retrieval.folders import locked
from serving.served_writer import NAME, ROTATE, this_host

LOCK = ".lock"
DRAFTS = ".*.partial"
DRAFT_AGE_S = 3600.0
_POLL_S = 0.05


@contextmanager
def alone_in(folder: Path) -> Iterator[None]:
    """Hold the folder of a served log against others who take files from it or rewrite them. Writers go on.

    Raises:
        UserFacingError: somebody else holds it.
    """
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    taken = UserFacingError(f"Another job is changing {folder}.", "Wait until it ends, and run this again.")
    with locked(folder / LOCK, taken):
        yield


def served_files(folder: Path) -> list[Path]:
    """The files of the served log in a folder, oldest first by name."""
    return sorted(file for file in folder.glob("served-*.jsonl") if NAME.fullmatch(file.name))


@contextmanager
def if_closed(file: Path, now_us: int, older_than_s: float) -> Iterator[bool]:
    """Yield whether nobody appends to *file* any more, and hold it while the block runs.

    A writer of this host holds a lock on its file, which the kernel gives back when the process ends. Locks of other
    hosts may not be seen on a shared folder, so their files are closed *older_than_s* seconds after their UTC day.
    """
    with ExitStack() as stack:
        yield _is_free(file, stack) and (_host(file) == this_host() or is_past(file, now_us, older_than_s))


def is_past(file: Path, now_us: int, older_than_s: float) -> bool:
    """Whether the UTC day in the name of a file ended more than *older_than_s* seconds ago."""
    found = NAME.fullmatch(file.name)
    if found is None:
        return False
    ended = datetime.fromisoformat(found[1]).replace(tzinfo=UTC) + timedelta(days=1, seconds=older_than_s)
    return now_us >= ended.timestamp() * 1e6


def ask_to_close(files: list[Path], patience_s: float) -> None:
    """Ask the writers of *files* to go on in another file, and wait until they did, or *patience_s* seconds.

    A marker beside the file asks: to rename the file instead would change the name that its parquet is to have, and a
    reader that has listed it would miss it.
    """
    markers = [file.with_name(file.name + ROTATE) for file in files]
    try:
        for marker in markers:
            marker.touch(mode=0o600)
        until = time.monotonic() + patience_s
        while not all(map(_is_free_now, files)) and time.monotonic() < until:
            time.sleep(_POLL_S)
    finally:
        for marker in markers:
            marker.unlink(missing_ok=True)


def sweep_drafts(folder: Path, now_us: int, age_s: float = DRAFT_AGE_S, pattern: str = DRAFTS) -> None:
    """Remove the drafts of writers that were killed, which may hold what users did; younger ones may be in the making.

    Args:
        age_s: how old they must be; 0 where nobody else can be writing.
    """
    for draft in folder.glob(pattern):
        with suppress(FileNotFoundError):
            if draft.stat().st_mtime <= now_us / 1e6 - age_s or not age_s:
                draft.unlink()


def _is_free_now(file: Path) -> bool:
    with ExitStack() as stack:
        return _is_free(file, stack)


def _is_free(file: Path, stack: ExitStack) -> bool:
    """Whether no process of this host has the file open for appending; if so it is held until *stack* closes."""
    try:
        opened = stack.enter_context(file.open("rb"))
    except FileNotFoundError:
        return False
    try:
        fcntl.flock(opened, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:  # a file system without locks: the process decides, and after it the date
        return not _is_alive(file)
    return True


def _host(file: Path) -> str:
    found = NAME.fullmatch(file.name)
    return found[2] if found else ""


def _is_alive(file: Path) -> bool:
    found = NAME.fullmatch(file.name)
    try:
        os.kill(int(found[3]) if found else 0, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
