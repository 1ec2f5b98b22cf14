"""Jacobian-vector products, without the warning that torch's own loading of them raises."""

import warnings
from collections.abc import Callable

import torch
from torch import Tensor
from torch.autograd import forward_ad


def jvp(function: Callable[[dict[str, Tensor]], Tensor], at: dict[str, Tensor], along: dict[str, Tensor]) -> Tensor:
    """How *function* changes as its tensors, being *at*, move *along*."""
    _load()
    moved: Tensor = torch.func.jvp(function, (at,), (along,))[1]
    return moved


def _load() -> None:
    """At the first dual tensor torch scripts a few rules, by a function that it itself calls deprecated."""
    with warnings.catch_warnings(), forward_ad.dual_level():
        warnings.simplefilter("ignore", FutureWarning)
        forward_ad.make_dual(torch.zeros(()), torch.zeros(()))  # type: ignore[no-untyped-call]
