"""The classic labels and the ranking metrics at the size of a real feed.

Ten million rows are drawn with a seed: durations of a lognormal in milliseconds, a fifth of them unknown, watch times a
share of the duration with replays. Memory is the peak of what fitting and transforming allocate while the rows are
there, in units of one column of float64.
"""

import time
import tracemalloc
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from benchmarks.report import Figure, run
from labelcraft.feedback import Feedback
from labelcraft.labels.protocol import unit_labels
from labelcraft.labels.registry import make_label
from retrieval.metrics.ranking import gain_at_k, spread_at_k

TEN_MILLION = 10_000_000
SIZES = {TEN_MILLION: "ten_million", 1_000_000: "million"}
K = 10


@dataclass(frozen=True)
class Cost:
    """Seconds to fit and to transform, and the peak of what both allocate."""

    fit_s: float
    transform_s: float
    peak_bytes: int


def make_feedback(n_rows: int, seed: int = 0) -> Feedback:
    """Rows of a feed as large as asked for; watch times and durations are whole milliseconds, as logs hold them."""
    rng = np.random.default_rng(seed)
    duration_s = np.exp(rng.normal(3.2, 0.9, n_rows)).round(3)
    watch_s = (duration_s * rng.gamma(1.2, 0.7, n_rows)).round(3)
    duration_s[rng.random(n_rows) < 0.185] = 0.0
    return Feedback(watch_s, duration_s, np.zeros((n_rows, 1), np.bool_), ("like",))


def cost_of(name: str, n_rows: int) -> Cost:
    """What the label called *name* costs on so many rows, all of which it is fitted on."""
    feedback = make_feedback(n_rows)
    unit_labels(make_label(name).fit(feedback[:1000]), feedback[:1000])  # what is imported once is not the label's
    tracemalloc.start()
    started = time.perf_counter()
    label = make_label(name).fit(feedback)
    fitted = time.perf_counter()
    label.transform(feedback)
    ended, peak_bytes = time.perf_counter(), tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    return Cost(fitted - started, ended - fitted, peak_bytes)


def measure(quick: bool) -> list[Figure]:
    """A million rows in the quick run, ten million otherwise."""
    n_rows = 1_000_000 if quick else TEN_MILLION
    figures = []
    for name in ("D2Q",) if quick else ("D2Q", "DVR", "PCR"):
        figures += label_figures(name, n_rows)
    return [*figures, *metric_figures(1_000_000, 20_000)]


def label_figures(name: str, n_rows: int) -> list[Figure]:
    """Time and memory of one label."""
    cost = cost_of(name, n_rows)
    size, rows = f"{name.lower()}_{SIZES[n_rows]}", f"{n_rows} rows"
    return [
        Figure(f"{size}_seconds", cost.transform_s, "s", "lower", f"transform of {rows}, one thread"),
        Figure(f"{size}_fit_seconds", cost.fit_s, "s", "lower", f"fit on {rows}, one thread"),
        Figure(
            f"{size}_memory_columns", cost.peak_bytes / (8 * n_rows), "columns", "lower",
            f"peak of both above the rows, over {8 * n_rows / 1e6:.0f} MB, the result among them",
        ),
    ]  # fmt: skip


def metric_figures(n_rows: int, n_users: int) -> list[Figure]:
    """Time of each metric over users of unequal numbers of candidates."""
    rng = np.random.default_rng(1)
    lengths = rng.multinomial(n_rows - (K + 1) * n_users, np.full(n_users, 1 / n_users)) + K + 1
    offsets = np.concatenate([[0], np.cumsum(lengths)])
    feedback, scores = make_feedback(n_rows), rng.random(n_rows)
    detail = f"{n_rows} candidates of {n_users} users, least of three"
    gain = _least(lambda: gain_at_k(feedback.watch_s, scores, offsets, K))
    spread = _least(lambda: spread_at_k(feedback.duration_s, scores, offsets, K))
    return [
        Figure("gain_million_seconds", gain, "s", "lower", detail),
        Figure("spread_million_seconds", spread, "s", "lower", detail),
    ]


def _least(call: Callable[[], object]) -> float:
    times = []
    for _ in range(3):
        started = time.perf_counter()
        call()
        times.append(time.perf_counter() - started)
    return min(times)


if __name__ == "__main__":
    run(measure, __doc__.splitlines()[0])
