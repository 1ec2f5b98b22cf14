"""The picture of examination curves: as they are, and against the one that is used."""

import io
from typing import TYPE_CHECKING, Any

import numpy as np

from labelcraft.report.drawing import FAINT, INK, LEARNED_COLOUR, STYLE, require_plots

if TYPE_CHECKING:
    from labelcraft.evaluation.propensities import Comparison

COLOURS = ("#c0714f", "#3b6ea5", "#8a6bb1", "#b8932f", "#5aa2a0", "#a34a68", "#7a766f", "#6d8f3c", "#3f3b37")
DASHES = ((0, ()), (0, (5, 2)), (0, (1, 1.4)), (0, (5, 1.5, 1, 1.5)))


def draw_curves(comparison: "Comparison") -> bytes:
    """The curves as a PNG: examination by position, and each curve's difference to the chosen one in percent."""
    plt = require_plots()
    with plt.rc_context(STYLE):
        figure, (left, right) = plt.subplots(1, 2, figsize=(11.5, 4.6))
        _draw_lines(left, comparison, relative=False)
        _draw_lines(right, comparison, relative=True)
        left.set_title("Examination by position, relative to the first")
        left.set_ylabel("examination q, 1 at position 1")
        left.set_ylim(0, None)
        right.set_title(f"Difference to {comparison.chosen} (shaded: its 95 % interval)")
        right.set_ylim(*_range(comparison))
        right.set_ylabel(f"q of a curve over q of {comparison.chosen}, in %")
        handles, names = left.get_legend_handles_labels()
        figure.legend(handles, names, loc="outside right center", frameon=False, fontsize=9.5)
        file = io.BytesIO()
        figure.savefig(file, format="png", dpi=160)
        plt.close(figure)
        return file.getvalue()


def _range(comparison: "Comparison") -> tuple[float, float]:
    """In percent, wide enough for most lines: one that is far off leaves the axis, else the others would be flat."""
    widest = 100 * np.quantile([comparison.gap(name) for name in comparison.curves], 0.75)
    reach = max(10.0, 1.4 * float(widest))
    return -reach, reach


def _every(n: int) -> int:
    """How far ticks are apart, for at most about twelve."""
    return max(1, -(-n // 12))


def _draw_lines(axes: Any, comparison: "Comparison", *, relative: bool) -> None:
    chosen = comparison.curves[comparison.chosen]
    others = [name for name in comparison.curves if name != comparison.chosen]
    for place, name in enumerate([*others, comparison.chosen]):
        one = comparison.curves[name]
        n = min(len(one.curve.q), len(chosen.curve.q)) if relative else len(one.curve.q)
        scale = 100 / chosen.curve.q[:n] if relative else 1.0
        shift = -100.0 if relative else 0.0
        x = one.curve.positions[:n]
        is_chosen = name == comparison.chosen
        style = {"color": LEARNED_COLOUR, "linewidth": 2.6} if is_chosen else _style(place)
        axes.plot(x, one.curve.q[:n] * scale + shift, label=name, marker="o", markersize=3.5, **style)
        if is_chosen:
            low, high = one.interval.low[:n] * scale + shift, one.interval.high[:n] * scale + shift
            axes.fill_between(x, low, high, color=LEARNED_COLOUR, alpha=0.15, linewidth=0)
    axes.set_xlabel("position in the feed")
    n = len(chosen.curve.q)
    axes.set_xticks([1, *range(1 + _every(n), n + 1, _every(n))])
    axes.grid(axis="y")
    if relative:
        axes.axhline(0, color=FAINT, linewidth=0.8)
    axes.tick_params(colors=INK)


def _style(place: int) -> dict[str, Any]:
    return {
        "color": COLOURS[place % len(COLOURS)],
        "linestyle": DASHES[place % len(DASHES)],
        "linewidth": 1.4,
    }
