"""Dice, DIN's activation: a unit lets pass what is large for it, as its own mean and variance say."""

from typing import NamedTuple

import torch
from torch import Tensor, nn

EPS = 1e-8
MOMENTUM = 0.1


class Moments(NamedTuple):
    """Mean and biased variance of each of *width* units `(width,)`, over *n* values each."""

    mean: Tensor
    variance: Tensor
    n: Tensor


class Gate(NamedTuple):
    """Dice with its statistics settled, all `(width,)`: x ↦ x·(leak + (1 − leak)·σ(x·scale + shift))."""

    scale: Tensor
    shift: Tensor
    leak: Tensor


class Dice(nn.Module):
    """x ↦ (1 − p)·α·x + p·x with p = σ(γ·x̂ + β), x̂ being x less its mean over its standard deviation.

    In training these are the batch's, and the running ones, which hold in evaluation, follow them: each forward pass
    in training moves them once, in place.
    """

    running_mean: Tensor
    running_variance: Tensor

    def __init__(self, width: int) -> None:
        super().__init__()
        self.leak = nn.Parameter(torch.zeros(width))
        self.gain = nn.Parameter(torch.ones(width))
        self.bias = nn.Parameter(torch.zeros(width))
        self.register_buffer("running_mean", torch.zeros(width))
        self.register_buffer("running_variance", torch.ones(width))

    def forward(self, x: Tensor) -> Tensor:
        """Of *x* `(n, width)`."""
        gate = self.gate(moments(x) if self.training else None)
        opened = x * gate.scale
        opened = opened.add_(gate.shift).sigmoid_()  # in place: at 30,000 rows of 200, fresh memory costs most
        return x * torch.addcmul(gate.leak, 1 - gate.leak, opened)

    def gate(self, batch: Moments | None) -> Gate:
        """What to do with each value, by the statistics of the *batch* in training, by the running ones without."""
        if batch is None:
            mean, variance = self.running_mean, self.running_variance
        else:
            mean, variance = batch.mean, batch.variance
            self._follow(batch)
        scale = self.gain * torch.rsqrt(variance + EPS)
        return Gate(scale, self.bias - mean * scale, self.leak)

    @torch.no_grad()
    def _follow(self, batch: Moments) -> None:
        """As batch normalisation does, the running variance follows the unbiased one."""
        unbiased = batch.variance.detach() * batch.n / (batch.n - 1).clamp(min=1)
        self.running_mean.lerp_(batch.mean.detach(), MOMENTUM)
        self.running_variance.lerp_(unbiased, MOMENTUM)


def moments(x: Tensor) -> Moments:
    """Mean and variance of each column of *x* `(n, width)`."""
    mean = x.mean(0)
    return Moments(mean, (x - mean).square().mean(0), torch.tensor(len(x), dtype=x.dtype))


def pooled_moments(mean: Tensor, spread: Tensor, count: Tensor) -> Moments:
    """Moments over all rows, of which each brings *count* `(n,)` values with their *mean* and *spread* `(n, width)`.

    *spread* is the sum of squares about the row's own mean. Rows without a value do not count.
    """
    total = count.sum()
    weight = (count / total.clamp(min=1))[:, None]
    overall = (weight * mean).sum(0)
    within = spread.sum(0) / total.clamp(min=1)
    return Moments(overall, within + (weight * (mean - overall).square()).sum(0), total)
