"""Coherence and overlap where lists are short or empty."""

import numpy as np

from retrieval.metrics.coherence import attribute_overlap, mean_rows, visual_coherence
from retrieval.ragged import Ragged


def test_places_without_a_video_do_not_count():
    users, videos = np.array([[2.0]]), np.array([[1.0], [5.0]])

    # Of three places one is filled, by the video of 5: 2 · 5.
    assert visual_coherence(users, videos, np.array([[1, -1, -1]])).tolist() == [10.0]


def test_a_video_without_products_is_missing_and_not_zero():
    videos = np.array([[1.0], [np.nan]])

    assert visual_coherence(np.array([[3.0]]), videos, np.array([[0, 1]])).tolist() == [3.0]


def test_a_user_or_a_list_of_nothing_has_no_value():
    empty_user = visual_coherence(np.array([[np.nan]]), np.array([[1.0]]), np.array([[0]]))
    empty_list = visual_coherence(np.array([[1.0]]), np.array([[1.0]]), np.array([[-1]]))

    assert np.isnan([empty_user[0], empty_list[0]]).all()


def test_one_list_of_nothing_leaves_the_others_alone():
    lists = Ragged(np.array([0, 1, 2]), np.array([0, 1, 1, 3]))

    np.testing.assert_array_equal(mean_rows(np.array([[1.0], [2.0], [4.0]]), lists), [[1.0], [np.nan], [3.0]])


def test_overlap_is_the_chance_that_two_draws_agree():
    # The history is a, a, b; the video shows a and c: 2/3 · 1/2.
    codes = np.array([0, 0, 1, 2])
    history, video = Ragged(np.array([0, 1, 2]), np.array([0, 3])), Ragged(np.array([0, 3]), np.array([0, 2]))

    np.testing.assert_allclose(attribute_overlap(codes, history, video, np.array([[0]])), [1 / 3])
