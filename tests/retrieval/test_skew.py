"""How unevenly exposure falls, and how popular what is shown is."""

import numpy as np
import pytest
from scipy.stats import skew

from retrieval.metrics.cluster import Bootstrap
from retrieval.metrics.skew import (
    adjusted_skewness,
    average_popularity,
    co_occurrence,
    coverage,
    entropy,
    exposure_measures,
    exposure_of,
    gini,
    hub_share,
    hubs,
    long_tail,
    skewness,
    tail_share,
    with_intervals,
)


def test_gini_is_the_mean_difference_of_two_items_over_twice_the_mean():
    counts = np.random.default_rng(0).poisson(2.0, 40)

    assert gini(counts) == pytest.approx(np.abs(counts[:, None] - counts).mean() / (2 * counts.mean()))
    assert gini(np.zeros(3)) == 0


@pytest.mark.parametrize("scale", [1.0, 1e9])
def test_both_skewnesses_are_those_of_scipy_in_any_unit(scale):
    values = scale * np.random.default_rng(1).exponential(size=50)

    assert skewness(values) == pytest.approx(skew(values), rel=1e-9)
    assert adjusted_skewness(values) == pytest.approx(skew(values, bias=False), rel=1e-9)


def test_equal_values_and_too_few_have_no_skewness():
    assert np.isnan([skewness(np.full(5, 0.1)), skewness(np.array([])), adjusted_skewness(np.array([1, 2]))]).all()


def test_entropy_is_largest_where_all_are_equal_and_ignores_what_is_not_shown():
    assert entropy(np.array([5, 5, 0])) == pytest.approx(np.log(2))
    assert entropy(np.array([9, 1])) < np.log(2)
    assert entropy(np.zeros(3)) == 0


def test_the_long_tail_holds_at_most_a_fifth_of_all_popularity_and_does_not_part_equals():
    popularity = np.array([10, 1, 1, 1, 1, 6])  # 20 in all, a fifth is 4

    assert long_tail(popularity).tolist() == [False, True, True, True, True, False]
    assert not long_tail(popularity, share=0.19).any()
    assert long_tail(np.array([], np.int64)).tolist() == []


def test_shares_and_means_are_of_what_is_shown_every_time_it_is():
    exposure, popularity = np.array([4, 1, 0]), np.array([10.0, 5.0, 99.0])

    assert average_popularity(exposure, popularity) == 9
    assert tail_share(exposure, np.array([False, True, True])) == 0.2
    assert coverage(exposure) == pytest.approx(2 / 3)
    nothing = np.zeros(3)
    assert np.isnan([average_popularity(nothing, popularity), tail_share(nothing, nothing > 0)]).all()


def test_a_hub_is_over_two_deviations_above_the_mean_and_equal_items_have_none():
    exposure = np.array([20, *[1] * 19])  # mean 1.95, deviation 4.14

    assert np.flatnonzero(hubs(exposure)).tolist() == [0]
    assert hub_share(exposure) == pytest.approx(20 / 39)
    assert not hubs(np.ones(5)).any()


def test_co_occurrence_is_the_row_sum_of_the_item_matrix_without_its_diagonal():
    rng = np.random.default_rng(2)
    user, item = rng.integers(30, size=200), rng.integers(12, size=200)
    matrix = np.zeros((30, 12))
    matrix[user, item] = 1  # the same pair again counts once
    together = matrix.T @ matrix

    found = co_occurrence(user, item, 30, 12)

    assert found.tolist() == (together.sum(axis=1) - np.diag(together)).tolist()


def test_exposure_counts_the_lists_and_leaves_out_what_is_missing():
    assert exposure_of(np.array([[0, 2, -1], [2, -1, -1]]), n_items=4).tolist() == [1, 0, 2, 0]


def make_lists(seed, n_users=120, n_items=60):
    """Five videos for each user, some far more often than others."""
    rng = np.random.default_rng(seed)
    weight = 1 / np.arange(1, n_items + 1)
    return np.argsort(-np.log(weight) - rng.gumbel(size=(n_users, n_items)), axis=1)[:, :5]


def test_every_measure_has_its_value_in_its_interval():
    popularity = np.arange(60)[::-1]
    lists = make_lists(0)
    measures = exposure_measures(popularity)

    found = with_intervals(lists, 60, measures, Bootstrap(100))

    exposure = exposure_of(lists, 60)
    assert found["gini"].mean == pytest.approx(gini(exposure))
    assert found["average_popularity"].mean == pytest.approx(popularity[lists].mean())
    assert all(each.low <= each.mean <= each.high for each in found.values())
    assert set(found) == set(measures)
    assert found["coverage"].n == 120


def test_where_nothing_is_shown_nothing_is_even_or_uneven():
    found = with_intervals(np.full((3, 5), -1), 60, exposure_measures(np.arange(60)), Bootstrap(100))

    assert np.isnan([found["gini"].mean, found["entropy"].mean]).all()
    assert found["coverage"].mean == 0


def test_intervals_hold_what_such_users_are_shown_about_as_often_as_they_say():
    measures = {"gini": gini, "coverage": coverage, "entropy": entropy}
    of_samples = [[measure(exposure_of(make_lists(seed), 60)) for measure in measures.values()] for seed in range(150)]
    truth = dict(zip(measures, np.mean(of_samples, axis=0), strict=True))

    found = [with_intervals(make_lists(seed), 60, measures, Bootstrap(50)) for seed in range(40)]

    # Of 40 intervals from 50 resamples each; the plain percentile interval holds coverage in none of them.
    for name in measures:
        held = np.mean([each[name].low <= truth[name] <= each[name].high for each in found])
        assert held >= 0.82


def test_users_without_a_list_are_counted():
    lists = np.array([[0, 1], [-1, -1], [1, -1]])

    found = with_intervals(lists, 2, {"gini": gini}, Bootstrap(20))["gini"]

    assert (found.n, found.skipped) == (2, 1)
