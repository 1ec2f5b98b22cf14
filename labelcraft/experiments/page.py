"""The page of an experiment: its numbers, checks and forest plots put into the template."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from labelcraft.experiments.analysis import Analysis, Guarded, Role, Row
from labelcraft.experiments.counts import Counts
from labelcraft.experiments.metrics import Metric
from labelcraft.experiments.uplift import Uplift
from labelcraft.experiments.verdict import (
    CROSSED_SHARE,
    MISMATCH_P,
    digits_of,
    interval_words,
    p_words,
    percent,
)
from labelcraft.report.forest import NARROW, WIDE, Line, Tone, forest_png, forest_svg, reach_of
from labelcraft.report.templates import make_template, markup
from labelcraft.report.words import listed
from retrieval.log import from_us

if TYPE_CHECKING:
    from labelcraft.experiments.report import Report

TEMPLATE = "experiment.html.j2"
HEADINGS = {Role.PRIMARY: "Decides", Role.SECONDARY: "Other metrics", Role.GUARD: "Guards, which must not get worse"}
GUARD_WORDS = {Guarded.HOLDS: "holds", Guarded.HARMED: "harmed", Guarded.OPEN: "cannot be told"}
TONES = {Tone.GOOD: "yes", Tone.BAD: "no", Tone.CALM: "", Tone.OPEN: "faint"}


@dataclass(frozen=True)
class Check:
    """One reason to trust the buckets, or not."""

    name: str
    words: str
    holds: bool


def render_page(report: "Report") -> str:
    """The page as HTML; it names nothing outside itself.

    Raises:
        MissingExtraError: jinja2 or matplotlib is not installed.
    """
    analysis, counts = report.analysis, report.counts
    text: str = make_template("labelcraft.report", TEMPLATE).render(
        verdict=report.verdict,
        analysis=analysis,
        counts=counts,
        title=title_of(analysis),
        period=period_words(counts),
        users=list(zip(analysis.buckets, analysis.n_users, strict=True)),
        plots=[_plots(analysis, treatment) for treatment in analysis.treatments],
        checks=checks_of(analysis, counts),
        left_out=counts.left_out,
        roles=list(Role),
        margin=percent(analysis.options.margin),
        has_bootstrap=bool(analysis.options.n_resamples),
        value=value_words,
        uplift=uplift_words,
        interval=lambda up: interval_words(up, sign=True) if up.is_known else "–",
        booted=_booted_words,
        guard_words=lambda row: GUARD_WORDS[row.guarded],
        tone=lambda row: TONES[tone_of(row)],
        p=lambda row: p_words(row.p_holm).removeprefix("p = ").removeprefix("p ") if row.plain.is_known else "–",
    )
    return text


def title_of(analysis: Analysis) -> str:
    """The head of the page."""
    return f"The experiment {analysis.experiment}" if analysis.experiment else "The experiment"


def _plots(analysis: Analysis, treatment: str) -> Mapping[str, str]:
    """The forest plot of a bucket, for a wide page and for a narrow one; all buckets' plots share their axis."""
    lines, axis, reach = lines_of(analysis, treatment), axis_of(analysis, treatment), _reach(analysis)
    wide, narrow = (markup(forest_svg(lines, axis, reach, layout)) for layout in (WIDE, NARROW))
    return {"label": axis, "wide": wide, "narrow": narrow}


def plot_png(analysis: Analysis, treatment: str) -> bytes:
    """The forest plot of a bucket as a picture."""
    return forest_png(lines_of(analysis, treatment), axis_of(analysis, treatment), _reach(analysis))


def axis_of(analysis: Analysis, treatment: str) -> str:
    """The name of the plot's axis."""
    return f"uplift of {treatment} over {analysis.control}"


def lines_of(analysis: Analysis, treatment: str) -> list[Line]:
    """The lines of the forest plot, the primary metric first."""
    lines = []
    for role in Role:
        for place, row in enumerate(analysis.of(treatment, role)):
            up = row.shown
            interval = interval_words(up, sign=True) if up.is_known else "nothing to compare"
            lines.append(
                Line(
                    row.metric.name.capitalize(), up.uplift, up.low, up.high, uplift_words(up), interval, tone_of(row),
                    "" if place else HEADINGS[role], role is Role.PRIMARY, role is not Role.GUARD,
                )
            )  # fmt: skip
    return lines


def tone_of(row: Row) -> Tone:
    """Good or bad news, a guard that holds, or nothing that can be told."""
    match row.guarded:
        case Guarded.HOLDS:
            return Tone.CALM
        case Guarded.HARMED:
            return Tone.BAD
        case Guarded.OPEN:
            return Tone.OPEN
    if not (row.plain.is_known and row.is_significant):
        return Tone.OPEN
    return Tone.GOOD if (row.shown.uplift > 0) is row.metric.higher_is_better else Tone.BAD


def uplift_words(up: Uplift) -> str:
    """The uplift with its sign; a dash where it is not known."""
    return percent(up.uplift, digits_of(up), sign=True)


def value_words(metric: Metric, value: float) -> str:
    """A metric of a bucket to three digits.

    >>> value_words(Metric("k", "n", "x", scale=100.0), 0.4219)
    '42.2'
    """
    scaled = metric.scale * value
    if not math.isfinite(scaled):
        return "–"
    digits = max(0, 2 - math.floor(math.log10(abs(scaled)))) if scaled else 0
    return f"{scaled:,.{digits}f}"


def period_words(counts: Counts) -> str:
    """From when to when rows were counted."""
    first, last = (from_us(us).strftime("%Y-%m-%d %H:%M") for us in (counts.first_us, counts.last_us))
    return f"{first} to {last} UTC"


def checks_of(analysis: Analysis, counts: Counts) -> list[Check]:
    """What was looked at before the uplifts are believed."""
    check = analysis.assignment
    expected = listed([f"{n:,.0f}" for n in check.ratio.expected])
    counted = listed([f"{n:,} in {bucket}" for bucket, n in zip(analysis.buckets, analysis.n_users, strict=True)])
    ratio = check.ratio
    found = [
        Check(
            "Sample ratio.",
            f"Users: {counted}; {expected} expected. χ² = {ratio.chi_square:.2f}, {p_words(ratio.p)}.",
            ratio.p >= MISMATCH_P,
        ),
        Check(
            "One bucket a user.",
            f"{check.crossed:,} users ({percent(check.crossed_share, 2)}) are in several buckets and left out whole."
            if check.crossed
            else "No user is in several buckets.",
            check.crossed_share <= CROSSED_SHARE,
        ),
    ]
    found += [_before_check(analysis, bucket, up) for bucket, up in check.before.items()]
    unlengthed = {bucket: n for bucket, n in counts.unlengthed.items() if n}
    if unlengthed:
        words = listed([f"{n:,} in {bucket}" for bucket, n in unlengthed.items()])
        found.append(
            Check("Lengths.", f"Starts of videos of unknown length, not counted in shares watched: {words}.", True)
        )
    return found


def _before_check(analysis: Analysis, bucket: str, up: Uplift) -> Check:
    if not up.is_known:
        return Check("The time before.", f"Nothing to compare {bucket} by.", True)
    words = (
        f"{bucket} over {analysis.control} before the experiment: {uplift_words(up)} ({interval_words(up, sign=True)})."
    )
    return Check("The time before.", words, up.p >= MISMATCH_P)


def _booted_words(row: Row) -> str:
    if row.booted is None or not all(map(math.isfinite, row.booted)):
        return "–"
    low, high = (percent(end, digits_of(row.plain), sign=True) for end in row.booted)
    return f"{low} to {high}"


def _reach(analysis: Analysis) -> tuple[float, float]:
    ends: Sequence[tuple[float, float]] = [reach_of(lines_of(analysis, one)) for one in analysis.treatments]
    return min(low for low, _ in ends), max(high for _, high in ends)
