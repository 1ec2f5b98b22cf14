"""The reading side of a folder of judgments, and the grades that others read."""

import pytest

from judge.columns import J
from judge.judgments import NOT_JUDGED, grades_of, load_judged
from retrieval.errors import UserFacingError
from retrieval.tables import Columns as C
from serving.inputs import load_grades
from tests.judged import save_judged


def test_each_asked_video_has_its_grade_or_why_it_has_none(tmp_path):
    save_judged(tmp_path, ("a", "ann", [4, None, 0]))

    found = load_judged(tmp_path)

    assert found[J.GRADE].to_list() == [4, None, None]
    assert found[J.EXPECTED].to_list() == [4.0, None, None]
    assert found[J.UNSCORED].to_list() == [None, "no_verdict", NOT_JUDGED]


def test_the_judgments_of_two_judges_are_never_mixed(tmp_path):
    save_judged(tmp_path, ("a", "ann", [4]))
    save_judged(tmp_path, ("a", "ann", [1]), judge="other")

    with pytest.raises(UserFacingError, match=r"of several: other \(f1\) by rubric"):
        load_judged(tmp_path)
    assert load_judged(tmp_path, "other")[J.GRADE].to_list() == [1]


def test_an_unknown_judge_is_refused_with_those_there_are(tmp_path):
    save_judged(tmp_path, ("a", "ann", [4]))

    with pytest.raises(UserFacingError, match="It has those of scripted"):
        load_judged(tmp_path, "qwen")


def test_grades_are_what_serving_reads(tmp_path):
    save_judged(tmp_path / "j", ("a", "ann", [4, None, 2]))

    grades_of(load_judged(tmp_path / "j")).write_parquet(tmp_path / "grades.parquet")

    assert load_grades(tmp_path / "grades.parquet") == {("ann", "a-v1"): 4, ("ann", "a-v3"): 2}


def test_an_adjusted_score_stands_beside_the_judges_own_where_it_was_measured(tmp_path):
    save_judged(tmp_path, ("a", "ann", [4, 2]))
    judged = load_judged(tmp_path)

    grades = grades_of(judged, judged.select(C.USER_ID, C.VIDEO_ID).head(1).with_columns(adjusted=3.5))

    assert grades[J.ADJUSTED].to_list() == [3.5, None]
    assert grades[J.EXPECTED].to_list() == [4.0, 2.0]
