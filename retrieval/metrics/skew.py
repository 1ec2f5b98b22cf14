"""How unevenly exposure falls on items, and how popular what is shown is.

*exposure* `(n_items,)` is how often each item is in a list, zeros included; *popularity* `(n_items,)` is how often it
was wanted before, by count or by co-occurrence. Zalando 2025, section 4.1, watches the skewness of popularity and of
watch times; which figure is meant it does not say, so the usual ones stand here.
"""

from collections.abc import Callable, Mapping

import numpy as np
from numpy.typing import NDArray

from retrieval.metrics.cluster import Bootstrap
from retrieval.metrics.stats import Estimate

Values = NDArray[np.number]
Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Measure = Callable[[Values], float]

TAIL_SHARE = 0.2  # of all popularity, held by the items of the long tail (Yin et al. 2012)


def gini(counts: Values) -> float:
    """The Gini coefficient of *counts* `(n,)`, at least 0: 0 where all are equal, towards 1 where one has everything.

    G = Σ_i (2 i − n − 1) x_(i) / (n Σ x), x_(i) the i-th smallest; 0 where there is nothing.

    >>> gini(np.array([1, 1, 1, 1])), gini(np.array([0, 0, 0, 4]))
    (0.0, 0.75)
    """
    values = np.sort(np.asarray(counts, np.float64))
    n, total = len(values), values.sum()
    if not total:
        return 0.0
    return float((2 * np.arange(1, n + 1) - n - 1) @ values / (n * total))


def skewness(values: Values) -> float:
    """The Fisher-Pearson coefficient g₁ = m₃ / m₂^{3/2} of *values* `(n,)`, of central moments; NaN if all are equal.

    >>> skewness(np.array([1, 2, 3])), round(skewness(np.array([0, 0, 0, 4])), 4)
    (0.0, 1.1547)
    """
    found = np.asarray(values, np.float64)
    centred = found - found.mean() if len(found) else found
    variance = np.mean(centred**2) if len(found) else 0.0
    # What rounding leaves of equal values is no variance.
    if variance <= (1e-12 * np.abs(found).max(initial=0.0)) ** 2:
        return float("nan")
    return float(np.mean(centred**3) / variance**1.5)


def adjusted_skewness(values: Values) -> float:
    """G₁ = g₁ √(n (n − 1)) / (n − 2), unbiased for normal values; NaN below three.

    >>> round(adjusted_skewness(np.array([0, 0, 0, 4])), 4)
    2.0
    """
    n = len(values)
    return skewness(values) * float(np.sqrt(n * (n - 1)) / (n - 2)) if n > 2 else float("nan")


def entropy(counts: Values) -> float:
    """−Σ p log p of the shares of *counts* `(n,)`, in nats: log n where all are equal, 0 where one has everything.

    >>> entropy(np.array([0, 5])), round(entropy(np.array([2, 2, 2])), 4)
    (0.0, 1.0986)
    """
    present = np.asarray(counts, np.float64)[np.asarray(counts) > 0]
    shares = present / present.sum() if len(present) else present
    return abs(float(shares @ np.log(shares)))


def coverage(exposure: Values) -> float:
    """The share of the items that is in any list; NaN without items.

    >>> coverage(np.array([0, 2, 1, 0]))
    0.5
    """
    return float(np.mean(np.asarray(exposure) > 0)) if len(exposure) else float("nan")


def average_popularity(exposure: Values, popularity: Values) -> float:
    """The mean popularity of what is shown, every time it is; NaN if nothing is.

    >>> average_popularity(np.array([3, 1, 0]), np.array([10, 2, 7]))
    8.0
    """
    total = exposure.sum()
    return float(exposure @ popularity / total) if total else float("nan")


def long_tail(popularity: Values, share: float = TAIL_SHARE) -> NDArray[np.bool_]:
    """Which items are the long tail: the least popular, as many as together hold at most *share* of all popularity.

    Items equally popular are in it together or not at all, so the order of rows decides nothing.

    >>> long_tail(np.array([6, 1, 1, 2, 0])).tolist()
    [False, True, True, False, True]
    """
    levels, level, counts = np.unique(popularity, return_inverse=True, return_counts=True)
    held = np.cumsum(levels * counts)
    inside = held <= share * held[-1] if len(held) else held > 0
    return np.asarray(inside[level])


def tail_share(exposure: Values, tail: NDArray[np.bool_]) -> float:
    """The share of all exposure that falls on the long *tail*; NaN if nothing is shown.

    >>> tail_share(np.array([3, 1]), np.array([False, True]))
    0.25
    """
    total = exposure.sum()
    return float(exposure[tail].sum() / total) if total else float("nan")


def hubs(exposure: Values) -> NDArray[np.bool_]:
    """Which items are hubs: in more lists than the mean item by over two standard deviations (Radovanović et al. 2010).

    >>> hubs(np.array([0, 0, 0, 0, 0, 0, 0, 9])).tolist()
    [False, False, False, False, False, False, False, True]
    """
    found = np.asarray(exposure, np.float64)
    return found > found.mean() + 2 * found.std() if len(found) else found > 0


def hub_share(exposure: Values) -> float:
    """The share of all exposure that falls on hubs; NaN if nothing is shown.

    >>> hub_share(np.array([1, 0, 0, 0, 0, 0, 0, 9]))
    0.9
    """
    return tail_share(exposure, hubs(exposure))


def co_occurrence(user: Ints, item: Ints, n_users: int, n_items: int) -> Ints:
    """How often each item stands beside another in a user's history, `(n_items,)`: pop_i = Σ_{u ∋ i} (|I_u| − 1).

    That is the row sum of XᵀX without its diagonal, X the binary users by items, in the time of reading X's entries.

    Args:
        user, item: `(n,)`, one row an interaction; the same pair again counts once.

    >>> co_occurrence(np.array([0, 0, 0, 1]), np.array([0, 1, 1, 1]), n_users=2, n_items=3).tolist()
    [1, 1, 0]
    """
    pairs = np.unique(user * n_items + item)
    users, items = pairs // max(n_items, 1), pairs % max(n_items, 1)
    others = np.bincount(users, minlength=n_users)[users] - 1
    return np.bincount(items, others, n_items).astype(np.int64)


def exposure_of(lists: Ints, n_items: int) -> Ints:
    """How many of *lists* `(n_lists, k)` each item is in, `(n_items,)`; −1 where a list is shorter.

    >>> exposure_of(np.array([[0, 2], [2, -1]]), n_items=3).tolist()
    [1, 0, 2]
    """
    return np.bincount(lists[lists >= 0], minlength=n_items)


def exposure_measures(popularity: Values, tail: float = TAIL_SHARE) -> dict[str, Measure]:
    """Every measure of an exposure, by name; *popularity* is that of the log before. NaN where nothing is shown."""
    of_tail = long_tail(popularity, tail)
    return {
        "gini": lambda exposure: gini(exposure) if exposure.any() else float("nan"),
        "skewness": skewness,
        "adjusted_skewness": adjusted_skewness,
        "entropy": lambda exposure: entropy(exposure) if exposure.any() else float("nan"),
        "coverage": coverage,
        "average_popularity": lambda exposure: average_popularity(exposure, popularity),
        "popularity_skewness": lambda exposure: skewness(popularity[exposure > 0]),
        "long_tail_share": lambda exposure: tail_share(exposure, of_tail),
        "hub_share": hub_share,
    }


def with_intervals(
    lists: Ints, n_items: int, measures: Mapping[str, Measure], bootstrap: Bootstrap
) -> dict[str, Estimate]:
    """Each measure of the exposure in *lists* `(n_users, k)`, one list a user, with an interval over users.

    It is the interval for as many users as there are: another such sample of them would show as many different items.
    A resample shows fewer, since users repeat, so coverage falls and the Gini coefficient rises in all of them; the
    interval is therefore the resamples' spread about the observed value, their own mean taken out.
    """
    present = lists >= 0
    n, items = int(present.any(axis=1).sum()), lists[present]
    owner = np.repeat(np.arange(len(lists)), present.sum(axis=1))
    found = np.array([measure(np.bincount(items, minlength=n_items) * 1.0) for measure in measures.values()])
    drawn = np.empty((bootstrap.n_resamples, len(measures)))
    for row, weights in enumerate(bootstrap.weights(len(lists))):
        exposure = np.bincount(items, weights[owner], n_items)
        drawn[row] = [measure(exposure) for measure in measures.values()]
    return {
        name: _centred(float(found[column]), drawn[:, column], n, len(lists) - n)
        for column, name in enumerate(measures)
    }


def _centred(observed: float, drawn: Floats, n: int, skipped: int) -> Estimate:
    present = drawn[np.isfinite(drawn)]
    if not len(present):
        return Estimate(observed, np.nan, np.nan, np.nan, n, skipped)
    low, high = np.quantile(present, [0.025, 0.975]) - present.mean() + observed
    return Estimate(observed, float(present.std() * np.sqrt(n)), float(low), float(high), n, skipped)
