"""The platform's objectives as functions of scores: watch time, explicit feedback and spread of the soft top k."""

from dataclasses import dataclass, field
from typing import NamedTuple, TypeVar

import numpy as np
import torch
from torch import Tensor

from labelcraft.batches import UserBatch
from labelcraft.feedback import Floats
from labelcraft.soft_topk import Sigmoids, TopK

SPREAD_EPS = 1e-8
Seconds = TypeVar("Seconds", Floats, Tensor)


@dataclass(frozen=True)
class Scale:
    """Eq. 11: seconds to [0, 1], linear up to *at_beta*, whose scale is *share*, and linear from there to *at_most*.

    *at_beta* is the β-th percentile of the seconds it was fitted on, *at_most* their largest, and *share* =
    max(at_beta/at_most, 1 − β/100): the common values keep at least that much of the interval. What lies outside is
    clamped. The published code loses every value above *at_beta*, which held 63 % of a real log's seconds.
    """

    at_beta: float
    at_most: float
    share: float

    @classmethod
    def fit(cls, seconds: Floats, beta: float = 80.0) -> "Scale":
        """On training rows. A *beta* of 100 is plain division by the largest."""
        at_beta, at_most = (float(value) for value in np.percentile(seconds, [beta, 100.0]))
        if at_beta <= 0:  # most are 0: the second part is all there is
            return cls(0.0, at_most, 0.0)
        return cls(at_beta, at_most, max(at_beta / at_most, 1 - beta / 100))

    def __call__(self, seconds: Seconds) -> Seconds:
        head = seconds.clip(0.0, self.at_beta) / (self.at_beta or 1.0)
        tail = (seconds.clip(self.at_beta, self.at_most) - self.at_beta) / ((self.at_most - self.at_beta) or 1.0)
        return self.share * head + (1 - self.share) * tail


@dataclass(frozen=True)
class Unscaled:
    """w/o S: seconds as they are, beside which explicit feedback is small, as the paper says of this ablation."""

    def __call__(self, seconds: Seconds) -> Seconds:
        return seconds


class Parts(NamedTuple):
    """M1, M2 and M3 of eq. 9, or a weight of each: watch time, explicit feedback, spread of durations."""

    watch: Tensor
    explicit: Tensor
    spread: Tensor


class Value(NamedTuple):
    """The objective M, to be differentiated; its *parts* and their *weights* are numbers to report."""

    total: Tensor
    parts: Parts
    weights: Parts


@dataclass(frozen=True)
class Objective:
    """M = Σ_i w_i M_i with w = softmax(−τ·M_i), taken as constants (eq. 12): the least served counts most.

    *tau* is τ; *tau_times* multiplies it, since eq. 12 on means of users is nearly uniform for τ ≤ 1, while the
    published code takes sums over users: the number of users gives its weights. Without *balanced* (w/o B) weights are
    equal. Without *watch* (w/o WO), *spread* (w/o DO) or *explicit* (w/o EO) that part weighs nothing, and the others
    share by the same rule.
    """

    k: int = 10
    topk: TopK = field(default_factory=Sigmoids)
    tau: float = 0.5
    tau_times: float = 1.0
    balanced: bool = True
    watch: bool = True
    explicit: bool = True
    spread: bool = True

    def __post_init__(self) -> None:
        if not (self.watch or self.explicit or self.spread):
            raise ValueError("an objective needs at least one part")

    def __call__(self, scores: Tensor, users: UserBatch) -> Value:
        """Of the *scores* `(n_rows,)` of the users' rows."""
        alpha = self.topk(users.grid(scores), users.mask, self.k)
        parts = sub_objectives(alpha, users, self.k)
        weights = self.weights(parts)
        return Value(torch.stack(weights).dot(torch.stack(parts)), Parts(*(m.detach() for m in parts)), weights)

    def weights(self, parts: Parts) -> Parts:
        """The weight of each part; they sum to 1, and no gradient passes."""
        kept = torch.tensor([self.watch, self.explicit, self.spread])
        rate = self.tau * self.tau_times if self.balanced else 0.0
        exponents = -rate * torch.stack(parts).detach()
        return Parts(*torch.softmax(exponents.masked_fill(~kept, -torch.inf), 0))


def sub_objectives(alpha: Tensor, users: UserBatch, k: int) -> Parts:
    """Eq. 9 of *alpha* `(U, N)`: each a mean over users.

    The spread is a standard deviation: the paper's exponent −½ would make lists alike, and its published code takes
    that of α ⊙ duration over all of a user's rows, which grows with the number of rows.
    """
    share = alpha / k
    watch, duration, engaged = (grid.to(alpha.dtype) for grid in (users.watch, users.duration, users.engaged))
    centred = duration - (share * duration).sum(1, keepdim=True)
    spread = ((share * centred.square()).sum(1) + SPREAD_EPS).sqrt()
    return Parts((share * watch).sum(1).mean(), (share * engaged).sum(1).mean(), spread.mean())
