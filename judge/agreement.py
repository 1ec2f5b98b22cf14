"""How far two raters agree, with intervals that resample whole users. Pure.

Where a statistic has no value (a rater who says the same of everything, nothing rated twice) it is NaN, not an error.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

N_RESAMPLES = 1000
N_LEVELS = 5

Floats = NDArray[np.float64]
Statistic = Callable[[Floats], float]


@dataclass(frozen=True)
class Interval:
    """A statistic with its 95 % interval over *n_users* resampled users, of *n* ratings.

    *degenerate* of the `N_RESAMPLES` resamples had no value and are left out of the interval; *skipped* ratings had
    no partner.
    """

    value: float
    low: float
    high: float
    n: int
    n_users: int
    degenerate: int = 0
    skipped: int = 0


def weighted_kappa(first: Floats, second: Floats) -> float:
    """Cohen's kappa with quadratic weights of two raters' grades, 1 to 5.

    1 − Σ (i − j)² observed / Σ (i − j)² expected, which for quadratic weights needs only moments.

    >>> weighted_kappa(np.array([1.0, 2, 3]), np.array([1.0, 2, 3]))
    1.0
    """
    if len(first) == 0:
        return np.nan
    observed = np.mean((first - second) ** 2)
    expected = first.var() + second.var() + (first.mean() - second.mean()) ** 2
    return float(1.0 - observed / expected) if expected > 0 else np.nan


def ordinal_alpha(ratings: Floats) -> float:
    """Krippendorff's alpha for ordered grades, 1 to 5.

    Args:
        ratings: `(n_raters, n_units)`, NaN where a rater left a unit out; a unit with one rating says nothing.
    """
    counts = np.stack([(ratings == level).sum(axis=0) for level in range(1, N_LEVELS + 1)], axis=1)  # (n_units, 5)
    raters = counts.sum(axis=1)
    counts, raters = counts[raters > 1].astype(np.float64), raters[raters > 1]
    if len(counts) == 0:
        return np.nan
    # Every ordered pair of ratings within a unit, weighted by 1 / (raters − 1).
    shares = counts / (raters - 1)[:, None]
    coincidences = shares.T @ counts - np.diag(shares.sum(axis=0))
    totals = coincidences.sum(axis=1)
    distances = _ordinal_distances(totals)
    expected = (np.outer(totals, totals) * distances).sum() / (totals.sum() - 1)
    return float(1.0 - (coincidences * distances).sum() / expected) if expected > 0 else np.nan


def _ordinal_distances(totals: Floats) -> Floats:
    """Between two grades: the ratings between them and half of their own, squared."""
    below = np.cumsum(totals) - totals / 2
    return np.asarray((below[:, None] - below[None, :]) ** 2)


def spearman(first: Floats, second: Floats) -> float:
    """The rank correlation of two columns, ties at their mean rank."""
    if len(first) < 2:
        return np.nan
    a, b = _ranks(first), _ranks(second)
    a, b = a - a.mean(), b - b.mean()
    scale = np.sqrt((a @ a) * (b @ b))
    return float(a @ b / scale) if scale > 0 else np.nan


def auc(higher: Floats, lower: Floats) -> float:
    """How often one of *higher* lies above one of *lower*, a tie counting half.

    >>> auc(np.array([3.0, 2.0]), np.array([2.0, 1.0]))  # three of four pairs, and a tie
    0.875
    """
    if len(higher) == 0 or len(lower) == 0:
        return np.nan
    ranks = _ranks(np.concatenate([higher, lower]))[: len(higher)]
    return float((ranks.sum() - len(higher) * (len(higher) + 1) / 2) / (len(higher) * len(lower)))


def paired_auc(higher: Floats, lower: Floats) -> float:
    """How often one of *higher* lies above its own partner in *lower*, a tie counting half."""
    return float(np.mean((higher > lower) + 0.5 * (higher == lower))) if len(higher) else np.nan


def _ranks(values: Floats) -> Floats:
    _, inverse, counts = np.unique(values, return_inverse=True, return_counts=True)
    last = np.cumsum(counts)
    return np.asarray(last - (counts - 1) / 2)[inverse]


def with_interval(
    statistic: Statistic, rows: Floats, users: NDArray[np.int64], rng: np.random.Generator, required: int = 2
) -> Interval:
    """A statistic of rows with a percentile bootstrap in which a user comes with all of their rows or not at all.

    Args:
        rows: `(n, columns)`, what *statistic* takes, NaN where a rating is missing.
        users: `(n,)`, the number of each row's user, from 0.
        required: a row with fewer ratings than that is skipped.
    """
    whole = (~np.isnan(rows)).sum(axis=1) >= required
    kept, users = rows[whole], users[whole]
    skipped = int((~whole).sum())
    _, users = np.unique(users, return_inverse=True)
    n_users = int(users.max()) + 1 if len(users) else 0
    if n_users == 0:
        return Interval(np.nan, np.nan, np.nan, 0, 0, 0, skipped)
    order = np.argsort(users, kind="stable")
    pieces = np.split(order, np.cumsum(np.bincount(users))[:-1])
    drawn = np.array(
        [
            statistic(kept[np.concatenate([pieces[one] for one in rng.integers(n_users, size=n_users)])])
            for _ in range(N_RESAMPLES)
        ]
    )
    present = drawn[~np.isnan(drawn)]
    low, high = np.quantile(present, [0.025, 0.975]) if len(present) else (np.nan, np.nan)
    value = statistic(kept)
    return Interval(value, float(low), float(high), len(kept), n_users, int(np.isnan(drawn).sum()), skipped)


def of_two(statistic: Callable[[Floats, Floats], float]) -> Statistic:
    """A statistic of two columns, as one of a table's first two."""
    return lambda rows: statistic(rows[:, 0], rows[:, 1])


def alpha_of_rows(rows: Floats) -> float:
    """`ordinal_alpha` of a table with one row a unit and one column a rater."""
    return ordinal_alpha(rows.T)
