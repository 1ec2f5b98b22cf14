"""The judged part of `lookreel demo`: a judge grades what two systems show some shoppers, and a report is written.

It calls what `lookreel judge run` and `lookreel judge report` call.
"""

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import polars as pl

from judge.attributes import NAME as ATTRIBUTES
from judge.columns import J
from judge.judges import open_judge
from judge.report.build import Report
from judge.report.job import ReportRequest, report_request
from judge.request import RunRequest, run_request
from judge.run import Summary
from judge.scores import TOPS, Difference, Scores
from lookreel.judging import open_frames
from retrieval.console import progress
from retrieval.errors import MissingExtraError
from retrieval.folders import writing
from retrieval.recommend import recommend_all
from retrieval.systems import SystemConfig, SystemKind
from retrieval.tables import Columns as C
from sample_shop.compare import Setting

JUDGED = (SystemKind.MULTIMODAL, SystemKind.RECENCY)
K = TOPS[-1]
CELL, NAME, SHARE = 29, 12, 5  # characters


@dataclass(frozen=True)
class JudgeChoice:
    """Who grades, and for how many of the held-out shoppers."""

    judge: str
    n_users: int
    seed: int


@dataclass(frozen=True)
class JudgePlaces:
    """Where what is judged comes from, and the folder that the judgments and their report go to."""

    shop: Path
    videos: Path
    snapshot: Path
    recommendations: Path
    judgments: Path


@dataclass(frozen=True)
class JudgedDemo:
    """What the judge said: the run's *summary*, the *report* and the path of its *page*."""

    summary: Summary
    report: Report
    page: Path

    @property
    def numbers(self) -> dict[str, Any]:
        """Everything as plain values."""
        return {"run": asdict(self.summary), "page": str(self.page), "report": self.report.numbers}


def require_judge(name: str) -> None:
    """Open a judge and close it again, so that one that cannot be had is said before a minute's work.

    One for which a package is missing passes: the work is worth doing without it. So does one that reads the tables,
    which are not there yet.

    Raises:
        UserFacingError: there is no such judge, or it cannot be opened.
    """
    if name == ATTRIBUTES:
        return
    try:
        judge = open_judge(name)
    except MissingExtraError:
        return
    getattr(judge, "close", lambda: None)()


def judge_shop(places: JudgePlaces, setting: Setting, choice: JudgeChoice) -> JudgedDemo:
    """Recommend to the held-out shoppers, have some of them judged, and write the report.

    Raises:
        UserFacingError: the judge or the report needs something that is not there.
    """
    with writing(places.recommendations) as draft:
        recommend_to_held_out(setting).write_parquet(draft)
    request = RunRequest(
        places.recommendations, snapshot=places.snapshot, tables=places.shop, frames=str(places.videos),
        users=choice.n_users, k=K, judge=choice.judge, out=places.judgments, seed=choice.seed,
    )  # fmt: skip
    with progress(f"judging by {choice.judge}") as update:
        summary = run_request(request, open_frames, update)
    asked = ReportRequest(places.judgments, places.shop, str(places.videos), seed=choice.seed)
    written = report_request(asked, open_frames)
    return JudgedDemo(summary, written.report, written.page)


def recommend_to_held_out(setting: Setting) -> pl.DataFrame:
    """The rows of recommendations.parquet of both systems for the shoppers whom nothing was fitted on."""
    tables = [
        recommend_all(setting.snapshot, setting.log, K, kind.value, SystemConfig(kind=kind), setting.log.end_us, ())
        for kind in JUDGED
    ]
    held_out = list(setting.audience.user_ids)
    return pl.concat(tables).filter(pl.col(C.USER_ID).is_in(held_out))


def judged_words(judged: JudgedDemo) -> list[str]:
    """What the judge said, as lines."""
    summary, scores = judged.summary, judged.report.scores
    return [
        f"Graded 1 to 5 by the judge {summary.judge}: {summary.judgments} judgments for {summary.users} of these "
        f"shoppers, in {summary.seconds:.0f} s; mean ± standard",
        f"deviation over shoppers, and the paired difference to {scores.baseline} with its 95 % interval.",
        "",
        " " * NAME + "".join(f"{f'top {k}':<{CELL}}" for k in TOPS) + f"of the top {K} graded 5, 4, 3, 2, 1",
        *(line for system in scores.systems for line in _rows_of(scores, system)),
        "",
        f"{judged.page}: the same as a page, with the strongest disagreements.",
        judged.report.soundness.line,
    ]


def _rows_of(scores: Scores, system: str) -> list[str]:
    """One line of means and grades, and unless it is the baseline's, one of differences."""
    means = [scores.score(system, k).estimate for k in TOPS]
    told = "".join(f"{f'{one.mean:.2f} ± {one.sd:.2f}':<{CELL}}" for one in means)
    first = f"{system:<{NAME}}{told}{_grades(scores, system)}"
    differences = [d for k in TOPS for d in scores.differences if _is_main(d, scores.baseline, system, k)]
    if not differences:
        return [first]
    return [first, " " * NAME + "".join(f"{_difference(d):<{CELL}}" for d in differences).rstrip()]


def _is_main(difference: Difference, baseline: str, system: str, k: int) -> bool:
    asked = (difference.system, difference.against, difference.k, difference.measure)
    return asked == (system, baseline, k, J.EXPECTED)


def _difference(one: Difference) -> str:
    absolute = one.absolute
    return f"{absolute.mean:+.2f} [{absolute.low:+.2f}, {absolute.high:+.2f}], {100 * one.relative.value:+.0f} %"


def _grades(scores: Scores, system: str) -> str:
    """How the grades are spread, the best first, and how many videos have none."""
    spread = next(one for one in scores.distributions if (one.system, one.k) == (system, K))
    told = "".join(f"{f'{share:.0%}':<{SHARE}}" for share in spread.shares[::-1])
    return f"{told}; {spread.unscored} unscored" if spread.unscored else told.rstrip()


def next_judgings(places: JudgePlaces) -> list[str]:
    """The commands that go on from here."""
    where = f"--judgments {places.judgments} --tables {places.shop} --frames {places.videos}"
    return [f"lookreel judge reliability {where} --users 10", f"lookreel judge report {where}"]
