"""Groups of like duration."""

import numpy as np
import pytest

from labelcraft.labels.duration_groups import DurationGroups, each_second, equal_frequency


def test_groups_hold_as_many_rows_each():
    durations = np.random.default_rng(0).permutation(np.arange(1.0, 3001.0))

    groups = equal_frequency(durations, 30, min_rows=1)

    assert groups.low_s.tolist() == list(range(1, 3000, 100))
    assert groups.high_s.tolist() == list(range(100, 3001, 100))


def test_equal_durations_stay_together():
    # Ten rows in two groups: the sevens lie across the middle, and theirs, row 6 of 10, is in the second half.
    groups = equal_frequency(np.array([1.0, 2, 3, 7, 7, 7, 7, 7, 7, 9]), 2, min_rows=1)

    assert groups.low_s.tolist() == [1.0, 7.0]
    assert groups.high_s.tolist() == [3.0, 9.0]


def test_a_frequent_duration_leaves_no_empty_group():
    groups = equal_frequency(np.array([5.0] * 98 + [6.0, 7.0]), 10, min_rows=1)

    assert groups.low_s.tolist() == [5.0, 6.0]


def test_small_groups_take_in_the_next_and_the_last_joins_the_one_before():
    # Seconds 1 to 5 with 3, 1, 1, 2 and 1 rows: from 2 on, groups of less than 2 are merged.
    groups = each_second(np.array([1.0, 1, 1, 2, 3, 4, 4, 5]), min_rows=2)

    assert groups.low_s.tolist() == [1.0, 2.0, 4.0]
    assert groups.high_s.tolist() == [1.0, 3.0, 5.0]


def test_too_few_rows_are_one_group():
    assert each_second(np.array([1.0, 50.0]), min_rows=30).high_s.tolist() == [50.0]


def test_seconds_are_rounded():
    groups = each_second(np.array([0.9, 1.4, 1.6, 2.4, 2.6]), min_rows=1)

    assert groups.low_s.tolist() == [0.9, 1.6, 2.6]


def test_an_unseen_duration_belongs_to_the_nearest_group():
    groups = DurationGroups(low_s=np.array([10.0, 30.0, 90.0]), high_s=np.array([20.0, 40.0, 90.0]))

    found = groups.of(np.array([1.0, 20.0, 24.9, 25.0, 25.1, 35.0, 64.9, 65.1, 9999.0]))

    # 25 is as near to 20 as to 30, and goes to the shorter.
    assert found.tolist() == [1, 1, 1, 1, 2, 2, 2, 3, 3]


def test_neighbouring_floats_are_told_apart():
    low = 1.0 + 2.0**-52
    groups = DurationGroups(low_s=np.array([0.5, low]), high_s=np.array([1.0, 2.0]))

    assert groups.of(np.array([1.0, low])).tolist() == [1, 2]
    above = np.nextafter(low, 2.0)  # the middle of these two is rounded up, to the upper
    groups = DurationGroups(low_s=np.array([0.5, above]), high_s=np.array([low, 2.0]))
    assert groups.of(np.array([low, above])).tolist() == [1, 2]


def test_an_unknown_duration_is_apart_from_the_shortest():
    groups = equal_frequency(np.array([0.0, 0.0, 0.1, 5.0]), 1, min_rows=1)

    assert groups.low_s.tolist() == [0.1]
    assert groups.of(np.array([0.0, 0.001])).tolist() == [0, 1]


def test_without_known_durations_there_is_only_the_group_of_the_unknown():
    groups = equal_frequency(np.zeros(3), 30, min_rows=1)

    assert len(groups) == 1
    assert groups.of(np.array([0.0, 7.0])).tolist() == [0, 0]


@pytest.mark.parametrize("narrow", [True, False])
def test_rows_are_gathered_by_group_in_their_order(narrow):
    n_groups = 2 if narrow else 70_000  # beyond what sixteen bits count
    groups = DurationGroups(np.arange(1.0, n_groups + 1), np.arange(1.0, n_groups + 1))

    found = [(group, rows.tolist()) for group, rows in groups.rows_by_group(np.array([2.0, 0.0, 2.0, 1.0]))]

    assert found == [(0, [1]), (1, [3]), (2, [0, 2])]
