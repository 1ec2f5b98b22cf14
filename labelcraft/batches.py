"""Rows of a log as tensors: what recommenders read, and users' rows as padded grids for the sub-objectives.

A part of a log is taken as `log[rows]` with `histories[rows]`: the videos of the histories are shared, not copied.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from labelcraft.dataset import HISTORY_LENGTH, Histories, Ints, Log
from labelcraft.feedback import Floats

Scale = Callable[[Floats], Floats]


@dataclass(frozen=True)
class Inputs:
    """What a recommender reads of n rows, all int64: *user* `(n,)`, *item* `(n,)` and *history* `(n, h)`.

    *user* is a row of the users' embedding, 0 for one that training never saw. *item* and *history* are numbers of
    `Items`, the newest first, 0 beyond the history's end. h is the longest history of these rows, at least 1.
    """

    user: Tensor
    item: Tensor
    history: Tensor

    def __len__(self) -> int:
        return len(self.user)

    def to(self, device: torch.device | str) -> "Inputs":
        """The same on *device*."""
        return Inputs(self.user.to(device), self.item.to(device), self.history.to(device))


@dataclass(frozen=True)
class UserBatch:
    """All rows of U users as one flat batch, and where each stands in a grid of N columns, N the most rows of a user.

    *inputs* has n_rows rows; *slot* `(n_rows,)` int64 is each row's place in the flattened `(U, N)` grid, of which
    *mask* tells the filled places. *watch*, *duration* (scaled by eq. 11) and *engaged* (0 or 1) are `(U, N)` float32,
    0 where the grid is empty.
    """

    inputs: Inputs
    slot: Tensor
    shape: tuple[int, int]
    mask: Tensor
    watch: Tensor
    duration: Tensor
    engaged: Tensor

    def grid(self, values: Tensor, fill: float = 0.0) -> Tensor:
        """Flat *values* `(n_rows,)` as a `(U, N)` grid, *fill* in its empty places; gradients pass."""
        empty = values.new_full((self.shape[0] * self.shape[1],), fill)
        return empty.index_copy(0, self.slot, values).view(self.shape)

    def to(self, device: torch.device | str) -> "UserBatch":
        """The same on *device*."""
        rest = (self.mask, self.watch, self.duration, self.engaged)
        return UserBatch(
            self.inputs.to(device), self.slot.to(device), self.shape, *(tensor.to(device) for tensor in rest)
        )


def inputs_of(log: Log, histories: Histories, rows: Ints, length: int = HISTORY_LENGTH) -> Inputs:
    """What a recommender reads of *rows*, each with at most the last *length* videos of its history."""
    longest = int(histories.lengths(rows).max(initial=1))
    return Inputs(
        torch.from_numpy(log.user_code(rows)),
        torch.from_numpy(log.item[rows]),
        torch.from_numpy(histories.window(rows, max(1, min(length, longest)))),
    )


def user_batch(
    log: Log,
    histories: Histories,
    users: Ints,
    scale_watch: Scale,
    scale_duration: Scale,
    k: int = 10,
    length: int = HISTORY_LENGTH,
) -> UserBatch:
    """All rows that *log* has of *users*, one line of the grid for each that has more than *k*.

    *log* and *histories* are one part of a split, `log[rows]` and `histories[rows]`: rows outside it are not there.
    """
    first, end = np.searchsorted(log.user, users, "left"), np.searchsorted(log.user, users, "right")
    enough = end - first > k
    first, count = first[enough], (end - first)[enough]
    width = int(count.max(initial=0))
    line = np.repeat(np.arange(len(count)), count)
    column = np.arange(len(line)) - np.repeat(np.cumsum(count) - count, count)
    rows, slot, shape = first[line] + column, torch.from_numpy(line * width + column), (len(count), width)
    of_rows = log.feedback[rows]
    mask = torch.zeros(shape, dtype=torch.bool)
    mask.view(-1)[slot] = True
    return UserBatch(
        inputs_of(log, histories, rows, length),
        slot,
        shape,
        mask,
        _grid(scale_watch(of_rows.watch_s), slot, shape),
        _grid(scale_duration(of_rows.duration_s), slot, shape),
        _grid(of_rows.engaged, slot, shape),
    )


def eligible_users(log: Log, k: int = 10) -> Ints:
    """The users that have more than *k* rows in *log*, ascending."""
    counts = np.bincount(log.user)
    return np.flatnonzero(counts > k)


def sample_users(users: Ints, n: int, seed: int, step: int) -> Ints:
    """*n* of *users* without replacement (all of them when there are not more), the same for the same seed and step."""
    if n >= len(users):
        return users
    return np.sort(np.random.default_rng([seed, step]).choice(users, n, replace=False))


def iter_batches(rows: Ints, size: int, seed: int, epoch: int, first: int = 0) -> Iterator[Ints]:
    """The shuffled *rows* of an epoch in batches of nearly equal size, none above *size*, from batch *first* on.

    The order depends on (seed, epoch) alone, so that training resumed in the middle of an epoch goes on as it would
    have. Equal batches leave no last one of a single row, on which batch statistics do not exist.
    """
    if len(rows):
        shuffled = np.random.default_rng([seed, epoch]).permutation(rows)
        yield from np.array_split(shuffled, -(-len(rows) // size))[first:]


def iter_by_length(histories: Histories, rows: Ints, size: int) -> Iterator[Ints]:
    """*rows* in batches of rows with histories of like length, so that scoring pads little; for scoring only."""
    if len(rows):
        order = np.argsort(histories.lengths(rows), kind="stable")
        yield from np.array_split(rows[order], -(-len(rows) // size))


def _grid(values: Floats | np.ndarray, slot: Tensor, shape: tuple[int, int]) -> Tensor:
    grid = torch.zeros(shape, dtype=torch.float32)
    grid.view(-1)[slot] = torch.from_numpy(np.asarray(values, np.float32))
    return grid
