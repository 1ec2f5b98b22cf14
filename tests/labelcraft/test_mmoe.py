"""The mixture of experts: f_t = Σ_e g_te E_e, by hand, and what tasks share."""

import pytest
import torch
from torch import Tensor, nn

from labelcraft.models.mmoe import MixtureHead, ranking_score
from tests.labelcraft.small_models import inputs, model

F64 = torch.float64


class Constant(nn.Module):
    def __init__(self, value: float) -> None:
        super().__init__()
        self.value = value

    def forward(self, features: Tensor) -> Tensor:
        return torch.full((len(features), 2), self.value)


def test_a_task_mixes_the_experts_by_its_own_gate():
    head = MixtureHead(4, 2)
    head.experts = nn.ModuleList(Constant(value) for value in (1.0, 10.0, 100.0))
    head.towers = nn.ModuleList([_First(), _First()])
    with torch.no_grad():
        head.gates[0].weight.zero_()
        head.gates[0].bias.copy_(torch.log(torch.tensor([0.5, 0.25, 0.25])))
        head.gates[1].weight.zero_()
        head.gates[1].bias.copy_(torch.log(torch.tensor([0.2, 0.2, 0.6])))

    made = head(torch.randn(3, 4))

    # ½·1 + ¼·10 + ¼·100 = 28, and 0.2 + 2 + 60 = 62.2
    torch.testing.assert_close(made, torch.tensor([[28.0, 62.2]]).expand(3, 2))


class _First(nn.Module):
    def forward(self, mixed: Tensor) -> Tensor:
        return mixed[:, :1]


def test_there_are_three_experts_and_a_gate_and_a_tower_for_each_task():
    head = MixtureHead(84, 2)

    assert (len(head.experts), len(head.gates), len(head.towers)) == (3, 2, 2)
    assert head.gates[0].weight.shape == (3, 84)


@pytest.mark.parametrize("name", ["din", "two_tower"])
def test_either_backbone_learns_several_tasks(name: str):
    recommender = model(name, tasks=2)

    logits = recommender(inputs(12))
    (gradient,) = torch.autograd.grad(logits[:, 0].sum(), recommender.users.weight)

    assert logits.shape == (12, 2)
    assert gradient.abs().max() > 0


def test_tasks_share_experts_but_not_gates():
    recommender = model("din", tasks=2)
    logits = recommender(inputs(12))

    logits[:, 0].sum().backward()

    head = recommender.head
    assert all(parameter.grad.isfinite().all() for parameter in head.experts.parameters())
    assert head.gates[0].weight.grad.abs().max() > 0
    assert head.gates[1].weight.grad.abs().max() == 0
    assert head.towers[1][1].weight.grad.abs().max() == 0


def test_at_test_time_a_score_does_not_depend_on_the_other_candidates():
    recommender, given = model("din", tasks=2).eval(), inputs(12)
    alone = type(given)(given.user[:1], given.item[:1], given.history[:1])

    torch.testing.assert_close(recommender(given)[:1], recommender(alone), rtol=1e-10, atol=1e-12)


def test_the_ranking_score_is_the_weighted_sum_of_predictions():
    logits = torch.tensor([[0.0, 0.0], [100.0, -100.0]], dtype=F64)

    torch.testing.assert_close(ranking_score(logits, (1.0, 2.0)), torch.tensor([1.5, 1.0], dtype=F64))
