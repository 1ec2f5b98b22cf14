"""Examination, calibration and the users' space by hand."""

import numpy as np
import pytest

from labelcraft.conventional.calibration import Line, fit_line
from labelcraft.conventional.examples import Examination, examination_of, make_examples
from labelcraft.conventional.rows import Rows
from labelcraft.conventional.space import UserSpace
from labelcraft.labels.watched import WatchedHalf
from retrieval.metrics.propensity import Curve
from tests.labelcraft.feedback_rows import feedback


def rows_of(watch_s):
    n = len(watch_s)
    zeros = np.zeros(n, np.int64)
    return Rows(zeros, zeros, zeros + 1, zeros, feedback(watch_s, [10.0] * n))


def test_without_a_curve_the_target_is_the_label_and_all_rows_count_alike():
    rows = rows_of([9.0, 1.0])

    made = make_examples(rows, WatchedHalf().fit(rows.feedback))

    assert made.target.tolist() == made.unit.tolist() == [1, 0]
    assert made.weight.tolist() == [1, 1]
    assert made.is_binary


def test_a_target_is_divided_by_attention_and_a_row_counts_by_how_seldom_it_is_reached():
    rows = rows_of([9.0, 9.0, 1.0])

    made = make_examples(
        rows, WatchedHalf().fit(rows.feedback), Examination(np.array([1.0, 0.5, 0.5]), np.array([1.0, 0.8, 0.8]))
    )

    np.testing.assert_allclose(made.target, [1, 1.25, 0])
    np.testing.assert_allclose(made.weight, [0.6, 1.2, 1.2])  # 1, 2, 2 with the mean 1


def test_attention_is_examination_over_reach_and_never_above_1():
    curve = Curve(np.array([1, 2, 3]), np.array([1.0, 0.4, 0.3]), np.array([9, 9, 9]), "by hand")

    found = examination_of(curve, np.array([1, 2, 3]), np.array([0.8, 0.4, 0.16]))

    np.testing.assert_allclose(found.reach, [1, 0.5, 0.2])
    np.testing.assert_allclose(found.attention, [1, 0.8, 1])


def test_platt_s_line_gives_groups_their_share():
    scores = np.array([0.0] * 4 + [1.0] * 4, np.float32)
    labels = np.array([1, 0, 0, 0, 1, 1, 1, 0], np.float32)

    line = fit_line(scores, labels)

    assert line.offset == pytest.approx(np.log(1 / 3))  # a quarter of the first
    assert line.slope == pytest.approx(2 * np.log(3))  # three quarters of the second


def test_a_line_never_turns_a_ranking_around():
    line = fit_line(np.array([0.0, 1.0, 0.0, 1.0], np.float32), np.array([1, 0, 1, 0], np.float32))

    assert line.slope == 1


def test_vectors_take_up_the_line_since_users_end_in_a_1():
    user, video = np.array([[2.0, 3.0, 1.0]], np.float32), np.array([[0.5, 0.5, -1.0]], np.float32)

    moved = Line(2.0, 0.25).of_vectors(video)

    assert (user @ moved.T).item() == pytest.approx(2 * (user @ video.T).item() + 0.25)


def test_users_are_centred_of_unit_spread_and_the_unknown_is_the_mean():
    space = UserSpace.of(np.array([[3.0, 0.0], [1.0, 0.0]], np.float32))

    np.testing.assert_allclose(space.users[0], [0, 0, 1])
    np.testing.assert_allclose(space.users[1:], [[2**0.5, 0, 1], [-(2**0.5), 0, 1]], rtol=1e-6)
