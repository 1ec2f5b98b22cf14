"""How often an interval of DCG_IPS holds the truth: simulated logs whose unseen labels are known.

Every log has the same catalogue and shoppers of its own, recency fills its feeds, and all biases are at full strength.
A policy puts each delivered feed in its own order, without a look at a label. Its truth is the DCG of
`label_if_examined` over the shoppers of all logs: what the estimate of one log is an estimate of.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from retrieval.metrics.cluster import Bootstrap
from retrieval.metrics.listwise import Compared, Feeds, Form, Measure, UserSums, compared, from_gains, gains
from retrieval.metrics.ranks import Ranks, ranks_within
from retrieval.metrics.stats import Estimate
from sample_shop.catalogue import Catalogue, make_catalogue
from sample_shop.feed import World, outcomes, simulate_log, video_affinity
from sample_shop.shoppers import make_shoppers
from sample_shop.watching import Dials, watched_half

K = 10
LOGGED, LIKING, RANDOM = "logged order", "liking", "random order"
POLICIES = (LOGGED, LIKING, RANDOM)
N_VIDEOS, N_PRODUCTS = 300, 200
Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Trial:
    """One log: its *feeds* as seen, the same feeds if every slot had been examined, and each policy's ranks."""

    feeds: Feeds
    truth: Feeds
    ranks: Mapping[str, Ranks]
    n_users: int

    def seen(self) -> dict[str, UserSums]:
        return {name: self._sums(self.feeds, ranks) for name, ranks in self.ranks.items()}

    def true(self) -> dict[str, UserSums]:
        return {name: self._sums(self.truth, ranks) for name, ranks in self.ranks.items()}

    def _sums(self, feeds: Feeds, ranks: Ranks) -> UserSums:
        return from_gains(gains(feeds, ranks, K), feeds.user, self.n_users)


def make_trial(seed: int, catalogue: Catalogue, n_users: int, dials: Dials) -> Trial:
    """The log of a seed."""
    world = World(catalogue, make_shoppers(seed, catalogue, n_users))
    log = simulate_log(seed, n_users, dials=dials, world=world)
    starts = np.flatnonzero(np.diff(log.feed, prepend=-1))
    offsets, user = np.append(starts, len(log)), log.user[starts]
    label = watched_half(np.nan_to_num(log.watch_time_s), catalogue.videos.duration_s[log.video])
    true = outcomes(seed, world, dials, log.user, log.video, log.day).label
    rng = np.random.default_rng([seed, 7])
    scores = {
        LOGGED: -log.position.astype(np.float64),
        LIKING: video_affinity(world, dials.drift, log.user, log.video, log.day) + rng.normal(size=len(log)),
        RANDOM: rng.random(len(log)),
    }
    ties = rng.permutation(len(log))
    return Trial(
        Feeds(offsets, label, log.examination_propensity, user, log.reached),
        Feeds(offsets, true, np.ones(len(log)), user),
        {name: ranks_within(values, offsets, ties) for name, values in scores.items()},
        n_users,
    )


@dataclass(frozen=True)
class Coverage:
    """Of *n_logs* intervals *share* held the *truth*; the estimates' mean, and the intervals' mean *width*."""

    truth: float
    mean: float
    share: float
    width: float
    n_logs: int


def coverage_of(
    n_logs: int, n_users: int, first_seed: int = 1000, dials: Dials | None = None, n_resamples: int = 1000
) -> dict[tuple[str, Measure, Form], Coverage]:
    """Coverage of every policy's measures, and under "liking − logged order" of the paired difference."""
    catalogue = make_catalogue(0, N_PRODUCTS, N_VIDEOS, 14)
    found: dict[tuple[str, Measure, Form], list[Estimate]] = {}
    true = dict.fromkeys(POLICIES, UserSums.none(1))
    for seed in range(first_seed, first_seed + n_logs):
        trial = make_trial(seed, catalogue, n_users, dials or Dials())
        measured = compared(trial.seen(), Bootstrap(n_resamples, seed))
        for key, estimate in _estimates(measured).items():
            found.setdefault(key, []).append(estimate)
        true = {name: total + UserSums(trial.true()[name].values.sum(axis=0)[None]) for name, total in true.items()}
    truths = _estimates(compared(true, Bootstrap(1)))
    # Examined throughout, the naive form is the truth, whatever form is asked for.
    return {key: _coverage(truths[key[0], key[1], Form.NAIVE].mean, each) for key, each in found.items()}


DIFFERENCE = f"{LIKING} − {LOGGED}"
_MEASURES = (Measure.DCG, Measure.NDCG, Measure.SELF_NORMALISED)


def _estimates(measured: Compared) -> dict[tuple[str, Measure, Form], Estimate]:
    forms = [(measure, form) for measure in _MEASURES for form in Form]
    single = {(name, *form): measured.of(name, *form) for name in POLICIES for form in forms}
    return single | {(DIFFERENCE, *form): measured.difference(LIKING, LOGGED, *form) for form in forms}


def _coverage(truth: float, estimates: Sequence[Estimate]) -> Coverage:
    mean, low, high = np.array([(each.mean, each.low, each.high) for each in estimates]).T
    return Coverage(
        truth,
        float(mean.mean()),
        float(np.mean((low <= truth) & (truth <= high))),
        float(np.mean(high - low)),
        len(estimates),
    )
