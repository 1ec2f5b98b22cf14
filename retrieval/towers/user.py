"""The user tower: the recency-decayed mean of product embeddings, and the global vector of new users."""

import numpy as np
from numpy.typing import NDArray

from retrieval.half import floats, wide

Floats = NDArray[np.floating]


def recency_weights(age_s: Floats, half_life_s: float, kind_weights: Floats | None = None) -> NDArray[np.float64]:
    """Weight events by age: one half-life older counts half as much.

    w_k = exp(−λ (t_now − t_k)) with λ = ln 2 / half-life (Zalando 2025, section 3.1), times the weight of the event's
    kind. Ages are taken relative to the newest event, which changes no mean and never underflows to 0 / 0.

    Args:
        age_s: `(n_events,)`, seconds between each event and the query.
        half_life_s: seconds, above 0.
        kind_weights: `(n_events,)`, at least 0; ones by default.

    >>> recency_weights(np.array([0.0, 3600.0, 7200.0]), half_life_s=3600.0).tolist()
    [1.0, 0.5, 0.25]
    >>> recency_weights(np.array([3e9, 3e9 + 3600.0]), half_life_s=3600.0).tolist()
    [1.0, 0.5]
    >>> recency_weights(np.array([]), half_life_s=3600.0).tolist()
    []
    """
    if half_life_s <= 0:
        raise ValueError(f"half_life_s must be above 0, not {half_life_s}")
    if len(age_s) == 0:
        return np.empty(0, np.float64)
    decay = np.exp2(-(np.asarray(age_s, np.float64) - np.min(age_s)) / half_life_s)
    return decay if kind_weights is None else decay * kind_weights


def user_vector(vectors: Floats, weights: Floats) -> NDArray[np.float64]:
    """The weighted mean Σ w_k E(s_k) / Σ w_k of a user's product vectors (Zalando 2025, section 3.1).

    Args:
        vectors: `(n_events, dim)`.
        weights: `(n_events,)`, at least 0, not all 0.

    >>> user_vector(np.array([[1.0, 0.0], [0.0, 1.0]]), np.array([3.0, 1.0])).tolist()
    [0.75, 0.25]
    """
    return np.asarray(user_vectors(vectors, weights, np.array([0, len(weights)]))[0])


def user_vectors(vectors: Floats, weights: Floats, offsets: NDArray[np.integer]) -> NDArray[np.float64]:
    """The vectors of many users at once.

    Args:
        vectors: `(n_events, dim)`, the events of one user after those of the other.
        weights: `(n_events,)`.
        offsets: `(n_users + 1,)`: user i's events are rows offsets[i] to offsets[i + 1]; each has at least one.

    Returns:
        `(n_users, dim)`.

    >>> user_vectors(np.array([[2.0], [4.0], [8.0]]), np.array([1.0, 1.0, 5.0]), np.array([0, 2, 3])).ravel().tolist()
    [3.0, 8.0]
    """
    if len(offsets) < 2 or np.any(np.diff(offsets) <= 0):
        raise ValueError("every user needs at least one event")
    totals = np.add.reduceat(np.asarray(weights, np.float64), offsets[:-1])
    if np.any(totals <= 0):
        raise ValueError("every user needs at least one event of a weight above 0")
    if len(offsets) == 2:  # one user, as in serving: a product of vector and matrix, and no copy of the matrix
        return np.asarray(np.asarray(weights, np.float64) @ wide(vectors) / totals)[None]
    weighted = wide(vectors) * np.asarray(weights, np.float64)[:, None]
    return np.asarray(np.add.reduceat(weighted, offsets[:-1], axis=0) / totals[:, None])


def product_shares(vectors: Floats, weights: Floats, videos: Floats) -> NDArray[np.float64]:
    """How much of each score every event gave: share_k = w_k E(s_k)·e_v / Σw. The shares of a video add to its score.

    Args:
        vectors: `(n_events, dim)`.
        weights: `(n_events,)`.
        videos: `(n_videos, dim)`.

    Returns:
        `(n_videos, n_events)`.

    >>> product_shares(np.array([[1.0, 0.0], [0.0, 1.0]]), np.array([3.0, 1.0]), np.array([[2.0, 4.0]])).tolist()
    [[1.5, 1.0]]
    """
    return np.asarray(floats(videos) @ floats(vectors).T, np.float64) * (weights / np.sum(weights))


def global_vector(vectors: Floats, popularity: Floats, n_popular: int = 1000) -> NDArray[np.float64]:
    """The vector of a user of whom nothing is known: the popularity-weighted mean of the most popular products.

    Args:
        vectors: `(n_products, dim)`.
        popularity: `(n_products,)`, at least 0; all zeros count as all equal.
        n_popular: how many products take part.

    >>> global_vector(np.array([[1.0], [5.0], [100.0]]), np.array([3.0, 1.0, 0.0]), n_popular=2).tolist()
    [2.0]
    """
    top = np.argsort(-np.asarray(popularity), kind="stable")[:n_popular]
    weights = np.asarray(popularity, np.float64)[top]
    return user_vector(np.asarray(vectors)[top], weights if weights.sum() > 0 else np.ones(len(top)))
