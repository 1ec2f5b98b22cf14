"""A verdict's numbers, by hand."""

import numpy as np
import pytest

from judge.verdict import Verdict, certain, from_log_probabilities, parse_label


def test_expected_score_uncertainty_and_grade():
    verdict = Verdict((0.5, 0.0, 0.0, 0.0, 0.5))  # 5 or 1, each by half

    assert verdict.expected == 3.0
    assert verdict.uncertainty == 2.0  # both are 2 from the mean
    assert verdict.grade == 5  # of two equally likely the higher


def test_probabilities_are_shares_of_the_labels_mass():
    verdict = from_log_probabilities(np.log([0.2, 0.1, 0.05, 0.03, 0.02]))

    assert verdict.mass == pytest.approx(0.4)
    assert verdict.probabilities == pytest.approx((0.5, 0.25, 0.125, 0.075, 0.05))
    assert verdict.expected == pytest.approx((5 * 0.2 + 4 * 0.1 + 3 * 0.05 + 2 * 0.03 + 0.02) / 0.4)


def test_labels_of_almost_no_mass_still_make_a_distribution():
    verdict = from_log_probabilities(np.array([-800.0, -801.0, -900.0, -900.0, -900.0]))

    assert verdict.mass == 0.0
    assert verdict.probabilities[0] == pytest.approx(1 / (1 + np.exp(-1)))


def test_a_named_category_is_certain():
    assert certain("poor_match").expected == 2.0
    assert certain("poor_match").uncertainty == 0.0


@pytest.mark.parametrize("text", ["", "match", "good match", "excellent_match or no_match", "5"])
def test_what_names_no_single_category_is_no_verdict(text: str):
    assert parse_label(text) is None
