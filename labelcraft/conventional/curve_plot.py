"""The picture of a training: its loss, and what it was stopped by."""

import io
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from labelcraft.report.drawing import FAINT, LEARNED_COLOUR, RANDOM_COLOUR, STYLE, require_plots

if TYPE_CHECKING:
    from labelcraft.conventional.training import Epoch


def draw_curve(epochs: Sequence["Epoch"], best: int, criterion: str, marks: Sequence[tuple[str, float]]) -> bytes:
    """The curve of a training as a PNG, the *best* epoch marked; *marks* are values to read the criterion by."""
    plt = require_plots()
    with plt.rc_context(STYLE):
        figure, (left, right) = plt.subplots(1, 2, figsize=(8.6, 3.3))
        numbers = np.array([epoch.number for epoch in epochs])
        left.plot(numbers, [epoch.loss for epoch in epochs], "o-", color=LEARNED_COLOUR, markersize=4)
        left.set(title="Loss on the training rows", xlabel="epoch", ylabel="mean loss")
        values = [epoch.criterion for epoch in epochs]
        right.plot(numbers, values, "o-", color=LEARNED_COLOUR, markersize=4)
        right.plot(best, values[best - 1], "o", color=LEARNED_COLOUR, markersize=9)
        kept = (best, values[best - 1])
        right.annotate(f"kept: {kept[1]:.3f}", kept, (0, 10), textcoords="offset points", ha="center")
        for name, value in marks:
            right.axhline(value, color=RANDOM_COLOUR, linewidth=1.2, linestyle=(0, (4, 3)))
            right.annotate(
                name, (1, value), (0, 3), xycoords=("axes fraction", "data"), textcoords="offset points",
                ha="right", color=RANDOM_COLOUR, fontsize=9,
            )  # fmt: skip
        right.set(title="What it was stopped by, on the last days", xlabel="epoch", ylabel=criterion)
        right.margins(y=0.2)
        for axes in (left, right):
            axes.xaxis.get_major_locator().set_params(integer=True)
            axes.grid(axis="y")
            axes.tick_params(colors=FAINT)
        file = io.BytesIO()
        figure.savefig(file, format="png", dpi=160)
        plt.close(figure)
        return file.getvalue()
