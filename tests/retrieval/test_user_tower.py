"""The user tower where it is likely to go wrong: very old, single, equal, many and no events."""

import numpy as np
import pytest

from retrieval.towers.user import global_vector, product_shares, recency_weights, user_vector, user_vectors

YEAR_S = 365 * 86_400.0


def test_events_years_old_do_not_underflow():
    ages = np.array([30 * YEAR_S, 30 * YEAR_S + 3600.0])

    vector = user_vector(np.eye(2), recency_weights(ages, half_life_s=3600.0))

    # One half-life apart: weights 2 : 1.
    np.testing.assert_allclose(vector, [2 / 3, 1 / 3])


def test_one_event_is_its_product():
    np.testing.assert_array_equal(
        user_vector(np.array([[0.6, 0.8]]), recency_weights(np.array([5e8]), 60.0)), [0.6, 0.8]
    )


def test_no_event_has_no_vector():
    with pytest.raises(ValueError, match="at least one event"):
        user_vector(np.empty((0, 2)), np.empty(0))


def test_equal_times_count_alike():
    vector = user_vector(np.array([[1.0], [3.0]]), recency_weights(np.array([7.0, 7.0]), 60.0))

    assert vector.tolist() == [2.0]


def test_ten_thousand_events_match_the_definition():
    rng = np.random.default_rng(0)
    vectors, ages = rng.normal(size=(10_000, 8)), rng.uniform(0, 30 * 86_400, 10_000)

    vector = user_vector(vectors, recency_weights(ages, half_life_s=86_400.0))

    weights = np.exp(-np.log(2) / 86_400.0 * ages)
    np.testing.assert_allclose(vector, (weights[:, None] * vectors).sum(0) / weights.sum(), rtol=1e-9)


def test_event_weights_multiply_the_decay():
    assert recency_weights(np.array([0.0, 10.0]), 10.0, np.array([1.0, 4.0])).tolist() == [1.0, 2.0]


def test_a_batch_gives_what_each_user_alone_gets():
    rng = np.random.default_rng(1)
    vectors, weights = rng.normal(size=(6, 3)), rng.random(6)

    both = user_vectors(vectors, weights, np.array([0, 2, 6]))

    np.testing.assert_allclose(both[0], user_vector(vectors[:2], weights[:2]))
    np.testing.assert_allclose(both[1], user_vector(vectors[2:], weights[2:]))


def test_a_user_without_events_in_a_batch_is_refused():
    with pytest.raises(ValueError, match="at least one event"):
        user_vectors(np.ones((2, 1)), np.ones(2), np.array([0, 2, 2]))


def test_shares_of_a_video_add_to_its_score():
    rng = np.random.default_rng(2)
    vectors, weights, videos = rng.normal(size=(5, 4)), rng.random(5), rng.normal(size=(3, 4))

    shares = product_shares(vectors, weights, videos)

    np.testing.assert_allclose(shares.sum(axis=1), videos @ user_vector(vectors, weights))


def test_a_half_life_of_zero_is_refused():
    with pytest.raises(ValueError, match="above 0"):
        recency_weights(np.array([1.0]), 0.0)


def test_the_global_vector_of_a_shop_without_events_is_the_plain_mean():
    assert global_vector(np.array([[1.0], [3.0]]), np.zeros(2)).tolist() == [2.0]
