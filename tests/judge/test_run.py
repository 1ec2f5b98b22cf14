"""The judging job: what it asks the judge, what it keeps, and what a second run finds."""

import time

import polars as pl
import pytest

from judge.columns import J
from judge.inputs import ChangedError
from judge.run import run_job
from judge.store import JUDGMENTS, load_asked, load_judgments
from judge.verdict import NoVerdict, Unscored
from retrieval.errors import UserFacingError
from retrieval.tables import Columns as C
from tests.judge.scripted import NOON, ScriptedJudge, make_job, make_shop


@pytest.fixture(name="shop")
def _shop(tmp_path):
    """Three users, two systems whose lists of 4 do not overlap: 24 judgments."""
    return make_shop(tmp_path / "shop", 3, k=4)


def run(shop, tmp_path, judge=None, out="out", **options):
    return run_job(make_job(shop, tmp_path / "shop", judge or ScriptedJudge(), **options), tmp_path / out)


def test_a_run_judges_each_pair_once_and_says_what_it_did(shop, tmp_path):
    judge = ScriptedJudge()

    summary = run(shop, tmp_path, judge)

    assert (summary.users, summary.judgments, summary.judged, summary.cached) == (3, 24, 24, 0)
    assert [len(task.videos) for task in judge.tasks] == [8, 8, 8]
    assert [len(task.history) for task in judge.tasks] == [10, 10, 10]  # 30 products in steps of 3: ten differ
    assert summary.short_histories == 3
    judged = load_judgments(tmp_path / "out")
    row = judged.filter((judged[C.USER_ID] == "u0") & (judged[C.VIDEO_ID] == "v1")).row(0, named=True)
    assert (row[J.GRADE], row[J.N_PRODUCTS], row[C.RECOMMENDED_AT], row[J.JUDGE]) == (4, 10, NOON, "scripted")


def test_what_was_asked_is_kept_with_the_key_of_each_judgment(shop, tmp_path):
    run(shop, tmp_path)

    asked = load_asked(tmp_path / "out").join(load_judgments(tmp_path / "out"), on=J.KEY)
    assert asked.height == 24
    assert (asked[C.VIDEO_ID] == asked[f"{C.VIDEO_ID}_right"]).all()
    assert asked.filter(asked[C.USER_ID] == "u0", asked[C.SYSTEM] == "b").sort(C.RANK)[C.VIDEO_ID].to_list() == [
        "v5", "v6", "v7", "v8",
    ]  # fmt: skip


def test_a_second_run_asks_nothing_and_reads_no_frame(shop, tmp_path):
    run(shop, tmp_path)
    judge, frames = ScriptedJudge(), shop[4]
    frames.reads = 0
    lines = (tmp_path / "out" / JUDGMENTS).read_bytes()

    summary = run(shop, tmp_path, judge)

    assert (summary.judged, summary.cached, judge.tasks, frames.reads) == (0, 24, [], 0)
    assert (tmp_path / "out" / JUDGMENTS).read_bytes() == lines


def test_a_run_that_was_cut_goes_on_where_it_stopped(shop, tmp_path):
    with pytest.raises(KeyboardInterrupt):
        run(shop, tmp_path, ScriptedJudge(stop_after=11))
    judge = ScriptedJudge()

    summary = run(shop, tmp_path, judge)

    assert (summary.judged, summary.cached) == (13, 11)
    assert [len(task.videos) for task in judge.tasks] == [5, 8]


def test_a_judge_that_cannot_go_on_is_told_of_and_what_it_judged_is_kept(shop, tmp_path):
    judge = ScriptedJudge(stop_after=5, stop=UserFacingError("The budget of 1 is spent.", "Raise it."))

    with pytest.raises(UserFacingError, match=r"The budget of 1 is spent.\nRaise it. What was judged is kept in .*out"):
        run(shop, tmp_path, judge)

    assert run(shop, tmp_path).cached == 5


def test_a_changed_photo_is_judged_anew_and_only_for_those_who_looked_at_it(shop, tmp_path):
    run(shop, tmp_path)
    # u0 looked at p0, p3, …, p27; u1 at p7, p10, …, and u2 at p14, p17, …: p0 is u0's alone.
    (tmp_path / "shop" / "p0.jpg").write_bytes(b"another photo")
    judge = ScriptedJudge()

    summary = run(shop, tmp_path, judge)

    assert (summary.judged, [task.user_id for task in judge.tasks]) == (8, ["u0"])
    assert judge.tasks[0].history[0].photo == b"another photo"


def test_changed_frames_are_judged_anew(shop, tmp_path):
    run(shop, tmp_path)
    shop[4].frames["v0"] = [b"another frame"]
    judge = ScriptedJudge()

    run(shop, tmp_path, judge)

    assert {video.video_id for task in judge.tasks for video in task.videos} == {"v0"}


def test_a_frame_that_changes_behind_an_unchanged_signature_is_noticed(shop, tmp_path):
    shop[4].signatures = lambda ids: dict.fromkeys(ids, "always the same")
    run(shop, tmp_path)
    (tmp_path / "out" / JUDGMENTS).unlink()
    shop[4].frames["v0"] = [b"another frame"]

    with pytest.raises(ChangedError, match="Run the same command again"):
        run(shop, tmp_path)

    assert run(shop, tmp_path).judgments == 24


def test_fewer_frames_a_video_are_another_question(shop, tmp_path):
    run(shop, tmp_path)

    assert run(shop, tmp_path, frames_per_video=2).judged == 24


def test_another_judge_and_another_system_accumulate_in_the_folder(shop, tmp_path):
    lists, *rest = shop
    run((lists.filter(lists[C.SYSTEM] == "a"), *rest), tmp_path)
    run((lists.filter(lists[C.SYSTEM] == "b"), *rest), tmp_path)
    run(shop, tmp_path, ScriptedJudge("other", "f2"))

    asked = load_asked(tmp_path / "out")
    assert load_judgments(tmp_path / "out").height == 48
    assert asked.group_by(C.SYSTEM, J.JUDGE).len().sort(C.SYSTEM, J.JUDGE).rows() == [
        ("a", "other", 12), ("a", "scripted", 12), ("b", "other", 12), ("b", "scripted", 12),
    ]  # fmt: skip


def test_users_who_looked_at_the_same_products_share_a_judgment(shop, tmp_path):
    lists, events, *rest = shop
    own = lists.filter(lists[C.USER_ID] == "u0")
    twins = own.vstack(own.with_columns(own[C.USER_ID].replace("u0", "twin")))
    seen = events.filter(events[C.USER_ID] == "u0")
    both = seen.vstack(seen.with_columns(seen[C.USER_ID].replace("u0", "twin")))

    summary = run((twins, both, *rest), tmp_path)

    assert (summary.users, summary.judgments, summary.judged) == (2, 8, 8)
    assert load_asked(tmp_path / "out").height == 16


def test_a_video_without_frames_is_kept_as_unscored_without_asking(shop, tmp_path):
    del shop[4].frames["v1"]
    judge = ScriptedJudge()

    summary = run(shop, tmp_path, judge)

    # v1 is in the first list of u0 and u1 alone.
    assert (dict(summary.unscored), summary.without_frames) == ({"no_frames": 2}, 1)
    assert "v1" not in {video.video_id for task in judge.tasks for video in task.videos}
    rows = load_judgments(tmp_path / "out").filter(pl.col(C.VIDEO_ID) == "v1")
    assert rows.select(J.UNSCORED, J.GRADE).rows() == [("no_frames", None)] * 2


def test_a_user_without_a_history_is_kept_as_unscored(shop, tmp_path):
    lists, events, *rest = shop

    summary = run((lists, events.filter(events[C.USER_ID] != "u2"), *rest), tmp_path)

    assert dict(summary.unscored) == {"no_history": 8}


def test_a_refused_judgment_is_asked_again_only_on_request(shop, tmp_path):
    run(shop, tmp_path, ScriptedJudge(refused={"v0"}))

    kept = run(shop, tmp_path)
    again = run(shop, tmp_path, retry_unscored=True)

    # v0 is in the first list of u0 alone.
    assert (kept.judged, dict(kept.unscored)) == (0, {"refused": 1})
    assert (again.judged, dict(again.unscored)) == (1, {})
    assert load_judgments(tmp_path / "out").height == 24


def test_frames_that_are_missing_are_not_asked_for_again_on_request(shop, tmp_path):
    del shop[4].frames["v1"]
    run(shop, tmp_path)

    assert run(shop, tmp_path, retry_unscored=True).judged == 0


def test_reasons_are_asked_for_and_kept(shop, tmp_path):
    run(shop, tmp_path, explain=True)

    assert load_judgments(tmp_path / "out")[J.REASON].unique().to_list() == ["because"]


def test_progress_counts_what_was_there_before(shop, tmp_path):
    with pytest.raises(KeyboardInterrupt):
        run(shop, tmp_path, ScriptedJudge(stop_after=23))
    told = []

    run_job(
        make_job(shop, tmp_path / "shop", ScriptedJudge()),
        tmp_path / "out",
        lambda done, total: told.append((done, total)),
    )

    assert told == [(23, 24), (24, 24)]


def test_a_judge_that_answers_too_little_is_our_bug(shop, tmp_path):
    judge = ScriptedJudge()
    judge.grade = lambda task, rubric, explain: iter([NoVerdict(Unscored.REFUSED)])

    with pytest.raises(ValueError, match="zip"):
        run(shop, tmp_path, judge)


def test_a_finished_run_of_ten_thousand_judgments_resumes_in_under_two_seconds(tmp_path):
    shop = make_shop(tmp_path / "shop", 500, n_videos=400, n_products=300)
    assert run(shop, tmp_path).judgments == 10_000

    started = time.perf_counter()
    summary = run(shop, tmp_path)

    assert (summary.judged, summary.cached) == (0, 10_000)
    assert time.perf_counter() - started < 2
