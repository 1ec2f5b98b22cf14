"""How good a ranking of the delivered feeds is: DCG and NDCG, naive and with inverse examination probabilities.

A slot that nobody examined shows no label, and low slots are examined less, so what the logging policy put on top looks
good. Weighting each observed positive by 1 / P(its logged position is examined) makes up for it (Joachims, Swaminathan
and Schnabel 2017): with true probabilities the mean of `DCG_IPS@k` is that of the feed examined throughout. NDCG_IPS is
a ratio in each feed and keeps a bias; it is what the literature reports.

Everything is one number a feed (`gains`), then sums for each user (`UserSums`) that add up over the parts of a log,
then ratios of sums with intervals from a bootstrap over users (`compared`).
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

import numpy as np
from numpy.typing import NDArray

from retrieval.metrics.cluster import Bootstrap, Totals
from retrieval.metrics.ranks import Ranks, falling_ranks
from retrieval.metrics.stats import Estimate
from retrieval.metrics.weights import Weights
from retrieval.ragged import offsets_of

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Bools = NDArray[np.bool_]

CLIP = 0.01  # the least examination probability that a clipped weight divides by (Saito 2020)


class Form(StrEnum):
    """What a positive counts: 1, one over its examination probability, or one over that cut from below."""

    NAIVE = "naive"
    IPS = "ips"
    CLIPPED = "clipped"


class Measure(StrEnum):
    """A ratio of sums over users.

    *DCG* per feed, of all feeds; *NDCG* over the feeds with a positive; the *MIXED* ones over those with a positive and
    a negative, as in Zalando 2025, section 4.1; *SELF_NORMALISED* is the DCG per unit of weight, Σ r λ(π)/q / Σ r/q.
    """

    DCG = "dcg"
    NDCG = "ndcg"
    DCG_MIXED = "dcg_mixed"
    NDCG_MIXED = "ndcg_mixed"
    SELF_NORMALISED = "self_normalised"


@dataclass(frozen=True)
class Feeds:
    """Delivered feeds, one row a slot.

    *offsets* `(n_feeds + 1,)`; *label* `(n,)` what was observed, o·r: false where the slot was not examined;
    *examination* `(n,)` in (0, 1], of the logged position; *user* `(n_feeds,)` the number of the feed's user; *reached*
    `(n,)`, where known: a row that was not reached is no negative. Without it every row without a label is one.
    """

    offsets: Ints
    label: Bools
    examination: Floats
    user: Ints
    reached: Bools | None = None

    def __post_init__(self) -> None:
        n, q = len(self.label), self.examination
        if not len(q) == n == self.offsets[-1] or len(self.user) != len(self):
            raise ValueError(
                f"{n} labels and {len(q)} examination probabilities for {self.offsets[-1]} rows, "
                f"{len(self.user)} users for {len(self)} feeds"
            )
        if n and not (q.min() > 0 and q.max() <= 1):  # false for one that is not a number, too
            raise ValueError("an examination probability is not above 0 and at most 1")

    def __len__(self) -> int:
        return len(self.offsets) - 1


@dataclass(frozen=True)
class Gains:
    """One value a feed, `(n_feeds,)`. *ndcg…* are NaN without an observed positive; *weight* is Σ r/q."""

    dcg: Floats
    dcg_ips: Floats
    dcg_clipped: Floats
    ndcg: Floats
    ndcg_ips: Floats
    ndcg_clipped: Floats
    positives: Floats
    weight: Floats
    weight_clipped: Floats
    mixed: Bools


def gains(feeds: Feeds, ranks: Ranks | Ints, k: int, clip: float = CLIP) -> Gains:
    """What each feed would have gained in the order of *ranks*, counting the first *k*.

    DCG_IPS@k = Σ_{π_i ≤ k} o_i r_i / (q_i log₂(1 + π_i)); NDCG divides by the same sum with the positives in the order
    of their weight, best first. Only observed positives enter, so only they are touched.

    Args:
        ranks: `(n,)` π, from 1 within each feed, of `ranks_within`.
        clip: clipped weights are 1 / max(q, clip).

    Raises:
        ValueError: *k* is below 1, *clip* is negative, or there are not as many ranks as rows.
    """
    if k < 1 or clip < 0 or len(ranks) != len(feeds.label):
        raise ValueError(f"k is {k}, clip {clip}, and there are {len(ranks)} ranks for {len(feeds.label)} rows")
    rows = np.flatnonzero(feeds.label)
    feed = np.repeat(np.arange(len(feeds), dtype=np.int32), np.diff(feeds.offsets))[rows].astype(np.int64)
    counts = np.bincount(feed, minlength=len(feeds))
    offsets = offsets_of(counts)
    examination = feeds.examination[rows]
    weight, discounts = 1.0 / examination, discounts_of(k)
    discount = discounts[np.minimum(ranks[rows], k + 1)]
    # The order by clipped weight is that by weight, with more ties: one ideal order serves both.
    ideal = discounts[np.minimum(falling_ranks(weight, offsets), k + 1)]
    ips = _weighted(weight, discount, ideal, feed, len(feeds))
    clips = len(rows) > 0 and examination.min() < clip
    clipped = _weighted(np.minimum(weight, 1 / clip), discount, ideal, feed, len(feeds)) if clips else ips
    dcg = _sums(discount, feed, len(feeds))
    best = np.cumsum(discounts)[np.minimum(counts, k)]
    return Gains(
        dcg, ips.dcg, clipped.dcg, _ratio(dcg, best), ips.ndcg, clipped.ndcg,
        counts.astype(np.float64), ips.weight, clipped.weight, (counts > 0) & _has_negative(feeds, counts),
    )  # fmt: skip


def weights_of(feeds: Feeds, clip: float = CLIP) -> Weights:
    """The weights 1/q of the observed positives of *feeds*, which clipping cuts at 1/*clip*."""
    return Weights.of(1.0 / feeds.examination[feeds.label], 1.0 / clip if clip else np.inf)


_FORMS = tuple(Form)
_NUMERATORS = [(measure, form) for measure in Measure if measure is not Measure.SELF_NORMALISED for form in _FORMS]
_COUNTS = (Measure.DCG, Measure.NDCG, Measure.DCG_MIXED)  # how many feeds each of these is over
N_COLUMNS = len(_NUMERATORS) + len(_FORMS) + len(_COUNTS)


@dataclass(frozen=True)
class UserSums:
    """Sums over each user's feeds, *values* `(n_users, N_COLUMNS)`; those of a log's parts add up to the log's."""

    values: Floats

    @staticmethod
    def none(n_users: int) -> "UserSums":
        """The sums of no feed, to add to."""
        return UserSums(np.zeros((n_users, N_COLUMNS)))

    def __add__(self, other: "UserSums") -> "UserSums":
        return UserSums(self.values + other.values)


def from_gains(gains: Gains, user: Ints, n_users: int) -> UserSums:
    """The sums of feeds by *user* `(n_feeds,)`, whose numbers are below *n_users*."""
    dcg, ndcg = (gains.dcg, gains.dcg_ips, gains.dcg_clipped), (gains.ndcg, gains.ndcg_ips, gains.ndcg_clipped)
    present = gains.positives > 0
    ndcg_or_zero = [np.where(present, values, 0.0) for values in ndcg]
    columns = [*dcg, *ndcg_or_zero, *(values * gains.mixed for values in (*dcg, *ndcg_or_zero))]
    columns += [gains.positives, gains.weight, gains.weight_clipped]
    columns += [np.ones(len(user)), present, gains.mixed]
    return UserSums(np.stack([_sums(column, user, n_users) for column in columns], axis=1))


@dataclass(frozen=True)
class Compared:
    """Systems over the same users and the same resamples of them."""

    systems: tuple[str, ...]
    totals: Totals

    def of(self, system: str, measure: Measure, form: Form) -> Estimate:
        """A measure of a system, with its interval."""
        return self.totals.ratio(*self._columns(system, measure, form))

    def difference(self, system: str, baseline: str, measure: Measure, form: Form) -> Estimate:
        """How much more it is than that of *baseline*, paired: in the same resamples."""
        return self.totals.difference(self._columns(system, measure, form), self._columns(baseline, measure, form))

    def n_feeds(self, measure: Measure) -> int:
        """How many feeds a measure is over."""
        counted = {Measure.NDCG_MIXED: Measure.DCG_MIXED, Measure.SELF_NORMALISED: Measure.NDCG}.get(measure, measure)
        return int(self.totals.observed[_column_of_count(counted)])

    def _columns(self, system: str, measure: Measure, form: Form) -> tuple[int, int]:
        numerator, denominator = _columns_of(measure, form)
        first = self.systems.index(system) * N_COLUMNS
        return first + numerator, first + denominator


def compared(sums: Mapping[str, UserSums], bootstrap: Bootstrap) -> Compared:
    """All systems resampled together, by name; every sum is over the same numbering of users."""
    return Compared(tuple(sums), bootstrap.totals(np.concatenate([each.values for each in sums.values()], axis=1)))


def _columns_of(measure: Measure, form: Form) -> tuple[int, int]:
    """Where the numerator and the denominator of a measure stand among the columns of `UserSums`."""
    match measure:
        case Measure.SELF_NORMALISED:
            return _NUMERATORS.index((Measure.DCG, form)), len(_NUMERATORS) + _FORMS.index(form)
        case Measure.NDCG_MIXED:
            return _NUMERATORS.index((measure, form)), _column_of_count(Measure.DCG_MIXED)
        case _:
            return _NUMERATORS.index((measure, form)), _column_of_count(measure)


def _column_of_count(measure: Measure) -> int:
    return len(_NUMERATORS) + len(_FORMS) + _COUNTS.index(measure)


def discounts_of(k: int) -> Floats:
    """1 / log₂(1 + rank) by rank, 0 at rank 0 and after *k*, `(k + 2,)`."""
    return np.concatenate([[0.0], 1.0 / np.log2(np.arange(2, k + 2)), [0.0]])


@dataclass(frozen=True)
class _Weighted:
    dcg: Floats
    ndcg: Floats
    weight: Floats


def _weighted(weight: Floats, discount: Floats, ideal: Floats, feed: Ints, n_feeds: int) -> _Weighted:
    """The sums of each feed's positives, all of them one row."""
    dcg = _sums(weight * discount, feed, n_feeds)
    return _Weighted(dcg, _ratio(dcg, _sums(weight * ideal, feed, n_feeds)), _sums(weight, feed, n_feeds))


def _sums(values: Floats, owner: Ints, n_owners: int) -> Floats:
    return np.bincount(owner, values, n_owners).astype(np.float64, copy=False)


def _ratio(gained: Floats, best: Floats) -> Floats:
    with np.errstate(invalid="ignore"):  # nothing of nothing is NaN
        return np.asarray(gained / best)


def _has_negative(feeds: Feeds, positives: Ints) -> Bools:
    if feeds.reached is None:
        return np.asarray(positives < np.diff(feeds.offsets))
    negatives = np.flatnonzero(feeds.reached & ~feeds.label)
    return np.asarray(np.diff(np.searchsorted(negatives, feeds.offsets)) > 0)
