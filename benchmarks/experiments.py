"""The analysis of experiments on users whose truth is known: false alarms, coverage, what CUPED saves, and its speed.

A user's activity is lognormal, so a few users make much of the log; they open feeds, start videos, and watch shares of
them by a taste of their own. Activity and taste are the same in the time before, so that time can explain part of what
users do. In an A/A experiment both buckets are drawn alike; each experiment draws its users anew.
"""

import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl

from benchmarks.report import Figure, run
from labelcraft.experiments import metrics as m
from labelcraft.experiments.analysis import Analysis, Options, Row, analyse
from labelcraft.experiments.counts import Counts, Source, count
from labelcraft.experiments.metrics import parse_guards
from labelcraft.experiments.uplift import Floats
from retrieval.tables import Columns as C

N_SIMULATIONS, N_USERS, UPLIFT = 1000, 2000, 0.2
DAY_US = 86_400_000_000
FIRST_US = 20_000 * DAY_US
SLOTS = 10


@dataclass(frozen=True)
class Population:
    """Users of one bucket: what they do in a period, by column, and what they did in the one before."""

    during: Mapping[str, Floats]
    before: Mapping[str, Floats]


def draw_users(n_users: int, uplift: float, rng: np.random.Generator) -> Population:
    """Users of whom those in a bucket with *uplift* watch so many more videos; all else is as before."""
    activity, taste = np.exp(rng.normal(0.0, 0.9, n_users)), 0.8 * rng.beta(2.0, 5.0, n_users)
    return Population(_period(activity, taste, uplift, rng), _period(activity, taste, 0.0, rng))


def _period(activity: Floats, taste: Floats, uplift: float, rng: np.random.Generator) -> Mapping[str, Floats]:
    feeds = 1 + rng.poisson(3 * activity)
    starts = rng.poisson(6.0 * feeds)
    half = rng.binomial(starts, taste * (1 + uplift))
    quarter = half + rng.binomial(starts - half, 0.3 * taste)
    watch_s = rng.gamma(np.maximum(0.5 * starts + 10.0 * half, 1e-9), 1.0)
    skips = rng.binomial(starts - quarter, 0.4)
    sums = (feeds, starts, starts, quarter, half, watch_s, skips, 20.0 * starts)
    return {name: np.asarray(column, np.float64) for name, column in zip(m.SUMS, sums, strict=True)}


def draw_experiment(n_users: int, uplift: float, seed: int, *, with_before: bool = False) -> Counts:
    """An experiment on *n_users*, each in A or B by a coin, with the given *uplift* of B."""
    rng = np.random.default_rng(seed)
    n_b = int(rng.binomial(n_users, 0.5))
    arms = [draw_users(n_users - n_b, 0.0, rng), draw_users(n_b, uplift, rng)]
    during = {name: np.concatenate([arm.during[name] for arm in arms]) for name in m.SUMS}
    before = {name: np.concatenate([arm.before[name] for arm in arms]) for name in m.SUMS}
    bucket = np.repeat([0, 1], [n_users - n_b, n_b])
    was_there = np.full(n_users, with_before)
    return Counts(
        "simulated", ("A", "B"), bucket, during, before if with_before else None, was_there, 0, (), 0, {}, 0, 0, 0
    )  # fmt: skip


def simulate(n_simulations: int, n_users: int, uplift: float, *, with_before: bool = False) -> list[Analysis]:
    """So many experiments, each with its seed."""
    options = Options(n_resamples=0)
    return [
        analyse(draw_experiment(n_users, uplift, seed, with_before=with_before), (), options)
        for seed in range(n_simulations)
    ]


def rows_of(analyses: Sequence[Analysis], key: str) -> list[Row]:
    """One metric of all experiments."""
    return [row for analysis in analyses for row in analysis.rows if row.metric.key == key]


def significant_share(rows: Sequence[Row]) -> float:
    """In how many experiments the interval leaves out zero, before any correction for the number of metrics."""
    return float(np.mean([row.shown.low > 0 or row.shown.high < 0 for row in rows]))


def coverage(rows: Sequence[Row], truth: float) -> float:
    """In how many experiments the interval holds the truth."""
    return float(np.mean([row.shown.low <= truth <= row.shown.high for row in rows]))


def write_log(folder: Path, n_rows: int, n_users: int, seed: int = 0, uplift: float = UPLIFT) -> Source:
    """A log of *n_rows* slots in feeds of ten, the second half of it an experiment, and its videos."""
    rng = np.random.default_rng(seed)
    lengths = np.exp(rng.normal(3.0, 0.6, 10_000))
    feed = np.arange(n_rows) // SLOTS
    activity = np.cumsum(np.exp(rng.normal(0.0, 0.9, n_users)))
    user = np.searchsorted(activity / activity[-1], rng.random(feed[-1] + 1))[feed]
    taste, in_b = 0.8 * rng.beta(2.0, 5.0, n_users), rng.random(n_users) < 0.5
    time_us = FIRST_US + feed * (14 * DAY_US // (feed[-1] + 1))
    is_on, video = time_us >= FIRST_US + 7 * DAY_US, rng.integers(len(lengths), size=n_rows)
    likes = rng.random(n_rows) < taste[user] * (1 + uplift * (in_b[user] & is_on))
    reached = np.arange(n_rows) % SLOTS < 1 + rng.poisson(6, feed[-1] + 1)[feed]
    watch_s = np.where(likes, 0.5 + 0.5 * rng.random(n_rows), 0.5 * rng.random(n_rows) ** 2) * lengths[video]
    texts = pl.int_range(max(n_rows, n_users, len(lengths)), eager=True).cast(pl.String)
    pl.DataFrame(
        {
            C.FEED_ID: texts.gather(feed),
            C.USER_ID: texts.gather(user),
            C.VIDEO_ID: texts.gather(video),
            C.POSITION: np.arange(n_rows) % SLOTS + 1,
            C.SHOWN_AT: pl.Series(time_us).cast(pl.Datetime("us", "UTC")),
            C.REACHED: reached,
            C.WATCH_TIME_S: pl.Series(watch_s).set(pl.Series(~reached), None),
            C.BUCKET: pl.Series(np.where(in_b[user], "B", "A")).set(pl.Series(~is_on), None),
        }
    ).write_parquet(folder / "impressions.parquet")
    published = pl.Series([FIRST_US] * len(lengths)).cast(pl.Datetime("us", "UTC"))
    ids = texts.head(len(lengths))
    videos = {C.VIDEO_ID: ids, C.URI: ids, C.PUBLISHED_AT: published, C.DURATION_S: lengths}
    pl.DataFrame(videos).write_parquet(folder / "videos.parquet")
    return Source(
        folder / "impressions.parquet", folder / "videos.parquet", None, None, FIRST_US + 7 * DAY_US, None,
        FIRST_US + 15 * DAY_US,
    )  # fmt: skip


def measure(quick: bool) -> list[Figure]:
    """Fewer simulations and a tenth of the log in the quick run."""
    n_simulations, n_rows = (200, 1_000_000) if quick else (N_SIMULATIONS, 10_000_000)
    return [*truth_figures(n_simulations), *speed_figures(n_rows)]


def truth_figures(n_simulations: int, n_users: int = N_USERS) -> list[Figure]:
    """False alarms without an effect, coverage with one, and how much narrower CUPED makes the intervals."""
    nulls, moved = (simulate(n_simulations, n_users, uplift) for uplift in (0.0, UPLIFT))
    adjusted_nulls = simulate(n_simulations, n_users, 0.0, with_before=True)
    adjusted = rows_of(simulate(n_simulations, n_users, UPLIFT, with_before=True), m.PRIMARY)
    detail = f"{n_simulations} experiments of {n_users} users, seeds 0 to {n_simulations - 1}"
    keys = [row.metric.key for row in nulls[0].rows]
    every = ", ".join(f"{key} {significant_share(rows_of(nulls, key)):.3f}" for key in keys)
    narrower = np.mean([(row.shown.se / row.plain.se) ** 2 for row in adjusted])
    return [
        Figure(
            "aa_significant_share", significant_share(rows_of(nulls, m.PRIMARY)), "share", "0.05", f"{detail}: {every}"
        ),
        Figure(
            "aa_cuped_significant_share", significant_share(rows_of(adjusted_nulls, m.PRIMARY)), "share", "0.05", detail
        ),
        Figure(
            "uplift_coverage", coverage(rows_of(moved, m.PRIMARY), UPLIFT), "share", "0.95", f"{detail}, uplift 20 %"
        ),
        Figure("uplift_cuped_coverage", coverage(adjusted, UPLIFT), "share", "0.95", f"{detail}, uplift 20 %"),
        Figure("cuped_variance_left", float(narrower), "share", "lower", f"{detail}, of the variance without it"),
    ]


def speed_figures(n_rows: int) -> list[Figure]:
    """From the log to what it says, a bootstrap of 1,000 resamples included."""
    n_users = n_rows // 50
    with tempfile.TemporaryDirectory() as folder:
        source = write_log(Path(folder), n_rows, n_users)
        started = time.perf_counter()
        counts = count(source)
        counted_s = time.perf_counter() - started
        analyse(counts, parse_guards(None, ()))
        analysed_s = time.perf_counter() - started - counted_s
    detail = f"{n_rows} impressions, half of them before, {n_users} users, guards and CUPED, 1,000 resamples"
    return [
        Figure("count_seconds", counted_s, "s", "lower", detail),
        Figure("analyse_seconds", analysed_s, "s", "lower", detail),
    ]


if __name__ == "__main__":
    run(measure, __doc__.splitlines()[0])
