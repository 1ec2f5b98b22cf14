"""DVR's watch-time gain by hand."""

import numpy as np
import pytest
from scipy.stats import norm

from labelcraft.labels import watch_time_gain
from labelcraft.labels.watch_time_gain import WatchTimeGain
from tests.labelcraft.feedback_rows import drawn, feedback

SMALL = WatchTimeGain(min_rows=1)
DRAWN = drawn(3000, seed=0)


def test_the_gain_is_in_deviations_of_the_own_second():
    rows = feedback([1.0, 2.0, 6.0, 10.0, 30.0], [10.0, 10.2, 9.8, 60.0, 60.0])

    gains = SMALL.fit(rows).transform(rows)

    # Around 10 s: mean 3, squared deviations 4, 1 and 9 over 2. At 60 s: mean 20, and 200 over 1.
    expected = [-2 / np.sqrt(7), -1 / np.sqrt(7), 3 / np.sqrt(7), -10 / np.sqrt(200), 10 / np.sqrt(200)]
    assert gains == pytest.approx(expected)


def test_the_unit_is_the_normal_probability():
    z = np.linspace(-4.9, 4.9, 99)

    np.testing.assert_allclose(SMALL.to_unit(z), norm.cdf(z), rtol=0, atol=1e-14)


def test_units_of_large_gains_can_be_told_from_their_ends():
    units = SMALL.to_unit(np.array([-np.inf, -9.0, 9.0, np.inf])).astype(np.float32)

    assert 0 < units[0] == units[1]
    assert units[2] == units[3] < 1


def test_seconds_are_read_back_below_five_deviations():
    label = WatchTimeGain().fit(DRAWN)
    gains = label.transform(DRAWN)
    rows = DRAWN[np.abs(gains) < 5]

    seconds = label.seconds(label.to_unit(label.transform(rows)), rows.duration_s)

    assert len(rows) > 2950
    np.testing.assert_allclose(seconds, rows.watch_s, atol=1e-6)


def test_seconds_are_finite_and_never_negative():
    label = SMALL.fit(feedback([0.0, 2.0], [10.0, 10.0]))

    seconds = label.seconds(np.array([0.0, 0.5, 1.0]), np.full(3, 10.0))

    # Mean 1 and deviation √2; the ends are 5 deviations away.
    assert seconds == pytest.approx([0.0, 1.0, 1 + 5 * np.sqrt(2)], rel=1e-6)


def test_neighbouring_seconds_are_merged_to_the_floor():
    rows = feedback([2.0, 4.0, 6.0, 8.0], [10.0, 11.0, 12.0, 13.0])

    gains = WatchTimeGain(min_rows=2).fit(rows).transform(rows)

    # Two pairs, each with its mean in the middle and deviation √2.
    assert gains == pytest.approx([-1 / np.sqrt(2), 1 / np.sqrt(2)] * 2)


def test_equal_watch_times_have_no_gain_and_the_least_deviation():
    rows = feedback([4.0, 4.0, 0.0, 20.0], [10.0, 10.0, 60.0, 60.0])

    gains = SMALL.fit(rows).transform(feedback([4.0, 5.0], [10.0, 10.0]))

    # Of all four: mean 7, squared deviations 9, 9, 49 and 169 over 3.
    assert gains == pytest.approx([0.0, 1 / (0.05 * np.sqrt(236 / 3))])


def test_a_log_of_one_watch_time_has_a_tenth_of_a_second_as_deviation():
    gains = SMALL.fit(feedback([4.0, 4.0], [10.0, 10.0])).transform(feedback([4.1], [10.0]))

    assert gains == pytest.approx([1.0])


def test_a_single_row_is_its_groups_mean():
    label = SMALL.fit(feedback([4.0, 1.0, 3.0], [10.0, 60.0, 60.0]))

    assert label.transform(feedback([4.0], [10.0])).tolist() == [0.0]


def test_unknown_durations_are_compared_with_each_other():
    rows = feedback([1.0, 3.0, 10.0, 30.0], [5.0, 5.0, 0.0, 0.0])

    assert SMALL.fit(rows).transform(rows) == pytest.approx([-1 / np.sqrt(2), 1 / np.sqrt(2)] * 2)


def test_few_unknown_durations_are_compared_with_all_rows():
    rows = feedback([1.0, 3.0, 8.0], [5.0, 5.0, 0.0])

    gains = WatchTimeGain(min_rows=2).fit(rows).transform(rows)

    # Of all three: mean 4, squared deviations 9, 1 and 16 over 2.
    assert gains == pytest.approx([-1 / np.sqrt(2), 1 / np.sqrt(2), 4 / np.sqrt(13)])


def test_an_unseen_duration_has_the_moments_of_the_nearest():
    label = SMALL.fit(feedback([1.0, 3.0, 10.0, 30.0], [10.0, 10.0, 60.0, 60.0]))

    assert label.transform(feedback([3.0, 30.0], [34.0, 36.0])) == pytest.approx([1 / np.sqrt(2), 1 / np.sqrt(2)])


def test_chunks_change_nothing(monkeypatch):
    label = WatchTimeGain().fit(DRAWN)
    whole = label.transform(DRAWN)

    monkeypatch.setattr(watch_time_gain, "CHUNK", 7)

    np.testing.assert_array_equal(label.transform(DRAWN), whole)
