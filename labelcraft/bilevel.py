"""One step of LabelCraft: the labels move so that a recommender fitted to them serves the platform better.

The recommender is moved tentatively, θ' = θ − η P(∇L + λθ), and the objective M(θ') is differentiated in the labels.
L sees a label y_b through ∂L/∂z_b alone, so with v = ∇M(θ') and the logits' Jacobian J at θ

    ∂M/∂y_b = −η (∂²L/∂z_b∂y_b) (J P v)_b = (η/B) c_b (J P v)_b,   c_b = 1 for BCE, 2 p_b(1 − p_b) for MSE:

one backward pass on the hold-out rows and one Jacobian-vector product on the batch, and no graph of gradients.

Dice reads the batch's statistics in the batch's passes and the running ones, as at test time, on the hold-out rows.
Only the one real forward pass of a step moves the running ones.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.func import functional_call

from labelcraft.batches import Inputs, UserBatch
from labelcraft.forward_mode import jvp
from labelcraft.labels.protocol import Head
from labelcraft.models.labeler import FeedbackTensors
from labelcraft.models.modes import evaluating
from labelcraft.objectives import Objective, Value

Tensors = dict[str, Tensor]


@dataclass(frozen=True)
class Inner:
    """How the recommender is fitted: *learning_rate* η, *weight_decay* λ (λθ joins the gradient), and the loss."""

    learning_rate: float
    weight_decay: float = 0.0
    head: Head = Head.MSE


@dataclass(frozen=True)
class Record:
    """What a step saw: objectives, loss and labels.

    *parts* are M1, M2 and M3 (watch time, explicit feedback, spread) of the tentative model and *weights* theirs;
    *loss* and the labels' mean and standard deviation are those before the step.
    """

    parts: tuple[float, float, float]
    weights: tuple[float, float, float]
    loss: float
    label_mean: float
    label_std: float


@dataclass(frozen=True)
class Step:
    """*gradients* of the recommender's parameters by name, with the new labels, for the caller's optimizer."""

    gradients: Tensors
    record: Record


@dataclass(frozen=True)
class Batch:
    """Training rows: what the recommender reads of them and what the labelling model does."""

    inputs: Inputs
    feedback: FeedbackTensors


def bilevel_step(
    model: nn.Module,
    labeler: nn.Module,
    batch: Batch,
    holdout: UserBatch,
    objective: Objective,
    inner: Inner,
    update_labeler: Callable[[], object],
    preconditioner: Mapping[str, Tensor] | None = None,
) -> Step:
    """Move the *labeler*, and return the gradient that moves the *model*, which stays as it is.

    *update_labeler* is its optimizer's step: it finds −∂M/∂φ in the parameters. *preconditioner* holds P for each
    parameter of the model, as its optimizer had it before this step; without one it is 1.
    """
    model.train()
    parameters = dict(model.named_parameters())
    logits, labels = model(batch.inputs), labeler(batch.feedback)
    first = _gradients(logits, labels.detach(), parameters, inner, keep=True)
    tentative = tentative_step(parameters, first, inner, preconditioner)
    value, direction = holdout_gradient(model, tentative, holdout, objective)
    moved = jvp_of_logits(model, batch.inputs, _preconditioned(direction, preconditioner))
    _descend(labeler, labels, -label_gradient(logits.detach(), moved, inner), update_labeler)
    with torch.no_grad():
        renewed = labeler(batch.feedback)
    record = _record(value, logits, labels, inner.head)
    return Step(_gradients(logits, renewed, parameters, inner, keep=False), record)


def tentative_step(
    parameters: Mapping[str, Tensor],
    gradients: Mapping[str, Tensor],
    inner: Inner,
    preconditioner: Mapping[str, Tensor] | None = None,
) -> Tensors:
    """θ − η P(g + λθ), differentiable in the gradients g; eq. 5 with a diagonal P."""
    decayed = {name: gradients[name] + inner.weight_decay * value.detach() for name, value in parameters.items()}
    moves = _preconditioned(decayed, preconditioner)
    return {name: value.detach() - inner.learning_rate * moves[name] for name, value in parameters.items()}


def holdout_gradient(
    model: nn.Module, parameters: Mapping[str, Tensor], holdout: UserBatch, objective: Objective
) -> tuple[Value, Tensors]:
    """M at *parameters* and its gradient in them: one backward pass for all three parts, since weights come first."""
    leaves = {name: value.detach().requires_grad_() for name, value in parameters.items()}
    value = holdout_value(model, leaves, holdout, objective)
    found = torch.autograd.grad(value.total, list(leaves.values()), materialize_grads=True)
    return value, dict(zip(leaves, found, strict=True))


def holdout_value(
    model: nn.Module, parameters: Mapping[str, Tensor], holdout: UserBatch, objective: Objective
) -> Value:
    """M of the model with *parameters*, as at test time: a row's score does not depend on the other rows."""
    with evaluating(model):
        logits = functional_call(model, dict(parameters), (holdout.inputs,))
    return objective(torch.sigmoid(logits), holdout)


def jvp_of_logits(model: nn.Module, inputs: Inputs, direction: Mapping[str, Tensor]) -> Tensor:
    """How the batch's logits `(n,)` change as the model's parameters move along *direction*; nothing else moves."""
    parameters = {name: value.detach() for name, value in model.named_parameters()}
    running = {name: value.clone() for name, value in model.named_buffers() if value.is_floating_point()}
    still = {name: torch.zeros_like(value) for name, value in running.items()}

    def logits(state: Tensors) -> Tensor:
        made: Tensor = functional_call(model, state, (inputs,))
        return made

    with torch.no_grad():
        return jvp(logits, {**parameters, **running}, {**direction, **still})


def label_gradient(logits: Tensor, moved: Tensor, inner: Inner) -> Tensor:
    """∂M/∂y `(n,)` of the batch's *logits* `(n,)` and their change along P v, *moved* `(n,)`."""
    return inner.learning_rate / len(logits) * _CURVATURES[inner.head](torch.sigmoid(logits)) * moved


def loss(logits: Tensor, labels: Tensor, head: Head) -> Tensor:
    """The mean loss of predictions σ(*logits*) `(n,)` for *labels* `(n,)` in [0, 1]."""
    if head is Head.BCE:
        return nn.functional.binary_cross_entropy_with_logits(logits, labels)
    return nn.functional.mse_loss(torch.sigmoid(logits), labels)


_CURVATURES: dict[Head, Callable[[Tensor], Tensor]] = {  # −B ∂²L/∂z∂y at the prediction p
    Head.MSE: lambda p: 2 * p * (1 - p),
    Head.BCE: torch.ones_like,
}


def gradient_by_double_backward(
    model: nn.Module,
    labeler: nn.Module,
    batch: Batch,
    holdout: UserBatch,
    objective: Objective,
    inner: Inner,
    preconditioner: Mapping[str, Tensor] | None = None,
) -> Tensors:
    """∂M/∂φ by the labeler's parameters, as published: the tentative step is kept as a graph. The oracle of tests."""
    model.train()
    parameters = dict(model.named_parameters())
    running = {name: value.clone() for name, value in model.named_buffers()}
    logits = functional_call(model, {**parameters, **running}, (batch.inputs,))
    fitted = loss(logits, labeler(batch.feedback), inner.head)
    found = torch.autograd.grad(fitted, list(parameters.values()), create_graph=True, materialize_grads=True)
    tentative = tentative_step(parameters, dict(zip(parameters, found, strict=True)), inner, preconditioner)
    value = holdout_value(model, {**tentative, **running}, holdout, objective)
    weights = dict(labeler.named_parameters())
    return dict(zip(weights, torch.autograd.grad(value.total, list(weights.values())), strict=True))


def _gradients(logits: Tensor, labels: Tensor, parameters: Mapping[str, Tensor], inner: Inner, keep: bool) -> Tensors:
    """The gradient of the loss by parameter; *keep* the forward pass for another."""
    leaf = logits.detach().requires_grad_()
    (cotangent,) = torch.autograd.grad(loss(leaf, labels, inner.head), leaf)
    given = list(parameters.values())
    found = torch.autograd.grad(logits, given, cotangent, retain_graph=keep, materialize_grads=True)
    return dict(zip(parameters, found, strict=True))


def _preconditioned(values: Tensors, preconditioner: Mapping[str, Tensor] | None) -> Tensors:
    if preconditioner is None:
        return values
    return {name: preconditioner[name] * value for name, value in values.items()}


def _descend(labeler: nn.Module, labels: Tensor, cotangent: Tensor, update: Callable[[], object]) -> None:
    labeler.zero_grad()
    labels.backward(cotangent)  # type: ignore[no-untyped-call]
    update()


def _record(value: Value, logits: Tensor, labels: Tensor, head: Head) -> Record:
    with torch.no_grad():
        fitted = float(loss(logits, labels, head))
        return Record(
            _floats(value.parts), _floats(value.weights), fitted, float(labels.mean()), float(labels.std(correction=0))
        )


def _floats(values: tuple[Tensor, Tensor, Tensor]) -> tuple[float, float, float]:
    return float(values[0]), float(values[1]), float(values[2])
