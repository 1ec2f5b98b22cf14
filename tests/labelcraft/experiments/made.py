"""Sums of users made without a log."""

import numpy as np

from labelcraft.experiments import metrics as m
from labelcraft.experiments.counts import Counts


def make_counts(arms, *, before=None, was_there=None, crossed=0, left_out=(), unlengthed=None, **columns):
    """An experiment whose users watched so many of ten videos each to the half: *arms* by bucket, and more by column.

    *before* by bucket is what they watched of ten in the time before.
    """
    buckets = tuple(sorted(arms))
    half = np.concatenate([np.asarray(arms[bucket], np.float64) for bucket in buckets])
    n = len(half)
    sums = {
        m.FEEDS: np.full(n, 2.0), m.STARTS: np.full(n, 10.0), m.KNOWN: np.full(n, 10.0), m.WATCHED_25: half,
        m.WATCHED_50: half, m.WATCH_S: half, m.SKIPS: 10 - half, m.LENGTH_S: np.full(n, 200.0),
    }  # fmt: skip
    past = None
    if before is not None:
        watched = np.concatenate([np.asarray(before[bucket], np.float64) for bucket in buckets])
        past = {**sums, m.WATCHED_25: watched, m.WATCHED_50: watched, m.WATCH_S: watched}
    return Counts(
        "spring",
        buckets,
        np.repeat(np.arange(len(buckets)), [len(arms[bucket]) for bucket in buckets]),
        sums | {name: np.asarray(column, np.float64) for name, column in columns.items()},
        past,
        np.full(n, before is not None) if was_there is None else np.asarray(was_there),
        10 * n,
        tuple(left_out),
        crossed,
        unlengthed or dict.fromkeys(buckets, 0),
        1_740_000_000_000_000,
        1_741_000_000_000_000,
        0,
    )


def spread(mean, n=200):
    """Users whose mean is exactly *mean*, one above it and one below it in turn."""
    return np.full(n, mean) + np.tile([-1.0, 1.0], n // 2)
