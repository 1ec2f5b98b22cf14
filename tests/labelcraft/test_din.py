"""DIN beside the plain form of its attention unit; padding; evaluation; and rows a few at a time."""

import dataclasses

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.func import functional_call

from labelcraft.batches import Inputs
from labelcraft.bilevel import jvp_of_logits
from labelcraft.models import pieces
from labelcraft.models.factory import make_model
from labelcraft.models.recommender import Recommender
from retrieval.errors import ConfigError
from tests.labelcraft.small_models import N_USERS, inputs, items, model

F64 = torch.float64
DINS = ["din", "din_linear"]


@pytest.fixture(autouse=True)
def _small_pieces(monkeypatch: pytest.MonkeyPatch):
    """So that a few rows are several pieces."""
    monkeypatch.setattr(pieces, "PIECE_ROWS", 7)


def plain_logits(din: Recommender, given: Inputs, activate: bool = True) -> Tensor:
    """As the paper draws it: the concatenation [q, h, q − h, q ⊙ h] through a layer, Dice, and another layer."""
    table, unit = din.items(), din.features.attention
    query, history = table[given.item], table[given.history]
    repeated = query[:, None, :].expand_as(history)
    read = torch.cat([repeated, history, repeated - history, repeated * history], dim=2)
    hidden = read @ unit.layer.T + unit.bias
    valid = given.history > 0
    if activate:
        active = torch.zeros_like(hidden)
        active[valid] = unit.dice(hidden[valid])
        hidden = active
    scores = (hidden @ unit.out[0] + unit.last) * valid
    pooled = (scores[..., None] * history).sum(1)
    return din.head(torch.cat([query, pooled, din.users(given.user)], dim=1))


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("name", DINS)
def test_logits_are_those_of_the_plain_form(name: str, training: bool):
    din, plain = (model(name).train(training) for _ in range(2))
    given = inputs(20)

    expected = plain_logits(plain, given, activate=name == "din")

    torch.testing.assert_close(din(given), expected)
    torch.testing.assert_close(din.state_dict(), plain.state_dict())  # the running statistics too


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("name", DINS)
def test_gradients_are_those_of_the_plain_form(name: str, training: bool):
    din = model(name).train(training)
    given = inputs(20)
    weights = torch.linspace(-1, 1, 20, dtype=F64)

    found = torch.autograd.grad((din(given) * weights).sum(), list(din.parameters()))

    plain = (plain_logits(din, given, activate=name == "din") * weights).sum()
    torch.testing.assert_close(found, torch.autograd.grad(plain, list(din.parameters())), rtol=1e-9, atol=1e-11)


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("name", [*DINS, "two_tower"])
def test_forward_mode_is_that_of_differences(name: str, training: bool):
    din = model(name).train(training)
    given = inputs(20)
    generator = torch.Generator().manual_seed(0)
    along = {key: torch.randn(value.shape, generator=generator, dtype=F64) for key, value in din.named_parameters()}

    found = jvp_of_logits(din, given, along)

    up, down = (shifted(din, given, along, step) for step in (1e-6, -1e-6))
    torch.testing.assert_close(found, (up - down) / 2e-6, rtol=1e-6, atol=1e-7)


@torch.no_grad()
def shifted(din: Recommender, given: Inputs, along: dict[str, Tensor], step: float) -> Tensor:
    """Logits with the parameters moved by *step* along *along*; padding stays zero, as `Embedding` keeps it."""
    running = {key: value.clone() for key, value in din.named_buffers()}
    moved = {key: value + step * along[key] for key, value in din.named_parameters()}
    return functional_call(din, {**moved, **running}, (given,))


def test_second_derivatives_can_be_taken():
    din, given = model("din"), inputs(9)
    weight = din.features.attention.layer

    (first,) = torch.autograd.grad(din(given).square().sum(), weight, create_graph=True)
    (second,) = torch.autograd.grad(first.sum(), weight)

    plain = plain_logits(din, given).square().sum()
    (of_plain,) = torch.autograd.grad(plain, weight, create_graph=True)
    torch.testing.assert_close(second, torch.autograd.grad(of_plain.sum(), weight)[0])


@pytest.mark.parametrize("name", [*DINS, "two_tower"])
def test_longer_padding_changes_nothing(name: str):
    din, given = model(name), inputs(12)
    longer = dataclasses.replace(given, history=torch.nn.functional.pad(given.history, (0, 5)))

    torch.testing.assert_close(din(longer), din(given))


@pytest.mark.parametrize("name", [*DINS, "two_tower"])
def test_at_test_time_a_score_does_not_depend_on_the_other_candidates(name: str):
    din, given = model(name).eval(), inputs(12)
    alone = Inputs(given.user[3:4], given.item[3:4], given.history[3:4])

    torch.testing.assert_close(din(given)[3:4], din(alone), rtol=1e-10, atol=1e-12)


def test_in_training_it_does():
    din, given = model("din").train(), inputs(12)
    some = Inputs(given.user[:6], given.item[:6], given.history[:6])

    assert (din(given)[:6] - din(some)).abs().max() > 1e-3


def test_padding_stays_zero_under_training():
    din, given = model("din"), inputs(20)
    optimizer = torch.optim.SGD(din.parameters(), lr=1.0, weight_decay=0.1)

    din(given).sum().backward()
    optimizer.step()

    assert din.items()[0].abs().max() == 0
    assert din.users.weight[0].abs().max() == 0
    assert din.items.fields[0].weight.grad.abs().max() > 0


@pytest.mark.parametrize("name", [*DINS, "two_tower"])
def test_a_row_without_history_has_a_finite_score_and_gradient(name: str):
    din = model(name)
    none = Inputs(torch.tensor([1, 2]), torch.tensor([3, 4]), torch.zeros(2, 1, dtype=torch.int64))

    logits = din(none)
    logits.sum().backward()

    assert logits.isfinite().all()
    assert all(parameter.grad.isfinite().all() for parameter in din.parameters())


@pytest.mark.parametrize("name", [*DINS, "two_tower"])
def test_no_rows_have_no_logits(name: str):
    assert model(name).eval()(inputs(0)).shape == (0,)


def test_the_order_of_the_history_does_not_matter():
    din, given = model("din"), inputs(12)
    turned = dataclasses.replace(given, history=given.history.flip(1))

    torch.testing.assert_close(din(turned), din(given))


def test_scores_are_no_shares():
    din = model("din").eval()
    once = Inputs(torch.tensor([1]), torch.tensor([3]), torch.tensor([[5, 0]]))
    twice = dataclasses.replace(once, history=torch.tensor([[5, 5]]))
    table = din.items()

    pooled = [din.features.attention(table, rows.history, table[rows.item]) for rows in (once, twice)]

    torch.testing.assert_close(pooled[1], 2 * pooled[0])


def test_sizes_are_the_papers():
    din = make_model("din", items(), N_USERS)

    assert din.items().shape == (31, 36)
    assert din.users.weight.shape == (N_USERS + 1, 12)
    assert din.features.attention.layer.shape == (36, 144)
    shapes = [tuple(value.shape) for name, value in din.head.named_parameters() if value.ndim == 2]
    assert shapes == [(200, 84), (80, 200), (1, 80)]


def test_the_seed_decides_the_weights_and_nothing_else_is_drawn():
    torch.manual_seed(0)
    before = torch.random.get_rng_state()

    one, same, other = (make_model("din", items(), N_USERS, seed=seed).state_dict() for seed in (1, 1, 2))

    torch.testing.assert_close(one, same, rtol=0, atol=0)
    assert not torch.equal(one["users.weight"], other["users.weight"])
    assert torch.equal(torch.random.get_rng_state(), before)


def test_codes_are_not_saved_with_the_weights():
    assert not [name for name in model("din").state_dict() if "codes" in name]


def test_an_unknown_backbone_lists_the_known_ones():
    with pytest.raises(ConfigError, match="din, din_linear, two_tower"):
        make_model("dine", items(), N_USERS)


def test_single_precision_is_near_double():
    given = inputs(40)

    single = model("din").float().eval()(given).detach()

    np.testing.assert_allclose(single, model("din").eval()(given).detach(), rtol=1e-3, atol=1e-4)
