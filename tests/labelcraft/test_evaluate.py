"""What training is judged by."""

import numpy as np
import pytest
from numpy.testing import assert_allclose

from labelcraft.evaluate import Criterion, Measures, candidates, measure, popularity_of, reference_scores, score
from labelcraft.models.factory import make_model
from tests.labelcraft.small_logs import Seen, make_dataset
from tests.labelcraft.watched_logs import A_DAY, N_USERS, split


@pytest.fixture(name="parts", scope="module")
def _parts():
    return split()


def test_candidates_are_the_rows_of_users_with_more_than_k_of_them(parts):
    asked = candidates(parts, parts.test, k=A_DAY - 1)

    assert len(asked.users) == N_USERS
    assert asked.offsets.tolist() == list(range(0, N_USERS * A_DAY + 1, A_DAY))
    assert not len(candidates(parts, parts.test, k=A_DAY).users)


def test_a_ranking_by_watch_time_is_the_best_by_nwtg(parts):
    asked = candidates(parts, parts.test)
    scores = reference_scores(asked, popularity_of(parts.data.log, 30))

    best = measure(asked, scores["oracle of NWTG"])

    assert_allclose(best.nwtg, 1.0)
    assert measure(asked, scores["random"]).means[0] < 0.95
    assert measure(asked, scores["oracle of DS"]).means[1] > measure(asked, scores["longest"]).means[1]
    assert_allclose(np.nan_to_num(measure(asked, scores["oracle of NEG"]).neg, nan=1.0), 1.0)


def measures(nwtg, ds, neg):
    return Measures(np.array([nwtg]), np.array([ds]), np.array([neg]))


def test_the_criterion_is_zero_for_random_and_counts_a_per_cent_of_each_metric_alike():
    criterion = Criterion(random=(0.4, 2.0, 0.2))

    assert criterion(measures(0.4, 2.0, 0.2)) == 0.0
    # twice one, half of another: nothing is gained
    assert criterion(measures(0.8, 1.0, 0.2)) == pytest.approx(0.0)
    assert criterion(measures(0.8, 4.0, 0.4)) == pytest.approx(np.log(2))


def test_a_metric_that_the_log_cannot_tell_is_left_out_of_the_criterion():
    criterion = Criterion(random=(0.4, 2.0, np.nan))

    # (ln 2 + ln 1.5) / 2
    assert criterion(measures(0.8, 3.0, np.nan)) == pytest.approx(np.log(3) / 2)


def test_a_metric_of_zero_leaves_the_criterion_a_number():
    criterion = Criterion(random=(0.4, 2.0, 0.2))

    # ln 1e-6 of three
    assert criterion(measures(0.4, 2.0, 0.0)) == pytest.approx(np.log(1e-6) / 3)


def test_popularity_counts_rows():
    log = make_dataset(Seen("u", "a", 0), Seen("u", "b", 1), Seen("v", "b", 1)).log

    assert popularity_of(log, 2).tolist() == [0, 1, 2]


def test_scores_do_not_depend_on_what_is_scored_beside(parts):
    model = make_model("din", parts.data.items, parts.n_users, seed=3)
    both, alone = candidates(parts, parts.test), candidates(parts, parts.test[: A_DAY * 4])

    assert_allclose(score(model, both)[: len(alone.log)], score(model, alone), atol=1e-6)


def test_several_tasks_are_ranked_by_their_weighted_sum(parts):
    model = make_model("two_tower", parts.data.items, parts.n_users, tasks=2, seed=3)
    asked = candidates(parts, parts.test)

    first, second, both = (score(model, asked, weights) for weights in ((1.0, 0.0), (0.0, 1.0), (1.0, 2.0)))

    assert_allclose(both, first + 2 * second, atol=1e-6)
