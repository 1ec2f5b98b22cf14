"""Where human grades are kept: a journal of JSON lines, to which each answer goes at once, and the table made of it."""

import errno
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from io import FileIO
from pathlib import Path
from typing import Any

import polars as pl

from judge.columns import J
from judge.labelling.session import Answer, Item
from judge.rubric import SCORES, Rubric
from retrieval.errors import UserFacingError
from retrieval.folders import locked, writing
from retrieval.schemas import Columns as C

GRADER, GRADED_AT, REPEAT = "grader", "graded_at", "repeat"
CANNOT_TELL = "cannot tell"
SCHEMA: dict[str, pl.DataType] = {
    C.USER_ID: pl.String(),
    C.VIDEO_ID: pl.String(),
    J.GRADE: pl.Int64(),
    GRADER: pl.String(),
    GRADED_AT: pl.Datetime("us", "UTC"),
    J.SECONDS: pl.Float64(),
    REPEAT: pl.Boolean(),
    J.RUBRIC: pl.String(),
}


@dataclass(frozen=True)
class Standing:
    """A grade that was not undone or replaced, as the table has it: *rubric* names what the grader read."""

    grader: str
    rubric: str
    answer: Answer


class Record:
    """The grades of *table*, held by one process. What `add` or `undo` returned from survives a kill."""

    def __init__(self, table: Path, journal: FileIO, standing: dict[tuple[str, Item], list[Standing]]) -> None:
        self.table = table
        self._journal = journal
        self._standing = standing

    def add(self, answer: Answer, grader: str, rubric: Rubric) -> None:
        """Keep an answer: when this returns, it is on the disk."""
        self._append(_line_of(answer, grader, rubric))
        _apply(self._standing, Standing(grader, rubric_name(rubric), answer))

    def undo(self, item: Item, grader: str) -> None:
        """Take back what the grader answered last for *item*."""
        self._append({"act": "undo", GRADER: grader, **_item_fields(item)})
        self._standing[grader, item].pop()

    def acts(self, grader: str) -> list[Answer]:
        """All answers of a grader that were not undone, the newest last."""
        own = [one.answer for (name, _), stack in self._standing.items() if name == grader for one in stack]
        return sorted(own, key=lambda answer: answer.graded_at)

    def write_table(self) -> int:
        """Write the table anew from what counts, and return its number of rows."""
        last = [stack[-1] for stack in self._standing.values() if stack]
        rows = [_row_of(one) for one in sorted(last, key=lambda one: one.answer.graded_at)]
        with writing(self.table) as draft:
            pl.DataFrame(rows, SCHEMA, orient="row").write_parquet(draft)
        return len(rows)

    def _append(self, line: dict[str, Any]) -> None:
        end = self._journal.tell()
        text = json.dumps(line).encode() + b"\n"
        try:
            if self._journal.write(text) != len(text):
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(self._journal.name))
            os.fsync(self._journal.fileno())
        except OSError:  # a full disk: half a line must not stand before the next one
            self._journal.truncate(end)
            self._journal.seek(end)
            raise


@contextmanager
def open_record(table: Path, rubric: Rubric) -> Iterator[Record]:
    """Yield the record of *table*, which goes on where an earlier one stopped; the journal lies beside it.

    Raises:
        UserFacingError: another process holds it, it was graded by another rubric, or it is damaged.
    """
    path = journal_of(table)
    taken = UserFacingError(f"{path} is in use by another labelling page.", "Close that one, or name another --out.")
    table.parent.mkdir(parents=True, exist_ok=True)
    with locked(path.with_name(f".{path.name}.lock"), taken):
        if table.exists() and not path.exists():
            raise UserFacingError(
                f"{table} exists, but {path.name}, which should hold its grades, does not.", "Name another --out."
            )
        with path.open("ab+", buffering=0) as journal:
            yield Record(table, journal, _read(path, journal, rubric))


def rubric_name(rubric: Rubric) -> str:
    """The rubric's version and fingerprint, as judgments name it."""
    return f"{rubric.version}-{rubric.fingerprint}"


def journal_of(table: Path) -> Path:
    """The journal beside a table.

    Raises:
        UserFacingError: the table's name is not of a parquet file.
    """
    if table.suffix != ".parquet":
        raise UserFacingError(f"--out is {table}, which is no name of a parquet file.", "Name one: human.parquet.")
    return table.with_suffix(".jsonl")


def _read(path: Path, journal: FileIO, rubric: Rubric) -> dict[tuple[str, Item], list[Standing]]:
    journal.seek(0)
    whole, _, torn = journal.read().rpartition(b"\n")
    if torn:  # half a line of an answer in flight, which nobody was told is kept
        journal.truncate(len(whole) + 1 if whole else 0)
    journal.seek(0, os.SEEK_END)
    standing: dict[tuple[str, Item], list[Standing]] = {}
    for number, text in enumerate(whole.splitlines(), start=1):
        try:
            line = dict[str, Any](json.loads(text))
            _check_rubric(path, line, rubric)
            _replay(standing, line)
        except (ValueError, KeyError, TypeError, IndexError) as error:
            raise UserFacingError(
                f"Line {number} of {path} is damaged: {error!r}.", "Remove that line, or name another --out."
            ) from error
    return standing


def _check_rubric(path: Path, line: dict[str, Any], rubric: Rubric) -> None:
    theirs, ours = line.get(J.RUBRIC, rubric_name(rubric)), rubric_name(rubric)
    if theirs != ours:
        raise UserFacingError(
            f"{path} was graded by rubric {theirs}, and this is {ours}.",
            "Name that rubric with --rubric, or another --out.",
        )


def _replay(standing: dict[tuple[str, Item], list[Standing]], line: dict[str, Any]) -> None:
    item = Item(line[C.USER_ID], line[C.VIDEO_ID], line[REPEAT])
    if line["act"] == "undo":
        standing[line[GRADER], item].pop()
        return
    at, grade = datetime.fromisoformat(line[GRADED_AT]), line[J.GRADE]
    if grade not in (None, *SCORES) or at.tzinfo is None:
        raise ValueError(f"a grade of {grade} at {at}")
    answer = Answer(item, grade, at, float(line[J.SECONDS]), line["content"])
    _apply(standing, Standing(line[GRADER], line[J.RUBRIC], answer))


def _apply(standing: dict[tuple[str, Item], list[Standing]], one: Standing) -> None:
    standing.setdefault((one.grader, one.answer.item), []).append(one)


def _item_fields(item: Item) -> dict[str, Any]:
    return {C.USER_ID: item.user_id, C.VIDEO_ID: item.video_id, REPEAT: item.repeat}


def _line_of(answer: Answer, grader: str, rubric: Rubric) -> dict[str, Any]:
    line = {
        "act": "grade",
        **_item_fields(answer.item),
        J.GRADE: answer.grade,
        GRADER: grader,
        GRADED_AT: answer.graded_at.isoformat(),
        J.SECONDS: answer.seconds,
        J.RUBRIC: rubric_name(rubric),
        "content": answer.content,
    }
    return line if answer.grade is not None else {**line, J.REASON: CANNOT_TELL}


def _row_of(one: Standing) -> tuple[Any, ...]:
    item, answer = one.answer.item, one.answer
    at = answer.graded_at.astimezone(UTC)
    return (item.user_id, item.video_id, answer.grade, one.grader, at, answer.seconds, item.repeat, one.rubric)
