"""Agreement: by hand on a few ratings, against the libraries on many, and without a crash where there is nothing."""

import krippendorff
import numpy as np
import pytest
from scipy.stats import spearmanr
from sklearn.metrics import cohen_kappa_score, roc_auc_score

from judge.agreement import (
    alpha_of_rows,
    auc,
    of_two,
    ordinal_alpha,
    paired_auc,
    spearman,
    weighted_kappa,
    with_interval,
)

RNG = np.random.default_rng(3)
FIRST = RNG.integers(1, 6, 300).astype(float)
SECOND = np.clip(FIRST + RNG.integers(-2, 3, 300), 1, 5)
USERS = np.arange(300) // 10


def test_kappa_by_hand():
    # Of (1, 1), (5, 5), (1, 5): observed mean square 16/3; expected over all 9 pairs of a first and a second rating:
    # firsts 1, 5, 1 against seconds 1, 5, 5 differ in 5 of 9 pairs, 16 each: 80/9. 1 − (48/9)/(80/9) = 0.4.
    assert weighted_kappa(np.array([1.0, 5, 1]), np.array([1.0, 5, 5])) == pytest.approx(0.4)


def test_kappa_is_the_librarys():
    assert weighted_kappa(FIRST, SECOND) == pytest.approx(cohen_kappa_score(FIRST, SECOND, weights="quadratic"))


def test_alpha_by_hand():
    # Two raters, units (1, 1), (2, 2), (1, 2): coincidences 1-1: 2, 2-2: 2, 1-2: 1, 2-1: 1; totals 3 and 3.
    # With two grades any distance will do: observed 2 of 6 pairs, expected 2·3·3 / (6·5) = 3/5; 1 − (1/3)/(3/5) = 4/9.
    assert ordinal_alpha(np.array([[1.0, 2, 1], [1, 2, 2]])) == pytest.approx(4 / 9)


def test_alpha_is_the_librarys_with_ratings_missing():
    ratings = np.stack([FIRST, SECOND, np.clip(SECOND + 1, 1, 5)])
    ratings[RNG.random(ratings.shape) < 0.3] = np.nan

    theirs = krippendorff.alpha(ratings, level_of_measurement="ordinal", value_domain=[1, 2, 3, 4, 5])

    assert ordinal_alpha(ratings) == pytest.approx(theirs)


def test_spearman_is_the_librarys_with_ties():
    assert spearman(FIRST, SECOND) == pytest.approx(spearmanr(FIRST, SECOND).statistic)


def test_auc_is_the_librarys_with_ties():
    labels = np.repeat([1, 0], 300)
    assert auc(SECOND, FIRST) == pytest.approx(roc_auc_score(labels, np.concatenate([SECOND, FIRST])))


def test_paired_auc_counts_a_tie_half():
    # Above, equal, below: (1 + 1/2 + 0) / 3.
    assert paired_auc(np.array([2.0, 2, 2]), np.array([1.0, 2, 3])) == pytest.approx(0.5)


@pytest.mark.parametrize("statistic", [weighted_kappa, spearman, auc, paired_auc])
def test_swapping_rows_changes_nothing(statistic):
    order = RNG.permutation(300)
    assert statistic(FIRST[order], SECOND[order]) == pytest.approx(statistic(FIRST, SECOND))


@pytest.mark.parametrize("statistic", [of_two(weighted_kappa), of_two(spearman), alpha_of_rows])
def test_raters_who_say_one_thing_of_all_have_no_agreement_and_a_count(statistic):
    rows = np.full((20, 2), 3.0)

    interval = with_interval(statistic, rows, np.arange(20), np.random.default_rng(0))

    assert np.isnan(interval.value)
    assert np.isnan(interval.low)
    assert (interval.n, interval.degenerate) == (20, 1000)


def test_nothing_rated_is_nan_with_its_count():
    rows = np.full((4, 2), np.nan)

    interval = with_interval(of_two(spearman), rows, np.arange(4), np.random.default_rng(0))

    assert np.isnan(interval.value)
    assert (interval.n, interval.n_users, interval.skipped) == (0, 0, 4)


def test_a_pair_without_a_partner_is_skipped_and_not_a_zero():
    rows = np.array([[1.0, 1], [5, 5], [3, np.nan]])

    interval = with_interval(of_two(weighted_kappa), rows, np.array([0, 1, 1]), np.random.default_rng(0))

    assert (interval.value, interval.n, interval.skipped) == (1.0, 2, 1)


def test_the_interval_resamples_users_and_not_their_ratings():
    # All ratings of a user are copies: as many rows again carry no news, so the interval stays as it was.
    once = with_interval(of_two(spearman), np.stack([FIRST, SECOND], 1), np.arange(300), np.random.default_rng(5))
    rows = np.repeat(np.stack([FIRST, SECOND], 1), 4, axis=0)

    copied = with_interval(of_two(spearman), rows, np.repeat(np.arange(300), 4), np.random.default_rng(5))

    assert (copied.low, copied.high) == pytest.approx((once.low, once.high))
    assert copied.low < copied.value < copied.high
