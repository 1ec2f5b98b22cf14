"""Runs written by hand: what the tests of the report stand on."""

from pathlib import Path

import numpy as np
import polars as pl

from labelcraft.report.about import About
from labelcraft.runs import Run
from retrieval.tables import Columns as C

USERS = ("ann", "bob", "cem", "dia")


def run(name, seed, nwtg, ds=(1.0, 1.0, 1.0, 1.0), neg=(0.5, 0.5, 0.5, 0.5), epochs=3, durations=(10.0,), best=2):
    """A run whose users have these values, None where there is nothing to gain."""
    users = {C.USER_ID: USERS[: len(nwtg)], "nwtg": nwtg, "ds": ds[: len(nwtg)], "neg": neg[: len(nwtg)]}
    curve = tuple({"criterion": 0.1 * number, "may_be_best": True} for number in range(1, epochs + 1))
    top = pl.DataFrame({C.DURATION_S: list(durations)})
    return Run(name, seed, curve, best if epochs else 0, 2.0, pl.DataFrame(users), top, Path(f"runs/{name}/{seed}"))


def about(k=10, max_epochs=60):
    """A comparison of a shop's log."""
    options = {
        "k": k, "max_epochs": max_epochs, "patience": 5, "backbone": "two_tower", "learning_rate": 1e-3,
        "batch_size": 1024, "weight_decay": 1e-6,
    }  # fmt: skip
    rows = {"train": 9000, "holdout": 800, "stop": 700, "test": 1500}
    return About("impressions", "shop", {"days": [8, 3, 3]}, rows, 4, options, {"tau": 0.5}, {})


def random_runs(name, seeds, mean, n=200, **others):
    """Runs of many users, so that intervals are narrow: values around *mean* in all metrics."""
    rng = np.random.default_rng(0)  # the same users for every name
    base = rng.normal(0.0, 0.1, n)
    return [_wide(name, seed, base + mean + 0.001 * seed, **others) for seed in seeds]


def _wide(name, seed, values, **others):
    made = run(name, seed, (0.0,), **others)
    ids = [f"u{i:03d}" for i in range(len(values))]
    users = pl.DataFrame({C.USER_ID: ids, "nwtg": values, "ds": values + 3, "neg": values})
    return Run(name, seed, made.epochs, made.best_epoch, made.seconds, users, made.top, made.folder)
