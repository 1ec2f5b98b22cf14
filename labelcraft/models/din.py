"""DIN: what a user watched before, weighed by how it goes with the video at hand."""

import torch
from torch import Tensor, nn

from labelcraft.batches import Inputs
from labelcraft.models.attention import ATTEND, ATTEND_LINEARLY, HIDDEN, ROW_MOMENTS, Score, Weights
from labelcraft.models.dice import Dice, Moments, pooled_moments
from labelcraft.models.embedding import WIDTH
from labelcraft.models.pieces import by_pieces


class Attention(nn.Module):
    """DIN's attention unit: one hidden layer with Dice, as DIN has it, or *linear* as LabelCraft's published code."""

    def __init__(self, width: int, linear: bool = False) -> None:
        super().__init__()
        self.layer = nn.Parameter(torch.empty(HIDDEN, 4 * width))
        self.bias = nn.Parameter(torch.zeros(HIDDEN))
        self.out = nn.Parameter(torch.empty(1, HIDDEN))
        self.last = nn.Parameter(torch.zeros(1))
        self.dice = None if linear else Dice(HIDDEN)
        nn.init.xavier_normal_(self.layer)
        nn.init.xavier_normal_(self.out)

    def forward(self, table: Tensor, history: Tensor, query: Tensor) -> Tensor:
        """`(n, d)`, of the *history* `(n, h)` as rows of *table* `(m, d)` and the *query* `(n, d)`."""
        weights, out = Weights.of(self.layer, self.bias), self.out[0]
        if self.dice is None:
            return by_pieces(ATTEND_LINEARLY, table, history, (query,), (self.last, out, *weights))[0]
        gate = self.dice.gate(self._moments(table, history, query, weights) if self.training else None)
        score = Score(gate.scale, gate.shift, out * gate.leak, out * (1 - gate.leak), self.last)
        return by_pieces(ATTEND, table, history, (query,), (*score, *weights))[0]

    def _moments(self, table: Tensor, history: Tensor, query: Tensor, weights: Weights) -> Moments:
        mean, spread = by_pieces(ROW_MOMENTS, table, history, (query,), weights)
        return pooled_moments(mean, spread, (history > 0).sum(1).to(mean.dtype))


class DinFeatures(nn.Module):
    """DIN's concatenation: the video, the history as the video sees it, and the user, `(n, 2 d + 12)`."""

    def __init__(self, width: int, linear: bool = False) -> None:
        super().__init__()
        self.attention = Attention(width, linear)
        self.width = 2 * width + WIDTH

    def forward(self, table: Tensor, user: Tensor, inputs: Inputs) -> Tensor:
        query = table.index_select(0, inputs.item)
        return torch.cat([query, self.attention(table, inputs.history, query), user], dim=1)
