"""The scale of eq. 11, the three parts of eq. 9 and their balance in eq. 12, by hand."""

import math

import numpy as np
import pytest
import torch
from torch import Tensor

from labelcraft.batches import Inputs, UserBatch
from labelcraft.objectives import Objective, Parts, Scale, Unscaled, sub_objectives

F64 = torch.float64


class Whole:
    """A top-k that chooses as it is told."""

    def __init__(self, alpha: Tensor) -> None:
        self.alpha = alpha

    def __call__(self, scores: Tensor, mask: Tensor, k: int) -> Tensor:
        return self.alpha + 0 * scores


def users(watch: list[list[float]], duration: list[list[float]], engaged: list[list[float]]) -> UserBatch:
    grids = [torch.tensor(grid, dtype=F64) for grid in (watch, duration, engaged)]
    shape = tuple(grids[0].shape)
    slot = torch.arange(grids[0].numel())
    none = Inputs(slot, slot, slot[:, None])
    return UserBatch(none, slot, shape, torch.ones(shape, dtype=torch.bool), *grids)  # type: ignore[arg-type]


TWO = users(
    watch=[[0.2, 0.4, 0.9], [1.0, 0.0, 0.0]],
    duration=[[0.1, 0.5, 0.3], [0.2, 0.2, 0.8]],
    engaged=[[1, 0, 1], [0, 0, 1]],
)
ALPHA = torch.tensor([[1.0, 1.0, 0.0], [0.5, 0.5, 1.0]], dtype=F64)


def test_the_scale_is_linear_on_both_sides_of_the_percentile():
    # The 80th percentile of 0…100 is 80, the share max(80/100, 0.2) = 0.8: so it is y/100. Of these, it is not:
    scale = Scale.fit(np.array([0.0, 10.0, 20.0, 30.0, 40.0, 1000.0]), beta=80.0)

    # w_β = 40, w_max = 1000, β' = max(0.04, 0.2) = 0.2; at 20: 0.1; at 520 = 40 + 480: 0.2 + 0.8/2.
    assert (scale.at_beta, scale.at_most) == (40.0, 1000.0)
    assert scale.share == pytest.approx(0.2)
    made = scale(torch.tensor([0.0, 20.0, 40.0, 520.0, 1000.0], dtype=F64))
    torch.testing.assert_close(made, torch.tensor([0.0, 0.1, 0.2, 0.6, 1.0], dtype=F64))


def test_values_above_the_percentile_are_not_lost():
    scale = Scale.fit(np.array([0.0, 10.0, 20.0, 30.0, 40.0, 1000.0]))

    above = scale(np.array([41.0, 100.0, 999.0]))

    assert (np.diff(above) > 0).all()
    assert above.min() > 0.2


def test_a_heavy_head_keeps_its_own_share():
    # w_β/w_max = 0.9 is above 1 − β: the scale is then plain division by the largest.
    scale = Scale(90.0, 100.0, 0.9)

    np.testing.assert_allclose(scale(np.array([45.0, 95.0])), [0.45, 0.95])


def test_what_training_did_not_see_is_clamped():
    assert Scale(40.0, 1000.0, 0.2)(np.array([-1.0, 5000.0])).tolist() == [0.0, 1.0]


def test_a_percentile_of_zero_leaves_the_second_part():
    scale = Scale.fit(np.array([0.0, 0.0, 0.0, 0.0, 0.0, 50.0]))

    assert scale(np.array([0.0, 25.0, 50.0])).tolist() == [0.0, 0.5, 1.0]


@pytest.mark.parametrize(("seconds", "scaled"), [(0.0, 0.0), (7.0, 1.0)])
def test_a_log_of_one_value_has_a_scale(seconds: float, scaled: float):
    assert Scale.fit(np.full(5, seconds))(np.array([seconds])).tolist() == [scaled]


def test_beta_of_100_is_division_by_the_largest():
    assert Scale.fit(np.array([1.0, 50.0, 200.0]), beta=100.0)(np.array([50.0])).tolist() == [0.25]


def test_without_scaling_seconds_stay_seconds():
    assert Unscaled()(np.array([300.0])).tolist() == [300.0]


def test_the_parts_by_hand():
    parts = sub_objectives(ALPHA, TWO, k=2)

    # watch: (0.2 + 0.4)/2 = 0.3 and 0.5·1/2 = 0.25; explicit: 1/2 and 1/2.
    torch.testing.assert_close(parts.watch, torch.tensor((0.3 + 0.25) / 2, dtype=F64))
    torch.testing.assert_close(parts.explicit, torch.tensor((0.5 + 0.5) / 2, dtype=F64))
    # spread: 0.1 and 0.5 about 0.3, so 0.2; 0.2 (weight ¼ + ¼) and 0.8 (½) about 0.5, so 0.3.
    torch.testing.assert_close(parts.spread, torch.tensor((0.2 + 0.3) / 2, dtype=F64), rtol=1e-6, atol=0)


def test_videos_of_one_duration_have_a_gradient():
    alpha = ALPHA.clone().requires_grad_()
    same = users([[0.0] * 3] * 2, [[0.5] * 3] * 2, [[0.0] * 3] * 2)

    spread = sub_objectives(alpha, same, k=2).spread
    (found,) = torch.autograd.grad(spread, alpha)

    assert spread.item() == pytest.approx(0.0, abs=2e-4)
    assert found.isfinite().all()


def test_wider_lists_spread_more():
    narrow, wide = torch.tensor([[0.0, 1.0, 1.0]], dtype=F64), torch.tensor([[1.0, 1.0, 0.0]], dtype=F64)
    one = users([[0.0] * 3], [[0.1, 0.5, 0.3]], [[0.0] * 3])

    assert sub_objectives(wide, one, 2).spread > sub_objectives(narrow, one, 2).spread


PARTS = Parts(torch.tensor(0.2), torch.tensor(0.1), torch.tensor(0.4))


def test_weights_are_the_softmax_of_what_is_missing():
    weights = Objective(k=2, tau=0.5).weights(PARTS)

    total = math.exp(-0.1) + math.exp(-0.05) + math.exp(-0.2)
    assert weights.watch.item() == pytest.approx(math.exp(-0.1) / total)
    assert weights.explicit.item() == pytest.approx(math.exp(-0.05) / total)
    assert weights.spread.item() == pytest.approx(math.exp(-0.2) / total)


def test_the_temperature_can_act_on_sums_over_users():
    weights = Objective(k=2, tau=0.5, tau_times=1000.0).weights(PARTS)

    # Sums of 200, 100 and 400 at τ = 0.5: the least is all there is, and nothing is divided by 0.
    assert weights.explicit.item() == pytest.approx(1.0)
    assert weights.watch.item() == pytest.approx(math.exp(-50.0))


def test_without_balance_weights_are_equal():
    assert torch.stack(Objective(k=2, balanced=False).weights(PARTS)).tolist() == pytest.approx([1 / 3] * 3)


@pytest.mark.parametrize(
    ("objective", "left_out"),
    [(Objective(watch=False), 0), (Objective(explicit=False), 1), (Objective(spread=False), 2)],
)
def test_a_part_left_out_weighs_nothing_and_the_others_still_balance(objective: Objective, left_out: int):
    weights = torch.stack(objective.weights(PARTS))

    assert weights[left_out] == 0
    assert weights.sum().item() == pytest.approx(1.0)
    assert weights.unique().numel() == 3


def test_an_objective_of_nothing_is_refused():
    with pytest.raises(ValueError, match="at least one part"):
        Objective(watch=False, explicit=False, spread=False)


def test_no_gradient_passes_through_the_weights():
    alpha = ALPHA.clone().requires_grad_()
    objective = Objective(k=2, topk=Whole(alpha), tau=2.0)

    value = objective(torch.zeros(6, dtype=F64), TWO)
    (found,) = torch.autograd.grad(value.total, alpha)

    fixed = torch.stack(value.weights).dot(torch.stack(sub_objectives(alpha, TWO, 2)))
    (expected,) = torch.autograd.grad(fixed, alpha)
    torch.testing.assert_close(found, expected)
    assert value.total.item() == pytest.approx(fixed.item())


def test_rows_without_a_user_row_do_not_count():
    padded = users(
        [[0.2, 0.4, 0.9, 0.0], [1.0, 0.0, 0.0, 0.0]],
        [[0.1, 0.5, 0.3, 0.0], [0.2, 0.2, 0.8, 0.0]],
        [[1, 0, 1, 0], [0, 0, 1, 0]],
    )

    made = sub_objectives(torch.nn.functional.pad(ALPHA, (0, 1)), padded, 2)

    torch.testing.assert_close(tuple(made), tuple(sub_objectives(ALPHA, TWO, 2)))
