"""What was asked and what the judge said of it, as one table: the reading side of the folder of judgments."""

from pathlib import Path

import polars as pl

from judge.columns import J
from judge.store import load_asked, load_judgments
from retrieval.errors import UserFacingError
from retrieval.tables import Columns as C

NOT_JUDGED = "not_judged"  # asked, but the run ended before it
_OF_THE_JUDGE = (J.GRADE, J.EXPECTED, J.UNCERTAINTY, J.MASS, *J.P, J.REASON, J.UNSCORED, J.DETAIL)


def load_judged(folder: Path, judge: str | None = None) -> pl.DataFrame:
    """One row for each video that a system was asked for, with what the judge said of it.

    Where there is no grade, grade and expected are null and unscored says why: `NOT_JUDGED` where nobody asked yet.

    Args:
        judge: whose judgments, by name; needed where the folder holds those of several.

    Raises:
        UserFacingError: nothing was asked, or of several judges, models or rubrics: they are never mixed.
    """
    asked = load_asked(folder)
    if judge is not None:
        asked = _of_judge(asked, judge, folder)
    who = [J.JUDGE, J.FINGERPRINT, J.RUBRIC]
    askers = asked.select(who).unique().sort(who).rows()
    if len(askers) > 1:
        named = "; ".join(f"{name} ({fingerprint}) by rubric {rubric}" for name, fingerprint, rubric in askers)
        raise UserFacingError(
            f"{folder} holds the judgments of several: {named}.",
            "Choose with --judge NAME, or judge all systems again with the same model, tables and rubric.",
        )
    said = load_judgments(folder).select(J.KEY, *_OF_THE_JUDGE)
    unsaid = pl.col(J.EXPECTED).is_null() & pl.col(J.UNSCORED).is_null()
    return asked.join(said, on=J.KEY, how="left", maintain_order="left").with_columns(
        pl.when(unsaid).then(pl.lit(NOT_JUDGED)).otherwise(J.UNSCORED).alias(J.UNSCORED)
    )


def _of_judge(asked: pl.DataFrame, judge: str, folder: Path) -> pl.DataFrame:
    names = asked[J.JUDGE].unique().sort().to_list()
    if judge not in names:
        raise UserFacingError(f"{folder} holds no judgments of {judge}.", f"It has those of {', '.join(names)}.")
    return asked.filter(pl.col(J.JUDGE) == judge)


def grades_of(judged: pl.DataFrame, adjusted: pl.DataFrame | None = None) -> pl.DataFrame:
    """The rows of grades.parquet, for the studio and for evaluation.

    Args:
        judged: as from `load_judged`.
        adjusted: user_id, video_id and adjusted, the score averaged over orders of the rubric, where it was measured.
    """
    who = [C.USER_ID, C.VIDEO_ID]
    if adjusted is None:
        joined = judged.with_columns(pl.lit(None, pl.Float64).alias(J.ADJUSTED))
    else:
        joined = judged.join(adjusted.select(*who, J.ADJUSTED), on=who, how="left", maintain_order="left")
    return joined.select(
        C.SYSTEM, *who, C.RANK, J.GRADE, J.EXPECTED, J.ADJUSTED, J.UNCERTAINTY, J.RUBRIC, J.JUDGE, J.UNSCORED
    )
