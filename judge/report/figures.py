"""The plots of the report. The only module of the judge that imports matplotlib."""

import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from judge.scores import TOPS, Difference, Distribution, Scores
from retrieval.errors import import_extra

INK, FAINT, RULE, PAPER = "#22201e", "#7a766f", "#dcd7cf", "#ffffff"
BASELINE_COLOUR = "#c2b6a6"
COLOURS = ("#225648", "#c0714f", "#54699b", "#8a5a83", "#b8962e", "#5e8d8a")
NAMES = ("1\nno", "2\npoor", "3\npartial", "4\ngood", "5\nexcellent")
LABELLED = 3  # systems; more bars leave no room for numbers above them
_STYLE = {
    "font.size": 10, "axes.edgecolor": RULE, "axes.labelcolor": INK, "text.color": INK, "xtick.color": INK,
    "ytick.color": FAINT, "axes.spines.top": False, "axes.spines.right": False, "axes.spines.left": False,
    "svg.fonttype": "none", "axes.titlelocation": "left", "axes.titlesize": 11, "figure.facecolor": PAPER,
}  # fmt: skip


def require_plots() -> Any:
    """The library that draws.

    Raises:
        MissingExtraError: it is not installed.
    """
    matplotlib = import_extra("matplotlib", "report")
    matplotlib.use("Agg")
    return import_extra("matplotlib.pyplot", "report")


def colours_of(systems: Sequence[str]) -> dict[str, str]:
    """One colour for each system; the baseline, the first, is pale."""
    return {name: BASELINE_COLOUR if n == 0 else COLOURS[(n - 1) % len(COLOURS)] for n, name in enumerate(systems)}


def distribution_svg(scores: Scores) -> str:
    """How the grades of each system's top k are spread, as in the paper's figure 3."""
    plt = require_plots()
    with plt.rc_context({**_STYLE, "svg.hashsalt": "figure3"}):
        return _svg(plt, _distributions(plt, scores))


def save_distribution(scores: Scores, path: Path) -> None:
    """Write the same figure as a PNG."""
    plt = require_plots()
    with plt.rc_context(_STYLE):
        figure = _distributions(plt, scores)
        figure.savefig(path, dpi=200, format="png")
        plt.close(figure)


def differences_svg(difference: Difference, values: np.ndarray, colours: dict[str, str]) -> str:
    """How many users have which difference between two systems, with its mean and interval.

    Args:
        values: `(n_users,)`, one difference a user.
        colours: of each system, as from `colours_of`: a bar has that of the system it is in favour of.
    """
    plt = require_plots()
    with plt.rc_context({**_STYLE, "svg.hashsalt": "differences"}):
        figure, axes = plt.subplots(figsize=(9.2, 3.1), layout="constrained")
        reach = max(0.5, float(np.ceil(np.abs(values).max() * 4) / 4)) if len(values) else 1.0
        edges = np.linspace(-reach, reach, 2 * max(8, round(reach * 8)) + 1)
        counts, _ = np.histogram(values, edges)
        sides = [colours[difference.system if left >= -1e-9 else difference.against] for left in edges[:-1]]
        axes.bar(edges[:-1], counts, np.diff(edges) * 0.92, align="edge", color=sides)
        top = counts.max(initial=1)
        axes.vlines(0, 0, top * 1.22, color=INK, linewidth=0.8)
        mean = difference.absolute
        axes.plot([mean.low, mean.high], [top * 1.12] * 2, color=INK, linewidth=2.4, solid_capstyle="butt")
        axes.plot(mean.mean, top * 1.12, "o", color=INK, markersize=7)
        axes.set_title(f"mean {mean.mean:+.2f}, 95 % interval {mean.low:+.2f} to {mean.high:+.2f}, {mean.n} users")
        axes.set_xlim(-reach, reach)
        axes.set_ylim(0, top * 1.3)
        axes.set_xlabel(
            f"difference of a user's mean score, top {difference.k}: {difference.system} minus {difference.against}, "
            "in points of 1 to 5"
        )
        axes.set_ylabel("users")
        axes.yaxis.get_major_locator().set_params(integer=True)
        axes.tick_params(length=0)
        axes.grid(axis="y", color=RULE, linewidth=0.6)
        axes.set_axisbelow(True)
        return _svg(plt, figure)


def _distributions(plt: Any, scores: Scores) -> Any:
    figure, panels = plt.subplots(1, len(TOPS), figsize=(9.2, 3.5), layout="constrained", sharey=True)
    colours = colours_of(scores.systems)
    for axes, k in zip(panels, TOPS, strict=True):
        _draw_panel(axes, [d for d in scores.distributions if d.k == k], colours)
        axes.set_title(f"Top {k}")
    panels[0].set_ylabel("share of graded videos, %")
    handles, names = panels[0].get_legend_handles_labels()
    figure.legend(handles, names, loc="outside upper right", ncols=len(names), frameon=False, handlelength=1)
    return figure


def _draw_panel(axes: Any, distributions: list[Distribution], colours: dict[str, str]) -> None:
    width = 0.82 / len(distributions)
    places = np.arange(5)
    for number, one in enumerate(distributions):
        shares = 100 * np.nan_to_num(np.array(one.shares))
        at = places + (number - (len(distributions) - 1) / 2) * width
        axes.bar(at, shares, width * 0.94, color=colours[one.system], label=one.system)
        if len(distributions) <= LABELLED:
            for x, share in zip(at, shares, strict=True):
                axes.annotate(f"{share:.0f}", (x, share), (0, 2), textcoords="offset points", ha="center", fontsize=8.5)
    axes.set_xticks(places, NAMES)
    axes.set_xlabel("grade: how well the video matches")
    axes.tick_params(length=0)
    axes.grid(axis="y", color=RULE, linewidth=0.6)
    axes.set_axisbelow(True)


def _svg(plt: Any, figure: Any) -> str:
    """The figure as an SVG element without a prolog and without a date."""
    file = io.StringIO()
    figure.savefig(file, format="svg", metadata={"Date": None, "Creator": None})
    plt.close(figure)
    text = file.getvalue()
    return text[text.index("<svg") :]
