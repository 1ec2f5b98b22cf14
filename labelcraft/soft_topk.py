"""Soft top-k: a differentiable α in [0, 1] for each of a user's scores, with Σα = k. Users come as padded grids."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Protocol

import torch
from torch import Tensor

from labelcraft.transport import Transport
from retrieval.errors import ConfigError

MOST_NEWTON, MOST_STEPS = 40, 110
STD_EPS = 1e-12


class TopK(Protocol):
    """A soft top-k: the nearer to the hard one, the lower its temperature."""

    def __call__(self, scores: Tensor, mask: Tensor, k: int) -> Tensor:
        """α `(U, N)` of *scores* `(U, N)`; 0 where *mask* `(U, N)` is false. Each user has at least *k* scores."""


@dataclass(frozen=True)
class Sigmoids:
    """α_i = σ((s_i − t)/τ), with the one threshold t of each user at which they sum to k.

    It is entropic transport to the two anchors 0 and 1 in closed form. With *standardise* the temperature is in
    standard deviations of the user's scores, taken as constants: else a new model, whose scores all but coincide,
    would choose everything alike, and an old one would not be smooth.
    """

    temperature: float = 0.1
    standardise: bool = True

    def __call__(self, scores: Tensor, mask: Tensor, k: int) -> Tensor:
        check_counts(mask, k)
        scores = scores / _deviation(scores.detach(), mask) if self.standardise else scores
        alpha: Tensor = _Sigmoids.apply(scores, mask, k, self.temperature)[0]
        return alpha


@dataclass(frozen=True)
class Sorted:
    """The paper's SOFT: entropic transport of the scores to the k + 1 anchors k, k − 1, …, 0; α is what k of them get.

    *epsilon* is that of the published code; with *standardise* it sees scores in standard deviations.
    """

    transport: Transport = field(default_factory=Transport)
    standardise: bool = False

    def __call__(self, scores: Tensor, mask: Tensor, k: int) -> Tensor:
        check_counts(mask, k)
        scores = scores / _deviation(scores.detach(), mask) if self.standardise else scores
        choosing = mask.sum(1) > k  # the others have nothing to choose: α is 1, whatever the scores
        alpha = mask.to(scores.dtype)
        return alpha.index_put((choosing,), self.transport(scores[choosing], mask[choosing], k))


TOPKS: dict[str, Callable[[], TopK]] = {"sigmoids": Sigmoids, "sorted": Sorted}


def make_topk(name: str) -> TopK:
    """The soft top-k called *name*, with its defaults.

    Raises:
        ConfigError: there is none of that name.
    """
    if name not in TOPKS:
        raise ConfigError(f"There is no soft top-k {name!r}.", f"Choose one of: {', '.join(TOPKS)}.")
    return TOPKS[name]()


def check_counts(mask: Tensor, k: int) -> None:
    """Raise where a user has fewer than *k* scores."""
    if k < 1 or bool((mask.sum(1) < k).any()):
        raise ValueError(f"k is {k}, but a user has {int(mask.sum(1).min())} scores")


class _Sigmoids(torch.autograd.Function):
    """With D = α(1 − α)/τ, the gradient of Σ w_i α_i in s_i is D_i (w_i − ΣDw/ΣD): t moves with the scores."""

    @staticmethod
    def forward(scores: Tensor, mask: Tensor, k: int, temperature: float) -> Any:
        exact = scores.double().masked_fill(~mask, -torch.inf) / temperature  # a root in float32 sums to k within 1e-4
        alpha = torch.sigmoid(exact - _threshold(exact, mask, k)[:, None])
        alpha = torch.where((mask.sum(1) == k)[:, None], mask.double(), alpha)
        return alpha.to(scores.dtype, copy=True), alpha  # two tensors: only the first has a gradient

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, Tensor]) -> None:
        ctx.temperature = inputs[3]
        ctx.mark_non_differentiable(output[1])
        ctx.save_for_backward(output[1])

    @staticmethod
    def backward(ctx: Any, cotangent: Tensor, _: Tensor) -> Any:
        (alpha,) = ctx.saved_tensors
        slope, wanted = alpha * (1 - alpha) / ctx.temperature, cotangent.double()
        total = slope.sum(1, keepdim=True)
        common = (slope * wanted).sum(1, keepdim=True) / total.clamp(min=torch.finfo(total.dtype).tiny)
        return (slope * (wanted - common)).to(cotangent.dtype), None, None, None


def _threshold(scores: Tensor, mask: Tensor, k: int) -> Tensor:
    """The t `(U,)` at which Σσ(s − t) = k, by Newton's method kept within a bracket; *scores* are −∞ at the padding.

    With all scores at the greatest, t would be s_max − logit(k/n), and with all at the least, s_min − logit(k/n): the
    root is between them. It starts half-way between the k-th score and the next, its place as the temperature falls.
    """
    count = mask.sum(1).double()
    offset = torch.log((count - k).clamp(min=1e-3) / k)  # where nothing is left to choose, any threshold will do
    low = scores.masked_fill(~mask, torch.inf).amin(1) + offset
    high = scores.amax(1) + offset
    best = scores.topk(min(k + 1, scores.shape[1]), dim=1).values[:, -2:].mean(1)
    at = torch.where((best > low) & (best < high), best, (low + high) / 2)
    for step in range(MOST_STEPS):
        chosen = torch.sigmoid(scores - at[:, None])
        excess = chosen.sum(1) - k
        low, high = torch.where(excess > 0, at, low), torch.where(excess < 0, at, high)
        newton = at + excess / (chosen * (1 - chosen)).sum(1)
        inside = (newton >= low) & (newton <= high) & (step < MOST_NEWTON)
        moved = torch.where(excess == 0, at, torch.where(inside, newton, (low + high) / 2))
        if torch.equal(moved, at) or bool((excess.abs() < 1e-14 * k).all()):
            break
        at = moved
    return at


def _deviation(scores: Tensor, mask: Tensor) -> Tensor:
    """The standard deviation of each user's scores, `(U, 1)`."""
    count = mask.sum(1, keepdim=True)
    centred = (scores - (scores * mask).sum(1, keepdim=True) / count) * mask
    return (centred.square().sum(1, keepdim=True) / count + STD_EPS).sqrt()
