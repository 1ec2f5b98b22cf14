"""DIN's attention unit as functions of rows, each with its derivatives by hand: most of a recommender's time is here.

By torch alone the backward pass of one piece writes 40 tensors of `(n, h, HIDDEN)`; by hand, 9.
"""

from typing import NamedTuple

import torch
from torch import Tensor

from labelcraft.models.pieces import RowFunction, Tensors

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


class Score(NamedTuple):
    """Dice and the second layer on it, a score being x·linear + (x ⊙ σ(x·scale + shift))·gated + last.

    That is w·Dice(x) + b with *linear* = w ⊙ leak and *gated* = w ⊙ (1 − leak); all are `(HIDDEN,)` but *last* `(1,)`.
    """

    scale: Tensor
    shift: Tensor
    linear: Tensor
    gated: Tensor
    last: Tensor


def hidden(history: Tensor, query: Tensor, weights: Weights) -> Tensor:
    """The first layer before its activation, `(n, h, HIDDEN)`, of *history* `(n, h, d)` and *query* `(n, d)`."""
    values = torch.bmm(history, _of_row(query, weights).transpose(1, 2))
    values += (query @ weights.query.T + weights.bias)[:, None, :]  # baddbmm would copy it to all rows first
    return values


def _of_row(query: Tensor, weights: Weights) -> Tensor:
    """Each row's own matrix, `(n, HIDDEN, d)`."""
    return torch.addcmul(weights.history, query[:, None, :], weights.product)


def _pull_hidden(
    given: Tensor, valid: Tensor, history: Tensor, query: Tensor, weights: Weights
) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor, Tensor]:
    """The gradients in history, query and the weights, of that of the hidden values, *given*, 0 at the padding."""
    of_matrix = torch.bmm(given.transpose(1, 2), history)  # (n, HIDDEN, d)
    of_constant = torch.bmm(valid[:, None, :], given)[:, 0]
    return (
        torch.bmm(given, _of_row(query, weights)),
        (of_matrix * weights.product).sum(1) + of_constant @ weights.query,
        of_constant.T @ query,
        of_matrix.sum(0),
        (of_matrix * query[:, None, :]).sum(0),
        of_constant.sum(0),
    )


def _push_hidden(
    history: Tensor, query: Tensor, weights: Weights, along_history: Tensor, along_query: Tensor, along: Weights
) -> Tensor:
    """How the hidden values change as history, query and weights move."""
    of_row = torch.addcmul(along.history, along_query[:, None, :], weights.product)
    of_row.addcmul_(query[:, None, :], along.product)
    moved = torch.bmm(history, of_row.transpose(1, 2))
    moved += (along_query @ weights.query.T + query @ along.query.T + along.bias)[:, None, :]
    return moved.baddbmm_(along_history, _of_row(query, weights).transpose(1, 2))


def _row_moments(index: Tensor, history: Tensor, query: Tensor, *weights: Tensor) -> Tensors:
    """Of each row's hidden values, their mean and their sum of squares about it, `(n, HIDDEN)`; padding is left out."""
    values = hidden(history, query, Weights(*weights))
    valid = _valid(index, values)
    mean = _mean(values, valid)
    return mean, torch.bmm(valid[:, None, :], (values - mean[:, None, :]).square())[:, 0]


def _pull_row_moments(given: Tensors, index: Tensor, history: Tensor, query: Tensor, *weights: Tensor) -> Tensors:
    """A value x moves the mean by 1/n and the sum of squares by 2 (x − mean), in which the mean's own move is lost."""
    values = hidden(history, query, Weights(*weights))
    valid = _valid(index, values)
    of_mean, of_spread = given
    values -= _mean(values, valid)[:, None, :]
    values *= 2 * of_spread[:, None, :]
    values += (of_mean / _count(valid))[:, None, :]
    values *= valid[..., None]
    return _pull_hidden(values, valid, history, query, Weights(*weights))


def _push_row_moments(along: Tensors, index: Tensor, history: Tensor, query: Tensor, *weights: Tensor) -> Tensors:
    values = hidden(history, query, Weights(*weights))
    moved = _push_hidden(history, query, Weights(*weights), along[0], along[1], Weights(*along[2:]))
    valid = _valid(index, values)
    values -= _mean(values, valid)[:, None, :]
    return _mean(moved, valid), 2 * torch.bmm(valid[:, None, :], values.mul_(moved))[:, 0]


def _attend(index: Tensor, history: Tensor, query: Tensor, *tensors: Tensor) -> Tensors:
    """The history weighed and summed, `(n, d)`. Weights are no shares: they are not put through a softmax."""
    score, weights = Score(*tensors[:5]), Weights(*tensors[5:])
    values = hidden(history, query, weights)
    opened = values * _gate(values, score)
    scores = (_dot(values, score.linear) + _dot(opened, score.gated) + score.last) * _valid(index, values)
    return (torch.bmm(scores[:, None, :], history)[:, 0],)


def _pull_attend(given: Tensors, index: Tensor, history: Tensor, query: Tensor, *tensors: Tensor) -> Tensors:
    score, weights = Score(*tensors[:5]), Weights(*tensors[5:])
    values = hidden(history, query, weights)
    gate = _gate(values, score)
    opened = values * gate
    valid = _valid(index, values)
    scores = (_dot(values, score.linear) + _dot(opened, score.gated) + score.last) * valid
    of_scores = torch.bmm(history, given[0][:, :, None])[..., 0] * valid
    of_score = _pull_score(of_scores, values, gate, opened, score)  # and the gradient of the values is now in gate
    of_history, *rest = _pull_hidden(gate, valid, history, query, weights)
    of_history.addcmul_(scores[..., None], given[0][:, None, :])
    return of_history, rest[0], *of_score, *rest[1:]


def _pull_score(given: Tensor, values: Tensor, gate: Tensor, opened: Tensor, score: Score) -> Score:
    """The gradient in *score* of that of the scores, *given* `(n, h)`.

    *values*, *gate* and *opened* are overwritten, *gate* by the gradient of the values, which is
    given·(linear + gated ⊙ (σ + x σ(1 − σ) scale)). Sums over rows are products of a vector and a matrix, so that only
    the gradient itself is multiplied by *given*.
    """
    flat = given.reshape(-1)
    of_linear, of_gated = (flat @ x.view(-1, HIDDEN) for x in (values, opened))
    opened.addcmul_(opened, gate, value=-1)  # x σ(1 − σ)
    of_shift, of_scale = (score.gated * (flat @ x.view(-1, HIDDEN)) for x in (opened, values.mul_(opened)))
    gate *= _repeated(score.gated, values)
    gate.addcmul_(opened, _repeated(score.gated * score.scale, values).expand_as(opened))
    gate += _repeated(score.linear, values)
    gate *= given[..., None]
    return Score(of_scale, of_shift, of_linear, of_gated, given.sum()[None])


def _push_attend(along: Tensors, index: Tensor, history: Tensor, query: Tensor, *tensors: Tensor) -> Tensors:
    """With x' the values' change, a score's is x'·(linear + gated ⊙ (σ + x σ(1 − σ) scale)), and its weights' part."""
    score, weights = Score(*tensors[:5]), Weights(*tensors[5:])
    change = Score(*along[2:7])
    values = hidden(history, query, weights)
    moved = _push_hidden(history, query, weights, along[0], along[1], Weights(*along[7:]))
    gate = _gate(values, score)
    opened = values * gate
    valid = _valid(index, values)
    scores = (_dot(values, score.linear) + _dot(opened, score.gated) + score.last) * valid
    pushed = _dot(values, change.linear) + _dot(opened, change.gated) + change.last
    opened.addcmul_(opened, gate, value=-1)  # x σ(1 − σ)
    pushed += _dot(opened, score.gated * change.shift) + _dot(values.mul_(opened), score.gated * change.scale)
    pushed += _dot(gate.mul_(moved), score.gated) + _dot(moved, score.linear)
    pushed += _dot(opened.mul_(moved), score.gated * score.scale)
    pushed *= valid
    made = torch.bmm(pushed[:, None, :], history) + torch.bmm(scores[:, None, :], along[0])
    return (made[:, 0],)


def _attend_linearly(index: Tensor, history: Tensor, query: Tensor, *tensors: Tensor) -> Tensors:
    """The same without an activation: a score is then a dot product of the history with one vector of its row."""
    last, out, given = tensors[0], tensors[1], Weights(*tensors[2:])
    of_row = out @ given.history + query * (out @ given.product)  # (n, d)
    constant = (query @ given.query.T + given.bias) @ out + last
    scores = torch.bmm(history, of_row[:, :, None])[..., 0] + constant[:, None]
    return (torch.bmm((scores * (index > 0))[:, None, :], history)[:, 0],)


ROW_MOMENTS = RowFunction(_row_moments, _pull_row_moments, _push_row_moments)
ATTEND = RowFunction(_attend, _pull_attend, _push_attend)
ATTEND_LINEARLY = RowFunction(_attend_linearly)


def _valid(index: Tensor, values: Tensor) -> Tensor:
    """1 where a history has a video and 0 beyond, `(n, h)`."""
    return (index > 0).to(values.dtype)


def _count(valid: Tensor) -> Tensor:
    return valid.sum(1, keepdim=True).clamp(min=1)


def _mean(values: Tensor, valid: Tensor) -> Tensor:
    return torch.bmm(valid[:, None, :], values)[:, 0] / _count(valid)


def _gate(values: Tensor, score: Score) -> Tensor:
    made = values * _repeated(score.scale, values)
    made += _repeated(score.shift, values)
    return made.sigmoid_()


def _repeated(vector: Tensor, values: Tensor) -> Tensor:
    """*vector* `(HIDDEN,)` as `(h, HIDDEN)`: values are then scaled a row of 3,600 at a time, not 100 rows of 36."""
    return vector.repeat(values.shape[1], 1)


def _dot(values: Tensor, vector: Tensor) -> Tensor:
    """`(n, h)`."""
    return values.reshape(-1, HIDDEN).mv(vector).view(values.shape[:2])
