"""D2Q against hand-made fractions and an independent library."""

import numpy as np
import pytest
from scipy.stats import percentileofscore, rankdata

from labelcraft.labels import duration_to_quantile
from labelcraft.labels.duration_to_quantile import STEPS, DurationToQuantile
from tests.labelcraft.feedback_rows import drawn, feedback, real_rows

ONE_GROUP = DurationToQuantile(n_groups=1, min_rows=1)
DRAWN = drawn(3000, seed=0)


def test_the_quantile_is_the_middle_of_the_rows_as_long():
    rows = feedback([3.0, 1.0, 2.0, 2.0], [10.0] * 4)

    # Ranks 4, 1 and twice 2.5, less a half, of four.
    assert ONE_GROUP.fit(rows).transform(rows).tolist() == [3.5 / 4, 0.5 / 4, 2 / 4, 2 / 4]


def test_a_frequent_watch_time_weighs_as_many_rows():
    rows = feedback([0.0] * 8 + [5.0, 6.0], [10.0] * 10)

    # Not 1/6, 3/6 and 5/6, as if each distinct watch time were one row.
    assert ONE_GROUP.fit(rows).transform(rows[7:]).tolist() == [4 / 10, 8.5 / 10, 9.5 / 10]


def test_watch_times_between_those_of_training_lie_between_their_quantiles():
    label = ONE_GROUP.fit(feedback([2.0, 4.0], [10.0] * 2))

    found = label.transform(feedback([0.0, 2.0, 2.5, 4.0, 50.0], [10.0] * 5))

    assert found.tolist() == [1 / 4, 1 / 4, 3 / 8, 3 / 4, 3 / 4]


def test_ranks_are_those_of_the_own_duration_group_alone():
    rows = feedback([1.0, 9.0, 10.0, 90.0], [10.0, 10.0, 100.0, 100.0])
    label = DurationToQuantile(n_groups=2, min_rows=1).fit(rows)

    assert label.transform(rows).tolist() == [1 / 4, 3 / 4, 1 / 4, 3 / 4]
    # 60 s is nearer to 100 s than to 10 s, and 50 s nearer to 10 s: 10 s is little or much.
    assert label.transform(feedback([10.0, 10.0], [60.0, 50.0])).tolist() == [1 / 4, 3 / 4]


def test_quantiles_are_those_of_an_independent_library():
    label = DurationToQuantile().fit(DRAWN)
    groups = label.quantiles.groups.of(DRAWN.duration_s)
    own = DRAWN[groups == 7]

    found = label.transform(own)

    assert 60 < len(own) < 110  # 2,400 rows of known duration in 30 groups
    np.testing.assert_allclose(found, (rankdata(own.watch_s) - 0.5) / len(own), rtol=1e-14)
    np.testing.assert_allclose(found, percentileofscore(own.watch_s, own.watch_s, kind="mean") / 100, rtol=1e-14)


def test_each_group_has_all_quantiles_alike():
    label = DurationToQuantile().fit(DRAWN)
    ranks, groups = label.transform(DRAWN), label.quantiles.groups.of(DRAWN.duration_s)

    # Mid-ranks have the mean 1/2 whatever the ties, so no duration has better labels than another.
    means = np.bincount(groups, ranks) / np.bincount(groups)
    np.testing.assert_allclose(means, 0.5, rtol=1e-12)
    assert len(means) == 31


def test_seconds_are_the_watch_times_of_training_again():
    label = DurationToQuantile().fit(DRAWN)

    np.testing.assert_allclose(label.seconds(label.transform(DRAWN), DRAWN.duration_s), DRAWN.watch_s, rtol=1e-9)


def test_seconds_of_other_units_lie_within_the_group():
    label = ONE_GROUP.fit(feedback([2.0, 4.0], [10.0] * 2))

    assert label.seconds(np.array([0.0, 0.5, 1.0]), np.full(3, 10.0)).tolist() == [2.0, 3.0, 4.0]


def test_unknown_durations_are_compared_with_each_other():
    rows = feedback([1.0, 2.0, 100.0, 200.0], [5.0, 5.0, 0.0, 0.0])

    assert ONE_GROUP.fit(rows).transform(rows).tolist() == [1 / 4, 3 / 4, 1 / 4, 3 / 4]


def test_few_unknown_durations_are_compared_with_all_rows():
    label = DurationToQuantile(n_groups=1, min_rows=2)
    rows = feedback([1.0, 2.0, 100.0], [5.0, 5.0, 0.0])

    # The known ones still with each other.
    assert label.fit(rows).transform(rows) == pytest.approx([1 / 4, 3 / 4, 5 / 6])


def test_durations_unknown_in_training_never_are_compared_with_all_rows():
    label = DurationToQuantile(n_groups=2, min_rows=1).fit(feedback([1.0, 3.0], [10.0, 100.0]))

    assert label.transform(feedback([3.0, 2.0], [0.0, 0.0])).tolist() == [3 / 4, 1 / 2]


def test_a_group_of_one_row_tells_nothing():
    label = DurationToQuantile(n_groups=2, min_rows=1).fit(feedback([1.0, 3.0], [10.0, 100.0]))

    assert label.transform(feedback([0.0, 3.0, 99.0], [10.0, 100.0, 100.0])).tolist() == [0.5, 0.5, 0.5]


def test_small_groups_are_merged_to_the_floor():
    rows = feedback(np.arange(40.0), np.arange(1.0, 41.0))

    label = DurationToQuantile(n_groups=30, min_rows=20).fit(rows)

    assert len(label.quantiles.groups) == 1 + 2


def test_chunks_change_nothing(monkeypatch):
    label = DurationToQuantile().fit(DRAWN)
    whole = label.transform(DRAWN)

    monkeypatch.setattr(duration_to_quantile, "CHUNK", 7)

    np.testing.assert_array_equal(label.transform(DRAWN), whole)


def test_many_distinct_watch_times_are_kept_to_within_a_step():
    rng = np.random.default_rng(1)
    watched = np.where(rng.random(60_000) < 0.3, 5.0, rng.exponential(20.0, 60_000))  # one of them very frequent
    rows = feedback(watched, np.full(60_000, 30.0))

    label = ONE_GROUP.fit(rows)

    exact = (rankdata(watched) - 0.5) / 60_000
    assert len(label.quantiles.watch_s) <= 2 * 2 * STEPS  # two a step, of this group and of the unknown
    assert np.abs(label.transform(rows) - exact).max() < 1 / STEPS
    assert label.transform(feedback([5.0], [30.0])) == pytest.approx(exact[watched == 5.0][:1], abs=1e-12)


def test_real_watch_times_have_uniform_labels_in_every_group():
    rows = real_rows()
    label = DurationToQuantile().fit(rows)
    groups, ranks = label.quantiles.groups.of(rows.duration_s), label.transform(rows)

    counts = np.bincount(groups)
    assert counts[0] == 7738  # of unknown duration
    assert len(counts) == 31
    assert counts[1:].min() > 1000  # 34,090 in 30 groups
    np.testing.assert_allclose(np.bincount(groups, ranks) / counts, 0.5, rtol=1e-9)
    np.testing.assert_allclose(label.seconds(ranks, rows.duration_s), rows.watch_s, atol=1e-9)
