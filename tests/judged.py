"""Judged lists of a few users, as `judge.judgments.load_judged` returns them."""

from datetime import UTC, datetime

import polars as pl

from judge.columns import J
from judge.rubric import load_rubric
from judge.store import ASKED_SCHEMA, Asker, Judgment, open_judgments, save_asked
from judge.verdict import NoVerdict, Outcome, Unscored, certain
from retrieval.tables import Columns as C

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)
LABEL_OF = {5: "excellent_match", 4: "good_match", 3: "partial_match", 2: "poor_match", 1: "no_match"}


def judged(*lists):
    """One row a video from (system, user, grades in the order of rank); a grade of None has no verdict."""
    rows = [
        {
            C.SYSTEM: system,
            C.USER_ID: user,
            C.VIDEO_ID: f"{system}-v{rank}",
            C.RANK: rank,
            J.GRADE: grade,
            J.EXPECTED: None if grade is None else float(grade),
            J.UNCERTAINTY: None if grade is None else 0.0,
            J.MASS: None if grade is None else 1.0,
            J.UNSCORED: "no_verdict" if grade is None else None,
            J.RUBRIC: "1-abc",
            J.JUDGE: "scripted",
        }
        for system, user, grades in lists
        for rank, grade in enumerate(grades, start=1)
    ]
    schema = {
        J.GRADE: pl.Int64,
        J.EXPECTED: pl.Float64,
        J.UNCERTAINTY: pl.Float64,
        J.MASS: pl.Float64,
        J.UNSCORED: pl.String,
    }
    return pl.DataFrame(rows, schema_overrides=schema)


def save_judged(folder, *lists, judge="scripted"):
    """A folder of judgments of lists as `judged` takes them; a grade of 0 was asked for and never judged."""
    asker = Asker(judge, "f1", load_rubric())
    asked = []
    with open_judgments(folder) as store:
        for system, user, grades in lists:
            for rank, grade in enumerate(grades, start=1):
                video, key = f"{system}-v{rank}", f"{judge}-{system}-{user}-{rank}"
                asked.append((system, user, video, rank, key, NOON, "000001", 2, judge, "f1", asker.rubric_name))
                if grade != 0:
                    store.add(Judgment(key, user, video, NOON, 2, outcome_of(grade), NOON, 0.5), asker)
    save_asked(folder, pl.DataFrame(asked, schema=ASKED_SCHEMA, orient="row"))


def outcome_of(grade: int | None) -> Outcome:
    return NoVerdict(Unscored.NO_VERDICT) if grade is None else certain(LABEL_OF[grade])
