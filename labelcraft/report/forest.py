"""The forest plot: uplifts of several metrics with their intervals, on one axis around zero."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

import numpy as np

from labelcraft.report.drawing import FAINT, INK, LEARNED_COLOUR, PAPER, STYLE, png_of, require_plots, svg_of

BAD_COLOUR = "#963e34"
HEAD, FOOT = 0.42, 0.62  # inches: above the first line, and of the axis
MARGIN = 0.012  # of the width, at both sides


@dataclass(frozen=True)
class Layout:
    """Where things stand: *width* and *row* in inches, the rest as shares of the width.

    *names* and *numbers* are left free beside the axis; the columns of numbers end at *value_at* and at the edge.
    Text stands *above* its interval by so much of a row.
    """

    width: float
    row: float
    names: float
    numbers: float
    value_at: float
    above: float
    font: float

    @property
    def axis(self) -> float:
        return 1 - self.names - self.numbers


WIDE = Layout(width=9.2, row=0.32, names=0.32, numbers=0.28, value_at=0.805, above=0.0, font=10.5)
NARROW = Layout(width=4.5, row=0.5, names=0.05, numbers=0.05, value_at=0.665, above=0.44, font=9.5)  # a phone's


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


def forest_svg(
    lines: Sequence[Line], axis: str, reach: tuple[float, float] | None = None, layout: Layout = WIDE
) -> str:
    """The plot as an SVG element; *axis* names the axis, *reach* holds its ends where several plots share them."""
    plt = require_plots()
    with plt.rc_context(STYLE):
        return svg_of(plt, _draw(plt, lines, axis, reach or reach_of(lines), layout))


def forest_png(
    lines: Sequence[Line], axis: str, reach: tuple[float, float] | None = None, layout: Layout = WIDE
) -> bytes:
    """The same as a picture."""
    plt = require_plots()
    with plt.rc_context(STYLE):
        return png_of(plt, _draw(plt, lines, axis, reach or reach_of(lines), layout))


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


def _draw(plt: Any, lines: Sequence[Line], axis: str, reach: tuple[float, float], layout: Layout) -> Any:
    places = _places(lines, 0.6 if layout.above else 1.0)
    n_rows = places[-1] + 1
    height = HEAD + layout.row * n_rows + FOOT
    figure = plt.figure(figsize=(layout.width, height), layout="none")
    axes = figure.add_axes((layout.names, FOOT / height, layout.axis, layout.row * n_rows / height))
    axes.set_xlim(100 * reach[0], 100 * reach[1])
    axes.set_ylim(n_rows - 0.5, -0.5)
    for place, line in zip(places, lines, strict=True):
        _write(axes, place - layout.above, line, layout)
        if np.isfinite(line.low) and np.isfinite(line.high):
            _draw_interval(axes, place, line)
    top = -0.5 - 0.11 / layout.row
    _text(axes, layout, layout.value_at, top, "uplift", ha="right", color=FAINT, fontsize=9)
    _text(axes, layout, 1 - MARGIN, top, "95 % interval", ha="right", color=FAINT, fontsize=9)
    axes.axvline(0, color=INK, linewidth=0.9, zorder=1)
    axes.set_yticks([])
    axes.spines["left"].set_visible(False)
    axes.grid(axis="x")
    axes.locator_params(axis="x", nbins=7 if layout is WIDE else 5)
    axes.xaxis.set_major_formatter(lambda value, _: f"{value:+g} %".replace("-", "−") if value else "0")
    axes.set_xlabel(axis, labelpad=7)
    return figure


def _places(lines: Sequence[Line], heading: float) -> list[float]:
    """Where each line stands, from above: a *heading* takes so much of a line, and some room above it."""
    places: list[float] = []
    place = 0.0
    for line in lines:
        place += heading + (0.25 if places else 0.0) if line.heading else 0.0
        places.append(place)
        place += 1.0
    return places


def _write(axes: Any, place: float, line: Line, layout: Layout) -> None:
    """The name on the left and the numbers on the right, each aligned to its edge whatever the font."""
    style = {"fontweight": "bold" if line.emphasis else "normal", "fontsize": layout.font}
    if line.heading:
        _text(axes, layout, MARGIN, place - (0.5 if layout.above else 1), line.heading, color=FAINT, fontsize=9)
    _text(axes, layout, MARGIN, place, line.name, **style)
    _text(axes, layout, layout.value_at, place, line.value, ha="right", color=COLOURS[line.tone], **style)
    _text(axes, layout, 1 - MARGIN, place, line.interval, ha="right", color=FAINT, fontsize=layout.font)


def _text(axes: Any, layout: Layout, at: float, place: float, text: str, **style: Any) -> None:
    """Text of a line, *at* a share of the figure's width; over the grid, which it interrupts."""
    inside = (at - layout.names) / layout.axis
    box = {"facecolor": PAPER, "edgecolor": "none", "pad": 1.2} if layout.above else None
    axes.text(
        inside, place, text, transform=axes.get_yaxis_transform(), va="center_baseline", zorder=5, bbox=box, **style
    )


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
