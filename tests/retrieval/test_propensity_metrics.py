"""Examination curves from counts, on small tables worked out by hand and on draws of known curves."""

import numpy as np
import pytest

from retrieval.metrics.harvest import (
    Cells,
    adjacent_chain,
    all_pairs,
    harvest,
    linked,
    pivot,
    power,
    powers,
    rates,
    regression_em,
)
from retrieval.metrics.propensity import (
    METHODS,
    Counts,
    Curve,
    Method,
    apply,
    curve_of,
    estimate,
    feeds_by_position,
    intervals,
    merged,
    n_beyond,
    n_positions,
    survival,
)

TRUE = np.array([1.0, 0.6, 0.45, 0.3])


def cells(*rows):
    """From rows of (video, position, trials, positives)."""
    return Cells(*np.array(rows, np.int64).T)


def curve(*q):
    return Curve(np.arange(1, len(q) + 1), np.array(q), np.full(len(q), 500), "test")


def exact_cells(q, gamma, trials):
    """Positives exactly as expected, so that a fit has nothing to be wrong about."""
    video, position = (axis.ravel() for axis in np.indices((len(gamma), len(q))))
    tried = np.broadcast_to(trials, (len(gamma), len(q))).ravel()
    return Cells(video, position + 1, tried, tried * np.outer(gamma, q).ravel())


def counts(shown, reached, positives, at_risk=(1000, 1000), went_on=(1000, 800)):
    """One video at the positions 1, 2, …."""
    n = len(shown)
    columns = (np.zeros(n), np.arange(1, n + 1), shown, reached, positives, at_risk, went_on)
    return Counts(*(np.array(column, np.int64) for column in columns))


def drawn_parts(seed, n_feeds=40_000, n_groups=20):
    """Feeds of two to four slots with 30 videos in random order; slots are reached by `TRUE` and all attended to."""
    rng = np.random.default_rng(seed)
    gamma = rng.uniform(0.1, 0.8, 30)
    length, patience, group = rng.integers(2, 5, n_feeds), rng.random(n_feeds), rng.integers(n_groups, size=n_feeds)
    feed, slot = np.nonzero(np.arange(4) < length[:, None])
    video = rng.integers(30, size=len(feed))
    reached = patience[feed] < TRUE[slot]
    positive = reached & (rng.random(len(feed)) < gamma[video])
    last = np.bincount(feed, reached, n_feeds).astype(int)
    return [
        Counts(
            video[mine], slot[mine] + 1, np.ones(mine.sum(), int), reached[mine].astype(int),
            positive[mine].astype(int), *feeds_by_position(length[own], last[own], np.ones(own.sum(), int)),
        )
        for g in range(n_groups)
        for own in [group == g]
        for mine in [own[feed]]
    ]  # fmt: skip


def test_rates_divide_positives_by_trials_and_begin_with_1():
    # 30/100 and then (10 + 2)/(50 + 30) = 0.15: half as likely
    found = rates(cells((0, 1, 100, 30), (0, 2, 50, 10), (1, 2, 30, 2)), 2)

    assert found.tolist() == [1.0, pytest.approx(0.5)]


def test_a_pair_weighs_each_video_by_mantel_and_haenszel():
    # Video 0: 10 and 30 trials, weight 10·30/40 = 7.5, rates 0.4 and 0.2. Video 1 stood at position 1 alone: no pair.
    pairs = harvest(cells((0, 1, 10, 4), (0, 2, 30, 6), (1, 1, 500, 499)), 2)

    assert pairs.trials[0, 1] == pairs.trials[1, 0] == pytest.approx(7.5)
    assert pairs.positives[0, 1] == pytest.approx(7.5 * 0.4)
    assert pairs.positives[1, 0] == pytest.approx(7.5 * 0.2)


def test_cells_in_several_rows_count_together():
    whole = harvest(cells((0, 1, 10, 4), (0, 2, 30, 6)), 2)
    split = harvest(cells((0, 2, 20, 1), (0, 1, 10, 4), (0, 2, 10, 5)), 2)

    np.testing.assert_allclose(split.positives, whole.positives)


def test_blocks_of_videos_add_up(monkeypatch):
    given = exact_cells(TRUE, np.linspace(0.1, 0.9, 7), 100)
    whole = harvest(given, 4)
    monkeypatch.setattr("retrieval.metrics.harvest._BLOCK_CELLS", 32)  # two videos at a time

    np.testing.assert_allclose(harvest(given, 4).positives, whole.positives)


def test_pairs_compare_a_video_with_itself_where_rates_take_the_ranking_for_examination():
    # Video 0 is liked three times as much as video 1, and stands on top; q = (1, 0.5) for both.
    given = cells((0, 1, 900, 540), (0, 2, 100, 30), (1, 1, 100, 20), (1, 2, 900, 90))

    np.testing.assert_allclose(pivot(harvest(given, 2)), [1, 0.5])
    np.testing.assert_allclose(adjacent_chain(harvest(given, 2)), [1, 0.5])
    np.testing.assert_allclose(all_pairs(harvest(given, 2)), [1, 0.5])
    np.testing.assert_allclose(regression_em(given, 2), [1, 0.5], atol=1e-4)
    assert rates(given, 2)[1] == pytest.approx((120 / 1000) / (560 / 1000))  # 0.21: too steep


@pytest.mark.parametrize("estimator", [pivot, adjacent_chain, all_pairs])
def test_harvesting_finds_a_curve_that_the_counts_follow_exactly(estimator):
    trials = np.random.default_rng(0).integers(50, 400, (9, 4))

    found = estimator(harvest(exact_cells(TRUE, np.linspace(0.05, 0.95, 9), trials), 4))

    np.testing.assert_allclose(found, TRUE, rtol=1e-6)


def test_em_finds_a_curve_that_the_counts_follow_exactly():
    trials = np.random.default_rng(0).integers(50, 400, (9, 4))

    found = regression_em(exact_cells(TRUE, np.linspace(0.05, 0.95, 9), trials), 4)

    np.testing.assert_allclose(found, TRUE, rtol=1e-3)


def test_all_pairs_is_the_likeliest_curve():
    """The likelihood written out plainly, with the best relevance of each pair by a fine grid, is no higher nearby."""
    rng = np.random.default_rng(3)
    noisy = [(v, p, 60, rng.binomial(60, 0.5 * TRUE[p - 1])) for v in range(4) for p in (1, 2, 3)]
    pairs = harvest(cells(*noisy), 3)
    grid = np.linspace(1e-3, 0.999, 4000)

    def likelihood(q):
        of_pairs = [
            sum(
                pairs.positives[a, b] * np.log(q[a] * grid)
                + (pairs.trials[a, b] - pairs.positives[a, b]) * np.log(1 - q[a] * grid)
                for a, b in ((k, other), (other, k))
            ).max()
            for k, other in ((0, 1), (0, 2), (1, 2))
        ]
        return sum(of_pairs)

    found = all_pairs(pairs)

    best = likelihood(found)
    moved = [found * np.exp(step * np.eye(3)[p]) for p in (1, 2) for step in (-0.03, 0.03)]
    assert best > max(likelihood(q) for q in moved)


def test_positions_1_6_and_2_3_do_not_share_a_relevance():
    """Indexed by the product of positions, both pairs would have one: the published toolkit's bug."""
    q = powers(0.5, 6)
    given = exact_cells(q, np.array([0.2, 0.9]), 200)
    # Video 0 stands at 1, 2 and 6, video 1 at 2, 3, 4, 5: the pairs (1, 6) and (2, 3) differ in relevance.
    kept = np.where(given.video == 0, np.isin(given.position, (1, 2, 6)), np.isin(given.position, (2, 3, 4, 5)))

    found = all_pairs(harvest(Cells(*(getattr(given, c)[kept] for c in vars(given))), 6))

    np.testing.assert_allclose(found, q, rtol=1e-6)


def test_positions_without_a_video_in_common_with_the_first_have_no_value():
    apart = cells((0, 1, 100, 50), (0, 2, 100, 40), (1, 3, 100, 20), (1, 4, 100, 10))

    assert linked(harvest(apart, 4)).tolist() == [True, True, False, False]
    assert np.isnan(all_pairs(harvest(apart, 4))[2:]).all()
    assert np.isnan(regression_em(apart, 4)[2:]).all()


def test_power_is_the_exponent_of_a_power_law_weighted_by_positives():
    assert power(powers(0.7, 8), np.ones(8)) == pytest.approx(0.7)
    # Only positions 1 and 2 weigh: η = log 4 / log 2 = 2, whatever position 3 says.
    assert power(np.array([1.0, 0.25, 0.9]), [5, 5, 0]) == pytest.approx(2.0)


def test_a_short_feed_says_nothing_of_later_positions():
    # 10 feeds of one slot, all reached, and 4 of two slots, of which 3 go on: q_2 = 3/4, not 3/14.
    at_risk, went_on = feeds_by_position([1, 2, 2], [1, 1, 2], [10, 1, 3])

    assert at_risk.tolist() == [14, 4]
    assert went_on.tolist() == [14, 3]
    assert survival(counts((14, 4), (14, 3), (7, 1), at_risk, went_on), 2).tolist() == [1.0, 0.75]


def test_reach_is_relative_to_the_first_slot_even_if_some_feeds_are_never_looked_at():
    assert survival(counts((10, 10), (5, 2), (2, 1), (10, 5), (5, 2)), 2).tolist() == [1.0, 0.4]


def test_the_immersive_curve_multiplies_observed_reach_with_harvested_attention():
    # Half of the feeds reach slot 2; of the reached slots there, 100 of 500 are positive against 400 of 1000 at 1.
    log = counts((1000, 1000), (1000, 500), (400, 100), (1000, 1000), (1000, 500))

    assert estimate(Method.IMMERSIVE, log).q.tolist() == [1.0, pytest.approx(0.5 * (100 / 500) / (400 / 1000))]
    assert estimate(Method.REACH, log).q.tolist() == [1.0, 0.5]


def test_all_methods_but_the_wrong_shapes_find_the_curve_of_feeds_of_different_lengths():
    log = merged(drawn_parts(seed=1))
    right = [m for m in METHODS if m is not Method.POWER]  # TRUE is no power of the position, and all is attended to

    worst = {m: np.abs(estimate(m, log).q / TRUE - 1).max() for m in right}

    assert max(worst.values()) < 0.08, worst


def test_intervals_come_from_leaving_out_one_group_of_users_at_a_time():
    parts = drawn_parts(seed=2)
    full = estimate(Method.RATES, merged(parts))

    found = intervals({Method.RATES: full}, parts)[Method.RATES]

    without = [estimate(Method.RATES, merged([*parts[:g], *parts[g + 1 :]])).q[2] for g in range(20)]
    half = 2.093 * np.sqrt(19 / 20 * ((np.log(without) - np.log(without).mean()) ** 2).sum())
    assert found.low[2] == pytest.approx(full.q[2] * np.exp(-half))
    assert found.high[2] == pytest.approx(full.q[2] * np.exp(half))


def test_parts_taken_away_leave_the_others():
    parts = drawn_parts(seed=4, n_feeds=200, n_groups=3)

    left, expected = merged(parts).without(parts[1]), merged([parts[0], parts[2]])

    np.testing.assert_array_equal(left.by_position(left.positives), expected.by_position(expected.positives))
    np.testing.assert_array_equal(left.went_on, expected.went_on)


def test_a_curve_ends_before_a_position_reached_too_rarely():
    log = counts((500, 500, 500), (500, 99, 400), (200, 30, 100), (500, 500, 99), (500, 99, 99))

    assert n_positions(log, min_reaches=100) == 1
    assert len(estimate(Method.RATES, log, min_reaches=99).q) == 3


def test_a_curve_ends_before_the_first_position_without_a_positive():
    log = counts((500, 500, 500), (500, 400, 300), (200, 100, 0), (500, 500, 400), (500, 400, 300))

    assert len(estimate(Method.ALL_PAIRS, log).q) == 2


@pytest.mark.parametrize("method", [m for m in Method if m is not Method.REACH])
def test_without_a_positive_at_the_first_position_there_is_no_curve(method):
    log = counts((500, 500), (500, 400), (0, 100), (500, 500), (500, 400))

    with pytest.raises(ValueError, match="no position can be compared with the first"):
        estimate(method, log)


def test_videos_that_never_change_their_position_tell_no_curve():
    still = Counts(*(np.array(c) for c in ([0, 1], [1, 2], [500, 500], [500, 400], [200, 90], [500, 500], [500, 400])))

    with pytest.raises(ValueError, match="pivot: no position can be compared with the first"):
        estimate(Method.PIVOT, still)


def test_too_few_reaches_at_the_first_position_are_refused_with_both_numbers():
    with pytest.raises(ValueError, match="position 1 was reached 99 times, and 100 are needed"):
        estimate(Method.RATES, counts((99, 99), (99, 50), (9, 9), (99, 99), (99, 50)))


def test_positions_beyond_a_curve_get_its_last_value_and_are_counted():
    assert apply(curve(1.0, 0.5), [1, 2, 3, 9]).tolist() == [1.0, 0.5, 0.5, 0.5]
    assert n_beyond(curve(1.0, 0.5), [1, 2, 3, 9]) == 2


def test_applied_values_are_at_most_1():
    assert apply(curve(1.0, 1.04, 0.8), [2]).tolist() == [1.0]


def test_a_position_below_1_is_refused():
    with pytest.raises(ValueError, match="positions count from 1, and one is 0"):
        apply(curve(1.0), [1, 0])


@pytest.mark.parametrize("q", [(0.9, 0.5), (1.0, 0.0), (1.0, float("nan"))])
def test_a_curve_begins_with_1_and_stays_above_0(q):
    with pytest.raises(ValueError, match="must begin with 1 and be above 0"):
        curve(*q)


def test_curves_are_relative_to_their_first_value():
    log = counts((500, 500), (500, 400), (200, 100))

    assert curve_of("given", np.array([0.8, 0.4]), log).q.tolist() == [1.0, 0.5]
