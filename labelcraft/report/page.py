"""The page: numbers and plots put into the template."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from labelcraft.report.aligned import LEARNED, METRICS, REFERENCES, Group, Metric, Trained
from labelcraft.report.build import Report
from labelcraft.report.drawing import FAINT, INK, LEARNED_COLOUR
from labelcraft.report.figures import Curve, Dot, Mark, curves_svg, dots_svg, durations_svg, sweep_svg
from labelcraft.report.numbers import Difference
from labelcraft.report.templates import make_template, markup
from labelcraft.report.verdict import standing_words, written
from labelcraft.report.words import number
from labelcraft.runs import DS, NEG, NWTG
from retrieval.metrics.stats import N_RESAMPLES, Estimate

TEMPLATE = "page.html.j2"
FOREST_W, FOREST_H = 150, 22
ORACLES: Mapping[str, str] = {NWTG: "oracle of NWTG", DS: "oracle of DS", NEG: "oracle of NEG"}
RANDOM = "random"


def render_page(report: Report, trained: Mapping[str, Trained]) -> str:
    """The page as HTML; it names nothing outside itself.

    Raises:
        MissingExtraError: jinja2 or matplotlib is not installed.
    """
    text: str = make_template("labelcraft.report", TEMPLATE).render(
        report=report,
        about=report.about,
        table=report.table,
        metrics=METRICS,
        k=report.about.k,
        learned=LEARNED,
        references=[row for name in REFERENCES for row in report.table.rows if row.name == name],
        others=[row.name for row in report.table.labels if row.name != report.table.target],
        reaches={metric.column: reach_of(report.table.differences, metric.column) for metric in METRICS},
        difference=_difference_of(report),
        words=standing_words,
        written=written,
        number=number,
        gaining=_gaining(report),
        power=lambda value: f"{value:g}".replace("e-0", "e−"),
        interval=interval_words,
        forest=lambda difference, reach, metric: markup(forest_svg(difference, reach, metric)),
        dots=[markup(dots_of(report, metric)) for metric in METRICS],
        histograms=[markup(svg) for svg in histograms_of(report)],
        sweeps=[markup(svg) for svg in sweeps_of(report)],
        curves=[markup(svg) for svg in curves_of(trained)],
        n_resamples=f"{N_RESAMPLES:,}",
        mean=lambda values: float(np.mean(values)),
    )
    return text


def dots_of(report: Report, metric: Metric) -> str:
    """Every label's interval on one metric, with random lists and the best that any ranking can do."""
    dots = [
        Dot(row.name, row.figures[metric.column].estimate, row.name == LEARNED)
        for row in report.table.labels
        if row.figures[metric.column].estimate.n
    ]
    if not dots:
        return ""
    means = {row.name: row.figures[metric.column].estimate.mean for row in report.table.of_group(Group.REFERENCE)}
    known = {"random": means.get(RANDOM), "oracle": means.get(ORACLES[metric.column])}
    marks = [Mark(name, value) for name, value in known.items() if value is not None and np.isfinite(value)]
    return dots_svg(dots, marks, title_of(metric, report.about.k), metric.scale)


def histograms_of(report: Report) -> list[str]:
    """The paper's figure 2, a panel a label."""
    durations = report.durations
    shown = [*durations.lists, *([durations.candidates] if durations.candidates else [])]
    top = max((max(one.shares) for one in shown), default=1.0)
    return [durations_svg(durations, one, one.name == LEARNED, top) for one in durations.lists]


def sweeps_of(report: Report) -> list[str]:
    """The paper's figure 3, a panel a metric."""
    sweep = report.sweep
    if sweep is None:
        return []
    taus = [point.tau for point in sweep.points]
    return [
        sweep_svg(
            taus,
            [point.figures[metric.column].estimate for point in sweep.points],
            Mark(*sweep.best_others[metric.column]) if metric.column in sweep.best_others else None,
            title_of(metric, report.about.k),
            metric.scale,
        )
        for metric in METRICS
        if all(point.figures[metric.column].estimate.n for point in sweep.points)
    ]


def curves_of(trained: Mapping[str, Trained]) -> list[str]:
    """The training curves, a panel a label, on one scale."""
    labels = [one for one in trained.values() if one.group is Group.LABEL]
    curves = {
        one.name: [Curve(tuple(epoch["criterion"] for epoch in r.epochs), r.best_epoch) for r in one.runs]
        for one in labels
    }
    values = [value for of_label in curves.values() for curve in of_label for value in curve.values]
    return [curves_svg(made, name, name == LEARNED, min(values), max(values)) for name, made in curves.items()]


def title_of(metric: Metric, k: int) -> str:
    """What stands above a panel of this metric."""
    return f"{metric.title(k)}: {metric.meaning}"


def interval_words(estimate: Estimate, metric: Metric, sign: bool = False) -> str:
    """An interval, with a dash where there is none."""
    if not estimate.n:
        return "–"
    return f"{number(estimate.low, metric.digits, sign)} to {written(estimate.high, metric, sign)}"


def reach_of(differences: Sequence[Difference], column: str) -> float:
    """How far the axis of the small interval plots goes to either side."""
    ends = [end for d in differences if d.column == column for end in (d.estimate.low, d.estimate.high)]
    return max((abs(end) for end in ends if np.isfinite(end)), default=1.0) or 1.0


def forest_svg(difference: Difference, reach: float, metric: Metric) -> str:
    """A difference's mean and interval on a line from −reach to reach."""

    def x(value: float) -> float:
        return round(FOREST_W / 2 + value / reach * (FOREST_W / 2 - 6), 1)

    estimate, y = difference.estimate, FOREST_H / 2
    if not estimate.n:
        return ""
    colour = LEARNED_COLOUR if estimate.low > 0 else INK
    words = f"{written(estimate.mean, metric, sign=True)}, {estimate.low:.3g} to {estimate.high:.3g}"
    return (
        f'<svg class="forest" viewBox="0 0 {FOREST_W} {FOREST_H}" role="img" aria-label="{words}">'
        f'<line x1="6" x2="{FOREST_W - 6}" y1="{y}" y2="{y}" stroke="#e2ddd5"/>'
        f'<line x1="{FOREST_W / 2}" x2="{FOREST_W / 2}" y1="1" y2="{FOREST_H - 1}" stroke="{FAINT}"/>'
        f'<line x1="{x(estimate.low)}" x2="{x(estimate.high)}" y1="{y}" y2="{y}" stroke="{colour}" stroke-width="3"/>'
        f'<circle cx="{x(estimate.mean)}" cy="{y}" r="4.5" fill="{colour}"/></svg>'
    )


def _gaining(report: Report) -> list[Metric]:
    """The metrics that some users have no value of."""
    return [m for m in METRICS if any(row.figures[m.column].estimate.skipped for row in report.table.labels)]


def _difference_of(report: Report) -> Any:
    """Finds the difference of the target from another label on a metric."""
    known = {(d.against, d.column): d for d in report.table.differences}
    return lambda against, metric: known[against, metric.column]
