"""How well recommended videos go with a history: visually, and by what the catalogue says of the products."""

import numpy as np
from numpy.typing import NDArray

from retrieval.ragged import Ragged

Floats = NDArray[np.floating]


def mean_rows(values: Floats, lists: Ragged) -> NDArray[np.float64]:
    """The mean of each list's rows of *values* `(n, dim)`: `(n_lists, dim)`, NaN for an empty list.

    >>> mean_rows(np.array([[1.0], [3.0], [7.0]]), Ragged(np.array([0, 1]), np.array([0, 2, 2]))).tolist()
    [[2.0], [nan]]
    """
    means = np.full((len(lists), values.shape[1]), np.nan)
    filled = lists.lengths > 0
    if filled.any():
        rows = np.asarray(values, np.float64)[lists.values]
        means[filled] = np.add.reduceat(rows, lists.offsets[:-1][filled], axis=0) / lists.lengths[filled, None]
    return means


def visual_coherence(users: Floats, videos: Floats, rows: NDArray[np.int64]) -> NDArray[np.float64]:
    """The mean coherence of each user's list: the dot product of mean content embeddings (Zalando 2025, section 4.3).

    Args:
        users: `(n_users, dim)`, the mean content embedding of each user's products.
        videos: `(n_videos, dim)`, that of each video's products; NaN where it shows none of the catalogue.
        rows: `(n_users, k)`, the recommended videos, −1 where there are fewer.

    Returns:
        `(n_users,)`, NaN for a user without products or without a video that has some.

    >>> visual_coherence(np.array([[1.0, 2.0]]), np.array([[1.0, 0.0], [0.0, 1.0]]), np.array([[0, 1]])).tolist()
    [1.5]
    """
    scores = np.einsum("ud,ukd->uk", users, videos[np.maximum(rows, 0)])
    return mean_present(np.where(rows >= 0, scores, np.nan))


def attribute_overlap(
    codes: NDArray[np.int64], histories: Ragged, videos: Ragged, rows: NDArray[np.int64]
) -> NDArray[np.float64]:
    """The chance that a product of a user's history and one of a recommended video agree on an attribute.

    Args:
        codes: `(n_products,)`, the attribute of each product, as numbers from 0.
        histories: the product rows of each user.
        videos: the product rows of each video.
        rows: `(n_users, k)`, the recommended videos, −1 where there are fewer.

    Returns:
        `(n_users,)`, the mean over the list; NaN for a user without a history.

    >>> red_red_blue = np.array([0, 0, 1])
    >>> user, video = Ragged(np.array([0, 2]), np.array([0, 2])), Ragged(np.array([1]), np.array([0, 1]))
    >>> attribute_overlap(red_red_blue, user, video, np.array([[0]])).tolist()
    [0.5]
    """
    one_hot = np.eye(int(codes.max()) + 1)[codes]
    return visual_coherence(mean_rows(one_hot, histories), mean_rows(one_hot, videos), rows)


def mean_present(values: Floats) -> NDArray[np.float64]:
    """The mean of each row without its NaN values; NaN where nothing is left."""
    present = ~np.isnan(values)
    counts = np.where(present.any(axis=1), present.sum(axis=1), np.nan)
    return np.asarray(np.where(present, values, 0.0).sum(axis=1) / counts)
