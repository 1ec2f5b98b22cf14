"""What a policy would have earned, from the log of another: inverse selection probabilities and doubly robust forms.

A logged row has a reward r, the probability that the logging policy chose what was shown, and that of the policy asked
about; w = target / selection. These are **selection** probabilities, of a video at a position. Examination
probabilities, of a position being looked at, are another thing and stand in `listwise`; only `listwise_doubly_robust`
uses them here.

    IPS      mean of w r                      unbiased, and loud where selection was unlikely
    clipped  mean of min(w, ceiling) r        quieter, too low
    SNIPS    Σ w r / Σ w                      slightly biased, blind to a constant added to all rewards
    DR       mean of r̂(target) + w (r − r̂)    right if either the probabilities or the reward model are

(Saito et al. 2021, Open Bandit Pipeline; Dudík, Langford and Li 2011.)
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from retrieval.metrics.cluster import Bootstrap, delta_ratio
from retrieval.metrics.listwise import Feeds, discounts_of
from retrieval.metrics.stats import Estimate
from retrieval.metrics.weights import Weights

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Bools = NDArray[np.bool_]
Predict = Callable[[NDArray[np.bool_]], Floats]


@dataclass(frozen=True)
class LoggedChoices:
    """Rows of a log, `(n,)` each.

    *reward*; *selection*, P(what was shown | logging policy), in (0, 1]; *target*, P(it | the policy asked about);
    *user*, numbers below *n_users*: intervals are over users.
    """

    reward: Floats
    selection: Floats
    target: Floats
    user: Ints
    n_users: int

    def __post_init__(self) -> None:
        if not len(self.reward) == len(self.selection) == len(self.target) == len(self.user):
            raise ValueError("rewards, probabilities and users are not of one length")
        if len(self.reward) and not (self.selection.min() > 0 and self.selection.max() <= 1):
            raise ValueError("a selection probability is not above 0 and at most 1")
        if len(self.reward) and not (self.target.min() >= 0 and self.target.max() <= 1):
            raise ValueError("a target probability is not between 0 and 1")

    @property
    def weight(self) -> Floats:
        return self.target / self.selection

    def sums(self, values: Floats) -> Floats:
        """The sum of *values* `(n,)` of each user."""
        return np.bincount(self.user, values, self.n_users).astype(np.float64, copy=False)


@dataclass(frozen=True)
class Predicted:
    """A reward model's expectations, `(n,)`: *logged* of what was shown, *target* Σ_a π(a) r̂(a) of what would be."""

    logged: Floats
    target: Floats


@dataclass(frozen=True)
class PolicyValue:
    """The value by each estimator, with bootstrap intervals.

    *snips_delta* is SNIPS with the delta method's; *doubly_robust* is None without a reward model.
    """

    ips: Estimate
    clipped: Estimate
    snips: Estimate
    snips_delta: Estimate
    doubly_robust: Estimate | None
    weights: Weights


def policy_value(
    log: LoggedChoices, bootstrap: Bootstrap, ceiling: float = 100.0, predicted: Predicted | None = None
) -> PolicyValue:
    """The value of the target policy per row.

    Args:
        ceiling: the largest weight of the clipped form.
        predicted: by a model that did not see the rows it predicts, of `cross_fitted`.
    """
    weight, rows = log.weight, np.bincount(log.user, minlength=log.n_users).astype(np.float64)
    earned, drawn = log.sums(weight * log.reward), log.sums(weight)
    columns = [earned, log.sums(np.minimum(weight, ceiling) * log.reward), drawn, rows]
    if predicted is not None:
        columns.append(log.sums(predicted.target + weight * (log.reward - predicted.logged)))
    totals = bootstrap.totals(np.stack(columns, axis=1))
    return PolicyValue(
        ips=totals.ratio(0, 3),
        clipped=totals.ratio(1, 3),
        snips=totals.ratio(0, 2),
        snips_delta=delta_ratio(earned, drawn),
        doubly_robust=totals.ratio(4, 3) if predicted is not None else None,
        weights=Weights.of(weight, ceiling),
    )


def folds_of(user: Ints, n_users: int, n_folds: int, seed: int) -> Ints:
    """A fold for each row, `(n,)`: all of a user's rows are in one, and folds have as many users to within one.

    >>> folds_of(np.array([0, 0, 1]), n_users=2, n_folds=2, seed=0).tolist() in ([0, 0, 1], [1, 1, 0])
    True
    """
    return np.asarray(np.random.default_rng(seed).permutation(n_users)[user] % n_folds)


def cross_fitted(fit: Callable[[Bools], Predict], fold: Ints) -> Floats:
    """Predictions of each row by a model of the other folds, `(n,)`.

    Without this the model has seen the noise that it is to correct, and the doubly robust value is too sure of itself.

    Args:
        fit: is given which rows to learn from, `(n,)`, and returns what predicts the rows of such a mask, in order.
        fold: `(n,)`, of `folds_of`.
    """
    predicted = np.full(len(fold), np.nan)
    for each in np.unique(fold):
        held_out = fold == each
        predicted[held_out] = fit(~held_out)(held_out)
    return predicted


def listwise_doubly_robust(feeds: Feeds, ranks: Ints, examined: Bools, predicted: Floats, k: int) -> Floats:
    """The doubly robust DCG@k of each feed, `(n_feeds,)`: Σ λ(π_i) [r̂_i + (o_i r_i − o_i r̂_i) / q_i].

    Whether a slot was examined must have been seen: where it is scrolling that is logged, *examined* is reached, and
    *feeds.examination* the probability of reaching alone.

    Args:
        ranks: `(n,)` π, from 1 within each feed.
        examined: `(n,)` o; a label is only seen where it is true.
        predicted: `(n,)` r̂ = P(positive | examined), by a model that did not see these rows.

    Raises:
        ValueError: there is a label on a slot that was not examined.
    """
    if (feeds.label & ~examined).any():
        raise ValueError("a slot that was not examined has a label")
    discount = discounts_of(k)[np.minimum(ranks, k + 1)]
    values = discount * (predicted + examined * (feeds.label - predicted) / feeds.examination)
    feed = np.repeat(np.arange(len(feeds)), np.diff(feeds.offsets))
    return np.bincount(feed, values, len(feeds)).astype(np.float64, copy=False)
