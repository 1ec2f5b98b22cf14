"""From rows and scores to the ranked list that a person or a program reads, with its reasons."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import count, repeat

import numpy as np
from numpy.typing import NDArray

from retrieval.index.protocol import Half, Neighbours
from retrieval.ragged import Ints
from retrieval.systems import Touched
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
    knows, or where a training did not know the user: a *personal* system then answers with the global vector, or the
    training's default. *unknown_products* counts the events passed over.
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
    rows = [row for row in neighbours.rows[query].tolist() if row >= 0]
    return tuple(
        map(
            RankedVideo,
            map(video_ids.__getitem__, rows),
            count(1),
            neighbours.scores[query].tolist(),
            reasons or repeat(()),
            repeat(None) if moments is None else _known_moments(moments),
            repeat(1.0) if propensities is None else propensities.tolist(),
        )
    )


def _known_moments(moments: NDArray[np.float64]) -> list[float | None]:
    return [None if moment != moment else round(moment, 3) for moment in moments.tolist()]  # NaN alone differs


def reasons_of(
    product_rows: Ints, touched: Touched, videos: Half, product_ids: Sequence[str]
) -> list[tuple[Reason, ...]]:
    """The products that gave each video `(n_videos, dim)` most of its score: shares of repeated products are added."""
    if not len(product_rows):
        return [()] * len(videos)
    shares = product_shares(touched.vectors, touched.weights, videos)
    products, per_product = product_rows, shares
    if len(set(product_rows.tolist())) < len(product_rows):
        products, owner = np.unique(product_rows, return_inverse=True)
        per_product = shares @ (owner[:, None] == np.arange(len(products)))
    top = np.argsort(-per_product, axis=1, kind="stable")[:, :N_REASONS]
    named = [[product_ids[row] for row in rows] for rows in products[top].tolist()]
    amounts = np.take_along_axis(per_product, top, 1).tolist()
    return [tuple(map(Reason, *one)) for one in zip(named, amounts, strict=True)]


def moments_of(
    query: NDArray[np.floating], frame_vectors: Half, frame_times_s: NDArray[np.float32]
) -> NDArray[np.float64]:
    """The best moment of each video `(n_videos, m, dim)` for one query `(dim,)`; NaN where no frame is known."""
    return best_moments(np.broadcast_to(query, (len(frame_vectors), len(query))), frame_vectors, frame_times_s)
