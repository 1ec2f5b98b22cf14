"""The rows and models of LabelCraft's benchmark: synthetic, of the paper's sizes, the same for every way."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
import torch
from torch import Tensor

from labelcraft.batches import Inputs, UserBatch
from labelcraft.bilevel import Batch, Inner, loss
from labelcraft.dataset import Field, Items
from labelcraft.models.factory import make_model
from labelcraft.models.labeler import FeedbackTensors, InputScales, Labeler
from labelcraft.models.recommender import Recommender
from labelcraft.objectives import Objective, Scale

Made = TypeVar("Made")
K = 10
N_VIDEOS, N_USERS, N_BUCKETS, N_TAGS, HISTORY = 46_628, 989, 92, 785, 100  # of the paper's larger data set
SCALES = InputScales(Scale(50.0, 800.0, 0.2), Scale(235.0, 3600.0, 0.2))
INNER = Inner(0.1)


@dataclass(frozen=True)
class Size:
    """*batch* rows to train on, *users* of *rows* hold-out rows each, and *iterations* of the published transport."""

    batch: int = 4096
    users: int = 494
    rows: int = 60
    iterations: int = 1000


QUICK = Size(batch=512, users=50, iterations=200)


@dataclass(frozen=True)
class Setting:
    """The same rows and models for every way."""

    model: Recommender
    labeler: Labeler
    batch: Batch
    holdout: UserBatch
    objective: Objective
    size: Size

    def parameters(self) -> dict[str, Tensor]:
        return dict(self.model.named_parameters())


def make_setting(size: Size, seed: int = 0) -> Setting:
    """Synthetic rows of the paper's sizes; histories are full, and their videos drawn evenly."""
    rng = np.random.default_rng(seed)
    model = make_model("din", make_items(rng), N_USERS, seed=seed)
    feedback = FeedbackTensors(
        torch.from_numpy(rng.gamma(1.0, 30.0, size.batch).astype(np.float32)),
        torch.from_numpy(rng.gamma(2.0, 60.0, size.batch).astype(np.float32)),
        torch.from_numpy((rng.random((size.batch, 3)) < 0.05).astype(np.float32)),
    )
    batch = Batch(make_inputs(rng, rng.integers(1, N_USERS + 1, size.batch)), feedback)
    holdout = make_users(rng, size.users, size.rows)
    return Setting(model, Labeler(3, SCALES, seed=seed), batch, holdout, Objective(K), size)


def make_items(rng: np.random.Generator) -> Items:
    """Videos with a duration bucket and a tag."""
    codes = np.zeros((N_VIDEOS + 1, 3), np.int32)
    codes[1:, 0] = np.arange(N_VIDEOS) + 2
    codes[1:, 1] = rng.integers(2, N_BUCKETS + 2, N_VIDEOS)
    codes[1:, 2] = rng.integers(2, N_TAGS + 2, N_VIDEOS)
    fields = (Field("video", N_VIDEOS + 2), Field("bucket", N_BUCKETS + 2), Field("tag", N_TAGS + 2))
    return Items(np.arange(N_VIDEOS).astype(np.str_), fields, codes, np.zeros(N_VIDEOS + 1))


def make_inputs(rng: np.random.Generator, user: np.ndarray) -> Inputs:
    """Rows of *user* `(n,)` with a video and a history each."""
    item, history = (rng.integers(1, N_VIDEOS + 1, shape) for shape in (len(user), (len(user), HISTORY)))
    return Inputs(torch.from_numpy(user), torch.from_numpy(item), torch.from_numpy(history))


def make_users(rng: np.random.Generator, n_users: int, n_rows: int) -> UserBatch:
    """Users with the same number of rows each."""
    user = np.repeat(rng.permutation(N_USERS)[:n_users] + 1, n_rows)
    shape = (n_users, n_rows)
    grids = (rng.random(shape), rng.random(shape), rng.random(shape) < 0.05)
    return UserBatch(
        make_inputs(rng, user),
        torch.arange(len(user)),
        shape,
        torch.ones(shape, dtype=torch.bool),
        *(torch.from_numpy(grid.astype(np.float32)) for grid in grids),
    )


def pulled(logits: Tensor, labels: Tensor, parameters: dict[str, Tensor]) -> dict[str, Tensor]:
    found = torch.autograd.grad(loss(logits, labels, INNER.head), list(parameters.values()), retain_graph=True)
    return dict(zip(parameters, found, strict=True))


class Watch:
    """Calls, and remembers how long each took."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}

    def __call__(self, name: str, act: Callable[[], Made]) -> Made:
        started = time.perf_counter()
        made = act()
        self.seconds[name] = self.seconds.get(name, 0.0) + time.perf_counter() - started
        return made
