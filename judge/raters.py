"""The judge beside other raters of the same videos: people, or another judge. Pure but for reading their file."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl

from judge.agreement import Interval, alpha_of_rows, of_two, spearman, weighted_kappa, with_interval
from judge.columns import J
from retrieval.errors import UserFacingError
from retrieval.tables import Columns as C

GRADER, REPEAT = "grader", "repeat"
PAIR = [C.USER_ID, C.VIDEO_ID]


@dataclass(frozen=True)
class Agreement:
    """The judge beside other raters of the same videos.

    Two ceilings: *among* is the alpha of these raters alone, if several; *themselves* the weighted kappa of a rater's
    grades with those they gave when asked again, if they were.
    """

    raters: str
    n_raters: int
    kappa: Interval
    alpha: Interval
    spearman: Interval
    among: Interval | None
    themselves: Interval | None


def agree(judged: pl.DataFrame, others: pl.DataFrame, raters: str, seed: int = 0) -> Agreement:
    """The judge beside other raters.

    Kappa takes each rating of theirs with the judge's grade; Spearman the judge's expected score with their mean.

    Args:
        judged: user_id, video_id, grade, expected: a video that two systems show counts once.
        others: user_id, video_id, grade 1 to 5; grader where there are several; repeat, true where it was asked before.
        raters: who they are, for the reader.
    """
    rng = np.random.default_rng(seed)
    named = others if GRADER in others.columns else others.with_columns(pl.lit(raters).alias(GRADER))
    given = named.drop_nulls(J.GRADE)
    again = given.filter(pl.col(REPEAT)) if REPEAT in given.columns else given.head(0)
    first = given.filter(~pl.col(REPEAT)) if REPEAT in given.columns else given
    theirs = first.unique([*PAIR, GRADER], keep="last", maintain_order=True)
    twice = theirs.join(again.select(*PAIR, GRADER, pl.col(J.GRADE).alias("again")), on=[*PAIR, GRADER])
    ours = judged.unique(PAIR, keep="first").select(*PAIR, pl.col(J.GRADE).alias("own"), J.EXPECTED)
    each = theirs.select(*PAIR, GRADER, J.GRADE).join(ours, on=PAIR).sort(*PAIR, GRADER)
    means = each.group_by(PAIR, maintain_order=True).agg(pl.col(J.GRADE).mean(), pl.col(J.EXPECTED).first())
    wide = each.pivot(GRADER, index=[*PAIR, "own"], values=J.GRADE)
    graders = [name for name in wide.columns if name not in (*PAIR, "own")]
    return Agreement(
        raters,
        len(graders),
        table_interval(of_two(weighted_kappa), each, ["own", J.GRADE], rng),
        table_interval(alpha_of_rows, wide, ["own", *graders], rng),
        table_interval(of_two(spearman), means, [J.EXPECTED, J.GRADE], rng),
        table_interval(alpha_of_rows, wide, graders, rng) if len(graders) > 1 else None,
        table_interval(of_two(weighted_kappa), twice, [J.GRADE, "again"], rng) if twice.height else None,
    )


def load_human(path: Path) -> pl.DataFrame:
    """People's grades: user_id, video_id, grade, and grader where there is one.

    Raises:
        UserFacingError: the file cannot be read, lacks a column, or holds another grade than 1 to 5.
    """
    cure = "It needs user_id, video_id and grade, 1 to 5; make it with lookreel judge label."
    try:
        table = pl.read_parquet(path)
        also = [name for name in (GRADER, REPEAT) if name in table.columns]
        table = table.select(*PAIR, pl.col(J.GRADE).cast(pl.Int64), *also)
    except (OSError, pl.exceptions.PolarsError) as error:
        raise UserFacingError(f"{path} cannot be used as people's grades: {error}.", cure) from error
    wrong = table.filter(~pl.col(J.GRADE).is_between(1, 5))
    if not wrong.is_empty():
        raise UserFacingError(f"{path} has a grade of {wrong[J.GRADE][0]}.", cure)
    return table


def table_interval(
    statistic: Callable[[np.ndarray], float], table: pl.DataFrame, columns: list[str], rng: np.random.Generator
) -> Interval:
    rows = np.stack([floats(table[name]) for name in columns], axis=1)
    users = table[C.USER_ID].rank("dense").cast(pl.Int64).to_numpy() - 1
    return with_interval(statistic, rows, users, rng)


def floats(column: pl.Series) -> np.ndarray:
    return column.cast(pl.Float64).fill_null(np.nan).to_numpy()
