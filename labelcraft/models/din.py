"""DIN: what a user watched before, weighed by how it goes with the video at hand."""

from typing import NamedTuple

import torch
from torch import Tensor, nn

from labelcraft.batches import Inputs
from labelcraft.models.dice import Dice, Gate, Moments, pooled_moments
from labelcraft.models.embedding import WIDTH
from labelcraft.models.pieces import by_pieces

HIDDEN = 36  # units of the attention unit's layer


class Weights(NamedTuple):
    """The attention unit's first layer on [q, h, q − h, q ⊙ h], brought together by what they multiply.

    A·[q, h, q − h, q⊙h] = (A_q + A_d) q + (A_h − A_d + A_p diag(q)) h: *query*, *history* and *product* are the three
    matrices `(HIDDEN, d)`. So the layer is one product of each row's own matrix with its history, and no tensor of
    `(n, h, 4 d)` is ever made.
    """

    query: Tensor
    history: Tensor
    product: Tensor
    bias: Tensor

    @classmethod
    def of(cls, layer: Tensor, bias: Tensor) -> "Weights":
        """From the *layer* `(HIDDEN, 4 d)` on the concatenation."""
        of_query, of_history, of_difference, of_product = layer.chunk(4, dim=1)
        return cls(of_query + of_difference, of_history - of_difference, of_product, bias)


def hidden(history: Tensor, query: Tensor, weights: Weights) -> Tensor:
    """The first layer before its activation, `(n, h, HIDDEN)`, of *history* `(n, h, d)` and *query* `(n, d)`."""
    of_row = torch.addcmul(weights.history, query[:, None, :], weights.product)  # (n, HIDDEN, d)
    constant = query @ weights.query.T + weights.bias
    return torch.baddbmm(constant[:, None, :], history, of_row.transpose(1, 2))


def row_moments(index: Tensor, history: Tensor, query: Tensor, *weights: Tensor) -> tuple[Tensor, Tensor]:
    """Of each row's hidden values, their mean and their sum of squares about it, `(n, HIDDEN)`; padding is left out."""
    values = hidden(history, query, Weights(*weights))
    valid = (index > 0).to(values.dtype)[:, None, :]  # (n, 1, h)
    mean = torch.bmm(valid, values) / valid.sum(2, keepdim=True).clamp(min=1)
    return mean[:, 0], torch.bmm(valid, (values - mean).square())[:, 0]


def attend(
    index: Tensor, history: Tensor, query: Tensor, scale: Tensor, shift: Tensor, linear: Tensor, gated: Tensor,
    last: Tensor, *weights: Tensor,
) -> tuple[Tensor]:  # fmt: skip
    """The history weighed and summed, `(n, d)`.

    A score is w·Dice(x) + b = x·(w ⊙ leak) + (x ⊙ σ(x·scale + shift))·(w ⊙ (1 − leak)) + b: *linear*, *gated* and
    *last* are its three weights. Scores are no shares: they are not put through a softmax.
    """
    values = hidden(history, query, Weights(*weights))
    flat, times = values.flatten(1), history.shape[1]  # a row of 3,600 is scaled faster than 100 rows of 36
    opened = values * torch.sigmoid(flat * scale.repeat(times) + shift.repeat(times)).view_as(values)
    scores = (values @ linear[:, None] + opened @ gated[:, None])[..., 0] + last
    return (torch.bmm((scores * (index > 0))[:, None, :], history)[:, 0],)


def attend_linearly(
    index: Tensor, history: Tensor, query: Tensor, last: Tensor, out: Tensor, *weights: Tensor
) -> tuple[Tensor]:
    """The same without an activation: a score is then a dot product of the history with one vector of its row."""
    given = Weights(*weights)
    of_row = out @ given.history + query * (out @ given.product)  # (n, d)
    constant = (query @ given.query.T + given.bias) @ out + last
    scores = torch.bmm(history, of_row[:, :, None])[..., 0] + constant[:, None]
    return (torch.bmm((scores * (index > 0))[:, None, :], history)[:, 0],)


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
            return by_pieces(attend_linearly, table, history, (query,), (self.last, out, *weights))[0]
        gate = self.dice.gate(self._moments(table, history, query, weights) if self.training else None)
        scores = _score_weights(gate, out)
        return by_pieces(attend, table, history, (query,), (*scores, self.last, *weights))[0]

    def _moments(self, table: Tensor, history: Tensor, query: Tensor, weights: Weights) -> Moments:
        mean, spread = by_pieces(row_moments, table, history, (query,), weights)
        return pooled_moments(mean, spread, (history > 0).sum(1).to(mean.dtype))


def _score_weights(gate: Gate, out: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    return gate.scale, gate.shift, out * gate.leak, out * (1 - gate.leak)


class DinFeatures(nn.Module):
    """DIN's concatenation: the video, the history as the video sees it, and the user, `(n, 2 d + 12)`."""

    def __init__(self, width: int, linear: bool = False) -> None:
        super().__init__()
        self.attention = Attention(width, linear)
        self.width = 2 * width + WIDTH

    def forward(self, table: Tensor, user: Tensor, inputs: Inputs) -> Tensor:
        query = table.index_select(0, inputs.item)
        return torch.cat([query, self.attention(table, inputs.history, query), user], dim=1)
