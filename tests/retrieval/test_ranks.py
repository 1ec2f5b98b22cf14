"""Ranks within feeds."""

from itertools import pairwise

import numpy as np
import pytest

from retrieval.metrics.ranks import LONGEST_COMPARED, falling_ranks, ranks_within


def sorted_ranks(scores, offsets, ties):
    """The same by a plain loop."""
    ranks = []
    for start, end in pairwise(offsets):
        order = sorted(range(start, end), key=lambda row: (-float(scores[row]), ties[row]))
        ranks += [order.index(row) + 1 for row in range(start, end)]
    return ranks


def make_feeds(seed, lengths):
    rng = np.random.default_rng(seed)
    offsets = np.concatenate([[0], np.cumsum(lengths)])
    return rng, offsets, rng.permutation(int(offsets[-1]))


@pytest.mark.parametrize("levels", [3, 1_000_000])
@pytest.mark.parametrize("lengths", [[0, 1, 2, 5, 12, 12, 0, 3], [LONGEST_COMPARED, LONGEST_COMPARED + 1, 300, 2]])
def test_ranks_are_those_of_a_loop_with_many_ties_and_with_few_in_short_and_long_feeds(lengths, levels):
    rng, offsets, ties = make_feeds(0, lengths)
    scores = rng.integers(levels, size=offsets[-1]) / levels

    assert ranks_within(scores, offsets, ties).tolist() == sorted_ranks(scores, offsets, ties)


@pytest.mark.parametrize("dtype", [np.float32, np.int64, np.uint8])
def test_scores_may_be_of_any_number(dtype):
    rng, offsets, ties = make_feeds(1, [4, 200, 9])
    scores = rng.integers(100, size=offsets[-1]).astype(dtype)

    assert ranks_within(scores, offsets, ties).tolist() == sorted_ranks(scores, offsets, ties)


def test_equal_scores_do_not_follow_the_logged_order():
    n_feeds, length = 4000, 10
    offsets = np.arange(n_feeds + 1) * length
    ties = np.random.default_rng(2).integers(1 << 62, size=n_feeds * length)

    ranks = ranks_within(np.zeros(n_feeds * length), offsets, ties).reshape(n_feeds, length)

    # A mean of 4000 uniform ranks 1 … 10 has a standard error of √(99/12)/√4000 = 0.045.
    np.testing.assert_allclose(ranks.mean(axis=0), 5.5, atol=5 * 0.045)


def test_ranks_do_not_depend_on_the_order_of_rows():
    rng, offsets, ties = make_feeds(3, [7])
    scores, shuffled = rng.integers(3, size=7), rng.permutation(7)

    ranks = ranks_within(scores, offsets, ties)

    assert ranks_within(scores[shuffled], offsets, ties[shuffled]).tolist() == ranks[shuffled].tolist()


def test_infinite_scores_have_ranks_and_those_that_are_no_number_are_refused():
    offsets, ties = np.array([0, 3]), np.arange(3)

    assert ranks_within(np.array([-np.inf, np.inf, 0.0]), offsets, ties).tolist() == [3, 1, 2]
    with pytest.raises(ValueError, match="not a number"):
        ranks_within(np.array([0.0, np.nan, 1.0]), offsets, ties)


def test_scores_that_differ_in_their_last_digit_or_are_huge_are_told_apart():
    close = 1 + np.arange(4) * np.finfo(float).eps  # all 1 in single precision, where 1e300 is infinite
    offsets = np.array([0, 4, 6])

    ranks = ranks_within(np.concatenate([close, [1e300, 1e301]]), offsets, np.arange(6))

    assert ranks.tolist() == [4, 3, 2, 1, 2, 1]


def test_a_score_too_few_is_refused():
    with pytest.raises(ValueError, match="2 scores"):
        ranks_within(np.zeros(2), np.array([0, 3]), np.arange(3))


@pytest.mark.parametrize("lengths", [[5, 1, 0, 12], [200]])
def test_where_ties_do_not_matter_ranks_are_a_permutation_that_falls(lengths):
    rng, offsets, _ = make_feeds(4, lengths)
    values = rng.integers(4, size=offsets[-1]).astype(float)

    ranks = falling_ranks(values, offsets)

    for start, end in pairwise(offsets):
        in_order = values[start:end][np.argsort(ranks[start:end])]
        assert sorted(ranks[start:end]) == list(range(1, end - start + 1))
        assert (np.diff(in_order) <= 0).all()
