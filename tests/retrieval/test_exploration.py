"""The explored place: what is drawn there, how often, and with which logged probability."""

import numpy as np
import pytest
from scipy.stats import chisquare

from retrieval.exploration import Exploration, draw, draw_probabilities, explore, uniform_of
from retrieval.rules import Candidates, FeedRules, arrange

N_REQUESTS = 200_000
K = 10
SCORES = np.sort(np.random.default_rng(5).normal(0.3, 0.05, 60).astype(np.float32))[::-1]
SLOT = Exploration(position=4, pool=20, temperature=1.0)


@pytest.fixture(scope="module")
def uniforms():
    """One uniform number for each of many random request ids."""
    ids = np.random.default_rng(6).bytes(16 * N_REQUESTS).hex()
    return np.array([uniform_of(ids[start : start + 32], "explore") for start in range(0, len(ids), 32)])


def counts_of(uniforms):
    """How often each candidate of the slot is drawn, for every request at once."""
    probabilities = draw_probabilities(SCORES[K - 1 : K - 1 + SLOT.pool], SLOT.temperature)
    return np.bincount(draw(probabilities, uniforms), minlength=SLOT.pool)


def logged_propensities(exploration, n):
    """What `explore` logs for the candidate that each of *n* evenly spread numbers draws, by its place."""
    answers = [explore(SCORES, K, exploration, u) for u in (np.arange(n) + 0.5) / n]
    slot = exploration.position - 1
    logged = {answer.places[slot]: answer.propensities[slot] for answer in answers}
    return np.array([logged[place] for place in sorted(logged)])


def test_the_slot_is_drawn_and_the_others_keep_their_order():
    # The scores left to draw from, 3 and 1, have σ = 1, so at T = 2/ln 3 the odds are e^(2/T) = 3 to 1.
    scores, slot = np.array([9.0, 8.0, 3.0, 1.0]), Exploration(position=2, temperature=2 / np.log(3))

    likely, unlikely = explore(scores, 3, slot, 0.74), explore(scores, 3, slot, 0.76)

    assert likely.places.tolist() == [0, 2, 1]
    np.testing.assert_allclose(likely.propensities, [1, 3 / 4, 1])
    assert unlikely.places.tolist() == [0, 3, 1]
    np.testing.assert_allclose(unlikely.propensities, [1, 1 / 4, 1])


@pytest.mark.parametrize(("position", "places"), [(1, [3, 0, 1, 2]), (3, [0, 1, 3, 2]), (4, [0, 1, 2, 3])])
def test_every_position_can_be_explored(position, places):
    assert explore(SCORES, 4, Exploration(position), 0.0).places.tolist() == places


@pytest.mark.parametrize("exploration", [Exploration(), Exploration(position=4)])
def test_off_or_beyond_the_list_everything_is_as_ranked(exploration):
    explored = explore(SCORES, 3, exploration, 0.9)

    assert explored.places.tolist() == [0, 1, 2]
    assert explored.propensities.tolist() == [1.0, 1.0, 1.0]


def test_a_list_is_explored_where_it_has_the_place():
    slot = Exploration(position=4)

    assert [slot.active, slot.explores(3), slot.explores(4)] == [True, False, True]
    assert [Exploration().active, Exploration().explores(4)] == [False, False]


@pytest.mark.parametrize("n", [0, 1, 2])
def test_fewer_candidates_than_k_leave_nothing_to_draw(n):
    explored = explore(SCORES[:n], 3, Exploration(position=1), 0.9)

    assert explored.places.tolist() == list(range(n))
    assert explored.propensities.tolist() == [1.0] * n


@pytest.mark.parametrize("u", [0.0, 0.999])
def test_a_single_candidate_is_certain(u):
    explored = explore(SCORES[:3], 3, Exploration(position=2), u)

    assert explored.places.tolist() == [0, 2, 1]
    assert explored.propensities.tolist() == [1.0, 1.0, 1.0]


def test_equal_scores_are_drawn_evenly():
    scores = np.full(7, 0.1, np.float32)

    explored = explore(scores, 3, Exploration(position=3), 0.5)

    assert explored.places.tolist() == [0, 1, 4]  # the third of five fifths
    assert explored.propensities[2] == 1 / 5


def test_a_list_of_one_may_be_all_explored():
    explored = explore(np.array([1.0, 1.0]), 1, Exploration(position=1), 0.5)

    assert explored.places.tolist() == [1]
    assert explored.propensities.tolist() == [0.5]


def test_the_pool_bounds_what_is_drawn():
    explored = explore(SCORES, 3, Exploration(position=3, pool=5), 1 - 2**-53)

    assert explored.places.tolist() == [0, 1, 2 + 4]


def test_the_temperature_makes_no_difference_to_scale():
    cold, warm = (draw_probabilities(scale * SCORES[:10] + 7, 0.5) for scale in (1.0, 1000.0))

    np.testing.assert_allclose(cold, warm, rtol=1e-4)


def test_cold_draws_keep_to_the_best_and_hot_ones_are_even():
    np.testing.assert_allclose(draw_probabilities(SCORES[:4], 1e-6), [1, 0, 0, 0], atol=1e-12)
    np.testing.assert_allclose(draw_probabilities(SCORES[:4], 1e9), [0.25] * 4, rtol=1e-6)


def test_what_has_no_probability_is_never_drawn():
    probabilities = draw_probabilities(SCORES[:4], 1e-6)

    assert draw(probabilities, np.array([0.0, 0.5, 1 - 2**-53])).tolist() == [0, 0, 0]


def test_after_rules_only_what_they_allow_is_drawn():
    creators = np.array([0, 0, 1, 1, 2, -1])
    pool = Candidates(SCORES[:6], np.zeros(6), creators, np.full(6, -1))
    arranged = arrange(pool, FeedRules(cap_creator=1), 2)
    order = np.concatenate([arranged.chosen, arranged.spare])

    first, last = (explore(pool.scores[order], 3, Exploration(position=2), u) for u in (0.0, 1 - 2**-53))

    # Chosen are 0 and 2, so 1 and 3 are capped and 4 and 5 are left to draw.
    assert order[first.places].tolist() == [0, 4, 2]
    assert order[last.places].tolist() == [0, 5, 2]


def test_frequencies_in_the_slot_agree_with_the_logged_propensities(uniforms):
    expected = N_REQUESTS * logged_propensities(SLOT, 5000)

    assert len(expected) == SLOT.pool
    assert expected.min() >= 5
    assert chisquare(counts_of(uniforms), expected).pvalue > 0.001


@pytest.mark.parametrize("temperature", [0.95, 1.05])
def test_propensities_of_another_temperature_would_be_noticed(uniforms, temperature):
    wrong = Exploration(SLOT.position, SLOT.pool, temperature)

    assert chisquare(counts_of(uniforms), N_REQUESTS * logged_propensities(wrong, 5000)).pvalue < 1e-6


def test_draws_of_many_are_those_of_each_list_and_certain_places_never_change(uniforms):
    some = uniforms[:5000]

    lists = np.array([explore(SCORES, K, SLOT, u).places for u in some])

    together = draw(draw_probabilities(SCORES[K - 1 : K - 1 + SLOT.pool], SLOT.temperature), some)
    np.testing.assert_array_equal(lists[:, SLOT.position - 1], K - 1 + together)
    np.testing.assert_array_equal(
        np.delete(lists, SLOT.position - 1, axis=1), np.broadcast_to(np.arange(K - 1), (len(some), K - 1))
    )


def test_uniform_numbers_are_even_and_in_range(uniforms):
    assert uniforms.min() >= 0
    assert uniforms.max() < 1
    assert chisquare(np.bincount((uniforms * 64).astype(int), minlength=64)).pvalue > 0.001


def test_a_request_has_one_number_for_each_salt():
    assert uniform_of("r1", "explore") == uniform_of("r1", "explore")
    assert len({uniform_of("r1", "explore"), uniform_of("r1", "bucket"), uniform_of("r2", "explore")}) == 3
    assert 0 <= uniform_of("\ud800", "explore") < 1  # half a character, as JSON may hold


@pytest.mark.parametrize(
    ("choice", "sentence"),
    [
        ({"position": -1}, "position to explore is -1"),
        ({"pool": 0}, "pool to explore is 0"),
        ({"temperature": 0.0}, "temperature is 0.0"),
        ({"temperature": float("nan")}, "temperature is nan"),
        ({"temperature": float("inf")}, "temperature is inf"),
    ],
)
def test_a_value_out_of_range_is_refused(choice, sentence):
    with pytest.raises(ValueError, match=sentence):
        Exploration(**choice)


@pytest.mark.parametrize("u", [-0.1, 1.0, float("nan")])
def test_a_number_outside_the_unit_interval_is_refused(u):
    with pytest.raises(ValueError, match=r"\[0, 1\)"):
        explore(SCORES, 3, Exploration(position=1), u)


def test_a_list_of_none_is_refused():
    with pytest.raises(ValueError, match="at least 1, not 0"):
        explore(SCORES, 0, Exploration(position=1), 0.5)
