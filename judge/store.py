"""The folder of judgments: `judgments.jsonl`, to which each judgment is appended, and `asked.parquet`, what was asked.

A judgment is of one history and one video, so systems, and users who looked at the same products, share it.
`journal` says what a kill can cost.
"""

import hashlib
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
from judge.journal import LOCK as LOCK
from judge.journal import Journal, iter_rows, open_journal, outcome_row
from judge.rubric import Rubric
from judge.verdict import NoVerdict, Outcome, Unscored
from retrieval.errors import UserFacingError
from retrieval.folders import writing
from retrieval.tables import Columns as C

JUDGMENTS = "judgments.jsonl"
ASKED = "asked.parquet"
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

    def row(self, asker: Asker) -> dict[str, Any]:
        """The judgment as it is kept. Where there is no grade, there is no number."""
        return {
            J.KEY: self.key,
            C.USER_ID: self.user_id,
            C.VIDEO_ID: self.video_id,
            C.RECOMMENDED_AT: self.recommended_at,
            J.N_PRODUCTS: self.n_products,
            **outcome_row(self.outcome),
            J.RUBRIC: asker.rubric_name,
            J.JUDGE: asker.judge,
            J.FINGERPRINT: asker.fingerprint,
            J.JUDGED_AT: self.judged_at,
            J.SECONDS: round(self.seconds, 4),
        }


class JudgmentStore:
    """The judgments of a folder, held open by one process.

    *unscored* is why, by key, a judgment has no grade; None where it has one.
    """

    def __init__(self, journal: Journal, unscored: dict[str, Unscored | None]) -> None:
        self._journal = journal
        self.unscored = unscored

    def __contains__(self, key: str) -> bool:
        return key in self.unscored

    def __len__(self) -> int:
        return len(self.unscored)

    def add(self, judgment: Judgment, asker: Asker) -> None:
        """Append one judgment; the kernel has it when this returns."""
        self._journal.add(judgment.row(asker))
        outcome = judgment.outcome
        self.unscored[judgment.key] = outcome.why if isinstance(outcome, NoVerdict) else None


@contextmanager
def open_judgments(folder: Path) -> Iterator[JudgmentStore]:
    """Hold the judgments of *folder*, a new one where there is none, for this process alone.

    Raises:
        UserFacingError: another process holds them, or a line is not a judgment.
    """
    with open_journal(folder / JUDGMENTS) as journal:
        yield JudgmentStore(journal, known_judgments(folder))


def known_judgments(folder: Path) -> dict[str, Unscored | None]:
    """Why each judgment of *folder* has no grade, by key; None where it has one. The last line of a key holds."""
    known = {}
    for row in iter_rows(folder / JUDGMENTS):
        why = row.get(J.UNSCORED)
        known[str(row[J.KEY])] = None if why is None else Unscored(why)
    return known


def load_judgments(folder: Path) -> pl.DataFrame:
    """The judgments of *folder*, one row each as in `JUDGMENTS_SCHEMA`; of those judged again the last.

    Raises:
        UserFacingError: a line is not a judgment.
    """
    rows = list({row[J.KEY]: row for row in iter_rows(folder / JUDGMENTS)}.values())
    times = (C.RECOMMENDED_AT, J.JUDGED_AT)
    table = pl.DataFrame(rows, schema={**JUDGMENTS_SCHEMA, **dict.fromkeys(times, _TEXT)})
    return table.with_columns(pl.col(name).str.to_datetime(time_unit="us", time_zone="UTC") for name in times)


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
