"""What a judge is shown: which products of whom, which pictures, and what is missing said as missing."""

from datetime import timedelta

import polars as pl
import pytest

from judge.histories import last_products
from judge.inputs import Source, make_questions
from judge.pictures import Digests, Photos, VideoFrames, spooled
from judge.recommended import load_recommendations, select_lists
from judge.rubric import load_rubric
from judge.store import Asker
from judge.verdict import Unscored
from retrieval.errors import UserFacingError
from retrieval.tables import Columns as C
from tests.judge.scripted import (
    NOON,
    TIME,
    HandFrames,
    events_frame,
    lists_frame,
    products_frame,
    videos_frame,
    write_photos,
)

ASKER = Asker("scripted", "f1", load_rubric())
FRAMES = {"v0": [b"a", b"b", b"c", b"d"], "v1": [b"e"], "v2": [b"f", b"g"]}


def products_of(rows, at=NOON, n_products=12):
    asked = pl.DataFrame({C.USER_ID: ["ann"], C.RECOMMENDED_AT: [at]}, schema_overrides={C.RECOMMENDED_AT: TIME})
    return last_products(events_frame(rows), asked, n_products)[C.PRODUCT_IDS].to_list()[0]


def selected(lists, events, k=10, n_users=None, seed=0):
    return select_lists(lists_frame(lists), events_frame(events), k, n_users, seed)


def source_in(folder, n_products=3, frames=FRAMES, m=8):
    write_photos(folder, n_products)
    return Source(products_frame(n_products), videos_frame(3), Photos(folder), HandFrames(dict(frames)), m)


def only_task(selection, source, tmp_path):
    """The one question of *selection*, and its task."""
    questions = make_questions(selection, source, ASKER, Digests({}))
    (question,) = questions.all
    with spooled(source.frames, list(question.keys), source.frames_per_video, tmp_path) as spool:
        return questions, source.make_task(question, question.keys, spool)


def test_a_history_is_the_most_recent_products_each_once():
    rows = [("ann", "p0", "view", 5), ("ann", "p1", "click", 4), ("ann", "p0", "purchase", 3), ("bob", "p2", "view", 1)]

    assert products_of(rows) == ["p0", "p1"]


def test_an_event_at_the_very_moment_of_asking_is_not_before_it():
    rows = [("ann", "p0", "view", 0), ("ann", "p1", "view", 1 / 3_600_000_000), ("ann", "p2", "view", -1)]

    assert products_of(rows) == ["p1"]


def test_what_was_only_shown_returned_or_taken_off_a_list_does_not_count():
    rows = [("ann", f"p{i}", kind, 9 - i) for i, kind in enumerate(("shown", "return", "unwish", "wishlist"))]

    assert products_of(rows) == ["p3"]


def test_only_the_last_twelve_of_thirteen_products_are_shown():
    rows = [("ann", f"p{i}", "view", i + 1) for i in range(13)]

    assert products_of(rows) == [f"p{i}" for i in range(12)]


def test_of_events_at_one_instant_the_later_row_is_the_more_recent():
    assert products_of([("ann", "p0", "view", 1), ("ann", "p1", "view", 1)]) == ["p1", "p0"]


def test_a_shopper_of_whom_nothing_is_known_has_an_empty_history():
    assert products_of([("bob", "p0", "view", 1)]) == []


def test_drawn_users_are_the_same_for_all_systems_and_the_same_seed():
    users = [f"u{i}" for i in range(20)]
    lists = [(system, user, ["v0", "v1"]) for system in ("a", "b") for user in users]
    events = [(user, "p0", "view", 1) for user in users]

    first, again, other = (selected(lists, events, n_users=5, seed=seed) for seed in (1, 1, 2))

    drawn = {system: set(rows[C.USER_ID]) for (system,), rows in first.lists.group_by(C.SYSTEM)}
    assert drawn["a"] == drawn["b"]
    assert (first.n_users, first.n_candidates) == (5, 20)
    assert set(first.lists[C.USER_ID]) == set(again.lists[C.USER_ID]) != set(other.lists[C.USER_ID])


def test_only_users_of_all_systems_who_looked_at_something_are_drawn():
    lists = [("a", "ann", ["v0"]), ("b", "ann", ["v1"]), ("a", "bob", ["v0"]), ("a", "cy", ["v0"]), ("b", "cy", ["v0"])]

    chosen = selected(lists, [("ann", "p0", "view", 1), ("bob", "p0", "view", 1)], n_users=9)

    assert chosen.lists[C.USER_ID].unique().to_list() == ["ann"]
    assert (chosen.n_candidates, chosen.without_history) == (1, 1)


def test_lists_are_cut_at_k():
    assert selected([("a", "ann", ["v0", "v1", "v2"])], [], k=2).lists[C.VIDEO_ID].to_list() == ["v0", "v1"]


def test_a_video_that_two_systems_recommend_is_asked_once(tmp_path):
    chosen = selected([("a", "ann", ["v0", "v1"]), ("b", "ann", ["v1", "v2"])], [("ann", "p0", "view", 1)])

    _, task = only_task(chosen, source_in(tmp_path), tmp_path)

    # v0 and v1 are first somewhere, v2 is second.
    assert [video.video_id for video in task.videos] == ["v0", "v1", "v2"]


def test_a_task_holds_titles_photos_and_frames(tmp_path):
    chosen = selected([("a", "ann", ["v0"])], [("ann", "p1", "view", 1), ("ann", "p0", "view", 2)])

    _, task = only_task(chosen, source_in(tmp_path, m=2), tmp_path)

    assert [(p.product_id, p.title, p.photo) for p in task.history] == [
        ("p1", "Product p1", b"photo 1"),
        ("p0", "Product p0", b"photo 0"),
    ]
    # Two of four frames: the middles of two halves, (2i + 1)·4 // 4.
    assert (task.videos[0].title, task.videos[0].frames, task.videos[0].times_s) == (
        "Video v0",
        (b"b", b"d"),
        (1.0, 3.0),
    )


@pytest.mark.parametrize("m", [1, 2, 3, 5, 8, 9])
def test_fewer_frames_are_spread_over_all(m):
    frames = VideoFrames("v", tuple(bytes([i]) for i in range(8)), tuple(map(float, range(8))))

    times = frames.spread(m).times_s

    assert len(set(times)) == len(times) == min(m, 8)
    assert abs(sum(times) / len(times) - 3.5) <= 0.75


def test_a_product_without_a_photo_is_shown_without_and_counted(tmp_path):
    source = source_in(tmp_path)
    (tmp_path / "p1.jpg").unlink()
    chosen = selected([("a", "ann", ["v0"])], [("ann", "p1", "view", 1), ("ann", "p0", "view", 2)])

    questions, task = only_task(chosen, source, tmp_path)

    assert [product.photo for product in task.history] == [None, b"photo 0"]
    assert (questions.without_photo, questions.n_products) == (1, 2)


@pytest.mark.parametrize(
    "uri", ["../secret.jpg", "https://shop.example/p.jpg", "file:///etc/hostname", "a\0b", "link.jpg", ".", ""]
)
def test_no_photo_is_read_outside_the_folder_of_the_tables(tmp_path, uri):
    folder = tmp_path / "shop"
    folder.mkdir()
    (tmp_path / "secret.jpg").write_bytes(b"secret")
    (folder / "link.jpg").symlink_to(tmp_path / "secret.jpg")

    assert Photos(folder).read(uri) is None
    assert Photos(folder).read(str(tmp_path / "secret.jpg")) is None


def test_a_photo_in_a_folder_below_is_read(tmp_path):
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "a.jpg").write_bytes(b"a")

    assert Photos(tmp_path).read("photos/a.jpg") == b"a"


def test_a_video_without_stored_frames_is_unscored_and_counted(tmp_path):
    source = source_in(tmp_path, frames={"v0": [b"a"]})
    chosen = selected([("a", "ann", ["v0", "v1"])], [("ann", "p0", "view", 1)])

    questions = make_questions(chosen, source, ASKER, Digests({}))

    assert dict(questions.all[0].unscored) == {"v1": Unscored.NO_FRAMES}
    assert (questions.without_frames, questions.n_videos) == (1, 2)


def test_a_user_without_a_history_is_unscored(tmp_path):
    questions = make_questions(selected([("a", "ann", ["v0"])], []), source_in(tmp_path), ASKER, Digests({}))

    assert dict(questions.all[0].unscored) == {"v0": Unscored.NO_HISTORY}


def test_recommendations_of_another_snapshot_are_refused_with_both_versions(tmp_path):
    lists_frame([("a", "ann", ["v0"])], snapshot="000001").write_parquet(tmp_path / "r.parquet")

    with pytest.raises(UserFacingError, match=r"version 000001 of a snapshot, and --snapshot is version 000002"):
        load_recommendations(tmp_path / "r.parquet", "000002")


def test_recommendations_without_a_column_are_refused(tmp_path):
    lists_frame([("a", "ann", ["v0"])]).drop(C.RANK).write_parquet(tmp_path / "r.parquet")

    with pytest.raises(UserFacingError, match="has no column rank"):
        load_recommendations(tmp_path / "r.parquet", "000001")


def test_a_later_time_of_asking_is_another_history_of_the_same_user():
    rows = [("ann", "p0", "view", 5), ("ann", "p1", "view", -5)]

    assert products_of(rows) == ["p0"]
    assert products_of(rows, at=NOON + timedelta(hours=6)) == ["p1", "p0"]
