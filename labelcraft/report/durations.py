"""The paper's figure 2 as numbers: how long the videos are that a label's lists hold."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import polars as pl

from labelcraft.feedback import Floats
from labelcraft.report.aligned import Group, Trained
from retrieval.tables import Columns as C

RANDOM = "random"
N_BINS, LAST = 24, 0.99


@dataclass(frozen=True)
class Histogram:
    """The share of a name's listed videos in each bin, `(n_bins,)`; what is longer than the last edge is in *above*."""

    name: str
    shares: tuple[float, ...]
    above: float
    mean_s: float


@dataclass(frozen=True)
class Durations:
    """Histograms over common *edges_s* `(n_bins + 1,)`, and that of lists drawn at random from the candidates."""

    edges_s: tuple[float, ...]
    candidates: Histogram | None
    lists: tuple[Histogram, ...]


def duration_histograms(trained: Mapping[str, Trained]) -> Durations:
    """Of every label, its seeds together. The edges end where all but a hundredth of the random lists' videos do."""
    known = trained.get(RANDOM)
    every = {name: durations_of(one) for name, one in trained.items() if one.group is Group.LABEL}
    base = durations_of(known) if known else np.concatenate(list(every.values()))
    edges = _edges(base)
    candidates = histogram_of(RANDOM, base, edges) if known else None
    lists = tuple(histogram_of(name, values, edges) for name, values in every.items())
    return Durations(tuple(edges.tolist()), candidates, lists)


def histogram_of(name: str, durations_s: Floats, edges_s: Floats) -> Histogram:
    """Shares of all *durations_s* `(n,)`, so that what lies above the last edge is not lost silently."""
    counts, _ = np.histogram(durations_s, edges_s)
    n = max(1, len(durations_s))
    above = float((durations_s > edges_s[-1]).sum()) / n
    return Histogram(name, tuple((counts / n).tolist()), above, float(durations_s.mean()))


def durations_of(one: Trained) -> Floats:
    """The durations of all listed videos, in seconds."""
    return pl.concat([run.top[C.DURATION_S] for run in one.runs]).cast(pl.Float64).to_numpy()


def _edges(durations_s: Floats) -> Floats:
    """Whole seconds where they fit: bins that cut seconds apart make combs of rounded durations."""
    width = max(1.0, float(np.ceil(np.quantile(durations_s, LAST) / N_BINS)))
    n_bins = int(np.ceil(np.quantile(durations_s, LAST) / width)) or 1
    return np.arange(n_bins + 1, dtype=np.float64) * width
