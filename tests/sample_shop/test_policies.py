import numpy as np
import pytest

from sample_shop.policies import Policy, Rule, choose, ranks_of

ROWS = np.arange(2)
ELIGIBLE = np.array([[True, True, True, False], [False, True, False, False]])
RULE = Rule(Policy.RECENCY, ranks_of(np.array([10.0, 30.0, 20.0, 40.0])), explore_rate=0.2)


def rule(policy: Policy, explore_rate: float = 0.2) -> Rule:
    return Rule(policy, RULE.ranks, explore_rate)


def rng() -> np.random.Generator:
    return np.random.default_rng(0)


def test_recency_shows_the_newest_eligible_first_with_certainty():
    chosen = choose(rng(), RULE, ELIGIBLE, ROWS, k=2)

    assert chosen.video.tolist() == [[1, 2], [1, -1]]
    assert chosen.propensity[0].tolist() == [1.0, 1.0]


def test_scores_of_each_user_order_their_feed():
    scores = np.array([[0.1, 0.2, 0.9, 1.0], [0.0, 0.0, 0.0, 0.0]])
    by_scores = Rule(Policy.SCORES, ranks_of(scores), 0.0)

    assert choose(rng(), by_scores, ELIGIBLE, ROWS, k=3).video.tolist() == [[2, 1, 0], [1, -1, -1]]


def test_equal_scores_are_shown_in_the_order_of_rows():
    equal = Rule(Policy.SCORES, ranks_of(np.zeros((2, 4))), 0.0)

    assert choose(rng(), equal, np.ones((2, 4), dtype=bool), ROWS, k=4).video.tolist() == [[0, 1, 2, 3]] * 2


def test_random_propensities_add_up_to_one_over_what_is_eligible():
    chosen = choose(rng(), rule(Policy.RANDOM), ELIGIBLE, ROWS, k=3)

    assert chosen.propensity[0].tolist() == pytest.approx([1 / 3] * 3)
    assert chosen.propensity[1, 0] == 1.0


@pytest.mark.parametrize("policy", [Policy.RANDOM, Policy.EXPLORE])
def test_propensity_is_the_frequency_of_each_video_at_each_position(policy):
    n = 40_000
    eligible = np.broadcast_to(ELIGIBLE[0], (n, 4))

    chosen = choose(rng(), rule(policy, explore_rate=0.3), eligible, np.arange(n), k=3)

    # Logged propensities, by (position, video): each is a constant, and the frequency is near it.
    frequency = np.array([[(chosen.video[:, slot] == v).mean() for v in range(3)] for slot in range(3)])
    logged = np.array([[chosen.propensity[chosen.video[:, s] == v, s].mean() for v in range(3)] for s in range(3)])
    assert np.abs(frequency - logged).max() < 4 * np.sqrt(0.25 / n)
    np.testing.assert_allclose(logged.sum(axis=1), 1.0)
    np.testing.assert_allclose(logged.sum(axis=0), 1.0)


def test_explore_without_exploring_is_recency():
    chosen = choose(rng(), rule(Policy.EXPLORE, explore_rate=0.0), ELIGIBLE, ROWS, k=2)

    assert chosen.video.tolist() == [[1, 2], [1, -1]]
    assert chosen.propensity[0].tolist() == [1.0, 1.0]


def test_more_slots_than_videos_are_left_empty():
    assert choose(rng(), RULE, ELIGIBLE, ROWS, k=9).video.shape == (2, 4)
