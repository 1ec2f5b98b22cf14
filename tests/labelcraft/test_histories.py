import numpy as np
import pytest

from labelcraft.dataset import Histories, histories_of
from labelcraft.splits import HistoryRows, history_mask
from tests.labelcraft.small_logs import Seen, make_dataset, random_rows

A, B, C, D = 1, 2, 3, 4  # numbers of the videos a to d


def windows(dataset, length=3, kept=None):
    log = dataset.log
    return histories_of(log, kept).window(np.arange(len(log)), length).tolist()


def by_hand(dataset, row, length):
    """The same user's videos of earlier times, found by looking at every row, the newest first."""
    log = dataset.log
    earlier = [i for i in range(len(log)) if log.user[i] == log.user[row] and log.time_us[i] < log.time_us[row]]
    newest = [int(log.item[i]) for i in reversed(earlier)][:length]
    return newest + [0] * (length - len(newest))


def test_history_is_what_the_user_watched_before_newest_first():
    data = make_dataset(Seen("u", "a", 0), Seen("u", "b", 1), Seen("u", "c", 2))

    assert windows(data) == [[0, 0, 0], [A, 0, 0], [B, A, 0]]


def test_rows_of_one_feed_are_in_no_history_of_each_other():
    data = make_dataset(Seen("u", "a", 0), Seen("u", "b", 1), Seen("u", "c", 1), Seen("u", "d", 2))

    assert windows(data) == [[0, 0, 0], [A, 0, 0], [A, 0, 0], [C, B, A]]


def test_history_of_another_user_is_another():
    data = make_dataset(Seen("u", "a", 0), Seen("v", "b", 0), Seen("u", "c", 2), Seen("v", "d", 2))

    assert windows(data, 1) == [[0], [A], [0], [B]]  # u's rows stand before v's


def test_a_long_history_keeps_its_newest_videos():
    data = make_dataset(*(Seen("u", video, day) for day, video in enumerate("abcd")))

    assert windows(data, 2)[3] == [C, B]


def test_a_video_watched_twice_stands_twice():
    data = make_dataset(Seen("u", "a", 0), Seen("u", "a", 1), Seen("u", "b", 2))

    assert windows(data)[2] == [A, A, 0]


def test_rows_that_are_not_kept_have_a_history_but_are_in_none():
    data = make_dataset(Seen("u", "a", 0), Seen("u", "b", 1), Seen("u", "c", 2))

    assert windows(data, kept=np.array([True, False, True])) == [[0, 0, 0], [A, 0, 0], [A, 0, 0]]


def test_nothing_kept_leaves_all_histories_empty():
    data = make_dataset(Seen("u", "a", 0), Seen("u", "b", 1))

    assert windows(data, kept=np.zeros(2, np.bool_)) == [[0, 0, 0], [0, 0, 0]]


def test_liked_rows_are_those_half_watched_or_with_feedback():
    rows = [Seen("u", "a", 0, 5.0), Seen("u", "b", 1, 4.9), Seen("u", "c", 2, 0.0, liked=True), Seen("u", "d", 3, 99.0)]
    feedback = make_dataset(*rows, durations={"a": 10.0, "b": 10.0, "c": 10.0, "d": 0.0}).log.feedback

    assert history_mask(feedback, HistoryRows.LIKED).tolist() == [True, False, True, False]  # d's half is not known
    assert history_mask(feedback, HistoryRows.REACHED).all()


def test_a_part_of_the_rows_keeps_histories_that_reach_back_before_it():
    data = make_dataset(Seen("u", "a", 0), Seen("u", "b", 1), Seen("u", "c", 2))

    part = histories_of(data.log)[np.array([2])]

    assert part.window(np.array([0]), 3).tolist() == [[B, A, 0]]
    assert part.lengths().tolist() == [2]


def test_histories_of_an_empty_log_are_empty():
    empty = make_dataset(Seen("u", "a", 0)).log[np.zeros(0, np.int64)]

    assert histories_of(empty).window(np.zeros(0, np.int64), 4).shape == (0, 4)


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_histories_are_those_found_by_looking_at_every_row(seed):
    data = make_dataset(*random_rows(seed))

    assert windows(data, 12) == [by_hand(data, row, 12) for row in range(len(data.log))]


def test_windows_share_the_videos_of_all_rows():
    histories = Histories(np.array([7, 8, 9]), np.array([0, 0, 1]), np.array([0, 2, 3]))

    assert histories[1:].items is histories.items
    assert histories[1:].window(np.array([0, 1]), 3).tolist() == [[8, 7, 0], [9, 8, 0]]
