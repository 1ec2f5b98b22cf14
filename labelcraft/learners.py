"""What a training repeats: one step on one batch, by a given label or by one that is learned along the way."""

from collections.abc import Mapping
from dataclasses import asdict
from typing import Protocol

import numpy as np
import torch
from torch import Tensor, nn

from labelcraft.batches import UserBatch, eligible_users, inputs_of, sample_users, user_batch
from labelcraft.bilevel import Batch, Inner, bilevel_step, loss
from labelcraft.dataset import Ints
from labelcraft.feedback import Feedback, Floats
from labelcraft.labels.learned import LearnedLabel
from labelcraft.labels.protocol import Label, unit_labels
from labelcraft.labels.registry import make_label
from labelcraft.models.factory import make_model
from labelcraft.models.labeler import FeedbackTensors, InputScales, Labeler
from labelcraft.models.recommender import Recommender
from labelcraft.objectives import Scale, Unscaled
from labelcraft.optimizer import Adam
from labelcraft.options import Ablation, CraftOptions, TrainOptions
from labelcraft.splits import Split
from retrieval.errors import ConfigError

Numbers = dict[str, float]
LEAST_SPREAD = 0.02  # a label whose standard deviation is below this has collapsed: it tells rows apart no more
WARM_STEPS, WARM_ROWS, WARM_RATE = 300, 512, 3e-3


class Learner(Protocol):
    """A recommender on its way. *rows* are the training rows; *modules* and *optimizers* all that a step moves."""

    @property
    def model(self) -> Recommender: ...

    @property
    def rows(self) -> Ints: ...

    @property
    def modules(self) -> Mapping[str, nn.Module]: ...

    @property
    def optimizers(self) -> Mapping[str, Adam]: ...

    @property
    def weights(self) -> tuple[float, ...]:
        """Of the tasks, in the ranking."""

    @property
    def choices(self) -> Mapping[str, object]:
        """What makes this training another than one with the same options, as JSON can hold it."""

    def step(self, rows: Ints, number: int) -> Numbers:
        """One step on *rows*, the *number*-th of this training; what it saw."""

    def end_epoch(self) -> tuple[bool, Numbers]:
        """Whether this epoch may be the best, and what is to be noted of it."""


class Supervised:
    """Fits a recommender to labels that are given: one, or several at once through MMoE."""

    def __init__(self, split: Split, labels: tuple[Label, ...], options: TrainOptions) -> None:
        """The labels are fitted already; the hold-out rows belong to the training rows here."""
        log = split.data.log
        self.rows = split.train_of_baselines
        self.labels = labels
        self.weights = options.task_weights[: len(labels)] if len(labels) > 1 else (1.0,)
        if len(self.weights) < len(labels):
            raise ConfigError(
                f"There are {len(labels)} tasks and {len(self.weights)} weights.", "Give one weight for each task."
            )
        self._targets = torch.from_numpy(np.stack([unit_labels(label, log.feedback) for label in self.labels]))
        self._split = split
        self.model = make_model(options.backbone, split.data.items, split.n_users, len(labels), options.seed)
        self.modules: Mapping[str, nn.Module] = {"model": self.model}
        self.optimizers = {"model": Adam(self.model, options.learning_rate, options.weight_decay)}

    @property
    def choices(self) -> Mapping[str, object]:
        """The labels' names."""
        return {"labels": [label.name for label in self.labels]}

    def step(self, rows: Ints, number: int) -> Numbers:
        """One step down the weighted losses of the tasks."""
        self.model.train()
        logits = self.model(inputs_of(self._split.data.log, self._split.histories, rows)).reshape(len(rows), -1)
        targets = self._targets[:, torch.from_numpy(rows)]
        losses = [loss(logits[:, t], targets[t], label.head) for t, label in enumerate(self.labels)]
        total = torch.stack([weight * part for weight, part in zip(self.weights, losses, strict=True)]).sum()
        self.model.zero_grad()
        total.backward()  # type: ignore[no-untyped-call]
        self.optimizers["model"].step()
        return {"loss": float(total.detach())}

    def end_epoch(self) -> tuple[bool, Numbers]:
        """Any epoch may be the best."""
        return True, {}


class Crafting:
    """LabelCraft: the labels are learned so that a recommender fitted to them serves the hold-out users."""

    def __init__(self, split: Split, options: TrainOptions, craft: CraftOptions) -> None:
        """Scales are fitted on the training rows, of which the hold-out rows are none."""
        log = split.data.log
        self.rows = split.train
        self.weights: tuple[float, ...] = (1.0,)
        self._split, self._craft, self._options = split, craft, options
        feedback = log.feedback[self.rows]
        of_watch, of_duration = Scale.fit(feedback.watch_s), Scale.fit(feedback.duration_s)
        of_input = InputScales(of_watch, of_duration)
        scaled = craft.ablation is not Ablation.SCALING
        self._scale_watch: Scale | Unscaled = of_watch if scaled else Unscaled()
        self._scale_duration: Scale | Unscaled = of_duration if scaled else Unscaled()
        self.labeler = Labeler(len(feedback.kinds), of_input, craft.inputs, options.seed)
        self.model = make_model(options.backbone, split.data.items, split.n_users, seed=options.seed)
        self.modules: Mapping[str, nn.Module] = {"model": self.model, "labeler": self.labeler}
        self.optimizers = {
            "model": Adam(self.model, options.learning_rate, options.weight_decay),
            "labeler": Adam(self.labeler, craft.labeler_rate),
        }
        self._feedback = FeedbackTensors.of(log.feedback)
        self._holdout = split.part(split.holdout)
        self._users = eligible_users(self._holdout[0], options.k)
        self._objective = craft.objective(options.k)
        self._inner = Inner(options.learning_rate, options.weight_decay, craft.head)
        if not len(self._users):
            raise ConfigError(
                f"No hold-out user has more than {options.k} rows.", "Give more validation days, or a smaller k."
            )
        if craft.start:
            fit_labeler(self.labeler, make_label(craft.start).fit(feedback), feedback, options.seed)
        self._before: dict[str, Tensor] | None = None  # the labelling model as the epoch found it, sound

    @property
    def choices(self) -> Mapping[str, object]:
        """All that LabelCraft has besides the options."""
        return asdict(self._craft)

    def step(self, rows: Ints, number: int) -> Numbers:
        """One bi-level step; see `bilevel`."""
        self._before = self._before or _copy(self.labeler)
        self.labeler.train()
        batch = Batch(
            inputs_of(self._split.data.log, self._split.histories, rows), self._feedback[torch.from_numpy(rows)]
        )
        optimizer = self.optimizers["model"]
        made = bilevel_step(
            self.model, self.labeler, batch, self._holdout_batch(number), self._objective, self._inner,
            self.optimizers["labeler"].step, optimizer.preconditioner(),
        )  # fmt: skip
        optimizer.step(made.gradients)
        record = made.record
        parts = zip(("watch", "explicit", "spread"), record.parts, record.weights, strict=True)
        noted = {
            key: value for name, part, weight in parts for key, value in ((name, part), (f"{name}_weight", weight))
        }
        return {"loss": record.loss, "label_std": record.label_std, "label_mean": record.label_mean, **noted}

    def end_epoch(self) -> tuple[bool, Numbers]:
        """Labels that tell rows apart no more are taken back to what they were, and learned more slowly from there."""
        labels = self.labels_of(self.rows)
        spread = float(labels.std())
        watch = self._split.data.log.feedback.watch_s[self.rows]
        sound = spread >= LEAST_SPREAD
        alike = float(np.corrcoef(labels, watch)[0, 1]) if sound and watch.std() > 0 else 0.0
        if not sound and self._before:
            self.labeler.load_state_dict(self._before)
            self.optimizers["labeler"].slow_down()
        self._before = None
        return sound, {"labels_std": spread, "labels_with_watch": alike}

    @property
    def label(self) -> LearnedLabel:
        """The labels as a label of their own."""
        kinds = self._split.data.log.feedback.kinds
        return LearnedLabel(self.labeler.eval(), kinds, self._craft.head)

    def labels_of(self, rows: Ints) -> Floats:
        """The labels that *rows* have now, `(n_rows,)`."""
        return self.label.transform(self._split.data.log.feedback[rows])

    def _holdout_batch(self, number: int) -> UserBatch:
        users = sample_users(self._users, self._craft.users_a_step, self._options.seed, number)
        return user_batch(*self._holdout, users, self._scale_watch, self._scale_duration, self._options.k)


def fit_labeler(labeler: Labeler, label: Label, feedback: Feedback, seed: int) -> None:
    """Let *labeler* begin as *label* is, as far as what it reads tells."""
    targets, given = torch.from_numpy(unit_labels(label, feedback)), FeedbackTensors.of(feedback)
    optimizer, rng = Adam(labeler, WARM_RATE), np.random.default_rng(seed)
    for _ in range(WARM_STEPS):
        rows = torch.from_numpy(rng.integers(len(feedback), size=WARM_ROWS))
        labeler.zero_grad()
        nn.functional.mse_loss(labeler(given[rows]), targets[rows]).backward()  # type: ignore[no-untyped-call]
        optimizer.step()


def _copy(module: nn.Module) -> dict[str, Tensor]:
    return {name: value.detach().clone() for name, value in module.state_dict().items()}
