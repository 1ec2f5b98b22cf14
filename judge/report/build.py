"""From judged lists to the files of a report: the page, its figure, its numbers, and the grades that others read."""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import polars as pl

from judge.columns import J
from judge.judgments import grades_of
from judge.reliability import Reliability
from judge.reliability_file import without_nan
from judge.report.figures import save_distribution
from judge.report.health import Soundness, judge_health
from judge.report.page import About, Page, render_page
from judge.report.pictures import Pictures
from judge.report.sheets import Sheet, draw_sheets
from judge.scores import TOPS, Difference, Scores, score_systems, strongest
from retrieval.folders import writing
from retrieval.tables import Columns as C

PAGE, FIGURE, NUMBERS, GRADES = "report.html", "figure3.png", "report.json", "grades.parquet"
SHEETS_EACH = 2  # in favour of either system


@dataclass(frozen=True)
class Report:
    """What a report says, as numbers; `main` is the comparison that the plots and sheets are of."""

    about: About
    soundness: Soundness
    scores: Scores
    reliability: Reliability | None
    main: Difference | None

    @property
    def numbers(self) -> dict[str, Any]:
        """Everything as plain values, null where there is no number; the health first."""
        said = {"health": self.soundness.line, "failed_canaries": self.reliability.failed if self.reliability else None}
        return {**said, **without_nan(asdict(self))}


def make_report(
    judged: pl.DataFrame, reliability: Reliability | None, seed: int = 0, baseline: str | None = None
) -> Report:
    """The figures of judged lists.

    Args:
        judged: as from `judge.judgments.load_judged`: of one judge and rubric.
        reliability: of the same judge; of another it is left out, as it says nothing of this one.
    """
    known = reliability if reliability is not None and _same_judge(judged, reliability) else None
    scores = score_systems(judged, seed, baseline)
    snapshots = tuple(judged[C.SNAPSHOT].drop_nulls().unique().sort()) if C.SNAPSHOT in judged.columns else ()
    about = About(judged[J.JUDGE][0], judged[J.RUBRIC][0], judged[C.USER_ID].n_unique(), snapshots, seed)
    return Report(about, judge_health(scores.health, known), scores, known, _main(scores))


def _same_judge(judged: pl.DataFrame, reliability: Reliability) -> bool:
    return (reliability.fingerprint, reliability.rubric) == (judged[J.FINGERPRINT][0], judged[J.RUBRIC][0])


def _main(scores: Scores) -> Difference | None:
    """The best system against the baseline, on the longer lists."""
    against = [d for d in scores.differences if (d.against, d.k, d.measure) == (scores.baseline, TOPS[-1], J.EXPECTED)]
    return max(against, key=lambda d: d.absolute.mean if d.absolute.n else -9.0, default=None)


def asked_for_sheets(report: Report, judged: pl.DataFrame) -> pl.DataFrame:
    """The rows of *judged* whose pictures the contact sheets need: of few users and two systems."""
    if report.main is None:
        return judged.head(0)
    systems: Sequence[str] = (report.main.system, report.main.against)
    above, below = strongest(judged, systems, report.main.k, SHEETS_EACH)
    return judged.filter(
        pl.col(C.USER_ID).is_in([*above, *below])
        & pl.col(C.SYSTEM).is_in(list(systems))
        & (pl.col(C.RANK) <= report.main.k)
    )


def write_report(
    report: Report,
    judged: pl.DataFrame,
    folder: Path,
    pictures: Pictures | None = None,
    adjusted: pl.DataFrame | None = None,
) -> Path:
    """Write the page, its figure, its numbers and grades.parquet to *folder*; the page's path.

    Args:
        pictures: what the contact sheets show; without them the page has none.
        adjusted: as from `judge.reliability.adjusted_scores`.
    """
    main, sheets = report.main, tuple[Sheet, ...]()
    if pictures is not None and main is not None:
        sheets = draw_sheets(judged, (main.system, main.against), main.k, pictures, SHEETS_EACH)
    page = Page(report.about, report.scores, report.soundness, report.reliability, main, sheets)
    text = render_page(page, judged)
    with writing(folder / FIGURE) as draft:
        save_distribution(report.scores, draft)
    with writing(folder / NUMBERS) as draft:
        draft.write_text(json.dumps(report.numbers, indent=1, default=str) + "\n")
    with writing(folder / GRADES) as draft:
        grades_of(judged, adjusted).write_parquet(draft)
    with writing(folder / PAGE) as draft:
        draft.write_text(text, encoding="utf-8")
    return folder / PAGE
