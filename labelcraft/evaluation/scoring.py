"""Scores of delivered slots, each made of what was known when its feed was shown.

Catalogue events count up to the feed's own time; what is fitted (popularity, the global vector, trained vectors) is of
before the split. A slot without a score is NaN here; `ranked_last` says where it then stands. The rules of a system
(diversity, caps, freshness) rearrange lists and are not part of a slot's score.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import polars as pl
from numpy.typing import NDArray

from labelcraft.evaluation.feeds import Floats, Part
from retrieval.conventional import GivenSpace
from retrieval.half import Half, floats
from retrieval.ids import IdMap
from retrieval.log import Log
from retrieval.ragged import Ints, Ragged
from retrieval.stacked import Rows
from retrieval.systems import Audience, MultimodalSystem, RandomSystem, Touched, event_weights
from retrieval.tables import Columns as C

FEEDS_AT_ONCE = 512


class Scorer(Protocol):
    """Scores slots; a higher score is nearer the top. *probabilities* says that scores are those of a positive."""

    @property
    def probabilities(self) -> bool: ...

    def score(self, part: Part) -> Floats:
        """`(n,)`, NaN where there is none."""
        ...


@dataclass(frozen=True)
class StaticScorer:
    """One score a video for everybody, *by_video* `(n_videos,)`: its time of publication, or its popularity."""

    by_video: Floats
    probabilities: bool = False

    def score(self, part: Part) -> Floats:
        return self.by_video[part.videos]


@dataclass(frozen=True)
class RandomScorer:
    """The random system's scores, of user and video; *keys* `(n_test_users,)` are the users'."""

    system: RandomSystem
    keys: NDArray[np.uint64]
    probabilities: bool = False

    def score(self, part: Part) -> Floats:
        return self.system.scores(self.keys[part.users[part.owners]], part.videos).astype(np.float64)


@dataclass(frozen=True)
class MultimodalScorer:
    """f(u, v) = e_u · e_v with the user's vector as of each feed.

    *log_rows* `(n_test_users,)` are the users' rows in *log*, −1 for those without an event.
    """

    system: MultimodalSystem
    log: Log
    log_rows: Ints
    video_vectors: Rows
    max_events: int
    probabilities: bool = False

    def score(self, part: Part) -> Floats:
        scores = [self._score(part, feeds) for feeds in _batches(len(part))]
        return np.concatenate(scores) if scores else np.empty(0)

    def _score(self, part: Part, feeds: Ints) -> Floats:
        vectors = self.user_vectors(self.log_rows[part.users[feeds]], part.shown_us[feeds])
        slots = slice(part.offsets[feeds[0]], part.offsets[feeds[-1] + 1])
        owners = np.repeat(np.arange(len(feeds)), np.diff(part.offsets)[feeds])
        return _dots(vectors[owners], np.asarray(self.video_vectors[part.videos[slots]]))

    def user_vectors(self, rows: Ints, times_us: Ints) -> NDArray[np.float32]:
        """The vectors `(n, dim)` of the users in these *rows* of the log, each as of its own time."""
        events = self.log.events(rows, times_us, self.max_events)
        markets = [self.log.user_markets[row] if row >= 0 else None for row in rows]
        unseen = Ragged(np.empty(0, np.int64), np.zeros(len(rows) + 1, np.int64))
        audience = Audience([""] * len(rows), events, unseen, int(times_us.max()), markets)
        touched = Touched(
            floats(self.system.product_vectors[events.product_rows]), event_weights(events, self.system.half_life_s)
        )
        return self.system.vectors(audience, touched)


@dataclass(frozen=True)
class GivenScorer:
    """Trained vectors: σ(scale · e_u · e_v + bias) where the training says both, else the dot product.

    *users* `(n_test_users, dim)` are the users' vectors, the default for those the training did not know.
    """

    space: GivenSpace
    users: NDArray[np.float32]

    @property
    def probabilities(self) -> bool:
        return {"scale", "bias"} <= self.space.about.keys()

    def score(self, part: Part) -> Floats:
        dots = _dots(self.users[part.users[part.owners]], self.space.video_vectors[part.videos])
        if self.probabilities:
            logits = float(self.space.about["scale"]) * dots + float(self.space.about["bias"])
            dots = 0.5 * (1.0 + np.tanh(0.5 * logits))  # σ without overflow
        return np.where(self.space.has[part.videos], dots, np.nan)


@dataclass(frozen=True)
class FileScorer:
    """Scores of an outside system: *table* has feed_id, video_id and score, each pair once."""

    table: pl.LazyFrame
    videos: IdMap
    probabilities: bool = False

    def score(self, part: Part) -> Floats:
        slots = pl.LazyFrame({C.FEED_ID: part.feed_ids[part.owners], "row": part.videos})
        rows = pl.LazyFrame(
            {C.VIDEO_ID: list(self.videos.ids), "row": np.arange(len(self.videos))},
            schema={C.VIDEO_ID: pl.String, "row": pl.Int64},
        )
        known = self.table.join(rows, on=C.VIDEO_ID, how="inner").select(C.FEED_ID, "row", C.SCORE)
        joined = slots.join(known, on=[C.FEED_ID, "row"], how="left", maintain_order="left").collect()
        return joined[C.SCORE].cast(pl.Float64).fill_null(np.nan).to_numpy()


def ranked_last(scores: Floats) -> Floats:
    """*scores* with −∞ where there is none."""
    return np.where(np.isnan(scores), -np.inf, scores)


def _dots(users: NDArray[np.float32], videos: Half) -> Floats:
    return np.asarray(np.einsum("nd,nd->n", users, floats(videos)), np.float64)


def _batches(n_feeds: int) -> Iterator[Ints]:
    for first in range(0, n_feeds, FEEDS_AT_ONCE):
        yield np.arange(first, min(first + FEEDS_AT_ONCE, n_feeds))
