"""NWTG@k, NEG@k and DS@k, their conventions and their oracles."""

from itertools import combinations, pairwise

import numpy as np
import pytest
from sklearn.metrics import ndcg_score

from retrieval.metrics.ranking import (
    candidates_of,
    eligible,
    gain_at_k,
    none_as_one,
    spread_at_k,
    spread_oracle,
    top_rows,
)

ONE_USER = np.array([0, 3])


def crowd(seed, lengths, decimals=12):
    """Offsets, and a score and a watch time for each candidate."""
    rng = np.random.default_rng(seed)
    offsets = np.concatenate([[0], np.cumsum(lengths)])
    return offsets, rng.random(offsets[-1]).round(decimals), rng.exponential(20.0, offsets[-1])


def test_the_top_rows_are_each_users_own_best_first():
    scores = np.array([0.1, 0.9, 0.5, 8.0, 7.0, 9.0])

    assert top_rows(scores, np.array([0, 3, 6]), 2).tolist() == [[1, 2], [5, 3]]


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_ties_go_to_the_earlier_row(seed):
    offsets, scores, _ = crowd(seed, [40, 25, 33], decimals=1)

    rows = top_rows(scores, offsets, 20)

    by_row = [sorted(range(*pair), key=lambda row: (-scores[row], row))[:20] for pair in pairwise(offsets)]
    assert rows.tolist() == by_row


def test_infinite_scores_are_scores():
    assert top_rows(np.array([-np.inf, np.inf, -np.inf]), ONE_USER, 3).tolist() == [[1, 0, 2]]


def test_more_users_than_sixteen_bits_count_are_ranked_apart():
    n_users = 70_000

    rows = top_rows(np.tile([1.0, 2.0], n_users), np.arange(n_users + 1) * 2, 1)

    np.testing.assert_array_equal(rows[:, 0], np.arange(n_users) * 2 + 1)


def test_users_with_more_than_k_candidates_are_eligible():
    assert eligible(np.array([0, 9, 19, 30]), 10).tolist() == [False, False, True]


def test_candidates_are_cut_out_with_their_users():
    kept = candidates_of(np.array([0, 1, 3, 6]), np.array([True, False, True]))

    assert kept.values.tolist() == [0, 3, 4, 5]
    assert kept.offsets.tolist() == [0, 1, 4]


def test_the_discount_divides():
    watched = np.array([3.0, 6.0, 12.0])

    gain = gain_at_k(watched, np.array([3.0, 2.0, 1.0]), ONE_USER, 3)

    # Discounts 1, 1 / log2 3 and 1 / 2: worst order over best.
    second = 1 / np.log2(3)
    assert gain == pytest.approx((3 + 6 * second + 6) / (12 + 6 * second + 1.5))


def test_gains_beyond_k_count_in_the_ideal_only():
    engaged = np.array([False, False, True])

    # The one engaged video is third: not in the list of two, whose best would have it first.
    assert gain_at_k(engaged, np.array([3.0, 2.0, 1.0]), ONE_USER, 2).tolist() == [0.0]


def test_gain_agrees_with_an_independent_library():
    offsets, scores, watched = crowd(3, [12, 30, 11])

    gains = gain_at_k(watched, scores, offsets, 10)

    expected = [ndcg_score([watched[a:b]], [scores[a:b]], k=10) for a, b in pairwise(offsets)]
    np.testing.assert_allclose(gains, expected, rtol=0, atol=1e-9)


def test_a_user_without_gain_is_left_out_or_counts_as_one():
    gains = gain_at_k(np.array([0, 0, 1, 0]), np.array([1.0, 2.0, 2.0, 1.0]), np.array([0, 2, 4]), 1)

    np.testing.assert_array_equal(gains, [np.nan, 1.0])
    assert none_as_one(np.array([np.nan, 0.25])).tolist() == [1.0, 0.25]


def test_watch_time_and_engagement_are_their_own_oracles():
    offsets, scores, watched = crowd(4, [15, 20])
    engaged = scores > 0.7

    assert gain_at_k(watched, watched, offsets, 10).tolist() == [1.0, 1.0]
    assert gain_at_k(engaged, engaged, offsets, 10).tolist() == [1.0, 1.0]


def test_the_order_of_candidates_does_not_matter():
    offsets, scores, watched = crowd(5, [15, 20])
    order = np.concatenate([np.random.default_rng(6).permutation(15), np.arange(15, 35)[::-1]])  # within each user

    gains = gain_at_k(watched[order], scores[order], offsets, 10)
    spreads = spread_at_k(watched[order], scores[order], offsets, 10)

    np.testing.assert_allclose(gains, gain_at_k(watched, scores, offsets, 10), rtol=1e-14)
    np.testing.assert_allclose(spreads, spread_at_k(watched, scores, offsets, 10), rtol=1e-14)


def test_spread_is_the_sample_deviation_of_the_top_durations():
    durations = np.array([10.0, 20.0, 60.0, 999.0])

    spread = spread_at_k(durations, np.array([4.0, 3.0, 2.0, 1.0]), np.array([0, 4]), 3)

    # Mean 30, squared deviations 400, 100 and 900 over 2.
    assert spread == pytest.approx(np.sqrt(700.0))


def test_a_duration_of_zero_is_a_duration():
    # As published: 0 and 2 deviate by 1 each, over 1.
    assert spread_at_k(np.array([0.0, 2.0]), np.zeros(2), np.array([0, 2]), 2) == pytest.approx(np.sqrt(2.0))


@pytest.mark.parametrize("k", [2, 3, 5, 9])
@pytest.mark.parametrize("scale", [1.0, 1e-6])
def test_the_oracle_of_spread_is_the_best_of_all_choices(k, scale):
    offsets, _, durations = crowd(k, [9, 10])
    durations = 1000.0 + scale * durations  # close together, where differences of squares lose digits

    best = spread_at_k(durations, spread_oracle(durations, offsets, k), offsets, k)

    of_user = [max(np.std(chosen, ddof=1) for chosen in combinations(part, k)) for part in np.split(durations, [9])]
    np.testing.assert_allclose(best, of_user, rtol=1e-6)


def test_the_oracle_of_spread_is_not_always_half_and_half():
    durations = np.array([1.0, 1.0, 1.0, 1.0, 9.0])

    scores = spread_oracle(durations, np.array([0, 5]), 3)

    # The long one with two of the short: mean 11 / 3, squared deviations 2 (8 / 3)² and (16 / 3)², over 2.
    assert scores.sum() == 3.0
    assert spread_at_k(durations, scores, np.array([0, 5]), 3) == pytest.approx(np.sqrt(64 / 3))


def test_no_user_gives_no_number():
    empty = np.empty(0)

    assert gain_at_k(empty, empty, np.array([0]), 10).shape == (0,)
    assert spread_at_k(empty, empty, np.array([0]), 10).shape == (0,)
    assert spread_oracle(empty, np.array([0]), 10).shape == (0,)


def test_too_few_candidates_are_refused():
    with pytest.raises(ValueError, match="user 1 has 1 candidates, fewer than k = 2"):
        top_rows(np.zeros(4), np.array([0, 3, 4]), 2)


def test_scores_that_are_no_numbers_are_refused():
    with pytest.raises(ValueError, match="not a number"):
        top_rows(np.array([1.0, np.nan, 0.0]), ONE_USER, 1)


def test_scores_of_other_rows_are_refused():
    with pytest.raises(ValueError, match="2 scores for 3 candidates"):
        top_rows(np.zeros(2), ONE_USER, 1)


def test_negative_gains_are_refused():
    with pytest.raises(ValueError, match="negative"):
        gain_at_k(np.array([1.0, -1.0, 0.0]), np.zeros(3), ONE_USER, 1)


def test_a_spread_of_one_is_refused():
    with pytest.raises(ValueError, match="needs two durations"):
        spread_at_k(np.zeros(3), np.zeros(3), ONE_USER, 1)
