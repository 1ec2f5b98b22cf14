"""Multi-gate mixture of experts: several labels learned at once by experts that they share."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from labelcraft.models.layers import HIDDEN, dice_layers
from labelcraft.models.recommender import new_linear

N_EXPERTS = 3
TOWER = 32


class MixtureHead(nn.Module):
    """f_t = Σ_e g_te E_e with g_t = softmax(W_t x), and a tower of its own for each task's logit."""

    def __init__(self, width: int, n_tasks: int) -> None:
        super().__init__()
        self.experts = nn.ModuleList(dice_layers(width, *HIDDEN) for _ in range(N_EXPERTS))
        self.gates = nn.ModuleList(new_linear(width, N_EXPERTS) for _ in range(n_tasks))
        self.towers = nn.ModuleList(
            nn.Sequential(dice_layers(HIDDEN[-1], TOWER), new_linear(TOWER, 1)) for _ in range(n_tasks)
        )

    def forward(self, features: Tensor) -> Tensor:
        """`(n, n_tasks)` of *features* `(n, width)`."""
        made = torch.stack([expert(features) for expert in self.experts], dim=1)  # (n, N_EXPERTS, 80)
        shares = [torch.softmax(gate(features), dim=1) for gate in self.gates]
        mixed = [torch.einsum("ne,new->nw", share, made) for share in shares]
        return torch.cat([tower(given) for tower, given in zip(self.towers, mixed, strict=True)], dim=1)


def ranking_score(logits: Tensor, weights: Sequence[float]) -> Tensor:
    """Σ_t a_t·σ(logit_t), `(n,)` of *logits* `(n, n_tasks)`: what a model of several tasks ranks by.

    *weights* are those of the tasks in the training loss; the paper does not say what it ranks by.
    """
    return torch.sigmoid(logits) @ torch.tensor(weights, dtype=logits.dtype, device=logits.device)
