from dataclasses import fields

import numpy as np
import pytest

from sample_shop.catalogue import make_catalogue
from sample_shop.feed import Log, Simulation, World, iter_log, make_world, outcomes, simulate_log, video_affinity
from sample_shop.policies import Policy
from sample_shop.shoppers import affinity, make_shoppers
from sample_shop.watching import Dials, attention_probability, examination_probability, reach_probability, watched_half

N_USERS = 3000
WORLD = make_world(11, N_USERS)
DURATION_S = WORLD.catalogue.videos.duration_s
PUBLISHED_US = WORLD.catalogue.videos.published_us


@pytest.fixture(scope="module")
def random_log() -> Log:
    return simulate_log(11, N_USERS, "random", world=WORLD)


@pytest.fixture(scope="module")
def recency_log() -> Log:
    return simulate_log(11, N_USERS, "recency", world=WORLD)


def half_watched(log: Log) -> np.ndarray:
    return watched_half(np.nan_to_num(log.watch_time_s), DURATION_S[log.video])


def rates(flags: np.ndarray, groups: np.ndarray, n_groups: int) -> tuple[np.ndarray, np.ndarray]:
    """The share of true flags in each group, and the size of the group."""
    size = np.bincount(groups, minlength=n_groups)
    return np.bincount(groups, weights=flags, minlength=n_groups) / size, size


def assert_within_four_errors(found: np.ndarray, expected: np.ndarray, n: np.ndarray) -> None:
    assert (np.abs(found - expected) <= 4 * np.sqrt(expected * (1 - expected) / n) + 1e-12).all()


def n_eligible(log: Log) -> np.ndarray:
    """How many videos could have been shown: published by then, less what this user was shown before."""
    order = np.lexsort((log.position, log.feed, log.user))
    first = np.searchsorted(log.user[order], log.user[order])
    before = np.empty(len(log), dtype=np.int64)
    before[order] = np.arange(len(log)) - first - (log.position[order] - 1)
    return np.searchsorted(np.sort(PUBLISHED_US), log.shown_us, side="right") - before


def test_reached_and_examined_follow_the_formulas_by_position(random_log):
    position, dials = np.arange(1, 13), Dials()

    reached, n = rates(random_log.reached, random_log.position - 1, 12)
    examined, _ = rates(random_log.examined, random_log.position - 1, 12)
    attended, n_reached = rates(
        random_log.examined[random_log.reached], random_log.position[random_log.reached] - 1, 12
    )

    assert_within_four_errors(reached, reach_probability(position, dials), n)
    assert_within_four_errors(examined, examination_probability(position, dials), n)
    assert_within_four_errors(attended, attention_probability(position, dials), n_reached)


def test_a_feed_is_reached_up_to_some_slot_and_no_further(random_log):
    same_feed = np.diff(random_log.feed) == 0

    came_back = ~random_log.reached[:-1] & random_log.reached[1:]

    assert not (came_back & same_feed).any()


def test_logged_examination_propensity_is_the_formulas(random_log):
    expected = examination_probability(random_log.position, Dials())

    np.testing.assert_array_equal(random_log.examination_propensity, expected)


def test_without_position_bias_every_slot_is_examined_and_watched_alike():
    log = simulate_log(11, N_USERS, "random", Dials(position=0), world=WORLD)

    rate, n = rates(half_watched(log), log.position - 1, 12)

    assert log.examined.all()
    assert log.reached.all()
    assert_within_four_errors(rate, np.full(12, half_watched(log).mean()), n)


def test_half_watches_are_calibrated_to_the_closed_form(random_log):
    truth = outcomes(11, WORLD, Dials(), random_log.user, random_log.video, random_log.day)
    examined = random_log.examined
    p, watched = truth.p_watch50[examined], half_watched(random_log)[examined]

    band = np.minimum((p * 10).astype(int), 9)
    spread = np.sqrt(np.bincount(band, weights=p * (1 - p), minlength=10))

    assert (np.abs(np.bincount(band, weights=watched - p, minlength=10)) <= 4 * spread + 1e-9).all()


@pytest.mark.parametrize("policy", ["recency", "random", "explore"])
def test_label_is_what_the_log_shows_where_it_was_examined(policy):
    log = simulate_log(11, N_USERS, policy, world=WORLD)

    truth = outcomes(11, WORLD, Dials(), log.user, log.video, log.day)

    np.testing.assert_array_equal(truth.label[log.examined], half_watched(log)[log.examined])


def test_completion_depends_on_duration_only_by_its_dial():
    biased, fair = (simulate_log(11, N_USERS, "random", Dials(duration=d, position=0), world=WORLD) for d in (1, 0))

    gap = [float(np.corrcoef(DURATION_S[log.video], half_watched(log))[0, 1]) for log in (biased, fair)]

    assert gap[0] < -0.1
    assert abs(gap[1]) < 0.03


def test_popularity_and_quality_pull_only_by_their_dials():
    fair = simulate_log(11, N_USERS, "random", Dials(popularity=0, quality=0, duration=0, position=0), world=WORLD)
    pulled = simulate_log(11, N_USERS, "random", Dials(duration=0, position=0), world=WORLD)
    videos = WORLD.catalogue.videos

    def gaps(log: Log) -> list[float]:
        watched = half_watched(log)
        return [float(np.corrcoef(hidden[log.video], watched)[0, 1]) for hidden in (videos.quality, videos.popularity)]

    assert min(gaps(pulled)) > 0.08
    assert max(np.abs(gaps(fair))) < 0.05


def test_random_propensities_add_up_to_one_over_the_eligible_videos(random_log):
    np.testing.assert_allclose(random_log.selection_propensity * n_eligible(random_log), 1.0)


def test_explore_propensities_are_the_marginal_ones():
    log = simulate_log(11, N_USERS, "explore", world=WORLD, explore_rate=0.25)
    first = log.position == 1
    n = n_eligible(log)[first]

    # E[1/propensity] over what is shown is the number of videos that could be: an identity of exact propensities
    weights = 1.0 / log.selection_propensity[first]

    assert abs((weights - n).sum()) < 4 * np.sqrt(((weights - n) ** 2).sum())
    ratio = log.selection_propensity[first] - 0.25 / n
    assert np.unique(ratio.round(9)).tolist() == [0.0, 0.75]


def test_recency_shows_the_newest_first_and_is_certain(recency_log):
    same_feed = np.diff(recency_log.feed) == 0

    assert (np.diff(PUBLISHED_US[recency_log.video])[same_feed] < 0).all()
    assert (recency_log.selection_propensity == 1.0).all()


def test_no_video_is_shown_before_it_is_published_or_twice(random_log):
    pairs = random_log.user * len(DURATION_S) + random_log.video

    assert (PUBLISHED_US[random_log.video] <= random_log.shown_us).all()
    assert len(np.unique(pairs)) == len(random_log)


def test_every_shopper_leaves_three_fifths_of_the_videos_unseen(random_log):
    assert np.bincount(random_log.user).max() <= 0.4 * len(DURATION_S)


def test_feeds_have_consecutive_positions_and_one_time(random_log):
    starts = np.diff(random_log.feed, prepend=-1) != 0

    assert (random_log.position[starts] == 1).all()
    assert (np.diff(random_log.position)[~starts[1:]] == 1).all()
    assert (np.diff(random_log.shown_us)[~starts[1:]] == 0).all()
    assert (np.diff(random_log.shown_us) >= 0).all()


def test_about_half_of_the_slots_are_reached_and_a_third_of_the_examined_half_watched(recency_log):
    assert 0.45 < recency_log.reached.mean() < 0.60
    assert 0.25 < half_watched(recency_log)[recency_log.examined].mean() < 0.40


def test_scores_are_a_policy():
    small = make_world(5, 40, n_videos=30, n_products=40)
    scores = np.broadcast_to(-np.arange(30.0), (40, 30))

    log = simulate_log(5, 40, scores, world=small)

    same_feed = np.diff(log.feed) == 0
    assert (np.diff(log.video)[same_feed] > 0).all()


def test_policies_of_one_seed_meet_the_same_luck(random_log, recency_log):
    # the same sessions are opened and scrolled as far, whatever they show
    assert np.array_equal(np.unique(random_log.shown_us), np.unique(recency_log.shown_us))
    assert random_log.reached.sum() == recency_log.reached.sum()


def test_video_affinity_is_the_mean_over_its_products():
    row = int(np.flatnonzero(WORLD.catalogue.videos.products[:, 2] >= 0)[0])
    shown = WORLD.catalogue.videos.products[row]
    shown = shown[shown >= 0]
    user, day = np.full(len(shown), 8), np.full(len(shown), 9)

    found = video_affinity(WORLD, 1.0, np.array([8]), np.array([row]), np.array([9]))

    assert found[0] == pytest.approx(affinity(WORLD.shoppers, WORLD.catalogue, user, shown, day).mean())


def test_without_drift_interest_stays():
    dials, user, video = Dials(drift=0), np.array([3, 3]), np.array([4, 4])

    truth = outcomes(11, WORLD, dials, user, video, np.array([0, 13]))

    assert truth.interest[0] == truth.interest[1]


@pytest.mark.parametrize("seed", [101, 102, 103])
def test_an_ideal_recommender_is_far_better_than_recency(seed):
    n_users, n_videos = 200, 600
    world = make_world(seed, n_users)
    log = simulate_log(seed, n_users, world=world)
    user, video = np.divmod(np.arange(n_users * n_videos), n_videos)
    interest = outcomes(seed, world, Dials(), user, video, np.full(len(user), 13)).interest.reshape(n_users, n_videos)
    unseen = np.ones((n_users, n_videos), dtype=bool)
    unseen[log.user, log.video] = False

    best = np.sort(np.where(unseen, interest, 0.0), axis=1)[:, -10:].mean()
    newest = np.argsort(-np.where(unseen, world.catalogue.videos.published_us, 0), axis=1)[:, :10]

    assert best >= 0.85
    assert 0.28 < np.take_along_axis(interest, newest, axis=1).mean() < 0.45


def test_the_seed_alone_makes_the_log():
    first, again, other = (simulate_log(seed, 50) for seed in (7, 7, 8))

    assert all(
        np.array_equal(getattr(first, f.name), getattr(again, f.name), equal_nan=f.name == "watch_time_s")
        for f in fields(Log)
    )
    assert not np.array_equal(first.video[:100], other.video[:100])


def test_blocks_hold_the_same_rows_as_the_joined_log(random_log):
    blocks = list(iter_log(Simulation(11, WORLD, policy=Policy.RANDOM)))

    assert len(blocks) == 2  # 3000 shoppers, 2048 at a time
    assert sum(len(block) for block in blocks) == len(random_log)
    assert sum(block.liked.sum() for block in blocks) == random_log.liked.sum()


def test_scores_of_another_shape_are_refused():
    with pytest.raises(ValueError, match="scores must have shape"):
        simulate_log(11, N_USERS, np.zeros((3, 3)), world=WORLD)


def test_a_world_of_other_shoppers_is_refused():
    with pytest.raises(ValueError, match="3000 shoppers, not 5"):
        simulate_log(11, 5, world=WORLD)


def test_a_tiny_catalogue_is_not_shown_twice():
    catalogue = make_catalogue(3, n_products=1, n_videos=1)
    world = World(catalogue, make_shoppers(3, catalogue, 4))

    log = simulate_log(3, 4, world=world)

    assert np.bincount(log.user).tolist() == [1, 1, 1, 1]
