"""The folder of judgments: `judgments.jsonl`, to which each judgment is appended, and `asked.parquet`, what was asked.

A judgment is of one history and one video, so systems, and users who looked at the same products, share it. Its line is
with the kernel before the next is asked for: a process killed at any instant loses the judgment in flight at most; a
machine that loses its power may lose the last seconds. A line cut by a full disk or a power cut is dropped at opening.
"""

import hashlib
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from pathlib import Path
from typing import Any

import orjson
import polars as pl

from judge.columns import J
from judge.rubric import Rubric
from judge.verdict import NoVerdict, Outcome, Unscored
from retrieval.errors import UserFacingError
from retrieval.folders import locked, writing
from retrieval.tables import Columns as C

JUDGMENTS = "judgments.jsonl"
ASKED = "asked.parquet"
LOCK = ".lock"
_TEXT, _NUMBER, _TIME = pl.String(), pl.Float64(), pl.Datetime("us", "UTC")
JUDGMENTS_SCHEMA: dict[str, pl.DataType] = {
    J.KEY: _TEXT, C.USER_ID: _TEXT, C.VIDEO_ID: _TEXT, C.RECOMMENDED_AT: _TIME, J.N_PRODUCTS: pl.Int64(),
    J.GRADE: pl.Int64(), J.EXPECTED: _NUMBER, J.UNCERTAINTY: _NUMBER, J.MASS: _NUMBER, **dict.fromkeys(J.P, _NUMBER),
    J.REASON: _TEXT, J.UNSCORED: _TEXT, J.DETAIL: _TEXT, J.RUBRIC: _TEXT, J.JUDGE: _TEXT, J.FINGERPRINT: _TEXT,
    J.JUDGED_AT: _TIME, J.SECONDS: _NUMBER,
}  # fmt: skip
ASKED_SCHEMA: dict[str, pl.DataType] = {
    C.SYSTEM: _TEXT, C.USER_ID: _TEXT, C.VIDEO_ID: _TEXT, C.RANK: pl.Int64(), J.KEY: _TEXT, C.RECOMMENDED_AT: _TIME,
    C.SNAPSHOT: _TEXT, J.N_PRODUCTS: pl.Int64(), J.JUDGE: _TEXT, J.FINGERPRINT: _TEXT, J.RUBRIC: _TEXT,
}  # fmt: skip
_SAME_QUESTION = (C.SYSTEM, J.JUDGE, J.RUBRIC)


@dataclass(frozen=True)
class Asker:
    """Who grades and by what: the *judge*'s name and *fingerprint*, the *rubric*, and whether reasons are wanted."""

    judge: str
    fingerprint: str
    rubric: Rubric
    explain: bool = False

    @cached_property
    def rubric_name(self) -> str:
        """The rubric's version and fingerprint: the order of the categories is part of it."""
        return f"{self.rubric.version}-{self.rubric.fingerprint}"

    def key(self, product_ids: Sequence[str], history: str, video_id: str, video: str) -> str:
        """What names a judgment: the same products, seen the same, and the same video, seen the same, by this judge.

        Args:
            history: as `Task.content`.
            video: as `ShownVideo.content`.
        """
        parts = [self.fingerprint, self.rubric_name, self.explain, list(product_ids), history, video_id, video]
        return hashlib.sha256(orjson.dumps(parts)).hexdigest()[:24]


@dataclass(frozen=True)
class Judgment:
    """One outcome and what it is of: *n_products* the length of the history, *seconds* how long the judge took."""

    key: str
    user_id: str
    video_id: str
    recommended_at: datetime
    n_products: int
    outcome: Outcome
    judged_at: datetime
    seconds: float

    def line(self, asker: Asker) -> bytes:
        """The judgment as JSON, with its line's end. Where there is no grade, there is no number."""
        row: dict[str, Any] = {
            J.KEY: self.key,
            C.USER_ID: self.user_id,
            C.VIDEO_ID: self.video_id,
            C.RECOMMENDED_AT: self.recommended_at,
            J.N_PRODUCTS: self.n_products,
            **_told(self.outcome),
            J.RUBRIC: asker.rubric_name,
            J.JUDGE: asker.judge,
            J.FINGERPRINT: asker.fingerprint,
            J.JUDGED_AT: self.judged_at,
            J.SECONDS: round(self.seconds, 4),
        }
        return orjson.dumps(row, option=orjson.OPT_APPEND_NEWLINE)


def _told(outcome: Outcome) -> dict[str, Any]:
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


class JudgmentStore:
    """The judgments of a folder, held open by one process.

    *unscored* is why, by key, a judgment has no grade; None where it has one.
    """

    def __init__(self, file: int, unscored: dict[str, Unscored | None]) -> None:
        self._file = file
        self.unscored = unscored

    def __contains__(self, key: str) -> bool:
        return key in self.unscored

    def __len__(self) -> int:
        return len(self.unscored)

    def add(self, judgment: Judgment, asker: Asker) -> None:
        """Append one judgment; the kernel has it when this returns."""
        line = memoryview(judgment.line(asker))
        while line:
            line = line[os.write(self._file, line) :]
        outcome = judgment.outcome
        self.unscored[judgment.key] = outcome.why if isinstance(outcome, NoVerdict) else None


@contextmanager
def open_judgments(folder: Path) -> Iterator[JudgmentStore]:
    """Hold the judgments of *folder*, a new one where there is none, for this process alone.

    Raises:
        UserFacingError: another process holds them, or a line is not a judgment.
    """
    if folder.is_file():
        raise UserFacingError(f"{folder} is a file, not a folder.", "Name another place with --out.")
    folder.mkdir(parents=True, exist_ok=True)
    taken = UserFacingError(f"Another process writes to {folder}.", "Wait for it, or name another place with --out.")
    with locked(folder / LOCK, taken):
        file = os.open(folder / JUDGMENTS, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o644)
        try:
            os.ftruncate(file, _whole_length(folder / JUDGMENTS))
            yield JudgmentStore(file, known_judgments(folder))
        finally:
            os.close(file)


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


def known_judgments(folder: Path) -> dict[str, Unscored | None]:
    """Why each judgment of *folder* has no grade, by key; None where it has one. The last line of a key holds."""
    known = {}
    for row in _iter_rows(folder):
        why = row.get(J.UNSCORED)
        known[str(row[J.KEY])] = None if why is None else Unscored(why)
    return known


def load_judgments(folder: Path) -> pl.DataFrame:
    """The judgments of *folder*, one row each as in `JUDGMENTS_SCHEMA`; of those judged again the last.

    Raises:
        UserFacingError: a line is not a judgment.
    """
    rows = list({row[J.KEY]: row for row in _iter_rows(folder)}.values())
    times = (C.RECOMMENDED_AT, J.JUDGED_AT)
    table = pl.DataFrame(rows, schema={**JUDGMENTS_SCHEMA, **dict.fromkeys(times, _TEXT)})
    return table.with_columns(pl.col(name).str.to_datetime(time_unit="us", time_zone="UTC") for name in times)


def _iter_rows(folder: Path) -> Iterator[dict[str, Any]]:
    path = folder / JUDGMENTS
    if not path.exists():
        return
    with path.open("rb") as file:
        for number, line in enumerate(file, start=1):
            if not line.endswith(b"\n"):
                return
            yield _parse(line, number, path)


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


def load_asked(folder: Path) -> pl.DataFrame:
    """What was asked in *folder*, as in `ASKED_SCHEMA`: the list of each system, judge and rubric that was last asked.

    Raises:
        UserFacingError: nothing was.
    """
    path = folder / ASKED
    if not path.exists():
        raise UserFacingError(f"{folder} holds no judgments: it has no {ASKED}.", "Judge first: lookreel judge run")
    try:
        return pl.read_parquet(path).select(pl.col(name).cast(kind) for name, kind in ASKED_SCHEMA.items())
    except pl.exceptions.PolarsError as error:
        raise UserFacingError(
            f"{path} cannot be read: {error}.", "Remove it and run lookreel judge run again."
        ) from error


def save_asked(folder: Path, asked: pl.DataFrame) -> None:
    """Put *asked* in the place of what the same systems were asked before with the same judge and rubric."""
    asked = asked.select(*ASKED_SCHEMA)
    if (folder / ASKED).exists():
        others = load_asked(folder).join(asked, on=_SAME_QUESTION, how="anti", maintain_order="left")
        asked = pl.concat([others, asked])
    with writing(folder / ASKED) as draft:
        asked.write_parquet(draft)
