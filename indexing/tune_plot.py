"""The picture of a tuning: recall against latency."""

from pathlib import Path
from typing import Any

from indexing.tune import Limits, Measured, Tuning
from retrieval.errors import import_extra

MARKS = {"faiss-fp32": "s", "faiss-fp16": "o", "faiss-int8": "D", "faiss-ivf": "^", "faiss-hnsw": "v"}
BELOW, ABOVE = (4, -12), (-4, 6)  # of a point, where its option is written: lists below, graphs above


def require_plots() -> Any:
    """The library that draws.

    Raises:
        MissingExtraError: it is not installed.
    """
    matplotlib = import_extra("matplotlib", "report")
    matplotlib.use("Agg")
    return import_extra("matplotlib.pyplot", "report")


def plot_tuning(tuning: Tuning, limits: Limits, path: Path) -> None:
    """Draw recall against the median latency of every index measured, and the recall asked for, to *path*."""
    plt = require_plots()
    figure, axes = plt.subplots(figsize=(9, 5), layout="constrained")
    for family in dict.fromkeys(one.kind.partition(":")[0] for one in tuning.measured):
        _draw_family(axes, family, [one for one in tuning.measured if one.kind.partition(":")[0] == family])
    axes.axhline(limits.min_recall, color="grey", linestyle=":", linewidth=1, label=f"recall {limits.min_recall:g}")
    axes.set_xscale("log")
    for axis_ticks in (axes.xaxis.set_major_formatter, axes.xaxis.set_minor_formatter):
        axis_ticks(lambda ms, _: f"{ms:g}" if f"{ms:e}"[0] in "125" else "")  # 0.1, 0.2, 0.5, 1 … in full
    axes.set_xlabel("median latency of one query on one thread, ms")
    axes.set_ylabel(f"recall@{tuning.k} against exact search")
    axes.set_title(f"{tuning.n_eligible:,} of {tuning.n_videos:,} videos eligible, {tuning.dim} dimensions")
    axes.margins(0.08, 0.1)
    latencies = [one.p50_ms for one in tuning.measured]
    axes.set_xlim(min(latencies) / 2, max(latencies) * 2)  # a factor of four at least: two of the ticks above show
    axes.grid(alpha=0.3, which="both")
    figure.legend(loc="outside right upper")
    figure.savefig(path, dpi=120)
    plt.close(figure)


def _draw_family(axes: Any, family: str, measured: list[Measured]) -> None:
    """A line for the index and a number at each point, the value of the option that the legend names."""
    option = measured[0].kind.partition(":")[2].partition("=")[0]
    x, y = [one.p50_ms for one in measured], [one.recall for one in measured]
    axes.plot(x, y, marker=MARKS.get(family, "o"), markersize=7, label=f"{family}, {option}" if option else family)
    offset, side = (ABOVE, "right") if family == "faiss-hnsw" else (BELOW, "left")
    for one in measured:
        value = one.kind.partition("=")[2]
        axes.annotate(value, (one.p50_ms, one.recall), offset, textcoords="offset points", fontsize=8, ha=side)
