"""Uplifts of one bucket over another with their intervals, and whether the buckets can be compared: pure functions.

The unit is the user: users are assigned, their rows are not independent. A metric is a ratio of two means over users,
r_b = mean(y_u) / mean(d_u) within bucket b; of a mean per user, d_u is 1. With z_u = (y_u − r_b d_u) / mean(d_u), the
delta method gives Var(r_b) = Var(z_u) / n_b, and for the uplift R − 1 with R = r_t / r_c

    Var(log R) = Var(z_u / r_t) / n_t + Var(z_u / r_c) / n_c,     se(R) = R sqrt(Var(log R)).

CUPED (Deng et al. 2013) in the same terms: x_u, known before the assignment, has the same mean in both buckets, so
log R − γ·(mean_t(x) − mean_c(x)) estimates the same; γ is the coefficient that leaves it the least variance.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
CONFIDENCE, POWER = 0.95, 0.8
Z_INTERVAL = NormalDist().inv_cdf((1 + CONFIDENCE) / 2)
Z_DETECT = Z_INTERVAL + NormalDist().inv_cdf(POWER)  # standard errors that an effect needs to be seen so often


@dataclass(frozen=True)
class Arm:
    """The users of one bucket: *numerator* and *denominator* `(n_users,)`, and *before* `(n_users, n_covariates)`."""

    numerator: Floats
    denominator: Floats
    before: Floats | None = None

    @property
    def value(self) -> float:
        """The metric in this bucket; NaN where there is nothing to divide by."""
        total = float(self.denominator.sum())
        return float(self.numerator.sum()) / total if total else math.nan

    @property
    def relative(self) -> Floats:
        """z_u / r of each user: how the logarithm of the metric goes with one user, times n."""
        value, mean = self.value, float(self.denominator.mean())
        return np.asarray((self.numerator - value * self.denominator) / (value * mean))


@dataclass(frozen=True)
class Uplift:
    """A metric in both buckets, and *uplift* as a share of the control (0.2 is 20 %) with its 95 % interval.

    *p* is two-sided, of no difference. All are NaN where a bucket has fewer than two users, or the control nothing.
    """

    control: float
    treatment: float
    uplift: float
    low: float
    high: float
    se: float
    p: float

    @property
    def is_known(self) -> bool:
        return math.isfinite(self.se)

    @property
    def detectable(self) -> float:
        """The uplift that so many users show in four of five experiments."""
        return Z_DETECT * self.se


def compare(control: Arm, treatment: Arm) -> Uplift:
    """The uplift of *treatment* over *control*, by the delta method over users; adjusted where both have *before*."""
    values = control.value, treatment.value
    if min(len(control.numerator), len(treatment.numerator)) < 2 or not all(v > 0 for v in values):
        return Uplift(*values, *[math.nan] * 5)
    influences = [treatment.relative, control.relative]
    log_ratio = math.log(values[1] / values[0])
    if treatment.before is not None and control.before is not None:
        gamma = control_coefficients(influences, [treatment.before, control.before])
        log_ratio -= float(gamma @ (treatment.before.mean(axis=0) - control.before.mean(axis=0)))
        influences = [
            z - x @ gamma for z, x in zip(influences, (treatment.before, control.before), strict=True)
        ]  # fmt: skip
    ratio = math.exp(log_ratio)
    se = ratio * math.sqrt(sum(float(z.var(ddof=1)) / len(z) for z in influences))
    return Uplift(*values, ratio - 1, ratio - 1 - Z_INTERVAL * se, ratio - 1 + Z_INTERVAL * se, se, p_of(ratio - 1, se))


def control_coefficients(influences: Sequence[Floats], covariates: Sequence[Floats]) -> Floats:
    """γ `(n_covariates,)`, which leaves Σ_b Var(z_b − γ·x_b) / n_b the least; 0 along what does not vary."""
    n_covariates = covariates[0].shape[1]
    spread, shared = np.zeros((n_covariates, n_covariates)), np.zeros(n_covariates)
    for z, x in zip(influences, covariates, strict=True):
        centred, n = x - x.mean(axis=0), len(z)
        spread += centred.T @ centred / (n * (n - 1))
        shared += centred.T @ (z - z.mean()) / (n * (n - 1))
    return np.asarray(np.linalg.lstsq(spread, shared, rcond=1e-10)[0])


def p_of(estimate: float, se: float) -> float:
    """The two-sided p of an estimate that is normal around 0."""
    if not se > 0:
        return 1.0 if estimate == 0 else 0.0
    return math.erfc(abs(estimate / se) / math.sqrt(2))


def holm(p_values: Sequence[float]) -> list[float]:
    """The p values adjusted for their number (Holm 1979); an unknown one stays unknown and is not counted.

    >>> holm([0.01, 0.04, 0.03])
    [0.03, 0.06, 0.06]
    """
    known = sorted((p, place) for place, p in enumerate(p_values) if not math.isnan(p))
    adjusted, highest = list(p_values), 0.0
    for rank, (p, place) in enumerate(known):
        highest = max(highest, min(1.0, (len(known) - rank) * p))
        adjusted[place] = highest
    return adjusted


@dataclass(frozen=True)
class RatioCheck:
    """Users of each bucket against those expected; a small *p* says that the assignment or its log is broken."""

    counts: tuple[int, ...]
    expected: tuple[float, ...]
    chi_square: float
    p: float


def check_ratio(counts: Sequence[int], shares: Sequence[float]) -> RatioCheck:
    """The χ² test of sample-ratio mismatch: do the *counts* of users look like *shares* of them, which sum to 1?"""
    n = sum(counts)
    expected = [n * share for share in shares]
    chi_square = sum((count - wanted) ** 2 / wanted for count, wanted in zip(counts, expected, strict=True))
    return RatioCheck(tuple(counts), tuple(expected), chi_square, chi_square_tail(chi_square, len(counts) - 1))


def chi_square_tail(x: float, df: int) -> float:
    """P(χ²_df > x), by its finite sums (Abramowitz and Stegun 26.4.4 and 26.4.5).

    >>> round(chi_square_tail(3.841459, 1), 6), round(chi_square_tail(5.991465, 2), 6)
    (0.05, 0.05)
    """
    half, odd = x / 2, df % 2
    terms = [math.exp(-half + (i - odd / 2) * math.log(half) - math.lgamma(i + 1 - odd / 2)) if half else float(i == 0)
             for i in range(odd, df // 2 + odd)]  # fmt: skip
    return (math.erfc(math.sqrt(half)) if odd else 0.0) + sum(terms)


def capped(values: Floats, quantile: float) -> tuple[Floats, float]:
    """*values* with everything above their *quantile* set to it, and that cap; one cap for all buckets."""
    cap = float(np.quantile(values, quantile, method="higher"))
    return np.minimum(values, cap), cap
