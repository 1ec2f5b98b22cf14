"""W50 by hand."""

import pytest

from labelcraft.labels.watched import WatchedHalf
from retrieval.errors import TableError
from tests.labelcraft.feedback_rows import feedback


def test_half_of_the_length_counts_as_watched_and_less_does_not():
    rows = feedback([4.99, 5.0, 30.0], [10.0, 10.0, 10.0])

    assert WatchedHalf().fit(rows).transform(rows).tolist() == [0, 1, 1]


def test_a_video_of_unknown_length_has_the_mean_of_the_others():
    rows = feedback([1.0, 9.0, 9.0, 9.0, 50.0], [10.0, 10.0, 10.0, 10.0, 0.0])

    assert WatchedHalf().fit(rows).transform(rows).tolist() == [0, 1, 1, 1, 0.75]


def test_without_any_length_it_cannot_be_fitted():
    with pytest.raises(TableError, match="W50 cannot be fitted: no training row has a duration"):
        WatchedHalf().fit(feedback([1.0], [0.0]))
