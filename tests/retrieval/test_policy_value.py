"""The value of a policy from another's log."""

from math import log2

import numpy as np
import pytest

from benchmarks.open_bandit import CAMPAIGNS, WAYS, load_rows, told
from retrieval.metrics.cluster import Bootstrap
from retrieval.metrics.listwise import Feeds, gains
from retrieval.metrics.policy_value import (
    LoggedChoices,
    Predicted,
    cross_fitted,
    folds_of,
    listwise_doubly_robust,
    policy_value,
)
from tests.data import data_folder

FEW = Bootstrap(400, seed=1)


def choices(reward, selection, target, user=None):
    rows = np.arange(len(reward)) if user is None else np.array(user)
    return LoggedChoices(np.array(reward), np.array(selection), np.array(target), rows, int(rows.max()) + 1)


# Weights 0.5, 2 and 8.
THREE = choices([1.0, 0.0, 1.0], [0.5, 0.25, 0.1], [0.25, 0.5, 0.8])


def test_each_form_is_its_formula():
    value = policy_value(THREE, FEW, ceiling=4.0)

    assert value.ips.mean == pytest.approx(8.5 / 3)
    assert value.clipped.mean == pytest.approx(4.5 / 3)
    assert value.snips.mean == pytest.approx(8.5 / 10.5)
    assert value.snips_delta.mean == value.snips.mean
    assert value.doubly_robust is None
    assert (value.weights.largest, value.weights.share_clipped) == (8.0, pytest.approx(1 / 3))
    assert value.weights.effective_sample_size == pytest.approx(10.5**2 / (0.25 + 4 + 64))


def test_the_doubly_robust_form_corrects_a_model_by_its_weighted_error():
    predicted = Predicted(logged=np.array([0.5, 0.5, 0.75]), target=np.array([0.6, 0.7, 0.8]))

    value = policy_value(THREE, FEW, predicted=predicted)

    # (0.6 + 0.5·0.5 + 0.7 − 2·0.5 + 0.8 + 8·0.25) / 3
    assert value.doubly_robust.mean == pytest.approx(3.35 / 3)


def test_a_constant_added_to_all_rewards_is_added_to_snips_and_not_to_ips():
    shifted = policy_value(choices(THREE.reward + 1, THREE.selection, THREE.target), FEW)

    assert shifted.snips.mean == pytest.approx(8.5 / 10.5 + 1)
    assert shifted.ips.mean == pytest.approx(8.5 / 3 + 10.5 / 3)


def make_log(seed, n_users=150):
    """Two actions, context x: the log prefers action 0, the target action 1, whose reward is better where x is."""
    rng = np.random.default_rng(seed)
    user = np.repeat(np.arange(n_users), 6)
    x = rng.random(len(user)) + 0.3 * rng.normal(size=n_users)[user]
    action = (rng.random(len(user)) < 0.25).astype(int)
    reward = rng.normal(x * (1 + action), 0.5)
    selection, target = np.where(action, 0.25, 0.75), np.where(action, 0.9, 0.1)
    return x, action, LoggedChoices(reward, selection, target, user, n_users)


TRUTH = 0.5 * (0.1 * 1 + 0.9 * 2)  # x has mean 1/2


def predict(x, action, log):
    """A least-squares model of each action on the other folds."""

    def fit(rows):
        slopes = [np.polyfit(x[rows & (action == a)], log.reward[rows & (action == a)], 1) for a in (0, 1)]
        return lambda held_out: np.stack([np.polyval(slope, x[held_out]) for slope in slopes], axis=1).ravel()

    fold = folds_of(log.user, log.n_users, 3, seed=0)
    both = cross_fitted_pairs(fit, fold)
    return Predicted(both[np.arange(len(x)), action], both @ np.array([0.1, 0.9]))


def cross_fitted_pairs(fit, fold):
    columns = [cross_fitted(lambda rows, a=a: lambda held: fit(rows)(held)[a::2], fold) for a in (0, 1)]
    return np.stack(columns, axis=1)


def test_all_forms_are_about_the_truth_and_the_doubly_robust_one_is_nearest():
    values = [policy_value(log, FEW, predicted=predict(x, a, log)) for x, a, log in map(make_log, range(100))]

    for form in ("ips", "snips", "snips_delta", "doubly_robust"):
        found = np.array([getattr(value, form).mean for value in values])
        assert abs(found.mean() - TRUTH) < 4 * found.std() / np.sqrt(100)
        held = [getattr(value, form).low <= TRUTH <= getattr(value, form).high for value in values]
        assert np.mean(held) >= 0.88  # 0.95 less three standard errors of 100
    ips, robust = (
        np.mean([v.high - v.low for v in each])
        for each in zip(*((v.ips, v.doubly_robust) for v in values), strict=True)
    )
    assert robust < 0.8 * ips


def test_a_wrong_model_leaves_the_doubly_robust_value_right():
    def value(seed):
        _, _, log = make_log(seed)
        nothing = Predicted(np.full(len(log.reward), 3.0), np.full(len(log.reward), 3.0))
        return policy_value(log, Bootstrap(1), predicted=nothing).doubly_robust.mean

    found = np.array([value(seed) for seed in range(60)])

    assert abs(found.mean() - TRUTH) < 4 * found.std() / np.sqrt(60)


def test_a_users_rows_are_in_one_fold_and_nobody_is_predicted_by_a_model_that_saw_them():
    user = np.array([0, 1, 2, 0, 1, 2, 3])
    fold = folds_of(user, 4, 2, seed=0)
    seen = []

    def fit(rows):
        def predicting(held_out):
            seen.append(set(user[rows]) & set(user[held_out]))
            return np.full(held_out.sum(), float(rows.sum()))

        return predicting

    predicted = cross_fitted(fit, fold)

    assert seen == [set(), set()]
    assert sorted(np.bincount(fold[[0, 1, 2, 6]])) == [2, 2]
    assert np.isfinite(predicted).all()


@pytest.mark.parametrize(
    ("selection", "target", "says"),
    [([0.0, 1.0], [0.5, 0.5], "selection"), ([1.2, 1.0], [0.5, 0.5], "selection"), ([1.0, 1.0], [1.5, 0.5], "target")],
)
def test_probabilities_out_of_bounds_are_refused(selection, target, says):
    with pytest.raises(ValueError, match=says):
        choices([1.0, 0.0], selection, target)


def test_columns_of_unequal_length_are_refused():
    with pytest.raises(ValueError, match="one length"):
        LoggedChoices(np.zeros(2), np.ones(2), np.ones(1), np.zeros(2, np.int64), 1)


# The feed of the listwise form: examined, examined without a like, not examined.
SEEN = np.array([True, True, False])
FEED = Feeds(np.array([0, 3]), np.array([True, False, False]), np.array([1.0, 0.5, 0.25]), np.array([0]))


def test_the_listwise_form_is_its_formula():
    found = listwise_doubly_robust(FEED, np.array([2, 1, 3]), SEEN, np.array([0.6, 0.2, 0.4]), k=2)

    # rank 2: 0.6 + (1 − 0.6)/1 = 1; rank 1: 0.2 + (0 − 0.2)/0.5 = −0.2; rank 3 is after k.
    assert found[0] == pytest.approx(1 / log2(3) - 0.2)


def test_without_a_prediction_the_listwise_form_is_dcg_ips():
    found = listwise_doubly_robust(FEED, np.array([2, 1, 3]), SEEN, np.zeros(3), k=3)

    assert found[0] == pytest.approx(gains(FEED, np.array([2, 1, 3]), 3).dcg_ips[0])


def test_the_listwise_form_is_right_if_either_the_model_or_the_probabilities_are():
    rng = np.random.default_rng(0)
    n_feeds, length = 20_000, 8
    offsets = np.arange(n_feeds + 1) * length
    examination = np.tile(1 / np.arange(1, length + 1), n_feeds)
    relevance = rng.beta(2, 3, n_feeds * length)
    ranks = np.tile(np.arange(length, 0, -1), n_feeds)  # the logged order turned round
    examined = rng.random(n_feeds * length) < examination
    label = examined & (rng.random(n_feeds * length) < relevance)
    truth = (relevance / np.log2(1 + ranks)).sum() / n_feeds

    def value(q, predicted):
        feeds = Feeds(offsets, label, q, np.zeros(n_feeds, np.int64))
        return listwise_doubly_robust(feeds, ranks, examined, predicted, length)

    right, wrong_model = value(examination, relevance), value(examination, np.full(len(label), 0.9))
    wrong_probabilities = value(np.full(len(label), 0.7), relevance)

    for found in (right, wrong_model, wrong_probabilities):
        assert abs(found.mean() - truth) < 4 * found.std() / np.sqrt(n_feeds)
    assert right.std() < value(examination, np.zeros(len(label))).std()


def test_a_label_that_nobody_saw_is_refused():
    with pytest.raises(ValueError, match="not examined"):
        listwise_doubly_robust(FEED, np.array([1, 2, 3]), ~SEEN, np.zeros(3), k=3)


@pytest.mark.parametrize("campaign", CAMPAIGNS)
@pytest.mark.parametrize(("policy", "log"), WAYS)
def test_open_bandit_both_ways_is_a_hand_written_ipw_and_covers_what_the_policy_itself_earned(policy, log, campaign):
    folder = data_folder("open_bandit")
    rows, on_policy = log(folder, campaign), load_rows(folder, policy, campaign)["click"].mean()

    value = policy_value(rows, Bootstrap(300), ceiling=100.0)

    weights = [target / selection for target, selection in zip(rows.target, rows.selection, strict=True)]
    earned = sum(weight * click for weight, click in zip(weights, rows.reward, strict=True))
    clipped = sum(min(weight, 100) * click for weight, click in zip(weights, rows.reward, strict=True))
    assert value.ips.mean == pytest.approx(earned / len(weights), abs=1e-12)
    assert value.clipped.mean == pytest.approx(clipped / len(weights), abs=1e-12)
    assert value.snips.mean == pytest.approx(earned / sum(weights), abs=1e-12)
    assert all("width" in line for line in told(value))
    for estimate in (value.ips, value.snips, value.snips_delta):
        assert estimate.low <= on_policy <= estimate.high
