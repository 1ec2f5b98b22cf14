"""Means and their intervals."""

import numpy as np
import pytest

from retrieval.metrics.stats import bootstrap_mean


def test_mean_deviation_and_counts_are_plain():
    estimate = bootstrap_mean(np.array([1.0, 2.0, np.nan, 6.0]), np.random.default_rng(0))

    assert estimate.mean == 3.0
    # Squared deviations 4, 1 and 9 over n − 1 = 2.
    assert estimate.sd == pytest.approx(np.sqrt(7.0))
    assert (estimate.n, estimate.skipped) == (3, 1)


def test_the_interval_is_that_of_the_normal_where_n_is_large():
    values = np.random.default_rng(1).normal(5.0, 2.0, 4000)

    estimate = bootstrap_mean(values, np.random.default_rng(2))

    half = 1.96 * values.std() / np.sqrt(4000)
    assert estimate.low == pytest.approx(values.mean() - half, abs=0.15 * half)
    assert estimate.high == pytest.approx(values.mean() + half, abs=0.15 * half)


def test_intervals_cover_the_truth_about_as_often_as_they_say():
    rng = np.random.default_rng(3)

    covered = [abs_contains(bootstrap_mean(rng.exponential(1.0, 60), rng)) for _ in range(200)]

    # 95 % nominal; percentile bootstrap of a skewed mean at n = 60 covers somewhat less.
    assert 0.87 <= np.mean(covered) <= 1.0


def abs_contains(estimate):
    return estimate.low <= 1.0 <= estimate.high


def test_nothing_gives_no_number():
    estimate = bootstrap_mean(np.array([np.nan]), np.random.default_rng(0))

    assert np.isnan(estimate.mean)
    assert (estimate.n, estimate.skipped) == (0, 1)


@pytest.mark.parametrize(("values", "expected"), [([1.0, 1.0, 1.0], True), ([-1.0, 1.0, 0.0], False)])
def test_excluding_zero(values, expected):
    assert bootstrap_mean(np.array(values), np.random.default_rng(0)).excludes_zero is expected
