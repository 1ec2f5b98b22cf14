"""The published way to take a step of LabelCraft, written from the paper's formulas, to be timed beside ours.

Double backward through the tentative step, three separate gradients of the three sub-objectives, a fixed number of
iterations of entropic transport for each user, and a Python loop over users.
"""

from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from benchmarks.labelcraft_rows import INNER, K, Setting, Watch, pulled
from labelcraft.batches import Inputs, UserBatch
from labelcraft.bilevel import loss, tentative_step
from labelcraft.models.modes import evaluating
from labelcraft.models.recommender import Recommender
from labelcraft.objectives import Parts, sub_objectives

EPSILON, NUGGET, TAU = 1e-4, 1e-10, 0.5


@dataclass(frozen=True)
class PublishedTimes:
    """Seconds of a step's parts, and the process's memory before any such step."""

    fitting: float
    transport: float
    scoring: float
    gradients: float
    peak_before_gb: float

    @property
    def total(self) -> float:
        return self.fitting + self.transport + self.scoring + self.gradients

    def __str__(self) -> str:
        return (
            f"{self.total:.1f} s, of which transport {self.transport:.1f}, three gradients {self.gradients:.1f}, "
            f"scores of users {self.scoring:.1f}, fitting {self.fitting:.1f}"
        )


def published_step(setting: Setting, peak_before_gb: float = 0.0) -> PublishedTimes:
    """A step as published, without the updates' own time; the labeler's parameters keep its gradient of −M."""
    watch = Watch()
    model, labeler = setting.model.train(), setting.labeler
    parameters, weights = setting.parameters(), list(labeler.parameters())
    tentative = watch("fitting", lambda: _differentiable_step(setting, parameters))
    scores = watch("scoring", lambda: _scores_of_users(setting, tentative))
    alphas = [watch("transport", partial(published_topk, one, setting.size.iterations)) for one in scores]
    parts = watch("scoring", lambda: _sums_of_parts(setting.holdout, alphas))
    balance = torch.softmax(-TAU * torch.stack(parts).detach() / len(alphas), 0)
    gradients = [watch("gradients", partial(torch.autograd.grad, part, weights, retain_graph=True)) for part in parts]
    for weight, *of_parts in zip(weights, *gradients, strict=True):
        weight.grad = -sum(share * gradient for share, gradient in zip(balance, of_parts, strict=True))
    with torch.no_grad():
        labels = labeler(setting.batch.feedback)
    watch("fitting", lambda: pulled(model(setting.batch.inputs), labels, parameters))
    return PublishedTimes(**watch.seconds, peak_before_gb=peak_before_gb)


def _differentiable_step(setting: Setting, parameters: dict[str, Tensor]) -> dict[str, Tensor]:
    """θ′ as a graph of the labels."""
    logits = setting.model(setting.batch.inputs)
    fitted = loss(logits, setting.labeler(setting.batch.feedback), INNER.head)
    found = torch.autograd.grad(fitted, list(parameters.values()), create_graph=True)
    return tentative_step(parameters, dict(zip(parameters, found, strict=True)), INNER)


class _OneByOne(nn.Module):
    """A recommender that scores parts of rows apart; the table of videos is made once."""

    def __init__(self, model: Recommender) -> None:
        super().__init__()
        self.model = model

    def forward(self, parts: list[Inputs]) -> list[Tensor]:
        table = self.model.items()
        return [torch.sigmoid(self.model.logits(table, part)) for part in parts]


def _scores_of_users(setting: Setting, parameters: dict[str, Tensor]) -> list[Tensor]:
    given, n_rows = setting.holdout.inputs, setting.holdout.shape[1]
    columns = [torch.split(column, n_rows) for column in (given.user, given.item, given.history)]
    parts = [Inputs(*part) for part in zip(*columns, strict=True)]
    with evaluating(setting.model):
        state = {f"model.{name}": value for name, value in parameters.items()}
        scores: list[Tensor] = torch.func.functional_call(_OneByOne(setting.model), state, (parts,))
    return scores


def _sums_of_parts(users: UserBatch, alphas: list[Tensor]) -> list[Tensor]:
    """M1, M2, M3 summed over users, each computed alone."""
    made: list[Parts] = []
    for row, alpha in enumerate(alphas):
        alone = UserBatch(
            users.inputs, users.slot, (1, users.shape[1]), users.mask[row : row + 1],
            users.watch[row : row + 1], users.duration[row : row + 1], users.engaged[row : row + 1],
        )  # fmt: skip
        made.append(sub_objectives(alpha[None], alone, K))
    return [torch.stack(part).sum() for part in zip(*made, strict=True)]


def published_topk(scores: Tensor, iterations: int) -> Tensor:
    """SOFT of one user's *scores* `(n,)`: a fixed number of iterations in logarithms, α `(n,)`."""
    anchors = torch.arange(K, -1, -1, dtype=scores.dtype)
    cost = (scores[:, None] - anchors).square()
    alpha: Tensor = _PublishedTopK.apply(cost / cost.max().detach(), iterations)
    return alpha


class _PublishedTopK(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, cost: Tensor, iterations: int) -> Tensor:
        n = len(cost)
        sent = torch.full((n, 1), 1 / n)
        received = torch.tensor([[1 / n] * K + [(n - K) / n]])
        log_sent, log_received = EPSILON * sent.log(), EPSILON * received.log()
        g = torch.zeros_like(log_received)
        for _ in range(iterations):
            f = log_sent - EPSILON * torch.logsumexp((g - cost) / EPSILON, 1, keepdim=True)
            g = log_received - EPSILON * torch.logsumexp((f - cost) / EPSILON, 0, keepdim=True)
        plan = torch.exp((f + g - cost) / EPSILON)
        ctx.save_for_backward(plan, sent)
        return n * plan[:, :K].sum(1)

    @staticmethod
    def backward(ctx: Any, cotangent: Tensor) -> tuple[Tensor, None]:
        """From the conditions of optimality, as in `labelcraft.transport`."""
        plan, sent = ctx.saved_tensors
        first = plan[:, :K]
        weighed = len(plan) * cotangent[:, None] * first
        rows = weighed.sum(1, keepdim=True) / sent
        system = torch.diag(first.sum(0)) - first.T @ (first / sent) + NUGGET * torch.eye(K)
        solved = torch.linalg.solve(system, (weighed.sum(0) - (first * rows).sum(0))[:, None])
        inner = rows - first @ solved / sent
        return torch.cat([first * (inner + solved.T) - weighed, plan[:, K:] * inner], dim=1) / EPSILON, None
