"""The plots of reports and explanations.

Each function draws one panel as an SVG element: pages lay panels out in a grid, so that a phone shows them one below
the other at a size that can be read.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from labelcraft.feedback import Floats
from labelcraft.report.drawing import (
    FAINT,
    INK,
    LEARNED_COLOUR,
    OTHER_COLOUR,
    PAPER,
    RANDOM_COLOUR,
    STYLE,
    png_of,
    require_plots,
    svg_of,
)
from labelcraft.report.durations import Durations, Histogram
from retrieval.errors import import_extra
from retrieval.metrics.stats import Estimate

HEAT = ("#f6f1e7", "#d9d6b6", "#9fbf9c", "#5a9a86", "#2f6f66", "#173c40")  # one hue's way from paper to ink
LEVELS, DARK = np.arange(1, 10) / 10, 0.45


@dataclass(frozen=True)
class Dot:
    """A label's estimate on a line of its own; *is_learned* gives it the colour of what is being judged."""

    name: str
    estimate: Estimate
    is_learned: bool


@dataclass(frozen=True)
class Mark:
    """A value to read the others by, such as that of random lists."""

    name: str
    value: float


@dataclass(frozen=True)
class Curve:
    """One training: its *values* after each epoch from the first on, and the epoch that was kept."""

    values: tuple[float, ...]
    best_epoch: int


@dataclass(frozen=True)
class Heat:
    """Labels of a grid: *values* `(n_durations, n_watches)`, their axes in seconds, ascending."""

    values: Floats
    watch_s: Floats
    duration_s: Floats


def dots_svg(dots: Sequence[Dot], marks: Sequence[Mark], title: str, axis: str) -> str:
    """Estimates with their intervals by label, and what to read them by: off the axis where it is far away."""
    plt = require_plots()
    with plt.rc_context(STYLE):
        figure, axes = plt.subplots(figsize=(3.7, 1.25 + 0.27 * len(dots)))
        places = np.arange(len(dots))[::-1]
        for place, dot in zip(places, dots, strict=True):
            colour = LEARNED_COLOUR if dot.is_learned else INK
            axes.plot([dot.estimate.low, dot.estimate.high], [place] * 2, color=colour, linewidth=2.2, alpha=0.55)
            axes.plot(dot.estimate.mean, place, "o", color=colour, markersize=7 if dot.is_learned else 5.5)
        axes.set_yticks(places, [dot.name for dot in dots])
        for text, dot in zip(axes.get_yticklabels(), dots, strict=True):
            text.set(color=INK, fontweight="bold" if dot.is_learned else "normal")
        low, high = _range(dots, marks)
        axes.set_xlim(low, high)
        axes.set_ylim(-0.7, len(dots) + 0.35)
        _draw_marks(axes, marks, len(dots) - 0.15)
        figure.suptitle(title, x=0.02, ha="left", fontsize=11)
        axes.set_xlabel(axis)
        axes.spines["left"].set_visible(False)
        axes.grid(axis="x")
        axes.locator_params(axis="x", nbins=5)
        return svg_of(plt, figure)


def durations_svg(durations: Durations, one: Histogram, is_learned: bool, top: float) -> str:
    """The paper's figure 2 for one label: its lists filled, random lists as an outline.

    Args:
        top: the highest share of all panels, so that they can be compared.
    """
    plt = require_plots()
    with plt.rc_context(STYLE):
        figure, axes = plt.subplots(figsize=(2.4, 1.75))
        edges = np.array(durations.edges_s)
        colour = LEARNED_COLOUR if is_learned else OTHER_COLOUR
        axes.stairs(100 * np.array(one.shares), edges, fill=True, color=colour)
        if durations.candidates:
            axes.stairs(100 * np.array(durations.candidates.shares), edges, color=RANDOM_COLOUR, linewidth=1.4)
        axes.set_xlim(edges[0], edges[-1])
        axes.set_ylim(0, 105 * top)
        axes.set_title(one.name, fontweight="bold" if is_learned else "normal")
        axes.set_xlabel(f"duration, s; mean {one.mean_s:.1f}")
        axes.set_ylabel("share, %")
        axes.grid(axis="y")
        return svg_of(plt, figure)


def sweep_svg(taus: Sequence[float], estimates: Sequence[Estimate], best: Mark | None, title: str, axis: str) -> str:
    """The paper's figure 3 for one metric: LabelCraft over τ with its interval, and the best other label."""
    plt = require_plots()
    with plt.rc_context(STYLE):
        figure, axes = plt.subplots(figsize=(3.7, 2.6))
        lows, means, highs = (np.array([getattr(e, end) for e in estimates]) for end in ("low", "mean", "high"))
        axes.fill_between(taus, lows, highs, color=LEARNED_COLOUR, alpha=0.16, linewidth=0)
        axes.plot(taus, means, "o-", color=LEARNED_COLOUR, linewidth=1.8, markersize=5)
        if best:
            axes.axhline(best.value, color=RANDOM_COLOUR, linewidth=1.4, linestyle=(0, (5, 3)))
            axes.annotate(
                best.name, (1, best.value), (0, 3), xycoords=("axes fraction", "data"), textcoords="offset points",
                ha="right", color=RANDOM_COLOUR, fontsize=9,
            )  # fmt: skip
        axes.margins(x=0.03, y=0.18)
        axes.set_title(title)
        axes.set_xlabel("temperature τ")
        axes.set_ylabel(axis)
        axes.grid(axis="y")
        return svg_of(plt, figure)


def curves_svg(curves: Sequence[Curve], name: str, is_learned: bool, low: float, high: float) -> str:
    """The criterion over epochs, a line a seed, the epochs that were kept as dots; *low* and *high* of all panels."""
    plt = require_plots()
    with plt.rc_context(STYLE):
        figure, axes = plt.subplots(figsize=(2.4, 1.75))
        colour = LEARNED_COLOUR if is_learned else FAINT
        for curve in curves:
            axes.plot(np.arange(1, len(curve.values) + 1), curve.values, color=colour, linewidth=1.2, alpha=0.75)
            axes.plot(curve.best_epoch, curve.values[curve.best_epoch - 1], "o", color=colour, markersize=5)
        room = 0.06 * (high - low or 1.0)
        axes.set_ylim(low - room, high + room)
        axes.set_xlim(0.5, max(len(curve.values) for curve in curves) + 0.5)
        axes.xaxis.get_major_locator().set_params(integer=True)
        axes.set_title(name, fontweight="bold" if is_learned else "normal")
        axes.set_xlabel("epoch")
        axes.set_ylabel("criterion")
        axes.grid(axis="y")
        return svg_of(plt, figure)


def heat_svg(heat: Heat, title: str) -> str:
    """A label over watch time and duration; its levels are labelled, and the line is where videos end."""
    plt = require_plots()
    with plt.rc_context(STYLE):
        return svg_of(plt, _draw_heats(plt, [heat], [title]))


def heats_png(heats: Sequence[Heat], titles: Sequence[str]) -> bytes:
    """All panels side by side as one picture."""
    plt = require_plots()
    with plt.rc_context(STYLE):
        return png_of(plt, _draw_heats(plt, heats, titles), dpi=200)


def _draw_heats(plt: Any, heats: Sequence[Heat], titles: Sequence[str]) -> Any:
    columns = min(3, len(heats))
    rows = -(-len(heats) // columns)
    figure, grid = plt.subplots(rows, columns, figsize=(3.7 * columns, 2.9 * rows), squeeze=False)
    for axes in grid.ravel()[len(heats) :]:
        axes.set_visible(False)
    for axes, heat, title in zip(grid.ravel(), heats, titles, strict=False):
        image = _draw_heat(axes, heat, title)
        bar = figure.colorbar(image, ax=axes, pad=0.02, ticks=[0, 0.25, 0.5, 0.75, 1])
        bar.outline.set_visible(False)
        bar.set_label("label")
    return figure


def _draw_heat(axes: Any, heat: Heat, title: str) -> Any:
    colours = import_extra("matplotlib.colors", "report").LinearSegmentedColormap.from_list("heat", HEAT)
    ends = (heat.watch_s[0], heat.watch_s[-1], heat.duration_s[0], heat.duration_s[-1])
    image = axes.imshow(
        heat.values, extent=ends, origin="lower", aspect="auto", cmap=colours, vmin=0, vmax=1, interpolation="bilinear"
    )
    if np.ptp(heat.values) > 0.05:
        levels = axes.contour(
            heat.watch_s, heat.duration_s, heat.values, LEVELS,
            colors=[INK if level < DARK else PAPER for level in LEVELS], linewidths=0.6, alpha=0.7,
        )  # fmt: skip
        axes.clabel(levels, levels.levels[1::2], fontsize=8, fmt="%.1f")
    reach = min(ends[1], ends[3])
    axes.plot([0, reach], [0, reach], color=RANDOM_COLOUR, linewidth=1.6, linestyle=(0, (5, 3)))
    axes.set_xlim(ends[0], ends[1])
    axes.set_ylim(ends[2], ends[3])
    axes.locator_params(nbins=5)
    axes.set_title(title)
    axes.set_xlabel("watch time, s")
    axes.set_ylabel("duration of the video, s")
    return image


def _range(dots: Sequence[Dot], marks: Sequence[Mark]) -> tuple[float, float]:
    """All intervals, and those marks that leave the intervals at least a third of the axis."""
    low, high = min(dot.estimate.low for dot in dots), max(dot.estimate.high for dot in dots)
    reach = 3 * (high - low or abs(high) or 1.0)
    for mark in sorted(marks, key=lambda mark: abs(mark.value - (low + high) / 2)):
        if max(high, mark.value) - min(low, mark.value) <= reach:
            low, high = min(low, mark.value), max(high, mark.value)
    room = 0.06 * (high - low or 1.0)
    return low - room, high + room


def _draw_marks(axes: Any, marks: Sequence[Mark], height: float) -> None:
    """Lines with their names above; what lies outside is named at the end of the axis it lies beyond."""
    low, high = axes.get_xlim()
    for mark in marks:
        if low <= mark.value <= high:
            axes.axvline(mark.value, 0, 0.93, color=RANDOM_COLOUR, linewidth=1.1, linestyle=(0, (4, 3)))
            side, at = ("left", mark.value) if mark.value < (low + high) / 2 else ("right", mark.value)
            text = mark.name
        else:
            side, at = ("right", high) if mark.value > high else ("left", low)
            text = f"{mark.name} {mark.value:.3g} →" if mark.value > high else f"← {mark.name} {mark.value:.3g}"
        axes.text(at, height, text, color=RANDOM_COLOUR, fontsize=8.5, ha=side, va="bottom")
