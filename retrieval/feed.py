"""From rows and scores to the ranked list that a person or a program reads, with its reasons."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from retrieval.index.protocol import Half, Neighbours
from retrieval.log import Events
from retrieval.towers.user import product_shares
from retrieval.towers.video import best_moments

N_REASONS = 3


@dataclass(frozen=True)
class Reason:
    """A product of the user's history and how much of the video's score it gave; all shares add to the score."""

    product_id: str
    share: float


@dataclass(frozen=True)
class RankedVideo:
    """One place of a list. *rank* counts from 1, a higher *score* is nearer.

    *reasons* are the largest shares; *moment_s* is the time of the frame that matches best, where there is one.
    *selection_propensity* is how likely the system was to put this video at this rank: 1 unless chance had a part.
    """

    video_id: str
    rank: int
    score: float
    reasons: tuple[Reason, ...] = ()
    moment_s: float | None = None
    selection_propensity: float = 1.0


@dataclass(frozen=True)
class Feed:
    """The answer to one user.

    *eligible* counts the videos that the filters, the time and the seen ones left; *returned* may be fewer than asked;
    *exact* says that all of them were compared. *known* is false where the history holds nothing that the catalogue
    knows: a *personal* system then answers with the global vector. *unknown_products* counts the events passed over.
    """

    user_id: str
    videos: tuple[RankedVideo, ...]
    returned: int
    eligible: int
    exact: bool
    system: str
    system_hash: str
    snapshot: str
    known: bool
    personal: bool
    unknown_products: int = 0


@dataclass(frozen=True)
class Results:
    """The answer to a search or to `similar`; fields as in `Feed`."""

    videos: tuple[RankedVideo, ...]
    returned: int
    eligible: int
    exact: bool
    snapshot: str


def ranked(
    neighbours: Neighbours,
    query: int,
    video_ids: Sequence[str],
    moments: NDArray[np.float64] | None = None,
    reasons: Sequence[tuple[Reason, ...]] | None = None,
    propensities: NDArray[np.float64] | None = None,
) -> tuple[RankedVideo, ...]:
    """The list of one query; *moments*, *reasons* and *propensities* stand in the order of its rows."""
    rows, scores = neighbours.rows[query], neighbours.scores[query]
    return tuple(
        RankedVideo(
            video_ids[row],
            place + 1,
            float(scores[place]),
            reasons[place] if reasons else (),
            None if moments is None or np.isnan(moments[place]) else round(float(moments[place]), 3),
            1.0 if propensities is None else float(propensities[place]),
        )
        for place, row in enumerate(rows[rows >= 0])
    )


def reasons_of(
    events: Events, weights: NDArray[np.float64], product_vectors: Half, videos: Half, product_ids: Sequence[str]
) -> list[tuple[Reason, ...]]:
    """The products that gave each video `(n_videos, dim)` most of its score: shares of repeated products are added."""
    if not len(events.product_rows):
        return [()] * len(videos)
    shares = product_shares(product_vectors[events.product_rows], weights, videos)
    products, owner = np.unique(events.product_rows, return_inverse=True)
    per_product = shares @ (owner[:, None] == np.arange(len(products)))
    top = np.argsort(-per_product, axis=1, kind="stable")[:, :N_REASONS]
    return [
        tuple(Reason(product_ids[products[column]], float(per_product[video, column])) for column in columns)
        for video, columns in enumerate(top)
    ]


def moments_of(
    query: NDArray[np.floating], frame_vectors: Half, frame_times_s: NDArray[np.float32]
) -> NDArray[np.float64]:
    """The best moment of each video `(n_videos, m, dim)` for one query `(dim,)`; NaN where no frame is known."""
    return best_moments(np.broadcast_to(query, (len(frame_vectors), len(query))), frame_vectors, frame_times_s)
