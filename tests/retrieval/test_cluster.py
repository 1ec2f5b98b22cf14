"""Intervals by a bootstrap over users, and what they say."""

import numpy as np
import pytest

from retrieval.metrics.cluster import Bootstrap, Verdict, more_users, verdict
from retrieval.metrics.stats import Estimate


def make_users(seed, n_users):
    """Users with 1 to 20 rows each, whose rows share a mean of the user; the ratio of sums is 0.5 in the long run."""
    rng = np.random.default_rng(seed)
    counts = rng.integers(1, 21, n_users).astype(float)
    share = rng.beta(2, 2, n_users)
    return rng.binomial(counts.astype(int), share).astype(float), counts


def test_the_ratio_is_that_of_the_sums_and_its_interval_that_of_the_delta_method():
    numerator, denominator = make_users(0, 3000)

    estimate = Bootstrap(2000, seed=1).ratio(numerator, denominator)

    ratio = numerator.sum() / denominator.sum()
    error = (numerator - ratio * denominator).std(ddof=1) / denominator.mean() / np.sqrt(3000)
    assert estimate.mean == pytest.approx(ratio)
    # A quantile of 2000 resamples is off by about 4 % of the interval's half.
    assert estimate.low == pytest.approx(ratio - 1.96 * error, abs=0.1 * 1.96 * error)
    assert estimate.high == pytest.approx(ratio + 1.96 * error, abs=0.1 * 1.96 * error)
    assert estimate.sd == pytest.approx(error * np.sqrt(3000), rel=0.06)
    assert estimate.n == 3000


def test_intervals_hold_the_truth_about_as_often_as_they_say():
    held = [Bootstrap(400, seed=seed).ratio(*make_users(seed, 100)) for seed in range(200)]

    # Two standard errors of a share of 0.95 of 200 are 3 points.
    assert 0.91 <= np.mean([estimate.low <= 0.5 <= estimate.high for estimate in held]) <= 0.98


def test_many_columns_at_once_give_what_each_pair_gives_alone():
    numerator, denominator = make_users(2, 2500)  # three blocks
    totals = Bootstrap(100, seed=3).totals(np.stack([denominator, numerator, numerator * 2], axis=1))

    assert totals.ratio(1, 0) == Bootstrap(100, seed=3).ratio(numerator, denominator)
    assert totals.difference((2, 0), (1, 0)) == Bootstrap(100, seed=3).difference(2 * numerator, numerator, denominator)


def test_weights_are_poisson_with_mean_one():
    totals = Bootstrap(n_resamples=1, seed=0).totals(np.ones((1, 1)))
    drawn = Bootstrap(n_resamples=200_000, seed=0).totals(np.ones((1, 1))).resampled[:, 0]

    assert totals.resampled.shape == (1, 1)
    shares = np.bincount(drawn.astype(int), minlength=4)[:4] / len(drawn)
    np.testing.assert_allclose(shares, np.exp(-1) / np.array([1, 1, 2, 6]), atol=0.005)
    assert drawn.mean() == pytest.approx(1, abs=0.01)
    assert drawn.var() == pytest.approx(1, abs=0.02)


def test_a_seed_gives_the_same_interval_and_another_seed_another():
    users = make_users(4, 50)

    assert Bootstrap(100, seed=1).ratio(*users) == Bootstrap(100, seed=1).ratio(*users)
    assert Bootstrap(100, seed=1).ratio(*users) != Bootstrap(100, seed=2).ratio(*users)


def test_users_without_the_denominator_are_skipped_and_counted():
    estimate = Bootstrap(100).ratio(np.array([1.0, 0.0, 3.0]), np.array([2.0, 0.0, 2.0]))

    assert (estimate.mean, estimate.n, estimate.skipped) == (1.0, 2, 1)


def test_nobody_with_the_denominator_gives_no_number():
    estimate = Bootstrap(100).ratio(np.zeros(5), np.zeros(5))

    assert np.isnan([estimate.mean, estimate.low, estimate.high]).all()
    assert (estimate.n, estimate.skipped) == (0, 5)


def estimate_of(low, high):
    return Estimate((low + high) / 2, 1.0, low, high, 100)


@pytest.mark.parametrize(
    ("difference", "higher", "expected"),
    [
        (estimate_of(0.1, 0.3), True, Verdict.BETTER),
        (estimate_of(0.1, 0.3), False, Verdict.WORSE),
        (estimate_of(-0.3, -0.1), True, Verdict.WORSE),
        (estimate_of(-0.1, 0.3), True, Verdict.NOT_DISTINGUISHABLE),
        (estimate_of(np.nan, np.nan), True, Verdict.NOT_DISTINGUISHABLE),
    ],
)
def test_an_interval_without_zero_is_a_verdict(difference, higher, expected):
    assert verdict(difference, higher) is expected


def test_as_many_users_as_are_asked_for_find_the_difference_four_times_in_five():
    # Differences 0.1 ± 1 by user: the standard error at 50 users is 1/√50.
    half = 1.96 / np.sqrt(50)
    n = more_users(Estimate(0.1, 1.0, 0.1 - half, 0.1 + half, 50), n_users=50)
    rng = np.random.default_rng(5)

    means = rng.normal(0.1, 1.0, (2000, n)).mean(axis=1)

    assert n == pytest.approx(((1.96 + 0.8416) / 0.1) ** 2, abs=2)
    assert np.mean(means > 1.96 / np.sqrt(n)) == pytest.approx(0.8, abs=0.03)


def test_no_number_of_users_tells_no_difference():
    assert more_users(estimate_of(-1.0, 1.0), 100) is None
    assert more_users(estimate_of(np.nan, np.nan), 100) is None
