"""One step of LabelCraft beside the published way, and beside supervised training on as many rows.

The published way, written here from the paper's formulas: double backward through the tentative step, three separate
gradients of the three sub-objectives, 1,000 iterations of entropic transport for each user, and a Python loop over
users. Both sides train the same DIN of the paper's sizes on the same rows; only these four causes differ.

Supervised training on as many rows means a forward pass, a backward pass and an update of the batch twice and of the
hold-out rows once. All is timed in one run, in turns. The relative error is that of the closed form against double
backward in float64, the largest over DIN and the two towers, MSE and BCE, with and without weight decay.
"""

import os
import resource
import sys
import time
from collections.abc import Callable, Sequence
from itertools import product
from statistics import median

import numpy as np
import torch

from benchmarks.labelcraft_published import PublishedTimes, published_step
from benchmarks.labelcraft_rows import (
    HISTORY,
    INNER,
    N_USERS,
    QUICK,
    SCALES,
    K,
    Setting,
    Size,
    Watch,
    make_inputs,
    make_items,
    make_setting,
    make_users,
    pulled,
)  # fmt: skip
from benchmarks.report import Figure, run
from labelcraft.bilevel import (
    Batch,
    Inner,
    bilevel_step,
    gradient_by_double_backward,
    holdout_gradient,
    jvp_of_logits,
    label_gradient,
    loss,
    tentative_step,
)  # fmt: skip
from labelcraft.labels.protocol import Head
from labelcraft.models.factory import make_model
from labelcraft.models.labeler import FeedbackTensors, Labeler
from labelcraft.objectives import Objective

THREADS, TURNS, PUBLISHED_TURNS = 2, 5, 2


def measure(quick: bool) -> Sequence[Figure]:
    """Times in turns, the stages of ours, and the error."""
    torch.set_num_threads(THREADS)
    size = QUICK if quick else Size()
    ours, supervised, published = _turns(make_setting(size))
    stages = _stages(make_setting(size))
    rows = f"batch {size.batch:,}, {size.users} users of {size.rows} rows, history {HISTORY}"
    detail = f"{rows}, {size.iterations} iterations, DIN, float32, {THREADS} threads, load {os.getloadavg()[0]:.1f}"
    shares = ", ".join(f"{name} {seconds / sum(stages.values()):.0%}" for name, seconds in stages.items())
    return [
        Figure("step_speedup", published.total / ours, "times", "higher", f"{detail}; published: {published}"),
        Figure("step_vs_supervised_rows", ours / supervised, "ratio", "lower", f"{detail}; {supervised:.2f} s"),
        Figure("step_seconds", ours, "s", "lower", f"{detail}; {shares}"),
        Figure("step_peak_memory", published.peak_before_gb, "GB", "lower", f"{rows}; the whole process, ours alone"),
        Figure("gradient_relative_error", relative_error(), "ratio", "lower", "float64, largest of 8 cases"),
    ]


def _turns(setting: Setting) -> tuple[float, float, PublishedTimes]:
    """Median seconds of our step and of supervised training, and those of the published way."""
    step, train = our_step(setting), supervised(setting)
    step(), train()
    ours, others = [], []
    for _ in range(TURNS):
        ours.append(_seconds(step))
        others.append(_seconds(train))
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024) / 1e9
    published = []
    for _ in range(PUBLISHED_TURNS):
        published.append(published_step(setting, peak))
        ours.append(_seconds(step))
        others.append(_seconds(train))
    return median(ours), median(others), min(published, key=lambda times: times.total)


def _seconds(act: Callable[[], object]) -> float:
    started = time.perf_counter()
    act()
    return time.perf_counter() - started


def our_step(setting: Setting) -> Callable[[], None]:
    """The whole step, with both updates."""
    parameters = list(setting.model.parameters())
    update, of_labeler = (
        torch.optim.SGD(parameters, INNER.learning_rate),
        torch.optim.Adam(setting.labeler.parameters()),
    )

    def step() -> None:
        made = bilevel_step(
            setting.model, setting.labeler, setting.batch, setting.holdout, setting.objective, INNER, of_labeler.step
        )
        for parameter, gradient in zip(parameters, made.gradients.values(), strict=True):
            parameter.grad = gradient
        update.step()
        update.zero_grad()

    return step


def supervised(setting: Setting) -> Callable[[], None]:
    """Training of the same model by given labels: the batch, the batch, and the hold-out rows."""
    model = setting.model
    update = torch.optim.SGD(model.parameters(), INNER.learning_rate)
    parts = [setting.batch.inputs, setting.batch.inputs, setting.holdout.inputs]
    labels = [torch.full((len(part),), 0.5) for part in parts]

    def train() -> None:
        model.train()
        for part, label in zip(parts, labels, strict=True):
            loss(model(part), label, INNER.head).backward()  # type: ignore[no-untyped-call]
            update.step()
            update.zero_grad()

    return train


def _stages(setting: Setting) -> dict[str, float]:
    """Seconds of the parts of our step, one after the other, as `bilevel_step` takes them."""
    model, labeler, inputs = setting.model.train(), setting.labeler, setting.batch.inputs
    parameters, watch = setting.parameters(), Watch()
    logits, labels = watch("batch, forward", lambda: (model(inputs), labeler(setting.batch.feedback)))
    first = watch("batch, backward", lambda: pulled(logits, labels.detach(), parameters))
    tentative = tentative_step(parameters, first, INNER)
    _, direction = watch("hold-out", lambda: holdout_gradient(model, tentative, setting.holdout, setting.objective))
    moved = watch("Jacobian-vector product", lambda: jvp_of_logits(model, inputs, direction))
    watch("labelling model", lambda: labels.backward(-label_gradient(logits.detach(), moved, INNER)))
    watch("batch, backward again", lambda: pulled(logits, labels.detach(), parameters))
    return watch.seconds


def relative_error() -> float:
    """The largest over backbones, losses and weight decays, on small rows in float64."""
    cases = product(("din", "two_tower"), Head, (0.0, 0.01))
    return max(_relative_error(name, Inner(0.1, decay, head)) for name, head, decay in cases)


def _relative_error(name: str, inner: Inner) -> float:
    rng = np.random.default_rng(0)
    model, labeler = make_model(name, make_items(rng), N_USERS).double(), Labeler(3, SCALES).double()
    feedback = FeedbackTensors(
        torch.from_numpy(rng.gamma(1.0, 30.0, 64)),
        torch.from_numpy(rng.gamma(2.0, 60.0, 64)),
        torch.from_numpy((rng.random((64, 3)) < 0.2).astype(np.float64)),
    )
    given = (Batch(make_inputs(rng, rng.integers(1, N_USERS + 1, 64)), feedback), make_users(rng, 4, 30))
    oracle = gradient_by_double_backward(model, labeler, *given, Objective(K), inner)
    bilevel_step(model, labeler, *given, Objective(K), inner, lambda: None)
    pairs = [(weight.grad, oracle[key]) for key, weight in labeler.named_parameters() if weight.grad is not None]
    difference = torch.cat([(ours + theirs).flatten() for ours, theirs in pairs])  # ours is that of −M
    return float(difference.norm() / torch.cat([theirs.flatten() for _, theirs in pairs]).norm())


if __name__ == "__main__":
    run(measure, "One step of LabelCraft beside the published way and beside supervised training on as many rows.")
