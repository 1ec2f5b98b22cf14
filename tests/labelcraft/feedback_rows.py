"""Rows of feedback for the tests of labels: made by hand, drawn, or real."""

import numpy as np
import polars as pl

from labelcraft.feedback import Feedback
from tests.data import data_folder


def feedback(watch_s, duration_s, engaged=None):
    """One row for each number; one kind of explicit feedback."""
    given = np.zeros(len(watch_s), np.bool_) if engaged is None else np.asarray(engaged, np.bool_)
    return Feedback(np.asarray(watch_s, np.float64), np.asarray(duration_s, np.float64), given[:, None], ("liked",))


def drawn(n_rows, seed):
    """A skewed log with ties, replays and unknown durations."""
    rng = np.random.default_rng(seed)
    duration_s = np.exp(rng.normal(3.0, 0.9, n_rows)).round(1)
    watch_s = (duration_s * rng.gamma(1.2, 0.7, n_rows)).round(1)
    return feedback(watch_s, np.where(rng.random(n_rows) < 0.2, 0.0, duration_s), rng.random(n_rows) < 0.1)


def real_rows():
    """The KuaiRand rows in the order of time, or skip."""
    table = pl.read_csv(data_folder("kuairand") / "feed_27k_liked_or_hated.tsv", separator="\t").sort("time_ms")
    kinds = ("is_follow", "is_comment", "is_forward")
    seconds = table.select(pl.col("play_time_ms", "duration_ms") / 1000).to_numpy()
    return Feedback(seconds[:, 0].copy(), seconds[:, 1].copy(), table.select(kinds).to_numpy() > 0, kinds)
