"""Layers with Dice between them, and the head of one task."""

from itertools import pairwise

from torch import Tensor, nn

from labelcraft.models.dice import Dice
from labelcraft.models.recommender import new_linear

HIDDEN = (200, 80)  # of DIN, in LabelCraft


def dice_layers(*widths: int) -> nn.Sequential:
    """Linear layers from the first of *widths* to the last, each followed by Dice."""
    layers: list[nn.Module] = []
    for n_in, n_out in pairwise(widths):
        layers += [new_linear(n_in, n_out), Dice(n_out)]
    return nn.Sequential(*layers)


class SingleHead(nn.Module):
    """One logit of a row: DIN's layers."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.layers = dice_layers(width, *HIDDEN)
        self.last = new_linear(HIDDEN[-1], 1)

    def forward(self, features: Tensor) -> Tensor:
        """`(n,)` of *features* `(n, width)`."""
        logits: Tensor = self.last(self.layers(features))[:, 0]
        return logits
