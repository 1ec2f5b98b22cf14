"""A few videos, users and rows, for models and for the step."""

import numpy as np
import torch

from labelcraft.batches import Inputs, UserBatch
from labelcraft.bilevel import Batch
from labelcraft.dataset import Field, Items
from labelcraft.models.factory import make_model
from labelcraft.models.labeler import FeedbackTensors, InputScales, Labeler
from labelcraft.models.recommender import Recommender
from labelcraft.objectives import Scale

N_ITEMS, N_USERS, HISTORY = 30, 7, 6
SCALES = InputScales(Scale(40.0, 300.0, 0.2), Scale(60.0, 400.0, 0.3))


def items() -> Items:
    """Videos with a duration bucket and a tag."""
    rng = np.random.default_rng(0)
    codes = np.zeros((N_ITEMS + 1, 3), np.int32)
    codes[1:] = np.stack([np.arange(N_ITEMS) + 2, rng.integers(2, 6, N_ITEMS), rng.integers(2, 9, N_ITEMS)], axis=1)
    fields = (Field("video", N_ITEMS + 2), Field("bucket", 6), Field("tag", 9))
    return Items(np.array([f"v{i}" for i in range(N_ITEMS)]), fields, codes, np.zeros(N_ITEMS + 1))


def model(name: str, tasks: int = 1) -> Recommender:
    """A model whose every parameter is away from its start, so that none is without effect."""
    made = make_model(name, items(), N_USERS, tasks, seed=1).double()
    generator = torch.Generator().manual_seed(2)
    with torch.no_grad():
        for parameter in made.parameters():
            parameter += 0.1 * torch.randn(parameter.shape, generator=generator, dtype=torch.float64)
        for embedding in (made.users, *made.items.fields):
            embedding.weight[0] = 0
    return made


def inputs(n: int, seed: int = 0) -> Inputs:
    """Rows with histories of 0 to *HISTORY* videos, the newest first."""
    rng = np.random.default_rng(seed)
    lengths = rng.integers(0, HISTORY + 1, n)
    history = rng.integers(1, N_ITEMS + 1, (n, HISTORY)) * (np.arange(HISTORY) < lengths[:, None])
    user, item = rng.integers(1, N_USERS + 1, n), rng.integers(1, N_ITEMS + 1, n)
    return Inputs(torch.from_numpy(user), torch.from_numpy(item), torch.from_numpy(history))


def feedback(n: int, seed: int = 0) -> FeedbackTensors:
    """Watch times, durations, and two kinds of explicit feedback."""
    rng = np.random.default_rng(seed)
    columns = (rng.gamma(1.0, 30.0, n), rng.gamma(2.0, 30.0, n), rng.random((n, 2)) < 0.3)
    return FeedbackTensors(*(torch.as_tensor(column, dtype=torch.float64) for column in columns))


def batch(n: int, seed: int = 0) -> Batch:
    return Batch(inputs(n, seed), feedback(n, seed))


def labeler() -> Labeler:
    return Labeler(2, SCALES, seed=3).double()


def holdout(counts: tuple[int, ...], seed: int = 5) -> UserBatch:
    """Users with that many rows each."""
    rng = np.random.default_rng(seed)
    width = max(counts)
    mask = np.arange(width) < np.array(counts)[:, None]
    grids = [rng.random(mask.shape) * mask, rng.random(mask.shape) * mask, (rng.random(mask.shape) < 0.3) * mask]
    slot = torch.from_numpy(np.flatnonzero(mask))
    return UserBatch(
        inputs(int(mask.sum()), seed),
        slot,
        mask.shape,
        torch.from_numpy(mask),
        *(torch.as_tensor(grid, dtype=torch.float64) for grid in grids),
    )
