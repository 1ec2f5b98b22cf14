"""Dice: its two statistics, when the running ones move, and padding that has no part in them."""

import pytest
import torch
from torch.func import functional_call

from labelcraft.forward_mode import jvp
from labelcraft.models.dice import Dice, Moments, moments, pooled_moments

F64 = torch.float64
X = torch.tensor([[1.0], [3.0], [5.0]], dtype=F64)  # mean 3, variance 8/3


def dice(leak: float = 0.0) -> Dice:
    made = Dice(1).double()
    with torch.no_grad():
        made.leak.fill_(leak)
    return made


def test_in_training_a_value_passes_by_its_place_in_the_batch():
    made = dice(leak=0.5)(X)

    # x̂ = (−2, 0, 2)/√(8/3); x·(½(1 − p) + p) with p = σ(x̂)
    p = torch.sigmoid(torch.tensor([[-2.0], [0.0], [2.0]], dtype=F64) / (8 / 3) ** 0.5)
    torch.testing.assert_close(made, X * (0.5 * (1 - p) + p))


def test_the_running_statistics_follow_the_batch_by_a_tenth():
    made = dice()

    made(X)

    # From 0 and 1 a tenth of the way to 3 and to the unbiased variance, 4.
    torch.testing.assert_close(made.running_mean, torch.tensor([0.3], dtype=F64))
    torch.testing.assert_close(made.running_variance, torch.tensor([1.3], dtype=F64))


def test_in_evaluation_a_value_does_not_depend_on_the_others():
    made = dice()
    made(X)
    made.eval()

    alone = made(X[:1])

    torch.testing.assert_close(made(X)[:1], alone, rtol=0, atol=0)
    torch.testing.assert_close(alone, torch.sigmoid((X[:1] - 0.3) / 1.3**0.5))
    torch.testing.assert_close(made.running_mean, torch.tensor([0.3], dtype=F64))  # nothing followed


def test_it_is_batch_normalisation_in_front_of_a_sigmoid():
    x = torch.randn(50, 4, generator=torch.Generator().manual_seed(0), dtype=F64)
    made, norm = Dice(4).double(), torch.nn.BatchNorm1d(4, eps=1e-8, dtype=F64)

    torch.testing.assert_close(made(x), x * torch.sigmoid(norm(x)))

    torch.testing.assert_close(made.running_mean, norm.running_mean)
    torch.testing.assert_close(made.running_variance, norm.running_var)


def test_it_can_be_called_with_other_parameters_and_its_own_statistics_stay():
    made = dice()
    state = {name: value.clone() for name, value in made.state_dict().items()}

    functional_call(made, state, (X,))

    assert made.running_mean.item() == 0.0
    assert state["running_mean"].item() == pytest.approx(0.3)


def test_its_forward_mode_derivative_is_that_of_differences():
    made = dice(leak=0.2)
    running = {name: value.clone() for name, value in made.named_buffers()}
    at = {**{name: value.detach() for name, value in made.named_parameters()}, **running}
    along = {name: torch.full_like(value, 0.7) for name, value in at.items() if name not in running}
    still = {name: torch.zeros_like(value) for name, value in running.items()}

    with torch.no_grad():
        found = jvp(lambda state: functional_call(made, state, (X,)), at, {**along, **still})

    up, down = (
        functional_call(made, {name: at[name] + step * along.get(name, 0.0) for name in at}, (X,)).detach()
        for step in (1e-6, -1e-6)
    )
    torch.testing.assert_close(found, (up - down) / 2e-6, rtol=1e-7, atol=1e-8)


def test_moments_of_rows_come_together_without_the_empty_ones():
    # Rows hold {1, 3}, nothing and {5}: means 2 and 5, squares about them 2 and 0; together mean 3, variance 8/3.
    mean = torch.tensor([[2.0], [77.0], [5.0]], dtype=F64)
    spread, count = torch.tensor([[2.0], [0.0], [0.0]], dtype=F64), torch.tensor([2.0, 0.0, 1.0], dtype=F64)

    made = pooled_moments(mean, spread, count)

    torch.testing.assert_close(made, Moments(*moments(X)))


def test_a_constant_unit_passes_half():
    constant = torch.full((3, 1), 2.0, dtype=F64)

    torch.testing.assert_close(dice()(constant), torch.ones(3, 1, dtype=F64))
