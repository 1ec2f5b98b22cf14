"""From an evaluation to the files of its report: the page, and the same as JSON."""

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from labelcraft.evaluation.contestants import DELIVERED
from labelcraft.evaluation.headline import MAIN, best_of, interval_words, users_words
from labelcraft.evaluation.plots import calibration_svg, ranking_svg, spread_svg
from labelcraft.evaluation.results import Difference, Evaluation, System
from labelcraft.report.templates import make_template, markup
from labelcraft.report.words import number
from retrieval.console import to_json
from retrieval.folders import writing
from retrieval.metrics.cluster import Verdict
from retrieval.metrics.listwise import Form, Measure
from retrieval.metrics.stats import Estimate

PAGE, NUMBERS = "report.html", "report.json"
TEMPLATE = "evaluation.html.j2"
MEASURES = {
    Measure.DCG: "DCG, all feeds",
    Measure.NDCG: "NDCG, feeds with a positive",
    Measure.DCG_MIXED: "DCG, feeds with a positive and a negative",
    Measure.NDCG_MIXED: "NDCG, feeds with a positive and a negative",
    Measure.SELF_NORMALISED: "self-normalised DCG",
}
FORMS = {Form.IPS: "IPS", Form.CLIPPED: "clipped", Form.NAIVE: "naive"}


@dataclass(frozen=True)
class ExposureRow:
    """A measure of the lists: its name and how it is written."""

    key: str
    name: str
    meaning: str
    digits: int = 2
    percent: bool = False


EXPOSURE = (
    ExposureRow("coverage", "coverage", "share of videos that anybody is shown", 0, percent=True),
    ExposureRow("gini", "Gini of exposure", "0: all videos alike, 1: one has everything"),
    ExposureRow("skewness", "skewness of exposure", "Fisher-Pearson, over all videos"),
    ExposureRow("hub_share", "hub share", "places taken by the 1 % most shown", 0, percent=True),
    ExposureRow("long_tail_share", "long tail", "places of the videos with the last 20 % of watches", 0, percent=True),
    ExposureRow("average_popularity", "popularity", "mean watches of what is shown, before the split", 1),
    ExposureRow("popularity_skewness", "skewness of popularity", "over the videos shown, by watches"),
    ExposureRow("average_popularity_together", "co-occurrence", "mean popularity by co-occurrence", 0),
)


def write_report(evaluation: Evaluation, folder: Path) -> Path:
    """Write the page and its numbers to *folder*; the page's path."""
    text = render_page(evaluation)
    with writing(folder / NUMBERS) as draft:
        draft.write_text(json.dumps(json.loads(to_json(evaluation.numbers)), indent=1) + "\n")
    with writing(folder / PAGE) as draft:
        draft.write_text(text, encoding="utf-8")
    return folder / PAGE


def render_page(evaluation: Evaluation) -> str:
    """The page as HTML; it names nothing outside itself.

    Raises:
        MissingExtraError: jinja2 or matplotlib is not installed.
    """
    about, listed = evaluation.about, [one for one in evaluation.systems if one.shown is not None]
    best = best_of(evaluation.systems, about.baseline)
    text: str = make_template("labelcraft.report", TEMPLATE).render(
        e=evaluation,
        about=about,
        best=best.name if best else "",
        listed=listed,
        delivered=DELIVERED,
        main=lambda system: system.of(*MAIN),
        of=lambda system, measure, form: system.of(measure, form),
        measures=MEASURES,
        forms=FORMS,
        Form=Form,
        Measure=Measure,
        exposure=EXPOSURE,
        tops=sorted({top for one in listed if one.shown for top in one.shown.coherence}),
        graded=sorted({top for one in listed if one.shown for top, g in one.shown.grades.items() if g.n}),
        number=_number,
        percent=_percent,
        interval=interval_words,
        range=_range,
        exposed=_exposed,
        tone=_tone,
        words=verdict_words,
        ranking=markup(ranking_svg(evaluation.systems, about.k)),
        durations=[markup(svg) for svg in _spreads(evaluation, listed, _duration)],
        watches=[markup(svg) for svg in _spreads(evaluation, listed, _watch)],
        calibrations=[
            markup(calibration_svg(one.pointwise.calibration, one.name))
            for one in evaluation.systems
            if one.pointwise.calibration is not None
        ],
        policies=[one for one in evaluation.systems if one.policy is not None],
        has_truth=any(one.truth for one in evaluation.systems),
    )
    return text


def _number(value: float | None, digits: int = 3, sign: bool = False) -> str:
    return number(value, digits, sign) if value is not None and np.isfinite(value) else "–"


def _percent(value: float | None, digits: int = 0) -> str:
    return f"{_number(100 * value, digits)} %" if value is not None and np.isfinite(value) else "–"


def _range(estimate: Estimate, digits: int = 3, sign: bool = False) -> str:
    """The interval as words, a dash where there is none."""
    if not np.isfinite(estimate.low):
        return "–"
    return f"{number(estimate.low, digits, sign)} to {number(estimate.high, digits, sign)}"


def _exposed(system: System, row: ExposureRow) -> dict[str, str]:
    """A measure of a system's lists with its interval, as the table writes it."""
    if system.shown is None:
        raise ValueError(f"{system.name} makes no lists")
    estimate, factor = system.shown.exposure[row.key], 100.0 if row.percent else 1.0
    unit = " %" if row.percent else ""
    if not np.isfinite(estimate.mean):
        return {"value": "–", "range": ""}
    low, high = (number(factor * end, row.digits) for end in (estimate.low, estimate.high))
    return {"value": f"{number(factor * estimate.mean, row.digits)}{unit}", "range": f"{low} to {high}"}


def _tone(difference: Difference | None) -> str:
    """The class of a difference's words."""
    tones = {Verdict.BETTER: "yes", Verdict.WORSE: "no"}
    return tones.get(difference.verdict, "") if difference else ""


def verdict_words(difference: Difference | None) -> str:
    """The verdict, and how many users would tell where nothing can be told."""
    if difference is None:
        return "the baseline"
    if difference.verdict is not Verdict.NOT_DISTINGUISHABLE or not difference.users_needed:
        return difference.verdict.value
    return f"{difference.verdict}; {users_words(difference.users_needed)} would tell"


Quantity = Callable[[Evaluation, System], tuple[Any, Any, Any, str]]


def _duration(evaluation: Evaluation, system: System) -> tuple[Any, Any, Any, str]:
    shown = system.shown.duration_s if system.shown else None
    return evaluation.duration_edges_s, shown, evaluation.log_duration_s, "duration, s"


def _watch(evaluation: Evaluation, system: System) -> tuple[Any, Any, Any, str]:
    shown = system.shown.watch_s if system.shown else None
    return evaluation.watch_edges_s, shown, evaluation.log_watch_s, "mean watch time of the video, s"


def _spreads(evaluation: Evaluation, listed: list[System], quantity: Quantity) -> list[str]:
    """A panel a system, on one scale."""
    panels = [(one.name, *quantity(evaluation, one)) for one in listed]
    top = max((max(share) for _, _, s, log, _ in panels for share in (s.shares, log.shares)), default=1.0) or 1.0
    return [
        spread_svg(edges, s, log, f"{name}\nmedian {s.median:.1f} s", top, axis) for name, edges, s, log, axis in panels
    ]
