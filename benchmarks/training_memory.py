"""What training keeps in memory as a log grows: bytes a row, by a given label and by one that is learned.

Each size is trained for one epoch in a process of its own, from a log made in memory: videos, users and feedback drawn
with a seed. The log stays there, as columns; all else must be flat. Reported is what a row adds to the process's peak.
"""

import resource
import subprocess
import sys
from collections.abc import Sequence

import numpy as np

from benchmarks.labels import make_feedback
from benchmarks.report import Figure, run
from labelcraft.dataset import Dataset, Field, Items, Log
from labelcraft.learners import Crafting, Learner, Supervised
from labelcraft.options import CraftOptions, TrainOptions
from labelcraft.runs import given_labels
from labelcraft.splits import DAY_US, Split, SplitOptions, split_dataset
from labelcraft.train import train

ROWS_A_USER, N_VIDEOS, DAYS = 200, 50_000, (8, 3, 3)
OPTIONS = TrainOptions(backbone="two_tower", batch_size=8192, max_epochs=1)
SMALL, LARGE = (250_000, 1_000_000), (1_000_000, 4_000_000)


def make_dataset(n_rows: int, seed: int = 0) -> Dataset:
    """A log of *n_rows* over two weeks."""
    rng = np.random.default_rng(seed)
    n_users = n_rows // ROWS_A_USER
    user, time_us = rng.integers(1, n_users + 1, n_rows), rng.integers(0, sum(DAYS) * DAY_US, n_rows)
    order = np.lexsort((time_us, user))
    item = rng.integers(1, N_VIDEOS + 1, n_rows)
    codes = np.zeros((N_VIDEOS + 1, 2), np.int32)
    codes[1:, 0], codes[1:, 1] = np.arange(2, N_VIDEOS + 2), 2
    fields = (Field("video", N_VIDEOS + 2), Field("duration", 3))
    items = Items(np.arange(N_VIDEOS).astype(np.str_), fields, codes, np.full(N_VIDEOS + 1, 9.0))
    ids = np.arange(n_users).astype(np.str_)
    return Dataset(Log(ids, user[order], item, time_us[order], make_feedback(n_rows)), items)


def peak_of(name: str, n_rows: int) -> float:
    """The peak of this process in bytes, after one epoch."""
    split = split_dataset(make_dataset(n_rows), SplitOptions(DAYS))
    train(split, _learner(name, split), OPTIONS)
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024.0


def _learner(name: str, split: Split) -> Learner:
    if name == "LabelCraft":
        return Crafting(split, OPTIONS, CraftOptions())
    return Supervised(split, given_labels(name, split), OPTIONS)


def measure(quick: bool) -> Sequence[Figure]:
    """Both sizes of both learners."""
    sizes = SMALL if quick else LARGE
    return [figure for name in ("D2Q", "LabelCraft") for figure in _figures(name, sizes)]


def _figures(name: str, sizes: tuple[int, int]) -> list[Figure]:
    few, many = (_in_a_process(name, n_rows) for n_rows in sizes)
    detail = f"{sizes[0]:,} and {sizes[1]:,} rows, one epoch, batches of {OPTIONS.batch_size:,}"
    return [
        Figure(f"{name.lower()}_bytes_a_row", (many - few) / (sizes[1] - sizes[0]), "B", "lower", detail),
        Figure(f"{name.lower()}_peak_gb", many / 1e9, "GB", "lower", f"{sizes[1]:,} rows, the whole process"),
    ]


def _in_a_process(name: str, n_rows: int) -> float:
    command = [sys.executable, "-m", "benchmarks.training_memory", "--child", name, str(n_rows)]
    return float(subprocess.run(command, check=True, capture_output=True, text=True).stdout)


if __name__ == "__main__":
    if sys.argv[1:2] == ["--child"]:
        print(peak_of(sys.argv[2], int(sys.argv[3])))
    else:
        run(measure, __doc__.splitlines()[0])
