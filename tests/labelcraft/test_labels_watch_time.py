"""WT, PC, PCR and EF, by hand."""

import numpy as np
import pytest

from labelcraft.feedback import Feedback
from labelcraft.labels.completion import PlayCompletion, PlayCompletionRate
from labelcraft.labels.explicit import ExplicitFeedback
from labelcraft.labels.watch_time import WatchTime
from retrieval.errors import TableError
from tests.labelcraft.feedback_rows import feedback

CENTURY = feedback(np.arange(101.0), np.full(101, 50.0))  # the 99th percentile is 99 s, and that of w / d 1.98


def test_watch_time_is_linear_up_to_the_99th_percentile():
    label = WatchTime().fit(CENTURY)

    values = label.transform(feedback([0.0, 33.0, 99.0, 5000.0], [0.0, 1.0, 2.0, 3.0]))

    assert values.tolist() == [0.0, 33.0, 99.0, 5000.0]
    assert label.to_unit(values) == pytest.approx([0, 1 / 3, 1, 1])


def test_watch_time_is_read_back_below_the_top():
    label = WatchTime().fit(CENTURY)
    watched = np.arange(100.0)

    assert label.seconds(label.to_unit(watched), np.full(100, 50.0)) == pytest.approx(watched)


def test_seconds_of_watch_time_are_bounded_by_the_usual_replays():
    label = WatchTime().fit(CENTURY)

    seconds = label.seconds(np.array([-0.1, 1 / 3, 1 / 3, 1.2]), np.array([10.0, 10.0, 50.0, 0.0]))

    # 33 s on a video of 10 s would be more than 1.98 times its duration; without a duration the top is the bound.
    assert seconds == pytest.approx([0.0, 19.8, 33.0, 99.0])


def test_videos_that_nobody_finishes_are_bounded_by_their_duration():
    label = WatchTime().fit(feedback([1.0, 2.0], [10.0, 10.0]))

    assert label.seconds(np.array([1.0]), np.array([1.0])).tolist() == [1.0]


def test_without_durations_watch_time_is_still_a_label():
    label = WatchTime().fit(feedback([10.0, 10.0], [0.0, 0.0]))

    assert label.to_unit(np.array([5.0])).tolist() == [0.5]


def test_where_hardly_anything_is_watched_the_longest_watch_is_the_top():
    label = WatchTime().fit(feedback([0.0] * 999 + [8.0], [10.0] * 1000))

    assert label.to_unit(np.array([4.0])).tolist() == [0.5]


def test_a_log_without_watch_time_is_refused():
    with pytest.raises(TableError, match="every training row has a watch time of 0"):
        WatchTime().fit(feedback([0.0, 0.0], [10.0, 10.0]))


def test_completion_is_reached_at_the_duration_and_by_replays():
    rows = feedback([9.9, 10.0, 25.0, 0.0], [10.0, 10.0, 10.0, 10.0])

    assert PlayCompletion().fit(rows).transform(rows).tolist() == [0, 1, 1, 0]


def test_the_completion_rate_is_cut_at_one():
    rows = feedback([2.5, 10.0, 25.0], [10.0, 10.0, 10.0])

    assert PlayCompletionRate().fit(rows).transform(rows).tolist() == [0.25, 1, 1]


def test_an_unknown_duration_has_the_completion_that_is_usual_in_training():
    training = feedback([10.0, 5.0, 2.0, 1.0, 77.0], [10.0, 10.0, 10.0, 10.0, 0.0])
    unknown = feedback([0.0, 30.0], [0.0, 0.0])

    # Of the four with a duration, one is complete, and the rates are 1, 1/2, 1/5 and 1/10.
    assert PlayCompletion().fit(training).transform(unknown).tolist() == [1 / 4, 1 / 4]
    assert PlayCompletionRate().fit(training).transform(unknown) == pytest.approx([1.8 / 4, 1.8 / 4])


@pytest.mark.parametrize("label", [PlayCompletion(), PlayCompletionRate()])
def test_completion_needs_durations(label):
    with pytest.raises(TableError, match="no training row has a duration"):
        label.fit(feedback([1.0], [0.0]))


def test_seconds_of_a_completion_rate_are_its_share_of_a_known_duration():
    label = PlayCompletionRate().fit(CENTURY)

    seconds = label.seconds(np.array([0.25, 1.5, 0.5]), np.array([8.0, 8.0, 0.0]))

    np.testing.assert_array_equal(seconds, [2.0, 8.0, np.nan])


def test_explicit_feedback_is_any_of_its_kinds():
    given = np.array([[False, False], [True, False], [True, True]])
    rows = Feedback(np.array([50.0, 0.0, 1.0]), np.zeros(3), given, ("liked", "shared"))

    assert ExplicitFeedback().fit(rows).transform(rows).tolist() == [0, 1, 1]


def test_a_log_without_explicit_feedback_cannot_teach_it():
    rows = Feedback(np.array([1.0]), np.array([1.0]), np.zeros((1, 0), np.bool_), ())

    with pytest.raises(TableError, match="no explicit feedback"):
        ExplicitFeedback().fit(rows)
