"""The step of LabelCraft: the closed form beside double backward and a derivation by hand, and what must not move."""

import copy

import pytest
import torch
from torch import Tensor, nn

from labelcraft.batches import Inputs
from labelcraft.bilevel import (
    Batch,
    Inner,
    bilevel_step,
    gradient_by_double_backward,
    holdout_gradient,
    holdout_value,
    jvp_of_logits,
    label_gradient,
    tentative_step,
)
from labelcraft.labels.protocol import Head
from labelcraft.models.labeler import FeedbackTensors
from labelcraft.objectives import Objective
from labelcraft.soft_topk import Sigmoids
from tests.labelcraft.small_models import batch, holdout, labeler, model

OBJECTIVE = Objective(k=3, topk=Sigmoids(0.3))
PLAIN = Inner(0.1)


def gradients_of(module: nn.Module) -> Tensor:
    return torch.cat([parameter.grad.flatten() for parameter in module.parameters() if parameter.grad is not None])


def state_of(module: nn.Module) -> dict[str, Tensor]:
    return {name: value.clone() for name, value in module.state_dict().items()}


def nothing() -> None:
    """An optimizer's step that does not move."""


@pytest.mark.parametrize("name", ["din", "din_linear", "two_tower"])
@pytest.mark.parametrize("head", list(Head))
@pytest.mark.parametrize("weight_decay", [0.0, 0.01])
@pytest.mark.parametrize("preconditioned", [False, True])
def test_the_closed_form_is_the_gradient_of_double_backward(
    name: str, head: Head, weight_decay: float, preconditioned: bool
):
    recommender, labelling = model(name), labeler()
    inner = Inner(0.7, weight_decay, head)
    rates = {key: torch.rand_like(value) + 0.5 for key, value in recommender.named_parameters()}
    given = (batch(40), holdout((9, 3, 7, 5)), OBJECTIVE, inner)
    preconditioner = rates if preconditioned else None

    oracle = gradient_by_double_backward(recommender, labelling, *given, preconditioner)
    bilevel_step(recommender, labelling, *given, nothing, preconditioner)

    expected = -torch.cat([value.flatten() for value in oracle.values()])  # the optimizer descends
    assert expected.norm() > 1e-6
    assert (gradients_of(labelling) - expected).norm() <= 1e-6 * expected.norm()


class _Line(nn.Module):
    """z = w·x, x being the user's number."""

    def __init__(self) -> None:
        super().__init__()
        self.w = nn.Parameter(torch.tensor(1.0, dtype=torch.float64))

    def forward(self, inputs: Inputs) -> Tensor:
        return self.w * inputs.user.double()


def test_the_labels_gradient_is_the_one_derived_by_hand():
    # One row with x = 2 and w = 1, BCE: ∂L/∂w = (p − y)·x, so w' = w − 0.1·(p − y)·2 and ∂w'/∂y = 0.2.
    # For an objective with ∂M/∂w' = 5 that is ∂M/∂y = 1; MSE has 2p(1 − p) times as much.
    line = _Line()
    rows = Inputs(torch.tensor([2]), torch.tensor([1]), torch.tensor([[0]]))

    moved = jvp_of_logits(line, rows, {"w": torch.tensor(5.0, dtype=torch.float64)})

    p = 1 / (1 + torch.exp(torch.tensor([-2.0], dtype=torch.float64)))
    assert moved.tolist() == [10.0]
    of_bce = label_gradient(line(rows).detach(), moved, Inner(0.1, head=Head.BCE))
    of_mse = label_gradient(line(rows).detach(), moved, Inner(0.1, head=Head.MSE))
    torch.testing.assert_close(of_bce, torch.tensor([1.0], dtype=torch.float64))
    torch.testing.assert_close(of_mse, 2 * p * (1 - p))
    assert line.w.item() == 1.0  # the model itself did not move


def test_the_tentative_step_decays_and_preconditions():
    # 3 − 0.1·4·(2 + 0.5·3) = 1.6
    moved = tentative_step(
        {"w": torch.tensor(3.0)}, {"w": torch.tensor(2.0)}, Inner(0.1, 0.5), {"w": torch.tensor(4.0)}
    )

    torch.testing.assert_close(moved["w"], torch.tensor(1.6))


def test_a_step_leaves_the_recommenders_parameters_to_its_optimizer():
    recommender, labelling = model("din"), labeler()
    before = {name: value.detach().clone() for name, value in recommender.named_parameters()}

    step = bilevel_step(recommender, labelling, batch(40), holdout((9, 5)), OBJECTIVE, PLAIN, nothing)

    assert list(step.gradients) == list(before)
    torch.testing.assert_close(dict(recommender.named_parameters()), before, rtol=0, atol=0)
    assert all(parameter.grad is None for parameter in recommender.parameters())


def test_running_statistics_move_once_a_step_as_in_one_forward_pass():
    recommender, rows = model("din"), batch(40)
    alone = copy.deepcopy(recommender).train()
    before = state_of(recommender)

    alone(rows.inputs)
    bilevel_step(recommender, labeler(), rows, holdout((9, 5)), OBJECTIVE, PLAIN, nothing)

    after = state_of(recommender)
    torch.testing.assert_close(after, state_of(alone), rtol=0, atol=0)
    moved = [name for name in before if not torch.equal(before[name], after[name])]
    assert sorted(moved) == sorted(name for name in before if "running" in name)


def test_the_new_labels_make_the_models_gradient():
    recommender, labelling, rows = model("din"), labeler(), batch(40)
    optimizer = torch.optim.SGD(labelling.parameters(), lr=100.0)
    before = labelling(rows.feedback).detach()

    step = bilevel_step(recommender, labelling, rows, holdout((9, 5)), OBJECTIVE, PLAIN, optimizer.step)

    renewed = labelling(rows.feedback).detach()
    assert (renewed - before).abs().max() > 1e-6
    recommender.train()
    fitted = (torch.sigmoid(recommender(rows.inputs)) - renewed).square().mean()
    expected = torch.autograd.grad(fitted, list(recommender.parameters()))
    torch.testing.assert_close(list(step.gradients.values()), list(expected))


def test_following_the_gradient_serves_the_objective_better():
    recommender, labelling, rows, users = model("din"), labeler(), batch(60), holdout((9, 8, 7))
    inner, fixed = Inner(0.5), Objective(k=3, topk=Sigmoids(0.3), tau=0.0)
    optimizer = torch.optim.SGD(labelling.parameters(), lr=1.0)
    frozen = copy.deepcopy(recommender)

    first = bilevel_step(recommender, labelling, rows, users, fixed, inner, optimizer.step).record
    recommender.load_state_dict(frozen.state_dict())
    second = bilevel_step(recommender, labelling, rows, users, fixed, inner, nothing).record

    assert sum(second.parts) > sum(first.parts)


def test_a_learning_rate_of_zero_changes_nothing():
    recommender, labelling = model("din"), labeler()

    bilevel_step(recommender, labelling, batch(40), holdout((9, 5)), OBJECTIVE, Inner(0.0, 0.1), nothing)

    assert gradients_of(labelling).abs().max() == 0


def test_a_part_left_out_has_no_say_in_the_labels():
    given = (batch(40), holdout((9, 3, 7, 5)))
    other = holdout((9, 3, 7, 5))
    other.engaged.zero_()
    silent = Objective(k=3, topk=Sigmoids(0.3), explicit=False)
    one, two = labeler(), labeler()

    bilevel_step(model("din"), one, *given, silent, PLAIN, nothing)
    bilevel_step(model("din"), two, given[0], other, silent, PLAIN, nothing)

    torch.testing.assert_close(gradients_of(one), gradients_of(two), rtol=0, atol=0)


def test_the_record_tells_parts_weights_loss_and_labels():
    recommender, labelling, rows, users = model("din"), labeler(), batch(40), holdout((9, 5))
    labels = labelling(rows.feedback).detach()

    record = bilevel_step(recommender, labelling, rows, users, OBJECTIVE, PLAIN, nothing).record

    assert sum(record.weights) == pytest.approx(1.0)
    assert record.label_mean == pytest.approx(float(labels.mean()))
    assert record.label_std == pytest.approx(float(labels.std(correction=0)))
    fitted = (torch.sigmoid(recommender.train()(rows.inputs)) - labels).square().mean()
    assert record.loss == pytest.approx(fitted.item())


def test_holdout_rows_are_scored_as_at_test_time():
    recommender, users = model("din").train(), holdout((9, 5))
    parameters = dict(recommender.named_parameters())
    before = state_of(recommender)

    value, _ = holdout_gradient(recommender, parameters, users, OBJECTIVE)

    assert recommender.training
    torch.testing.assert_close(state_of(recommender), before, rtol=0, atol=0)
    scores = torch.sigmoid(recommender.eval()(users.inputs))
    torch.testing.assert_close(value.total, OBJECTIVE(scores, users).total)


def test_the_holdout_gradient_is_that_of_finite_differences():
    recommender, users = model("din"), holdout((9, 3, 7, 5))
    fixed = Objective(k=3, topk=Sigmoids(0.3, standardise=False), tau=0.0)
    parameters = {name: value.detach() for name, value in recommender.named_parameters()}
    generator = torch.Generator().manual_seed(0)
    along = {
        name: torch.randn(value.shape, generator=generator, dtype=value.dtype) for name, value in parameters.items()
    }

    _, found = holdout_gradient(recommender, parameters, users, fixed)

    up, down = ({name: value + sign * along[name] for name, value in parameters.items()} for sign in (1e-5, -1e-5))
    slope = holdout_value(recommender, up, users, fixed).total - holdout_value(recommender, down, users, fixed).total
    dot = torch.stack([(found[name] * along[name]).sum() for name in found]).sum()
    torch.testing.assert_close(dot, slope.detach() / 2e-5, rtol=1e-6, atol=1e-9)


def test_a_batch_is_what_the_recommender_and_the_labeler_read():
    rows = batch(4)

    assert isinstance(rows, Batch)
    assert isinstance(rows.feedback, FeedbackTensors)
    assert len(rows.inputs) == len(rows.feedback) == 4
