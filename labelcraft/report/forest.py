"""The forest plot: uplifts of several metrics with their intervals, on one axis around zero."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

import numpy as np

from labelcraft.report.drawing import FAINT, INK, LEARNED_COLOUR, PAPER, STYLE, png_of, require_plots, svg_of

BAD_COLOUR = "#963e34"
WIDTH, ROW, HEAD, FOOT = 9.2, 0.32, 0.42, 0.62  # inches: of the figure, a line, above the first, and of the axis
NAMES, NUMBERS = 0.32, 0.28  # shares of the width left and right of the axis
MARGIN = 0.012  # of the width, at both sides
VALUE_AT, INTERVAL_AT = 1 - NUMBERS + 0.085, 1 - MARGIN  # right edges of the columns of numbers, as shares of the width


class Tone(StrEnum):
    """What an interval means: good or bad news, a guard that holds, or nothing that can be told."""

    GOOD = "good"
    BAD = "bad"
    CALM = "calm"
    OPEN = "open"


COLOURS = {Tone.GOOD: LEARNED_COLOUR, Tone.BAD: BAD_COLOUR, Tone.CALM: INK, Tone.OPEN: FAINT}


@dataclass(frozen=True)
class Line:
    """One uplift as a share, with its interval; *value* and *interval* say it on the right. *heading* opens a group.

    An *emphasis* is the metric that decides. Lines that are not *spanning* may run off the axis, and then end in an
    arrow: the axis is made for those that are.
    """

    name: str
    mean: float
    low: float
    high: float
    value: str
    interval: str
    tone: Tone
    heading: str = ""
    emphasis: bool = False
    spanning: bool = True


def forest_svg(lines: Sequence[Line], axis: str, reach: tuple[float, float] | None = None) -> str:
    """The plot as an SVG element; *axis* names the axis, *reach* holds its ends where several plots share them."""
    plt = require_plots()
    with plt.rc_context(STYLE):
        return svg_of(plt, _draw(plt, lines, axis, reach or reach_of(lines)))


def forest_png(lines: Sequence[Line], axis: str, reach: tuple[float, float] | None = None) -> bytes:
    """The same as a picture."""
    plt = require_plots()
    with plt.rc_context(STYLE):
        return png_of(plt, _draw(plt, lines, axis, reach or reach_of(lines)))


def reach_of(lines: Sequence[Line]) -> tuple[float, float]:
    """The ends of the axis: zero and all intervals that span it, with some room; the others may double it."""
    low, high = _ends([line for line in lines if line.spanning] or lines)
    span = high - low or 0.1
    all_low, all_high = _ends(lines)
    low, high = max(all_low, low - span / 2), min(all_high, high + span / 2)
    room = 0.08 * (high - low or 0.1)
    return low - room, high + room


def _ends(lines: Sequence[Line]) -> tuple[float, float]:
    ends = [0.0, *(end for line in lines for end in (line.low, line.high) if np.isfinite(end))]
    return min(ends), max(ends)


def _draw(plt: Any, lines: Sequence[Line], axis: str, reach: tuple[float, float]) -> Any:
    places = _places(lines)
    n_rows = places[-1] + 1
    height = HEAD + ROW * n_rows + FOOT
    figure = plt.figure(figsize=(WIDTH, height), layout="none")
    axes = figure.add_axes((NAMES, FOOT / height, 1 - NAMES - NUMBERS, ROW * n_rows / height))
    axes.set_xlim(100 * reach[0], 100 * reach[1])
    axes.set_ylim(n_rows - 0.5, -0.5)
    for place, line in zip(places, lines, strict=True):
        _write(axes, place, line)
        if np.isfinite(line.low) and np.isfinite(line.high):
            _draw_interval(axes, place, line)
    _text(axes, VALUE_AT, -0.85, "uplift", ha="right", color=FAINT, fontsize=9)
    _text(axes, INTERVAL_AT, -0.85, "95 % interval", ha="right", color=FAINT, fontsize=9)
    axes.axvline(0, color=INK, linewidth=0.9, zorder=1)
    axes.set_yticks([])
    axes.spines["left"].set_visible(False)
    axes.grid(axis="x")
    axes.locator_params(axis="x", nbins=7)
    axes.xaxis.set_major_formatter(lambda value, _: f"{value:+g} %".replace("-", "−") if value else "0")
    axes.set_xlabel(axis, labelpad=7)
    return figure


def _places(lines: Sequence[Line]) -> list[float]:
    """Where each line stands, from above: a heading takes a line of its own, and some room above it."""
    places: list[float] = []
    place = 0.0
    for line in lines:
        place += (1.25 if places else 1.0) if line.heading else 0.0
        places.append(place)
        place += 1.0
    return places


def _write(axes: Any, place: float, line: Line) -> None:
    """The name on the left and the numbers on the right, each aligned to its edge whatever the font."""
    style = {"fontweight": "bold" if line.emphasis else "normal", "fontsize": 10.5}
    if line.heading:
        _text(axes, MARGIN, place - 1, line.heading, color=FAINT, fontsize=9)
    _text(axes, MARGIN, place, line.name, **style)
    _text(axes, VALUE_AT, place, line.value, ha="right", color=COLOURS[line.tone], **style)
    _text(axes, INTERVAL_AT, place, line.interval, ha="right", color=FAINT, fontsize=10.5)


def _text(axes: Any, at: float, place: float, text: str, **style: Any) -> None:
    """Text of a line, *at* a share of the figure's width."""
    inside = (at - NAMES) / (1 - NAMES - NUMBERS)
    axes.text(inside, place, text, transform=axes.get_yaxis_transform(), va="center_baseline", **style)


def _draw_interval(axes: Any, place: float, line: Line) -> None:
    """A line with its dot, hollow where nothing can be told; an arrow where it runs off the axis."""
    colour, (left, right) = COLOURS[line.tone], axes.get_xlim()
    low, high, mean = 100 * line.low, 100 * line.high, 100 * line.mean
    width = 3.2 if line.emphasis else 2.2
    axes.plot(
        [max(low, left), min(high, right)], [place] * 2, color=colour, linewidth=width, solid_capstyle="butt",
        clip_on=False, zorder=2,
    )  # fmt: skip
    for end, sign in ((left, "<"), (right, ">")):
        if (low < left and sign == "<") or (high > right and sign == ">"):
            axes.plot(end, place, sign, color=colour, markersize=6, clip_on=False, zorder=3)
    if left <= mean <= right:
        face = PAPER if line.tone is Tone.OPEN else colour
        size = 10 if line.emphasis else 7.5
        axes.plot(
            mean, place, "o", markersize=size, markerfacecolor=face, markeredgecolor=colour, markeredgewidth=1.8,
            clip_on=False, zorder=4,
        )  # fmt: skip
