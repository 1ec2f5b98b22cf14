"""Who gets what: every system against lists worked out by hand."""

import numpy as np
import pytest

from retrieval.index.exact import ExactIndex
from retrieval.index.protocol import Neighbours
from retrieval.log import Events
from retrieval.ragged import Ragged
from retrieval.systems import (
    Audience,
    MultimodalSystem,
    RandomSystem,
    StaticSystem,
    SystemConfig,
    drop_seen,
    event_weights,
)
from retrieval.where import Filter

HOUR_US = 3_600_000_000
NOTHING_SEEN = Ragged(np.empty(0, np.int64), np.zeros(3, np.int64))
EVERYTHING = np.ones(4, bool)


def audience(seen=NOTHING_SEEN, users=("ann", "bob")):
    """Ann touched product 0 and, an hour later, product 1; Bob touched nothing."""
    events = Events(np.array([0, 1]), np.array([0, HOUR_US]), np.ones(2), np.array([0, 2, 2]))
    return Audience(users, events, seen, 2 * HOUR_US, [None, "de"])


def multimodal():
    vectors = np.array([[1, 0], [0, 1], [0.5, 0.5], [-1, 0]], np.float16)
    fallbacks = np.array([[1.0, 0.0], [-1.0, 0.0]], np.float32)
    return MultimodalSystem(ExactIndex(vectors), np.eye(2, dtype=np.float16), fallbacks, ("de",), half_life_s=3600.0)


def test_multimodal_decays_history_and_falls_back_on_the_market():
    vectors = multimodal().rank(audience(), 1, EVERYTHING).vectors

    # Ann: weights ½ and 1 of the two axes; Bob has no history, and his market is row 1 of the fallbacks.
    np.testing.assert_allclose(vectors, [[1 / 3, 2 / 3], [-1.0, 0.0]], rtol=1e-6)


def test_multimodal_ranks_by_inner_product():
    found = multimodal().rank(audience(), 2, EVERYTHING).neighbours

    assert found.rows.tolist() == [[1, 2], [3, 1]]
    np.testing.assert_allclose(found.scores, [[2 / 3, 0.5], [1.0, 0.0]], atol=1e-6)


def test_seen_videos_never_come_back_and_the_list_stays_full():
    seen = Ragged(np.array([1, 2]), np.array([0, 2, 2]))

    found = multimodal().rank(audience(seen), 2, EVERYTHING).neighbours

    assert found.rows.tolist() == [[0, 3], [3, 1]]


def test_k_beyond_the_catalogue_gives_what_there_is():
    seen = Ragged(np.array([1, 2]), np.array([0, 2, 2]))

    found = multimodal().rank(audience(seen), 9, EVERYTHING).neighbours

    assert (found.rows >= 0).sum(axis=1).tolist() == [2, 4]


def test_a_static_order_is_the_same_for_all_but_for_what_they_have_seen():
    system = StaticSystem(np.array([5.0, 7.0, 7.0, 1.0]), np.array([1, 2, 0, 3]))
    seen = Ragged(np.array([1]), np.array([0, 0, 1]))

    found = system.rank(audience(seen), 2, np.array([True, True, True, False])).neighbours

    assert found.rows.tolist() == [[1, 2], [2, 0]]


def test_random_differs_between_users_and_repeats_itself():
    users = tuple(f"u{number}" for number in range(2000))
    events = Events(*(np.empty(0, np.int64),) * 2, np.empty(0), np.zeros(2001, np.int64))
    many = Audience(users, events, Ragged(np.empty(0, np.int64), np.zeros(2001, np.int64)), 0, [None] * 2000)

    first = RandomSystem(seed=3).rank(many, 1, EVERYTHING).neighbours.rows
    counts = np.bincount(first.ravel(), minlength=4)

    np.testing.assert_array_equal(first, RandomSystem(seed=3).rank(many, 1, EVERYTHING).neighbours.rows)
    # Uniform over four videos: each count is binomial(2000, ¼), standard deviation 19.4.
    assert np.abs(counts - 500).max() < 5 * 19.4


def test_each_users_weights_are_relative_to_their_own_newest_event():
    events = Events(np.array([0, 0, 0]), np.array([0, HOUR_US, 9 * HOUR_US]), np.ones(3), np.array([0, 2, 3]))

    assert event_weights(events, 3600.0).tolist() == [0.5, 1.0, 1.0]


def test_drop_seen_keeps_the_order_and_pads():
    found = Neighbours(np.array([[3, 1, 2]]), np.array([[0.9, 0.5, 0.1]], np.float32))

    kept = drop_seen(found, Ragged(np.array([1]), np.array([0, 1])), 3, n_videos=4)

    assert kept.rows.tolist() == [[3, 2, -1]]
    assert np.isneginf(kept.scores[0, 2])


@pytest.mark.parametrize(
    "change", [{"half_life_s": 1.0}, {"seed": 1}, {"max_events": 5}, {"where": (Filter("a", ("b",)),)}]
)
def test_every_choice_changes_the_hash(change):
    assert SystemConfig(**change).hash != SystemConfig().hash
