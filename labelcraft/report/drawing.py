"""What all plots share: colours, style, and how a figure becomes SVG or PNG. The only module that imports matplotlib.

It imports nothing else of ours that is heavy, so that a report without a model needs no PyTorch.
"""

import io
from typing import Any

from retrieval.errors import import_extra

INK, FAINT, RULE, PAPER = "#22201e", "#7a766f", "#dcd7cf", "#ffffff"
LEARNED_COLOUR, OTHER_COLOUR, RANDOM_COLOUR = "#225648", "#c2b6a6", "#c0714f"
STYLE = {
    "font.size": 10, "axes.labelsize": 9.5,
    "axes.edgecolor": RULE, "axes.labelcolor": INK, "text.color": INK, "xtick.color": FAINT,
    "ytick.color": FAINT, "axes.spines.top": False, "axes.spines.right": False, "svg.fonttype": "none",
    "axes.titlelocation": "left", "axes.titlesize": 11, "figure.facecolor": PAPER, "svg.hashsalt": "labels",
    "xtick.major.size": 0, "ytick.major.size": 0, "axes.axisbelow": True, "grid.color": RULE, "grid.linewidth": 0.6,
    "figure.constrained_layout.use": True,
}  # fmt: skip


def require_plots() -> Any:
    """The library that draws.

    Raises:
        MissingExtraError: it is not installed.
    """
    matplotlib = import_extra("matplotlib", "report")
    matplotlib.use("Agg")
    return import_extra("matplotlib.pyplot", "report")


def svg_of(plt: Any, figure: Any) -> str:
    """The figure as an SVG element without a prolog and without a date."""
    file = io.StringIO()
    figure.savefig(file, format="svg", metadata=dict.fromkeys(("Date", "Creator", "Format", "Type")))
    plt.close(figure)
    text = file.getvalue()
    return text[text.index("<svg") :]


def png_of(plt: Any, figure: Any, dpi: int = 160) -> bytes:
    """The figure as a PNG."""
    file = io.BytesIO()
    figure.savefig(file, format="png", dpi=dpi)
    plt.close(figure)
    return file.getvalue()
