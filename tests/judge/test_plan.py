"""What a plan says: numbers of users by the formula, spreads that were measured, and what is not known."""

import pytest

from judge.inputs import make_questions
from judge.pictures import Digests
from judge.plan import (
    DEFAULT_SD,
    Spread,
    make_plan,
    mean_seconds,
    measure_spread,
    overlap_of,
    plan_words,
    users_needed,
)
from judge.run import run_job
from judge.store import known_judgments, load_asked, load_judgments
from retrieval.tables import Columns as C
from tests.judge.scripted import ScriptedJudge, lists_frame, make_job, make_shop


@pytest.mark.parametrize(
    ("sd", "difference", "n_users"),
    # (1.959964 + 0.841621)² = 7.848880: times (0.6 / 0.1)² = 282.56, (1 / 0.5)² = 31.40, (0.3 / 0.1)² = 70.64.
    [(0.6, 0.1, 283), (1.0, 0.5, 32), (0.3, 0.1, 71), (0.0, 0.1, 2)],
)
def test_users_needed_by_hand(sd, difference, n_users):
    assert users_needed(sd, difference) == n_users


def test_overlap_is_the_share_of_pairs_that_several_systems_ask_for():
    lists = lists_frame([("a", "ann", ["v0", "v1"]), ("b", "ann", ["v1", "v2"]), ("a", "bob", ["v0"])])

    assert overlap_of(lists) == 1 / 4


def planned(job, out, spread=Spread(DEFAULT_SD), seconds=None, price=None):  # noqa: B008 - frozen
    questions = make_questions(job.selection, job.source, job.asker, Digests({}))
    return make_plan(job.selection, questions, known_judgments(out), spread, seconds, price)


def test_a_plan_counts_what_is_there_what_is_missing_and_what_needs_no_judge(tmp_path):
    shop = make_shop(tmp_path / "shop", 3, k=4)  # 24 judgments
    lists, *rest = shop
    job = make_job((lists.filter(lists[C.SYSTEM] == "a"), *rest), tmp_path / "shop", ScriptedJudge(), k=4)
    run_job(job, tmp_path / "out")
    del shop[4].frames["v8"]  # in the second lists of all three users

    plan = planned(make_job(shop, tmp_path / "shop", ScriptedJudge(), k=4), tmp_path / "out", seconds=2.0, price=0.01)

    assert (plan.users, plan.judgments, plan.cached, plan.missing, plan.overlap) == (3, 24, 12, 9, 0.0)
    assert (plan.seconds, plan.price) == (18.0, pytest.approx(0.09))
    # 283 users with 8 judgments each.
    assert (plan.users_needed, plan.judgments_needed) == (283, 2264)


def test_what_is_not_known_is_said_to_be_unknown(tmp_path):
    job = make_job(make_shop(tmp_path / "shop", 3, k=4), tmp_path / "shop", ScriptedJudge(), k=4)

    words = plan_words(planned(job, tmp_path / "out"))

    assert "time unknown: this judge has judged nothing here yet; price unknown: this judge tells no price" in words
    assert "283 users, 2264 judgments (sd of a user's difference assumed to be 0.6" in words


def test_the_spread_is_that_of_the_differences_of_users_judged_before(tmp_path):
    # Grades are 5 minus the id modulo 5. a is always v0, of grade 5; b is v1 or v3, of grade 4 or 2.
    shop = make_shop(tmp_path / "shop", 12, k=1)
    lists = lists_frame(
        [("a", f"u{user}", ["v0"]) for user in range(12)]
        + [("b", f"u{user}", ["v1" if user < 6 else "v3"]) for user in range(12)]
    )
    job = make_job((lists, *shop[1:]), tmp_path / "shop", ScriptedJudge(seconds=0.001), k=1)
    run_job(job, tmp_path / "out")
    asked, judgments = load_asked(tmp_path / "out"), load_judgments(tmp_path / "out")

    spread = measure_spread(asked, judgments, job.asker, 1)

    # Six differences of 1 and six of 3: the variance is 12·1/11.
    assert spread.sd == pytest.approx((12 / 11) ** 0.5)
    assert (spread.n_users, spread.systems) == (12, ("a", "b"))
    assert 0.001 <= mean_seconds(judgments, job.asker) < 0.5


def test_too_few_users_tell_no_spread(tmp_path):
    shop = make_shop(tmp_path / "shop", 9, k=1)
    job = make_job(shop, tmp_path / "shop", ScriptedJudge(), k=1)
    run_job(job, tmp_path / "out")

    spread = measure_spread(load_asked(tmp_path / "out"), load_judgments(tmp_path / "out"), job.asker, 1)

    assert spread == Spread(DEFAULT_SD)
