"""The training of the tower: stopped where the last days say so, then done again on all that was known."""

import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from labelcraft.conventional.calibration import IDENTITY, Line, fit_line
from labelcraft.conventional.examples import Examples, Singles
from labelcraft.conventional.features import Videos, Vocabulary, fit_vocabulary
from labelcraft.conventional.options import Loss, TowerOptions
from labelcraft.conventional.steps import iter_epochs, make_step
from labelcraft.conventional.tower import Tower, make_tower
from labelcraft.evaluation.split_time import DAY_US
from labelcraft.feedback import Floats
from labelcraft.labels.protocol import Head
from retrieval.errors import ConfigError, TableError
from retrieval.metrics.pointwise import Auc, auc


@dataclass(frozen=True)
class Epoch:
    """After epoch *number* (from 1): the mean training *loss*, and the *criterion* on the validation rows."""

    number: int
    loss: float
    criterion: float
    seconds: float


@dataclass(frozen=True)
class Task:
    """What is to be learned: *examples* before *split_us* of *users* `(n_users + 1, dim)` and *videos*."""

    videos: Videos
    users: Singles
    examples: Examples
    head: Head
    split_us: int
    options: TowerOptions


@dataclass(frozen=True)
class Trained:
    """A trained tower and how it came about.

    *epochs* is the curve of the training that was watched, the best its number *best*; *scores* and *validation* are
    the validation rows and their logits then. *line* makes logits of dot products.
    """

    tower: Tower
    vocabulary: Vocabulary
    epochs: tuple[Epoch, ...]
    best: int
    validation: Examples
    scores: Singles
    line: Line

    def vectors(self, at_us: int) -> Singles:
        """The videos' vectors `(n_videos, dim)` whose dot products with users are logits."""
        return self.line.of_vectors(self.tower.vectors(at_us))


def train_tower(task: Task, on_epoch: Callable[[Epoch], None] = lambda epoch: None) -> Trained:
    """Train a tower.

    Raises:
        ConfigError: the last days before the split, or all days before them, have no rows.
        TableError: all labels are the same.
    """
    first_us = task.split_us - int(task.options.validation_days * DAY_US)
    is_last = task.examples.rows.time_us >= first_us
    fitted, validation = task.examples[np.flatnonzero(~is_last)], task.examples[np.flatnonzero(is_last)]
    _refuse_empty(fitted, validation, task.options)
    epochs, best, scores = _watch(task, fitted, validation, first_us, on_epoch)
    calibrated = task.options.loss is not Loss.BCE or task.options.in_batch
    line = fit_line(scores, validation.unit) if calibrated else IDENTITY
    tower, vocabulary = _fit(task, best)
    return Trained(tower, vocabulary, tuple(epochs), best, validation, line.of_scores(scores), line)


def auc_of(scores: Singles | Floats, examples: Examples) -> Auc:
    """The AUC of *scores* `(n,)` on examples with labels of 0 and 1, its interval clustered by user."""
    user = np.unique(examples.rows.user, return_inverse=True)[1]
    return auc(scores, examples.unit > 0, user, int(user.max()) + 1)


def criterion_of(scores: Singles, examples: Examples, head: Head) -> float:
    """What training stops by, higher being better: the AUC of a binary label, else minus the loss of the head."""
    if examples.is_binary:
        return auc_of(scores, examples).value
    z, y = np.asarray(scores, np.float64), examples.unit
    cross_entropy = np.logaddexp(0.0, z) - y * z
    square = (1.0 / (1.0 + np.exp(-z)) - y) ** 2
    return -float((cross_entropy if head is Head.BCE else square).mean())


def _watch(
    task: Task, fitted: Examples, validation: Examples, first_us: int, on_epoch: Callable[[Epoch], None]
) -> tuple[list[Epoch], int, Singles]:
    """Train on *fitted* until *validation* stops it: the curve, its best epoch, and the scores there.

    Videos are scored as of *first_us*, when validation begins: as they would be served.
    """
    options = task.options
    tower, _ = _new(task, fitted)
    losses = iter_epochs(tower, make_step(tower, fitted, task.head, options), options)
    epochs: list[Epoch] = []
    best, kept = 0, np.zeros(0, np.float32)
    while len(epochs) < options.max_epochs and len(epochs) - best < options.patience:
        started = time.perf_counter()
        loss = next(losses)
        scores = tower.logits(tower.vectors(first_us), validation.rows)
        criterion = criterion_of(scores, validation, task.head)
        if not epochs or criterion > epochs[best - 1].criterion:
            best, kept = len(epochs) + 1, scores
        epochs.append(Epoch(len(epochs) + 1, loss, criterion, time.perf_counter() - started))
        on_epoch(epochs[-1])
    return epochs, best, kept


def _fit(task: Task, n_epochs: int) -> tuple[Tower, Vocabulary]:
    """A tower trained on all rows before the split: the newest videos are those that will be recommended."""
    tower, vocabulary = _new(task, task.examples)
    losses = iter_epochs(tower, make_step(tower, task.examples, task.head, task.options), task.options)
    for _ in range(n_epochs):
        next(losses)
    return tower, vocabulary


def _new(task: Task, examples: Examples) -> tuple[Tower, Vocabulary]:
    options = task.options
    vocabulary = fit_vocabulary(task.videos, examples.rows.video, options.min_count, options.n_buckets)
    return make_tower(task.videos, vocabulary, task.users, options), vocabulary


def _refuse_empty(fitted: Examples, validation: Examples, options: TowerOptions) -> None:
    if not len(fitted) or not len(validation):
        raise ConfigError(
            f"{len(fitted)} rows lie before the last {options.validation_days} days before the split, and "
            f"{len(validation)} in them.",
            "Choose other --validation-days, or a later split.",
        )
    for part, name in ((fitted, "training"), (validation, "validation")):
        if np.ptp(part.unit) == 0:
            raise TableError(
                f"All {len(part)} {name} rows have the label {part.unit[0]:g}.", "Give a longer log or another --label."
            )
