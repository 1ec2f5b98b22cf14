"""The page: figures, plots and sheets put into the template. The only module of the judge that imports jinja2."""

from collections.abc import Sequence
from dataclasses import dataclass
from importlib.resources import files

import numpy as np
import polars as pl

from judge.agreement import Interval
from judge.columns import J
from judge.reliability import Reliability
from judge.report.figures import FAINT, INK, colours_of, differences_svg, distribution_svg
from judge.report.health import Soundness
from judge.report.sheets import Sheet
from judge.scores import TOPS, Difference, Scores, paired_means
from retrieval.errors import import_extra
from retrieval.metrics.stats import N_RESAMPLES

TEMPLATE = "page.html.j2"
FOREST_W, FOREST_H = 180, 26


@dataclass(frozen=True)
class About:
    """Who judged what: for the head of the page."""

    judge: str
    rubric: str
    n_users: int
    snapshots: tuple[str, ...]
    seed: int


@dataclass(frozen=True)
class Page:
    """All that the page says."""

    about: About
    scores: Scores
    soundness: Soundness
    reliability: Reliability | None
    main: Difference | None
    sheets: Sequence[Sheet]


def render_page(page: Page, judged: pl.DataFrame) -> str:
    """The page as HTML; it names nothing outside itself.

    Raises:
        MissingExtraError: jinja2 or matplotlib is not installed.
    """
    jinja2, markup = import_extra("jinja2", "report"), import_extra("markupsafe", "report").Markup
    environment = jinja2.Environment(autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True)
    environment.filters |= {
        "number": _number,
        "signed": lambda value: _number(value, "+.2f"),
        "percent": lambda value: _number(100 * value, "+.1f") + (" %" if np.isfinite(value) else ""),
        "share": lambda value: _number(100 * value, ".0f") + (" %" if np.isfinite(value) else ""),
        "interval": interval_words,
        "forest": lambda difference, reach: markup(forest_svg(difference, reach)),
    }
    template = environment.from_string((files("judge.report") / TEMPLATE).read_text(encoding="utf-8"))
    differences = [d for d in page.scores.differences if d.measure == J.EXPECTED]
    reliability = page.reliability
    text: str = template.render(
        about=page.about,
        scores=page.scores,
        soundness=page.soundness,
        reliability=reliability,
        main=page.main,
        sheets=page.sheets,
        unpreferred=_unpreferred(page),
        tops=TOPS,
        colours=colours_of(page.scores.systems),
        differences=differences,
        reach=reach_of(differences),
        distribution=markup(distribution_svg(page.scores)),
        difference_plot=markup(_difference_plot(page, judged)),
        stabilities=_stabilities(reliability),
        n_resamples=f"{N_RESAMPLES:,}",
    )
    return text


def _difference_plot(page: Page, judged: pl.DataFrame) -> str:
    main = page.main
    if main is None or main.absolute.n == 0:
        return ""
    pairs, _ = paired_means(judged, (main.system, main.against), main.k)
    return differences_svg(main, pairs["difference"].to_numpy(), colours_of(page.scores.systems))


def _unpreferred(page: Page) -> list[str]:
    """The systems of the sheets that no user's grades favour."""
    names = [] if page.main is None else [page.main.system, page.main.against]
    return [name for name in names if name not in {sheet.preferred for sheet in page.sheets}]


def _stabilities(reliability: Reliability | None) -> list[tuple[str, object]]:
    if reliability is None:
        return []
    return [
        ("nothing: the same again", reliability.repeats),
        ("order of the rubric's categories", reliability.rubric_orders),
        ("order of the history", reliability.history_orders),
    ]


def reach_of(differences: Sequence[Difference]) -> float:
    """How far the axis of the small interval plots goes, to either side: half points."""
    ends = [abs(end) for d in differences for end in (d.absolute.low, d.absolute.high) if np.isfinite(end)]
    return float(max(0.5, np.ceil(2 * max(ends, default=0.5)) / 2))


def forest_svg(difference: Difference, reach: float) -> str:
    """A difference's mean and interval on a line from −reach to reach."""

    def x(value: float) -> float:
        return round(FOREST_W / 2 + value / reach * (FOREST_W / 2 - 6), 1)

    estimate, y = difference.absolute, FOREST_H / 2
    words = f"{estimate.mean:+.2f}, {estimate.low:+.2f} to {estimate.high:+.2f}"
    marks = (
        ""
        if not np.isfinite(estimate.mean)
        else f'<line x1="{x(estimate.low)}" x2="{x(estimate.high)}" y1="{y}" y2="{y}" stroke="{INK}" stroke-width="3"/>'
        f'<circle cx="{x(estimate.mean)}" cy="{y}" r="5" fill="{INK}"/>'
    )
    return (
        f'<svg class="forest" viewBox="0 0 {FOREST_W} {FOREST_H}" role="img" aria-label="{words}">'
        f'<line x1="{FOREST_W / 2}" x2="{FOREST_W / 2}" y1="1" y2="{FOREST_H - 1}" stroke="{FAINT}"/>'
        f'<line x1="6" x2="{FOREST_W - 6}" y1="{y}" y2="{y}" stroke="#e2ddd5"/>{marks}</svg>'
    )


def _number(value: float, spec: str = ".2f") -> str:
    """The number, with a dash where there is none and a true minus."""
    return format(value, spec).replace("-", "−") if np.isfinite(value) else "–"


def interval_words(interval: Interval) -> str:
    """A statistic and its interval in brackets.

    >>> interval_words(Interval(0.5, 0.4, 0.61, 10, 5))
    '0.50 (0.40 to 0.61)'
    """
    if not np.isfinite(interval.value):
        return "–"
    return f"{_number(interval.value)} ({_number(interval.low)} to {_number(interval.high)})"
