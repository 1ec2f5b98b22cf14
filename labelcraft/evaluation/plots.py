"""The panels of the evaluation's page, each one SVG element."""

from collections.abc import Sequence

import numpy as np

from labelcraft.evaluation.results import Spread, System
from labelcraft.report.drawing import (
    INK,
    LEARNED_COLOUR,
    OTHER_COLOUR,
    PAPER,
    RANDOM_COLOUR,
    STYLE,
    require_plots,
    svg_of,
)
from retrieval.metrics.listwise import Form, Measure
from retrieval.metrics.pointwise import Calibration


def ranking_svg(systems: Sequence[System], k: int) -> str:
    """DCG of every system by inverse propensities with its interval, beside it the naive one, hollow.

    The two differ in size, since much is not observed: what is to be compared is the order of the systems.
    """
    plt = require_plots()
    with plt.rc_context(STYLE):
        figure, panels = plt.subplots(1, 2, figsize=(9.2, 1.1 + 0.42 * len(systems)), sharey=True)
        places = np.arange(len(systems))[::-1]
        for axes, form, title in zip(panels, (Form.IPS, Form.NAIVE), _TITLES, strict=True):
            for place, system in zip(places, systems, strict=True):
                value = system.of(Measure.DCG, form).value
                colour = LEARNED_COLOUR if form is Form.IPS else RANDOM_COLOUR
                axes.plot([value.low, value.high], [place] * 2, color=colour, linewidth=2.6, alpha=0.55)
                face = colour if form is Form.IPS else PAPER
                axes.plot(value.mean, place, "o", color=colour, markerfacecolor=face, markersize=8, markeredgewidth=1.8)
                true = next((one for one in system.truth if one.measure is Measure.DCG), None)
                if form is Form.IPS and true is not None:
                    axes.plot(true.value.mean, place, "x", color=INK, markersize=8, markeredgewidth=2)
            axes.set_title(title)
            axes.set_xlabel(f"DCG@{k} a feed")
            axes.margins(x=0.08, y=0.16)
            axes.grid(axis="x")
            axes.locator_params(axis="x", nbins=6)
            axes.spines["left"].set_visible(False)
        panels[0].set_yticks(places, [system.name for system in systems])
        for text in panels[0].get_yticklabels():
            text.set(color=INK, fontsize=10.5)
        return svg_of(plt, figure)


_TITLES = ("Weighted by 1 / examination (IPS)", "Naive: what was observed, as it is")


def spread_svg(edges_s: Sequence[float], shown: Spread, log: Spread, name: str, top: float, axis: str) -> str:
    """How a quantity is spread over a system's lists, filled, and over the log, as an outline."""
    plt = require_plots()
    with plt.rc_context(STYLE):
        figure, axes = plt.subplots(figsize=(3.0, 2.3))
        edges = np.array(edges_s)
        axes.stairs(100 * np.array(shown.shares), edges, fill=True, color=OTHER_COLOUR)
        axes.stairs(100 * np.array(log.shares), edges, color=RANDOM_COLOUR, linewidth=1.6)
        axes.axvline(shown.median, color=INK, linewidth=1.2, linestyle=(0, (4, 3)))
        axes.set_xlim(edges[0], edges[-1])
        axes.set_ylim(0, 105 * top)
        axes.set_title(name)
        axes.set_xlabel(axis)
        axes.set_ylabel("share, %")
        axes.grid(axis="y")
        return svg_of(plt, figure)


def calibration_svg(calibration: Calibration, name: str) -> str:
    """The share watched by predicted probability, with intervals; on the diagonal a probability is true."""
    plt = require_plots()
    with plt.rc_context(STYLE):
        figure, axes = plt.subplots(figsize=(3.0, 2.7))
        axes.plot([0, 1], [0, 1], color=RANDOM_COLOUR, linewidth=1.4, linestyle=(0, (4, 3)))
        for predicted, observed in zip(calibration.predicted, calibration.observed, strict=True):
            if np.isfinite(predicted):
                axes.plot(
                    [predicted] * 2, [observed.low, observed.high], color=LEARNED_COLOUR, linewidth=2.2, alpha=0.55
                )
                axes.plot(predicted, observed.mean, "o", color=LEARNED_COLOUR, markersize=6)
        axes.set_xlim(0, 1)
        axes.set_ylim(0, 1)
        axes.set_title(name)
        axes.set_xlabel("predicted probability")
        axes.set_ylabel("share watched")
        axes.grid()
        return svg_of(plt, figure)
