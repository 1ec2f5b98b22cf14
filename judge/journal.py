"""Files of JSON lines to which a job appends each outcome as it comes, so that a killed one goes on where it stopped.

A line is with the kernel before the next outcome is asked for: a process killed at any instant loses the one in flight
at most; a machine that loses its power may lose the last seconds. A kill amid a write cuts the line where a page of
4096 bytes ends (3 of 150 kills of a process that did nothing but write); such a line is dropped at opening.
"""

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import orjson

from judge.columns import J
from judge.verdict import NoVerdict, Outcome, Unscored
from retrieval.errors import UserFacingError
from retrieval.folders import locked

LOCK = ".lock"


class Journal:
    """A file that is held open for appending."""

    def __init__(self, file: int) -> None:
        self._file = file

    def add(self, row: Mapping[str, Any]) -> None:
        """Append one row; the kernel has it when this returns."""
        line = memoryview(orjson.dumps(row, option=orjson.OPT_APPEND_NEWLINE))
        while line:
            line = line[os.write(self._file, line) :]


@contextmanager
def open_journal(path: Path) -> Iterator[Journal]:
    """Hold the journal at *path*, a new one where there is none, and its folder for this process alone.

    Raises:
        UserFacingError: another process holds it, or the folder is a file.
    """
    folder = path.parent
    if folder.is_file():
        raise UserFacingError(f"{folder} is a file, not a folder.", "Name another place with --out.")
    folder.mkdir(parents=True, exist_ok=True)
    taken = UserFacingError(f"Another process writes to {folder}.", "Wait for it, or name another place with --out.")
    with locked(folder / LOCK, taken):
        file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o644)
        try:
            os.ftruncate(file, _whole_length(path))
            yield Journal(file)
        finally:
            os.close(file)


def iter_rows(path: Path) -> Iterator[dict[str, Any]]:
    """The rows of a journal in their order, without a last one that was cut; none where there is no file.

    Raises:
        UserFacingError: a line is not an outcome with its key.
    """
    if not path.exists():
        return
    with path.open("rb") as file:
        for number, line in enumerate(file, start=1):
            if not line.endswith(b"\n"):
                return
            yield _parse(line, number, path)


def outcome_row(outcome: Outcome) -> dict[str, Any]:
    """What a journal keeps of an outcome. Where there is no grade, there is no number."""
    if isinstance(outcome, NoVerdict):
        return {J.UNSCORED: outcome.why.value, J.DETAIL: outcome.detail[:200]}
    return {
        J.GRADE: outcome.grade,
        J.EXPECTED: outcome.expected,
        J.UNCERTAINTY: outcome.uncertainty,
        J.MASS: outcome.mass,
        **dict(zip(J.P, reversed(outcome.probabilities), strict=True)),  # LABELS go from 5 down, J.P from 1 up
        J.REASON: outcome.reason,
    }


def _whole_length(path: Path) -> int:
    """How long the file is without a last line that was cut."""
    with path.open("rb") as file:
        end = file.seek(0, os.SEEK_END)
        while end:
            start = max(0, end - 65536)
            file.seek(start)
            found = file.read(end - start).rfind(b"\n")
            if found >= 0:
                return start + found + 1
            end = start
    return 0


def _parse(line: bytes, number: int, path: Path) -> dict[str, Any]:
    try:
        row = orjson.loads(line)
        if J.KEY not in row or row.get(J.UNSCORED) not in (None, *Unscored):
            raise ValueError("it is no judgment")
    except (ValueError, TypeError) as error:
        raise UserFacingError(
            f"Line {number} of {path} cannot be read: {error}.", "Take the line out; it will be judged again."
        ) from error
    return row  # type: ignore[no-any-return]
