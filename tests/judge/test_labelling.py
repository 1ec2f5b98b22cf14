"""The order of the questions, undo and progress; a journal that survives a kill; and who may talk to the page."""

import json
import os
import signal
import subprocess
import sys
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path

import httpx
import polars as pl
import pytest
from starlette.testclient import TestClient

from judge.labelling.app import HEADERS, MAX_BODY, TOKEN_HEADER, check_grader, create_app
from judge.labelling.record import open_record, rubric_name
from judge.labelling.session import REPEAT_AFTER, Answer, Item, Session, make_queue, resume
from judge.rubric import load_rubric
from judge.task import ShownProduct, ShownVideo
from retrieval.errors import UserFacingError
from tests.judge.label_tasks import make_tasks, open_desk

ROOT = Path(__file__).parents[2]
NOW = datetime(2026, 3, 1, tzinfo=UTC)
FIRST, SECOND, THIRD = QUEUE = (Item("u1", "v1"), Item("u1", "v2"), Item("u2", "v1"))
TOKEN = "a token of the tests"
ALLOWED = {TOKEN_HEADER: TOKEN}
JSON = {**ALLOWED, "Content-Type": "application/json"}


def answer(item, grade=4, at_s=0, content=""):
    return Answer(item, grade, NOW + timedelta(seconds=at_s), 2.5, content)


# The order


def queue_of(n_users=10, n_videos=6, systems=None, **options):
    videos = {f"u{user}": [f"v{video}" for video in range(n_videos)] for user in range(n_users)}
    return make_queue(videos, systems or {}, **{"seed": 3, "repeats": 0.0, **options})


def test_every_video_is_asked_once_without_repeats():
    queue = queue_of(n_users=2, n_videos=2)

    assert sorted((item.user_id, item.video_id) for item in queue) == [
        ("u0", "v0"), ("u0", "v1"), ("u1", "v0"), ("u1", "v1"),
    ]  # fmt: skip


def test_a_shoppers_videos_come_together_so_that_a_history_is_read_once():
    users = [item.user_id for item in queue_of(n_users=10, n_videos=6)]

    assert sum(one != other for one, other in pairwise(users)) == 9


def test_the_same_seed_is_the_same_order_and_another_seed_another():
    assert queue_of(seed=3) == queue_of(seed=3)
    assert queue_of(seed=3) != queue_of(seed=4)


def test_more_shoppers_leave_the_order_within_one_as_it_was():
    few = [item for item in queue_of(n_users=2) if item.user_id == "u1"]
    many = [item for item in queue_of(n_users=9) if item.user_id == "u1"]

    assert few == many


def test_systems_take_turns_so_that_whoever_stops_early_graded_them_alike():
    systems = {("u0", f"v{video}"): ["good" if video < 3 else "bad"] for video in range(6)}

    order = ["".join(systems["u0", item.video_id]) for item in queue_of(n_users=1, systems=systems)]

    assert sorted(order[0:2]) == sorted(order[2:4]) == sorted(order[4:6]) == ["bad", "good"]


def test_a_video_of_two_systems_is_asked_once():
    systems = {("u0", f"v{video}"): ["one", "other"] for video in range(6)}

    assert len(queue_of(n_users=1, systems=systems)) == 6


def test_a_share_is_asked_twice_and_not_soon_after():
    queue = queue_of(n_users=10, n_videos=6, repeats=0.1)

    repeated = [item for item in queue if item.repeat]
    distances = [queue.index(item) - queue.index(replace(item, repeat=False)) for item in repeated]
    assert len(repeated) == 6  # a tenth of 60
    assert len(set(repeated)) == 6
    assert min(distances) > 0
    assert sum(distance > REPEAT_AFTER for distance in distances) >= 5


# Answers


def test_progress_counts_grades_and_skips_apart():
    session = Session(QUEUE).answered(answer(FIRST)).answered(answer(SECOND, None))

    assert (session.progress.n_graded, session.progress.n_skipped, session.progress.n_left) == (1, 1, 1)
    assert session.next_place == 2


def test_undo_goes_back_to_the_answer_before():
    session = Session(QUEUE).answered(answer(FIRST, 5)).answered(answer(FIRST, 2, 9)).undone()

    assert session.answers[FIRST].grade == 5
    assert session.undone().next_place == 0
    with pytest.raises(ValueError, match="nothing was answered"):
        session.undone().undone()


def test_a_grade_out_of_range_or_of_another_item_is_refused():
    with pytest.raises(ValueError, match="1 to 5, not 6"):
        Session(QUEUE).answered(answer(FIRST, 6))
    with pytest.raises(ValueError, match="not in the queue"):
        Session(QUEUE).answered(answer(Item("u9", "v1")))


def test_answers_about_other_pictures_do_not_count_after_a_restart():
    now = {FIRST: "as before", SECOND: "another photo", THIRD: "as before"}
    acts = [answer(FIRST, content="as before"), answer(SECOND, content="as before"), answer(Item("u9", "v1"))]

    assert list(resume(QUEUE, acts, now).answers) == [FIRST]


# The record


@contextmanager
def opened(folder):
    with open_record(folder / "human.parquet", load_rubric()) as record:
        yield record


def test_the_record_comes_back_as_it_was_and_the_table_has_what_counts(tmp_path):
    rubric = load_rubric()
    with opened(tmp_path) as record:
        record.add(answer(FIRST, 5), "anna", rubric)
        record.add(answer(SECOND, 3, 1), "anna", rubric)
        record.add(answer(FIRST, None, 2), "anna", rubric)
        record.undo(SECOND, "anna")
        record.add(answer(replace(THIRD, repeat=True), 1, 3), "ben", rubric)
    with opened(tmp_path) as record:
        acts = record.acts("anna")
        record.write_table()

    assert acts == [answer(FIRST, 5), answer(FIRST, None, 2)]
    table = pl.read_parquet(tmp_path / "human.parquet")
    name = rubric_name(rubric)
    assert table.rows() == [
        ("u1", "v1", None, "anna", NOW + timedelta(seconds=2), 2.5, False, name),
        ("u2", "v1", 1, "ben", NOW + timedelta(seconds=3), 2.5, True, name),
    ]
    assert table.columns == ["user_id", "video_id", "grade", "grader", "graded_at", "seconds", "repeat", "rubric"]


def test_half_a_line_is_dropped_and_the_next_answer_stands_on_its_own(tmp_path):
    with opened(tmp_path) as record:
        record.add(answer(FIRST), "anna", load_rubric())
    journal = tmp_path / "human.jsonl"
    journal.write_bytes(journal.read_bytes() + b'{"act": "gra')

    with opened(tmp_path) as record:
        record.add(answer(SECOND, 2, 1), "anna", load_rubric())

    with opened(tmp_path) as record:
        assert [act.item for act in record.acts("anna")] == [FIRST, SECOND]


@pytest.mark.parametrize("line", [b"{}", b"[]", b"7", b"nonsense", b'{"act": "undo", "grader": "a"}'])
def test_a_damaged_line_is_named(tmp_path, line):
    (tmp_path / "human.jsonl").write_bytes(line + b"\n")

    with pytest.raises(UserFacingError, match=r"Line 1 of .*human.jsonl is damaged"), opened(tmp_path):
        pass


def test_a_record_is_held_by_one_page(tmp_path):
    with opened(tmp_path), pytest.raises(UserFacingError, match="in use by another labelling page"), opened(tmp_path):
        pass


def test_grades_of_two_rubrics_are_never_mixed(tmp_path):
    with opened(tmp_path) as record:
        record.add(answer(FIRST), "anna", replace(load_rubric(), version="2"))

    with pytest.raises(UserFacingError, match="graded by rubric 2-"), opened(tmp_path):
        pass


def test_a_table_without_its_journal_is_never_replaced(tmp_path):
    (tmp_path / "human.parquet").write_bytes(b"somebody's grades")

    with pytest.raises(UserFacingError, match="should hold its grades, does not"), opened(tmp_path):
        pass


def test_a_name_that_is_no_table_or_no_name_is_refused(tmp_path):
    with pytest.raises(UserFacingError, match="no name of a parquet file"), open_record(Path("x.jsonl"), load_rubric()):
        pass
    with pytest.raises(UserFacingError, match="is no name"):
        check_grader("  ")


# Who may talk to the page


@contextmanager
def page(folder, tasks=None, **order):
    with opened(folder) as record:
        desk = open_desk(record, tasks or make_tasks(2, 2, 2, 48, 64), **order)
        app = create_app(desk, TOKEN)
        with TestClient(app, base_url="http://127.0.0.1:8000", raise_server_exceptions=False) as client:
            yield client


def refusal(reply, status):
    """The one sentence of a refusal."""
    assert reply.status_code == status
    assert list(reply.json()) == ["error"]
    return reply.json()["error"]


def grade(client, place=0, headers=ALLOWED, **body):
    return client.post(f"/api/items/{place}/grade", json={"grade": 4, "seconds": 1.5, **body}, headers=headers)


@pytest.mark.parametrize(
    "host", ["evil.example", "127.0.0.1.evil.example:8000", "localhost.evil.example", "[::2]:1", ""]
)
def test_a_foreign_host_is_refused(tmp_path, host):
    with page(tmp_path) as client:
        said = refusal(client.get("/", headers={"Host": host}), 421)

    assert said == "This page answers only to 127.0.0.1 and localhost."


@pytest.mark.parametrize("host", ["127.0.0.1:8000", "localhost:9", "LOCALHOST", "[::1]:8000"])
def test_this_machines_own_names_are_answered(tmp_path, host):
    with page(tmp_path) as client:
        assert client.get("/api/state", headers={"Host": host}).status_code == 200


@pytest.mark.parametrize("headers", [{}, {TOKEN_HEADER: "guessed"}, {TOKEN_HEADER: "ü".encode()}])
def test_what_changes_something_needs_the_token(tmp_path, headers):
    with page(tmp_path) as client:
        said = [refusal(grade(client, headers=headers), 403), refusal(client.post("/api/undo", headers=headers), 403)]
        left = client.get("/api/state").json()["n_graded"]

    assert said == ["This needs the page's own token: reload the page."] * 2
    assert left == 0


@pytest.mark.parametrize("place", [-1, 4, 10**9])
def test_an_unknown_item_is_refused(tmp_path, place):
    with page(tmp_path, repeats=0.0) as client:
        said = [refusal(grade(client, place), 404), refusal(client.get(f"/api/items/{place}"), 404)]

    assert said == [f"There is no item {place}."] * 2


@pytest.mark.parametrize("number", [-1, 2, 99])
def test_an_unknown_picture_is_refused(tmp_path, number):
    with page(tmp_path) as client:
        assert refusal(client.get(f"/api/items/0/photos/{number}"), 404) == f"There is no picture {number}."


@pytest.mark.parametrize("given", [0, 6, -1, 2.5, "4", True, [4]])
def test_a_grade_out_of_range_is_refused(tmp_path, given):
    with page(tmp_path) as client:
        assert refusal(grade(client, grade=given), 422).startswith("grade")


@pytest.mark.parametrize("seconds", [-1, 1e9, "long", None])
def test_a_time_out_of_range_is_refused(tmp_path, seconds):
    with page(tmp_path) as client:
        assert refusal(grade(client, seconds=seconds), 422).startswith("seconds")


def test_a_body_that_is_large_or_no_json_is_refused(tmp_path):
    with page(tmp_path) as client:
        large = refusal(client.post("/api/items/0/grade", content=b" " * (MAX_BODY + 1), headers=ALLOWED), 413)
        odd = refusal(client.post("/api/items/0/grade", content=b"{", headers=JSON), 422)
        endless = refusal(client.post("/api/items/0/grade", content=iter([b"{}"]), headers=ALLOWED), 413)

    assert large == endless == "A body is at most 1000 bytes and says its length."
    assert odd == "The body is not JSON."


def test_undo_without_an_answer_is_refused(tmp_path):
    with page(tmp_path) as client:
        assert refusal(client.post("/api/undo", headers=ALLOWED), 409) == "There is no answer to undo."


def test_every_answer_keeps_the_page_to_itself(tmp_path):
    with page(tmp_path) as client:
        replies = [client.get(path) for path in ("/", "/page/page.js", "/api/items/0/frames/0", "/nothing")]

    assert all(HEADERS.items() <= dict(reply.headers).items() for reply in replies)
    assert HEADERS["content-security-policy"].startswith("default-src 'self'; ")
    assert TOKEN in replies[0].text


def test_nothing_tells_the_system_the_user_or_the_video(tmp_path):
    with page(tmp_path) as client:
        seen = client.get("/api/items/0").text + client.get("/api/state").text

    assert "user" not in seen
    assert "video0" not in seen
    assert "video1" not in seen


# What the page shows and keeps


def test_a_product_without_a_photo_has_none_and_pictures_come_as_they_are(tmp_path):
    task = make_tasks(1, 1, 2, 48, 64)[0]
    odd = ShownProduct("px", "A title", b"<svg onload='x'/>")
    shown = replace(task, history=(task.history[0], odd, replace(odd, photo=None)))
    with page(tmp_path, [shown]) as client:
        products = client.get("/api/items/0").json()["products"]
        photo = client.get(products[0]["photo"])

    assert [product["photo"] for product in products[1:]] == [None, None]
    assert (photo.content, photo.headers["content-type"]) == (task.history[0].photo, "image/jpeg")


def test_what_cannot_be_graded_is_not_asked(tmp_path):
    task = make_tasks(1, 1, 2, 48, 64)[0]
    blind = replace(task, videos=(*task.videos, ShownVideo("without frames", "", (), ())))
    with page(tmp_path, [blind, replace(task, user_id="new", history=())], repeats=0.0) as client:
        assert client.get("/api/state").json()["n_items"] == 1


def test_nothing_to_grade_is_said(tmp_path):
    with pytest.raises(UserFacingError, match="nothing to grade"), page(tmp_path, make_tasks(1, 0, 1, 48, 64)):
        pass


def test_the_same_grade_twice_is_one_answer(tmp_path):
    with page(tmp_path) as client:
        grade(client)
        grade(client)

    assert len((tmp_path / "human.jsonl").read_text().splitlines()) == 1


def test_a_restart_goes_on_where_it_stopped_and_each_grader_has_their_own_way(tmp_path):
    with page(tmp_path) as client:
        grade(client, 0)
        grade(client, 1, grade=None)
    with page(tmp_path) as client:
        again = client.get("/api/state").json()
        seen = client.get("/api/items/1").json()["answer"]
    with opened(tmp_path) as record:
        others = open_desk(record, make_tasks(2, 2, 2, 48, 64), "ben").session.next_place

    assert (again["place"], again["n_graded"], again["n_skipped"], seen, others) == (2, 1, 1, {"grade": None}, 0)
    assert json.loads((tmp_path / "human.jsonl").read_text().splitlines()[1])["reason"] == "cannot tell"


@contextmanager
def running_page(folder):
    """The page in a process of its own: its address and the process."""
    command = [sys.executable, "-m", "tests.judge.label_tasks", str(folder / "human.parquet"), "0", "2", "0.0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=ROOT) as process:
        try:
            yield process.stdout.readline().strip(), process
        finally:
            process.kill()


def token_of(address):
    return httpx.get(address).text.partition('name="lookreel-token" content="')[2].partition('"')[0]


def test_an_acknowledged_grade_survives_a_kill(tmp_path):
    with running_page(tmp_path) as (address, process):
        headers = {TOKEN_HEADER: token_of(address)}
        for place in range(3):
            reply = httpx.post(f"{address}api/items/{place}/grade", json={"grade": 2, "seconds": 1}, headers=headers)
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
    with running_page(tmp_path) as (address, process):
        state = httpx.get(f"{address}api/state").json()
        process.terminate()
        ended = process.wait(20)

    assert reply.status_code == 200
    assert (state["place"], state["n_graded"]) == (3, 3)
    assert ended == 0
    assert pl.read_parquet(tmp_path / "human.parquet")["grade"].to_list() == [2, 2, 2]
