"""AUC, accuracy and calibration with intervals over users."""

import numpy as np
import pytest
from sklearn.metrics import accuracy_score, precision_score, recall_score, roc_auc_score

from retrieval.metrics.cluster import Bootstrap
from retrieval.metrics.pointwise import (
    accuracy,
    auc,
    calibration,
    decisions,
    reliability,
    threshold_of_share,
)


def make_rows(seed, n_users=60, levels=None):
    """Rows of users who differ in how much they like anything and in how high they are scored."""
    rng = np.random.default_rng(seed)
    user = np.repeat(np.arange(n_users), rng.integers(1, 12, n_users))
    label = rng.random(len(user)) < rng.beta(2, 3, n_users)[user]
    scores = rng.normal(size=len(user)) + label + 0.7 * rng.normal(size=n_users)[user]
    return (scores if levels is None else np.round(scores * levels)), label, user


@pytest.mark.parametrize("levels", [None, 2])
def test_auc_is_that_of_scikit_learn_with_ties_and_without(levels):
    scores, label, user = make_rows(0, levels=levels)

    assert auc(scores, label, user, 60).value == pytest.approx(roc_auc_score(label, scores), abs=1e-12)


def test_with_every_row_its_own_user_the_variance_is_delongs():
    # Positives 3 and 1, negatives 2 and 0: V of the positives 1 and 1/2, of the negatives 1/2 and 1, A = 3/4.
    # DeLong: S10/M + S01/N with both variances ((1/4)² + (1/4)²)/(2 − 1) = 1/8, so 1/16 + 1/16 = 1/8. Each half has
    # its own n/(n − 1) = 2 there; over all four rows it is Σψ² · 4/3 with ψ = ±1/8: 4/64 · 4/3 = 1/12.
    found = auc(np.array([3.0, 1.0, 2.0, 0.0]), np.array([True, True, False, False]), np.arange(4), 4)

    np.testing.assert_allclose(found.influence, [1 / 8, -1 / 8, -1 / 8, 1 / 8])
    assert found.value == 0.75
    assert found.estimate.sd == pytest.approx(np.sqrt(4 / 12))


def test_auc_intervals_hold_the_truth_about_as_often_as_they_say_though_rows_of_a_user_are_alike():
    truth = auc(*make_rows(10_000, n_users=50_000), 50_000).value

    estimates = [auc(*make_rows(seed, 200), 200).estimate for seed in range(150)]

    # Two standard errors of a share of 0.95 of 150 are 3.6 points.
    assert 0.91 <= np.mean([each.low <= truth <= each.high for each in estimates]) <= 0.99


def test_auc_differences_are_paired():
    scores, label, user = make_rows(1)
    better, worse = auc(scores, label, user, 60), auc(scores - 0.1 * label, label, user, 60)

    difference = better.minus(worse)

    assert difference.mean == pytest.approx(better.value - worse.value)
    assert difference.high - difference.low < 0.3 * (better.estimate.high - better.estimate.low)
    assert better.minus(better).low == 0


def test_one_label_alone_has_no_auc_and_users_without_rows_are_skipped():
    found = auc(np.array([1.0, 2.0]), np.array([True, True]), np.array([0, 2]), n_users=4).estimate

    assert np.isnan([found.mean, found.low, found.high]).all()
    assert (found.n, found.skipped) == (2, 2)


def test_scores_that_are_no_number_have_no_auc():
    with pytest.raises(ValueError, match="not a number"):
        auc(np.array([np.nan, 1.0]), np.array([True, False]), np.array([0, 0]), 1)


def test_accuracy_precision_and_recall_are_those_of_scikit_learn():
    scores, label, user = make_rows(2)
    said = scores > 0.5

    found = accuracy(decisions(said, label, user, 60), Bootstrap(200))

    assert found.accuracy.mean == pytest.approx(accuracy_score(label, said), abs=1e-12)
    assert found.precision.mean == pytest.approx(precision_score(label, said), abs=1e-12)
    assert found.recall.mean == pytest.approx(recall_score(label, said), abs=1e-12)
    assert found.recall.low < found.recall.mean < found.recall.high


def test_decisions_of_parts_add_up_and_saying_nothing_has_no_precision():
    scores, label, user = make_rows(3)
    first = np.arange(len(user)) < 50
    parts = [decisions(scores[part] > 0, label[part], user[part], 60) for part in (first, ~first)]

    assert ((parts[0] + parts[1]).counts == decisions(scores > 0, label, user, 60).counts).all()
    assert np.isnan(accuracy(decisions(scores > np.inf, label, user, 60), Bootstrap(20)).precision.mean)


def test_the_threshold_of_a_share_is_reached_by_that_share():
    scores = np.random.default_rng(4).random(1000)

    assert np.mean(scores >= threshold_of_share(scores, 0.3)) == pytest.approx(0.3)
    assert threshold_of_share(np.array([1.0, 1.0, 0.0]), 0.1) == 1.0


def test_calibration_is_the_weighted_gap_of_each_bin():
    # Bin 0.2 … 0.3: predicted 0.25, of 4 rows 2 positive, gap 0.25. Bin 0.9 … 1: predicted 1, positive, no gap.
    probability = np.array([0.2, 0.3 - 1e-12, 0.25, 0.25, 1.0])
    label = np.array([True, True, False, False, True])

    found = calibration(reliability(probability, label, np.arange(5), 5), Bootstrap(50))

    assert found.error.mean == pytest.approx(0.25 * 4 / 5)
    assert found.n_rows == (0, 0, 4, 0, 0, 0, 0, 0, 0, 1)
    assert found.predicted[2] == pytest.approx(0.25)
    assert found.observed[2].mean == 0.5
    assert np.isnan(found.predicted[0])


def test_the_error_of_true_probabilities_is_noise_and_the_interval_knows():
    rng = np.random.default_rng(5)
    probability = rng.random(5000)
    sums = [
        reliability(probability, rng.random(5000) < truth, np.repeat(np.arange(500), 10), 500)
        for truth in (probability, 0.2 + 0.6 * probability)
    ]

    true, drawn_in = (calibration(each, Bootstrap(300)).error for each in sums)

    assert true.low == 0  # though every bin has a gap
    # |0.4 p − 0.2| is 0.1 on average over uniform p.
    assert drawn_in.low < 0.1 < drawn_in.high
    assert drawn_in.low > 0.07


def test_reliability_of_parts_adds_up_and_a_probability_above_one_is_refused():
    _, label, user = make_rows(6)
    probability = np.linspace(0, 1, len(user))
    first = np.arange(len(user)) < 50
    parts = [reliability(probability[part], label[part], user[part], 60) for part in (first, ~first)]

    whole = reliability(probability, label, user, 60)

    np.testing.assert_allclose((parts[0] + parts[1]).predicted, whole.predicted)
    assert ((parts[0] + parts[1]).positive == whole.positive).all()
    with pytest.raises(ValueError, match="between 0 and 1"):
        reliability(np.array([1.1]), np.array([True]), np.array([0]), 1)
