"""Naive and weighted DCG beside the truth of simulated feeds, and how often the intervals hold it."""

import numpy as np
import pytest

from benchmarks.interval_coverage import DIFFERENCE, LIKING, LOGGED, RANDOM, coverage_of, make_trial
from retrieval.metrics.cluster import Bootstrap
from retrieval.metrics.listwise import Form, Measure, compared
from sample_shop.catalogue import make_catalogue
from sample_shop.watching import NO_BIAS


@pytest.fixture(scope="module")
def biased():
    """60 logs with all biases at full strength."""
    return coverage_of(60, n_users=80, n_resamples=300)


def test_intervals_of_dcg_by_true_examination_probabilities_hold_the_truth_as_often_as_they_say(biased):
    for name in (LOGGED, LIKING, RANDOM, DIFFERENCE):
        found = biased[name, Measure.DCG, Form.IPS]
        assert found.share >= 0.87  # 0.95 less three standard errors of 60
        # The mean of 60 estimates is off by an eighth of one's error at most, which is a quarter of the width.
        assert found.mean == pytest.approx(found.truth, abs=4 * found.width / 4 / np.sqrt(60))


def test_naive_dcg_is_far_too_low_for_all_since_unseen_positives_are_missing(biased):
    for name in (LOGGED, LIKING, RANDOM):
        found = biased[name, Measure.DCG, Form.NAIVE]
        assert found.mean < 0.6 * found.truth
        assert found.share == 0


def test_naive_dcg_favours_the_policy_that_copies_the_logged_order(biased):
    def lead(form):
        copied, other = biased[LOGGED, Measure.DCG, form], biased[RANDOM, Measure.DCG, form]
        return copied.mean - other.mean, copied.truth - other.truth

    naive, truth = lead(Form.NAIVE)
    weighted, _ = lead(Form.IPS)

    assert naive > truth + 0.1  # recency, whose order is no better than chance, seems much better
    assert weighted == pytest.approx(truth, abs=0.03)


def test_naive_dcg_prefers_the_logged_order_to_what_users_truly_like_more(biased):
    assert biased[DIFFERENCE, Measure.DCG, Form.NAIVE].truth > 0.2
    assert biased[DIFFERENCE, Measure.DCG, Form.NAIVE].mean < 0
    assert biased[DIFFERENCE, Measure.DCG, Form.IPS].mean > 0.2


def test_ndcg_is_biased_in_both_forms_for_the_copy_upwards(biased):
    naive, weighted = (biased[LOGGED, Measure.NDCG, form] for form in (Form.NAIVE, Form.IPS))

    # A ratio in each feed has a random denominator: weighting helps and does not cure.
    assert naive.mean > weighted.mean > naive.truth


def test_with_all_biases_off_naive_and_weighted_are_one_and_the_truth():
    trial = make_trial(5, make_catalogue(0, 200, 300, 14), 150, NO_BIAS)
    seen, true = (compared(sums, Bootstrap(100)) for sums in (trial.seen(), trial.true()))

    for name in (LOGGED, LIKING, RANDOM):
        for measure in (Measure.DCG, Measure.NDCG, Measure.SELF_NORMALISED):
            naive, weighted = (seen.of(name, measure, form) for form in (Form.NAIVE, Form.IPS))
            assert naive == weighted
            assert naive.mean == pytest.approx(true.of(name, measure, Form.NAIVE).mean, abs=1e-12)
