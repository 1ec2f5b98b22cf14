"""Reliability: a sound judge passes, each flawed one is caught by the trial made for it, and figures are by hand."""

import json

import numpy as np
import polars as pl
import pytest

from judge.canary_results import Status
from judge.raters import agree, load_human
from judge.reliability import Judged, adjusted_scores, measure
from judge.reliability_file import load_reliability, save_reliability
from judge.rubric import load_rubric
from judge.trials import Plan, make_trials, run_trial, table_of
from retrieval.errors import UserFacingError
from tests.scripted_judges import (
    AlwaysExcellent,
    ColourJudge,
    FirstCategory,
    LikesBlankFrames,
    ObeysText,
    RefusesBlankFrames,
    colour_metadata,
    colour_tasks,
)


def answers_of(judge, tasks=None):
    trials = make_trials(tasks or colour_tasks(), colour_metadata(), Plan())
    return table_of([row for trial in trials for row in run_trial(judge, load_rubric(), trial)])


def reliability_of(judge, tasks=None):
    return measure(answers_of(judge, tasks), Judged(judge.name, judge.fingerprint, "1-abc", 0))


def statuses(reliability):
    return {canary.name: canary.status.value for canary in reliability.canaries}


def test_a_sound_judge_passes_everything():
    found = reliability_of(ColourJudge())

    assert statuses(found) == dict.fromkeys(
        ["own product", "opposite taste", "blank frames", "text in the frame"], "passed"
    )
    assert found.failed == ()
    assert (found.stranger.auc.value, found.stranger.paired.value, found.stranger.gain.mean) == (1.0, 1.0, 4.0)
    assert (found.repeats.moved.mean, found.repeats.same_grade.mean, found.repeats.largest) == (0.0, 1.0, 0.0)
    assert (found.n_users, found.n_videos, found.n_unscored) == (6, 12, 0)


def test_a_judge_who_finds_all_excellent_fails_the_opposite_and_the_blank_one():
    found = reliability_of(AlwaysExcellent())

    assert found.failed == ("opposite taste", "blank frames")
    assert found.stranger.auc.value == 0.5


def test_a_judge_who_obeys_text_fails_by_what_the_text_raised():
    found = reliability_of(ObeysText())

    assert found.failed == ("text in the frame",)
    assert found.canaries[3].estimate.mean == 4.0  # from no match, 1, to excellent, 5


def test_a_judge_who_likes_blank_frames_fails_those():
    assert reliability_of(LikesBlankFrames()).failed == ("blank frames",)


def test_a_judge_who_will_not_grade_blank_frames_is_counted_and_not_measured():
    blank = reliability_of(RefusesBlankFrames()).canaries[2]

    assert (blank.status, blank.estimate.n, blank.tried, blank.unscored) == (Status.NOT_MEASURED, 0, 6, 6)
    assert np.isnan(blank.estimate.mean)


def test_few_users_pass_no_canary():
    found = reliability_of(ColourJudge(), colour_tasks()[:4])

    assert set(statuses(found).values()) == {"not_measured"}


def test_a_bias_to_the_first_category_shows_in_the_turns_and_not_in_the_repeats():
    found = reliability_of(FirstCategory())

    # Plain: 5/2 + 5/2 = 5. With another category of score s first: (5 + s)/2, so 4.5, 4, 3.5, 3: moved 1.25 on average.
    assert found.repeats.moved.mean == 0.0
    assert found.rubric_orders.moved.mean == pytest.approx(1.25)
    assert [round(drift.mean, 9) for drift in found.rubric_orders.drift] == [-0.5, -1.0, -1.5, -2.0]
    assert found.rubric_orders.largest == pytest.approx(2.0)


def test_the_adjusted_score_is_free_of_a_bias_to_a_place():
    adjusted = adjusted_scores(answers_of(FirstCategory()))

    # Half of 5, and half of the mean of all five scores, 3: whatever the order it was asked in.
    np.testing.assert_allclose(adjusted["adjusted"], 4.0)
    assert adjusted.height == 12


def test_an_adjusted_score_with_a_turn_missing_is_missing():
    answers = answers_of(ColourJudge())
    first = (pl.col("experiment") == "rubric_order") & (pl.col("variant") == 2) & (pl.col("video_id") == "v0a")

    adjusted = adjusted_scores(
        answers.with_columns(pl.when(first).then(None).otherwise("expected").alias("expected"))
    ).filter(pl.col("adjusted").is_null())

    assert adjusted["video_id"].to_list() == ["v0a"]


def test_the_order_of_the_answers_changes_nothing():
    answers = answers_of(FirstCategory())
    of = Judged("a", "b", "c", 0)

    shuffled = measure(answers.sample(fraction=1.0, shuffle=True, seed=2), of)

    assert shuffled.rubric_orders.moved.mean == pytest.approx(measure(answers, of).rubric_orders.moved.mean)
    assert shuffled.stranger == measure(answers, of).stranger


def test_figures_are_read_as_they_were_written(tmp_path):
    found = measure(answers_of(ColourJudge()), Judged("a", "b", "c", 0), (agree(OURS, THEIRS, "people"),))

    path = save_reliability(found, tmp_path)
    save_reliability(load_reliability(tmp_path), tmp_path / "again")

    assert load_reliability(tmp_path).failed == ()
    assert (tmp_path / "again" / path.name).read_text() == path.read_text()
    json.loads(path.read_text(), parse_constant=pytest.fail)  # no NaN, which is not JSON


def test_without_a_file_nothing_was_measured(tmp_path):
    assert load_reliability(tmp_path) is None


OURS = pl.DataFrame(
    {"user_id": ["a", "a", "b", "b"], "video_id": ["1", "2", "1", "3"], "grade": [5, 1, 3, 4],
     "expected": [4.8, 1.2, 3.1, 4.0]}
)  # fmt: skip
THEIRS = pl.DataFrame(
    {"user_id": ["a", "a", "b", "b", "c"], "video_id": ["1", "2", "1", "2", "9"], "grade": [5, 1, 3, 2, 4]}
)


def test_only_videos_that_both_graded_are_compared():
    found = agree(OURS, THEIRS, "people")

    assert (found.kappa.value, found.spearman.value, found.kappa.n) == (1.0, 1.0, 3)
    assert (found.n_raters, found.among) == (1, None)


def test_several_people_are_compared_with_each_other_too():
    theirs = pl.concat(
        [THEIRS.with_columns(grader=pl.lit("x")), THEIRS.with_columns(grader=pl.lit("y"), grade=6 - pl.col("grade"))]
    )

    found = agree(OURS, theirs, "people")

    assert (found.n_raters, found.kappa.n, found.among.n) == (2, 6, 3)
    assert found.among.value < 0


def test_what_a_person_graded_again_says_how_steady_they_are_and_counts_once():
    theirs = pl.concat(
        [THEIRS.with_columns(repeat=False), THEIRS.head(2).with_columns(repeat=True, grade=pl.lit(3, pl.Int64))]
    )

    found = agree(OURS, theirs, "people")

    # 5 and 1 became 3 and 3: observed 4, expected variance 4 and no more, so 1 − 4/4.
    assert (found.kappa.value, found.kappa.n) == (1.0, 3)
    assert (found.themselves.value, found.themselves.n) == (0.0, 2)


def test_people_who_graded_nothing_of_it_are_no_crash():
    found = agree(OURS, THEIRS.filter(pl.col("user_id") == "c"), "people")

    assert np.isnan(found.kappa.value)
    assert found.kappa.n == 0


def test_a_grade_of_six_is_refused_with_the_cure(tmp_path):
    THEIRS.with_columns(grade=pl.lit(6)).write_parquet(tmp_path / "human.parquet")

    with pytest.raises(UserFacingError, match="has a grade of 6"):
        load_human(tmp_path / "human.parquet")
