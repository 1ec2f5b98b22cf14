"""How well a recommender ranks what users were shown: NWTG@k, NEG@k and DS@k per user, and one criterion over them.

A user's candidates are the rows that the log has of it in a part of the split, so every figure is conditional on what
was shown and reached, and users with at most k rows say nothing. Random and oracle rankings stand beside every figure.
"""

from dataclasses import dataclass

import numpy as np
import torch

from labelcraft.batches import inputs_of, iter_by_length
from labelcraft.dataset import Histories, Ints, Log
from labelcraft.feedback import Bools, Floats
from labelcraft.models.mmoe import ranking_score
from labelcraft.models.recommender import Recommender
from labelcraft.splits import Split
from retrieval.metrics.ranking import candidates_of, eligible, gain_at_k, spread_at_k, spread_oracle, top_rows
from retrieval.metrics.stats import mean_of_present
from retrieval.ragged import offsets_of

K = 10
METRICS = ("nwtg", "ds", "neg")
SCORED_AT_ONCE = 8192
RANDOM_DRAWS = 20
LEAST_RATIO = 1e-6


@dataclass(frozen=True)
class Candidates:
    """The rows of all users with more than *k* of them: *log* and *histories* of these rows, a user's side by side."""

    log: Log
    histories: Histories
    offsets: Ints
    k: int

    @property
    def users(self) -> Ints:
        """The number of each user in the log, `(n_users,)`."""
        return self.log.user[self.offsets[:-1]]


@dataclass(frozen=True)
class Measures:
    """One value a user, `(n_users,)`: *nwtg* and *neg* in [0, 1], NaN where there is nothing to gain; *ds* in s."""

    nwtg: Floats
    ds: Floats
    neg: Floats

    @property
    def means(self) -> tuple[float, float, float]:
        """The mean of each over the users that have it."""
        return mean_of_present(self.nwtg), mean_of_present(self.ds), mean_of_present(self.neg)


def candidates(split: Split, rows: Ints, k: int = K) -> Candidates:
    """The candidates among *rows* of a split."""
    log, histories = split.part(rows)
    lengths = np.unique(log.user, return_counts=True)[1]
    offsets = offsets_of(lengths)
    chosen = candidates_of(offsets, eligible(offsets, k))
    return Candidates(log[chosen.values], histories[chosen.values], chosen.offsets, k)


def measure(asked: Candidates, scores: Floats) -> Measures:
    """The metrics of ranking every user's candidates by *scores* `(n_rows,)`, highest first."""
    feedback, offsets, k = asked.log.feedback, asked.offsets, asked.k
    return Measures(
        gain_at_k(feedback.watch_s, scores, offsets, k),
        spread_at_k(feedback.duration_s, scores, offsets, k),
        gain_at_k(feedback.engaged, scores, offsets, k),
    )


def top_of(asked: Candidates, scores: Floats) -> Ints:
    """The rows of *asked* that a ranking puts first, `(n_users, k)`."""
    return top_rows(scores, asked.offsets, asked.k)


@torch.no_grad()
def score(model: Recommender, asked: Candidates, weights: tuple[float, ...] = (1.0,)) -> Floats:
    """What *model* ranks each candidate by, `(n_rows,)`: its prediction, of several tasks their weighted sum."""
    model.eval()
    table, scores = model.items(), np.empty(len(asked.log))
    for rows in iter_by_length(asked.histories, np.arange(len(asked.log)), SCORED_AT_ONCE):
        logits = model.logits(table, inputs_of(asked.log, asked.histories, rows))
        scores[rows] = (logits if logits.ndim == 1 else ranking_score(logits, weights)).numpy()
    return scores


def reference_scores(asked: Candidates, popularity: Floats, seed: int = 0) -> dict[str, Floats]:
    """Rankings that learn nothing, to read the figures by.

    Args:
        popularity: `(n_items + 1,)`, of each video before the candidates were shown.
    """
    feedback = asked.log.feedback
    return {
        "random": np.random.default_rng(seed).random(len(asked.log)),
        "longest": feedback.duration_s,
        "shortest": -feedback.duration_s,
        "popularity": popularity[asked.log.item],
        "oracle of NWTG": feedback.watch_s,
        "oracle of DS": spread_oracle(feedback.duration_s, asked.offsets, asked.k),
        "oracle of NEG": feedback.engaged.astype(np.float64),
    }


def popularity_of(log: Log, n_items: int) -> Floats:
    """How many rows of *log* each video has, `(n_items + 1,)`."""
    return np.bincount(log.item, minlength=n_items + 1).astype(np.float64)


@dataclass(frozen=True)
class Criterion:
    """What training stops by: how far the geometric mean of NWTG, DS and NEG is above a random ranking's.

    *random* are the means of these three, of a random ranking of the stopping users. The mean of ln(metric/random)
    needs no unit: a per cent of one metric is worth a per cent of another. Shares of the way to the oracles were tried,
    and let the spread of durations count many times what the others do: its oracle is within reach, while nobody
    foresees the longest watches. The published code looks at NWTG alone and lets the others fall.
    """

    random: tuple[float, float, float]

    @classmethod
    def of(cls, asked: Candidates) -> "Criterion":
        """The random ranking is a mean of draws, so that it has no luck."""
        rng = np.random.default_rng(0)
        draws = [measure(asked, rng.random(len(asked.log))).means for _ in range(RANDOM_DRAWS)]
        nwtg, ds, neg = np.mean(draws, axis=0)
        return cls((nwtg, ds, neg))

    def __call__(self, measures: Measures) -> float:
        """0 for a random ranking; metrics that the log cannot tell are left out, and one of 0 counts as next to it."""
        random, means = np.array(self.random), np.array(measures.means)
        told: Bools = random > 0
        return float(np.log(np.maximum(means[told] / random[told], LEAST_RATIO)).mean()) if told.any() else 0.0
