"""Scores: means over users by hand, differences over the same users, and nothing missing that counts as a number."""

import numpy as np
import pytest

from judge.columns import J
from judge.scores import bootstrap_ratio, score_systems, strongest, user_means
from tests.judged import judged

ANN_BOB = (
    ("recency", "ann", [2, 2]),
    ("recency", "bob", [1, 3]),
    ("multimodal", "ann", [5, 4]),
    ("multimodal", "bob", [3, 3]),
)


def difference(scores, k=5, measure=J.EXPECTED):
    return next(d for d in scores.differences if (d.k, d.measure) == (k, measure))


def test_a_systems_mean_is_of_the_users_means_and_its_deviation_across_them():
    score = score_systems(judged(*ANN_BOB)).score("multimodal", 5)

    # ann (5 + 4)/2 = 4.5, bob 3: mean 3.75, standard deviation 0.75·√2.
    assert score.estimate.mean == 3.75
    assert score.estimate.sd == pytest.approx(0.75 * np.sqrt(2))
    assert (score.estimate.n, score.asked, score.unscored, score.short) == (2, 4, 0, 2)


def test_only_the_top_k_count():
    lists = judged(("a", "ann", [5] * 5 + [1] * 5 + [3]))

    scores = score_systems(lists)

    assert scores.score("a", 5).estimate.mean == 5.0
    assert scores.score("a", 10).estimate.mean == 3.0


def test_a_difference_is_over_the_same_users_absolute_and_relative():
    found = difference(score_systems(judged(*ANN_BOB)))

    # ann 4.5 − 2, bob 3 − 2: mean 1.75; 3.75 / 2 − 1 = 87.5 %.
    assert (found.system, found.against) == ("multimodal", "recency")
    assert (found.absolute.mean, found.absolute.n, found.absolute.skipped) == (1.75, 2, 0)
    assert found.relative.value == 0.875
    assert found.absolute.low >= 1.0
    assert found.absolute.high <= 2.5


def test_unscored_videos_are_left_out_of_the_mean_and_counted():
    score = score_systems(judged(("a", "ann", [4, None, 2]), ("a", "bob", [3, 3, 3]))).score("a", 5)

    assert (score.estimate.mean, score.unscored) == (3.0, 1)


def test_a_user_without_any_grade_is_skipped_and_counted():
    lists = judged(*ANN_BOB, ("recency", "cat", [None, None]), ("multimodal", "cat", [5, 5]))

    scores = score_systems(lists)

    assert (scores.score("recency", 5).estimate.n, scores.score("recency", 5).estimate.skipped) == (2, 1)
    assert (difference(scores).absolute.mean, difference(scores).absolute.skipped) == (1.75, 1)


def test_a_user_whom_one_system_was_not_asked_for_is_no_part_of_a_difference():
    found = difference(score_systems(judged(*ANN_BOB, ("multimodal", "cat", [1, 1]))))

    assert (found.absolute.mean, found.absolute.n, found.absolute.skipped) == (1.75, 2, 1)


def test_the_relative_interval_resamples_numerator_and_denominator_together():
    first, second = np.array([2.0, 4.0, 8.0, 6.0]), np.array([1.0, 2.0, 4.0, 3.0])

    ratio = bootstrap_ratio(first, second, np.random.default_rng(1))

    # Twice as much for every user: the ratio is the same in every resample, however the means vary.
    assert (ratio.value, ratio.low, ratio.high) == (1.0, 1.0, 1.0)


def test_a_distribution_counts_each_grade_from_1_to_5():
    scores = score_systems(judged(("a", "ann", [5, 5, 4, 1, None])))

    found = scores.distributions[0]
    assert (found.counts, found.unscored) == ((1, 0, 0, 1, 2), 1)
    assert found.shares == (0.25, 0.0, 0.0, 0.25, 0.5)


def test_without_any_grade_everything_is_nan_with_its_count():
    scores = score_systems(judged(("a", "ann", [None]), ("b", "ann", [None])))

    assert np.isnan(scores.score("a", 5).estimate.mean)
    assert (difference(scores).absolute.n, difference(scores).absolute.skipped) == (0, 1)
    assert np.isnan(difference(scores).relative.value)


def test_the_order_of_the_rows_changes_no_figure():
    lists = judged(*ANN_BOB)

    assert score_systems(lists.sample(fraction=1.0, shuffle=True, seed=4)).scores == score_systems(lists).scores


def test_the_strongest_disagreements_are_shown_from_both_sides():
    lists = judged(
        ("a", "ann", [5]), ("b", "ann", [1]), ("a", "bob", [1]), ("b", "bob", [3]),
        ("a", "cat", [4]), ("b", "cat", [3]), ("a", "dan", [2]), ("b", "dan", [2]),
    )  # fmt: skip

    assert strongest(lists, ("a", "b"), 10, 2) == (["ann", "cat"], ["bob"])


def test_health_counts_a_video_that_two_systems_show_once():
    lists = judged(("a", "ann", [5, None])).vstack(judged(("a", "ann", [5, None])))

    health = score_systems(lists).health

    assert (health.asked, health.scored, health.unscored) == (2, 1, 1)
    assert health.reasons == (("no_verdict", 1),)


def test_the_means_of_users_say_how_many_videos_they_are_of():
    row = user_means(judged(("a", "ann", [4, None])), "a", 5).row(0, named=True)

    assert (row["mean"], row["n"], row["asked"], row["unscored"]) == (4.0, 1, 2, 1)
