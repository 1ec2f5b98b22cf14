"""How good the top k of each user's candidates are: NWTG@k, NEG@k and DS@k of LabelCraft (WSDM 2024, section 4.1.3).

A user's candidates are contiguous rows, *offsets* `(n_users + 1,)` saying where they start and where the last end. All
is per user first; means and intervals are in `stats`. Oracles, as baselines, are scores: the watch time itself is that
of NWTG, the explicit feedback itself that of NEG, and `spread_oracle` makes that of DS.
"""

import numpy as np
from numpy.typing import NDArray

from retrieval.ragged import Ragged, offsets_of, spans

Floats = NDArray[np.float64]
Values = NDArray[np.floating] | NDArray[np.integer] | NDArray[np.bool_]
Ints = NDArray[np.int64]


def eligible(offsets: Ints, k: int) -> NDArray[np.bool_]:
    """Which users have more than *k* candidates, `(n_users,)`: only then does a ranking choose.

    >>> eligible(np.array([0, 2, 5]), k=2).tolist()
    [False, True]
    """
    return np.diff(offsets) > k


def candidates_of(offsets: Ints, users: NDArray[np.bool_] | Ints) -> Ragged:
    """The rows of these *users*, and where each begins among them.

    >>> candidates_of(np.array([0, 2, 5]), np.array([False, True])).values.tolist()
    [2, 3, 4]
    """
    lengths = np.diff(offsets)[users]
    return Ragged(spans(offsets[:-1][users], lengths), offsets_of(lengths))


def top_rows(scores: Values, offsets: Ints, k: int) -> Ints:
    """The rows of each user's *k* highest *scores* `(n,)`, best first, `(n_users, k)`; of equal ones the earlier row.

    Raises:
        ValueError: a score is not a number, or a user has fewer than *k* candidates.

    >>> top_rows(np.array([1.0, 3.0, 3.0, 0.0]), np.array([0, 4]), k=3).tolist()
    [[1, 2, 0]]
    """
    _require_k(scores, offsets, k)
    rows: Ints = _by_score(scores, offsets)[offsets[:-1, None] + np.arange(k)]
    return rows


def gain_at_k(values: Values, scores: Values, offsets: Ints, k: int) -> Floats:
    """The discounted gain of each user's top *k* over the best that its candidates allow, `(n_users,)` in [0, 1].

    Eq. 13: Σ_i value_i / log2(i + 1) over the ranks i = 1 … k. With watch times it is NWTG@k, with the 0 and 1 of any
    explicit feedback NEG@k.

    Args:
        values: `(n,)`, at least 0: what each candidate brings.

    Returns:
        NaN for a user whose candidates bring nothing, where every ranking is as good; see `none_as_one`.

    Raises:
        ValueError: a value is negative; or as `top_rows`.

    >>> gain_at_k(np.array([0.0, 1.0]), scores=np.array([2.0, 1.0]), offsets=np.array([0, 2]), k=1).tolist()
    [0.0]
    """
    gains = np.asarray(values, np.float64)
    if (gains < 0).any():
        raise ValueError("a gain is negative, and then the best ranking has no ratio to it")
    discount = 1.0 / np.log2(np.arange(k) + 2)
    reached = gains[top_rows(scores, offsets, k)] @ discount
    ideal = gains[top_rows(gains, offsets, k)] @ discount
    return np.asarray(np.divide(reached, ideal, out=np.full(len(ideal), np.nan), where=ideal > 0))


def none_as_one(gains: Floats) -> Floats:
    """The other convention, of the published code: a user without anything to gain, NaN, counts as 1.

    >>> none_as_one(np.array([0.5, np.nan])).tolist()
    [0.5, 1.0]
    """
    return np.where(np.isnan(gains), 1.0, gains)


def spread_at_k(durations_s: Values, scores: Values, offsets: Ints, k: int) -> Floats:
    """DS@k: the sample standard deviation of the durations of each user's top *k*, `(n_users,)` in seconds.

    A duration of 0 is one of 0 seconds, as in the published evaluation; to measure known durations alone, leave the
    other candidates out before.

    Raises:
        ValueError: *k* is below 2; or as `top_rows`.
    """
    if k < 2:
        raise ValueError(f"a deviation needs two durations, and k is {k}")
    return np.asarray(np.asarray(durations_s, np.float64)[top_rows(scores, offsets, k)].std(axis=1, ddof=1))


def spread_oracle(durations_s: Values, offsets: Ints, k: int) -> Floats:
    """Scores `(n,)` whose top *k* have the largest DS@k that each user's candidates allow: 1 where chosen, 0 elsewhere.

    The variance is convex in each duration, so a chosen one between two that are not can be exchanged for one of them
    without loss: some best choice is the j shortest and the k − j longest. All k + 1 are tried.

    Raises:
        ValueError: as `top_rows`.
    """
    _require_k(durations_s, offsets, k)
    order = _by_score(durations_s, offsets)  # longest first
    durations = np.asarray(durations_s, np.float64)[order]
    rank = np.arange(k)
    longest = durations[offsets[:-1, None] + rank]
    shortest = durations[offsets[1:, None] - 1 - rank]
    n_shortest = k - np.argmax(_split_variance(longest, shortest), axis=1)
    lengths = np.diff(offsets)
    place = np.arange(len(order)) - np.repeat(offsets[:-1], lengths)
    chosen = (place < np.repeat(k - n_shortest, lengths)) | (place >= np.repeat(lengths - n_shortest, lengths))
    scores = np.empty(len(order))
    scores[order] = chosen
    return scores


def _split_variance(longest: Floats, shortest: Floats) -> Floats:
    """The variance, times k, of the i first of *longest* and the k − i first of *shortest*, for i = 0 … k."""
    k = longest.shape[1]
    # Squares of what is far from 0 lose digits.
    centre = (longest.mean(axis=1, keepdims=True) + shortest.mean(axis=1, keepdims=True)) / 2
    sums, squares = (
        _sums_before((longest - centre) ** power) + _sums_before((shortest - centre) ** power)[:, ::-1]
        for power in (1, 2)
    )
    return np.asarray(squares - sums**2 / k)


def _sums_before(values: Floats) -> Floats:
    """The sums of the first 0 … k of each row, `(n_rows, k + 1)`."""
    return np.pad(np.cumsum(values, axis=1), ((0, 0), (1, 0)))


def _by_score(scores: Values, offsets: Ints) -> Ints:
    """All rows, user by user, highest score first and equal ones in their order.

    Numpy's plain sort is four times as fast as its stable one, which only scores with ties need.
    """
    falling = -np.asarray(scores, np.float64)
    order = np.argsort(falling)
    ordered = falling[order]
    if (ordered[1:] == ordered[:-1]).any():
        order = np.argsort(falling, kind="stable")
    n_users = len(offsets) - 1
    narrow = np.uint16 if n_users <= 1 << 16 else np.uint32  # the first is sorted by radix
    user = np.repeat(np.arange(n_users, dtype=narrow), np.diff(offsets))
    return order[np.argsort(user[order], kind="stable")]


def _require_k(scores: Values, offsets: Ints, k: int) -> None:
    if len(scores) != offsets[-1]:
        raise ValueError(f"there are {len(scores)} scores for {offsets[-1]} candidates")
    if np.isnan(scores).any():
        raise ValueError("a score is not a number")
    if (np.diff(offsets) < k).any():
        user = int(np.argmin(np.diff(offsets)))
        raise ValueError(f"user {user} has {np.diff(offsets)[user]} candidates, fewer than k = {k}: see eligible")
