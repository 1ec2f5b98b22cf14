"""Soft top-k: sums, limits, gradients beside finite differences, padding, and users with nothing to choose."""

import numpy as np
import pytest
import torch
from torch import Tensor

from labelcraft.soft_topk import Sigmoids, Sorted, TopK, make_topk
from labelcraft.transport import Transport
from retrieval.errors import ConfigError

COUNTS = (12, 3, 7, 20)  # the second has exactly k
K = 3
EXACT = Transport(epsilon=3e-2, tolerance=1e-12)
WAYS = [Sigmoids(0.05), Sigmoids(0.3, standardise=False), Sorted(EXACT), Sorted(EXACT, standardise=True)]


def scores(seed: int = 0, spread: float = 1.0) -> tuple[Tensor, Tensor]:
    """Scores in a grid whose padding holds garbage, and the mask."""
    rng = np.random.default_rng(seed)
    mask = np.arange(max(COUNTS)) < np.array(COUNTS)[:, None]
    values = np.where(mask, spread * rng.random(mask.shape), 77.0)
    return torch.from_numpy(values), torch.from_numpy(mask)


@pytest.mark.parametrize("topk", WAYS)
def test_choices_sum_to_k_and_padding_is_never_chosen(topk: TopK):
    values, mask = scores()

    alpha = topk(values, mask, K)

    torch.testing.assert_close(alpha.sum(1), torch.full((4,), 3.0, dtype=torch.float64), rtol=1e-12, atol=0)
    assert alpha[~mask].abs().max() == 0
    assert ((alpha >= 0) & (alpha <= 1 + 1e-12)).all()


@pytest.mark.parametrize("temperature", [1e-6, 1e-3, 0.1, 1.0, 1e3])
@pytest.mark.parametrize("spread", [1e-6, 1.0, 1e4])
def test_the_threshold_is_found_at_any_scale(temperature: float, spread: float):
    values, mask = scores(1, spread)

    alpha = Sigmoids(temperature, standardise=False)(values, mask, K)

    torch.testing.assert_close(alpha.sum(1), torch.full((4,), 3.0, dtype=torch.float64), rtol=1e-9, atol=0)


def test_single_precision_sums_to_k_as_well_as_it_can():
    values, mask = scores()

    alpha = Sigmoids(0.05)(values.float(), mask, K)

    assert alpha.dtype == torch.float32
    torch.testing.assert_close(alpha.double().sum(1), torch.full((4,), 3.0, dtype=torch.float64), rtol=3e-7, atol=0)


@pytest.mark.parametrize("topk", [Sigmoids(1e-5, standardise=False), Sigmoids(1e-4), Sorted(Transport(1e-6))])
def test_the_choice_becomes_the_hard_one_as_the_temperature_falls(topk: TopK):
    values, mask = scores()
    rows = values.masked_fill(~mask, -1.0)
    hard = torch.zeros_like(values).scatter(1, rows.topk(K, dim=1).indices, 1.0)

    torch.testing.assert_close(topk(values, mask, K), hard, rtol=0, atol=1e-3)


def test_two_scores_and_one_place_are_a_single_sigmoid():
    # σ((a − t)/τ) + σ((b − t)/τ) = 1 at t = (a + b)/2, so α = σ((a − b)/2τ); a − b = 0.4, τ = 0.1: σ(2).
    values = torch.tensor([[0.7, 0.3]], dtype=torch.float64)

    alpha = Sigmoids(0.1, standardise=False)(values, torch.ones(1, 2, dtype=torch.bool), 1)

    p = torch.sigmoid(torch.tensor(2.0, dtype=torch.float64))
    torch.testing.assert_close(alpha, torch.stack([p, 1 - p])[None])


def test_equal_scores_share_the_places():
    values = torch.full((1, 8), 0.4, dtype=torch.float64)

    alpha = Sigmoids(0.1)(values, torch.ones(1, 8, dtype=torch.bool), 2)

    torch.testing.assert_close(alpha, torch.full((1, 8), 0.25, dtype=torch.float64))


@pytest.mark.parametrize("topk", [Sigmoids(0.05, standardise=False), Sigmoids(0.3, standardise=False)])
def test_the_gradient_is_that_of_finite_differences(topk: TopK):
    values, mask = scores(2)
    values = values.requires_grad_()
    weights = torch.from_numpy(np.random.default_rng(3).random(values.shape))

    (found,) = torch.autograd.grad((topk(values, mask, K) * weights).sum(), values)

    expected = differences(topk, values.detach(), mask, weights)
    assert expected.norm() > 0.1
    assert (found - expected).norm() <= 1e-6 * expected.norm()


def differences(topk: TopK, values: Tensor, mask: Tensor, weights: Tensor, step: float = 1e-5) -> Tensor:
    """The gradient of Σ w·α by central differences, one entry after the other."""
    moves = step * torch.eye(values.numel(), dtype=values.dtype).view(-1, *values.shape)
    slopes = [
        (weights * (topk(values + move, mask, K) - topk(values - move, mask, K))).sum() / (2 * step) for move in moves
    ]
    return torch.stack(slopes).view(values.shape)


@pytest.mark.parametrize(("epsilon", "spread"), [(3e-2, 1.0), (1e-3, 0.01)])
def test_the_transports_gradient_is_that_of_finite_differences(epsilon: float, spread: float):
    values, mask = scores(4, spread)
    topk = Sorted(Transport(epsilon, tolerance=1e-12))
    weights = torch.from_numpy(np.random.default_rng(5).random(values.shape))
    leaf = values.clone().requires_grad_()

    (found,) = torch.autograd.grad((topk(leaf, mask, K) * weights).sum(), leaf)

    # Costs are divided by their largest, (3 − s_min)², taken as a constant: only s_min would move it.
    inner = mask & (values != values.masked_fill(~mask, 9.0).amin(1, keepdim=True))
    expected = differences(topk, values, mask, weights, 1e-4 * spread)[inner]
    assert (found[inner] - expected).norm() <= 1e-6 * expected.norm()


@pytest.mark.parametrize("topk", WAYS)
def test_a_user_with_nothing_to_choose_has_no_gradient(topk: TopK):
    values, mask = scores()
    values = values.requires_grad_()
    alpha = topk(values, mask, K)

    (found,) = torch.autograd.grad((alpha * torch.arange(20.0)).sum(), values)

    assert alpha[1, :3].tolist() == [1.0, 1.0, 1.0]
    assert found[1].abs().max() == 0
    assert found[0].abs().max() > 0


@pytest.mark.parametrize("topk", WAYS)
def test_users_do_not_hear_of_each_other(topk: TopK):
    values, mask = scores()

    alone = topk(values[2:3, :7], mask[2:3, :7], K)

    torch.testing.assert_close(topk(values, mask, K)[2:3, :7], alone, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("topk", WAYS)
def test_the_order_of_candidates_does_not_matter(topk: TopK):
    values, mask = scores()
    order = torch.randperm(20, generator=torch.Generator().manual_seed(0))

    torch.testing.assert_close(
        topk(values[:, order], mask[:, order], K), topk(values, mask, K)[:, order], rtol=1e-9, atol=1e-12
    )


def test_standard_deviations_make_the_scale_of_scores_irrelevant():
    values, mask = scores()

    torch.testing.assert_close(Sigmoids(0.2)(1000 * values + 5, mask, K), Sigmoids(0.2)(values, mask, K))


def test_the_transport_stops_within_its_tolerance():
    values, mask = scores()
    loose, tight = (Sorted(Transport(1e-3, tolerance))(values, mask, K) for tolerance in (1e-4, 1e-12))

    torch.testing.assert_close(loose, tight, rtol=0, atol=1e-3)


def test_too_few_scores_are_refused():
    values, mask = scores()

    with pytest.raises(ValueError, match="k is 4, but a user has 3 scores"):
        Sigmoids()(values, mask, 4)


def test_an_unknown_name_lists_the_known_ones():
    assert make_topk("sigmoids") == Sigmoids()
    with pytest.raises(ConfigError, match="sigmoids, sorted"):
        make_topk("hard")
