"""Posting events over HTTP: each row accepted or refused with a reason, and stored once."""

import json
from datetime import timedelta

import pytest

from serving.answers import EventsAnswer
from serving.incoming import NDJSON
from tests.serving.site import NOW, Clock, build_site, serving

DAY_S = 86_400


@pytest.fixture(scope="module", name="shop")
def _shop(tmp_path_factory):
    return build_site(tmp_path_factory.mktemp("events"))


@pytest.fixture(name="clock")
def _clock():
    return Clock()


@pytest.fixture(name="api")
def _api(shop, tmp_path, clock):
    with serving(shop, clock, state=tmp_path / "state") as client:
        yield client


@pytest.fixture(scope="module", name="idle")
def _idle(shop, tmp_path_factory):
    """A client for batches of which nothing is stored: it is shared."""
    with serving(shop, state=tmp_path_factory.mktemp("idle")) as client:
        yield client


def post(api, *rows):
    answer = api.post("/v1/events", json=list(rows))
    assert answer.status_code == 200, answer.text
    return answer.json()


def post_text(api, text, kind="application/json"):
    content = text if isinstance(text, bytes) else text.encode()
    return api.post("/v1/events", content=content, headers={"content-type": kind})


def counts(answer):
    return answer["accepted"], answer["duplicates"], answer["unknown_items"], len(answer["refused"])


def history(api, user="ann"):
    return [event["product_id"] for event in api.get(f"/v1/users/{user}/history").json()["events"]]


LOOK = {"user_id": "ann", "product_id": "p3", "event_id": "e1", "event": "view", "occurred_at": "2026-02-28T12:00:00Z"}
WATCH = {"user_id": "ann", "video_id": "v3", "event_id": "w1", "watch_time_s": 2.5, "feed_id": "f1", "liked": True}


def test_interactions_and_watches_are_stored(api):
    answer = post(api, LOOK, WATCH)

    assert counts(answer) == (2, 0, 0, 0)
    assert EventsAnswer.model_validate(answer, strict=True)
    state = api.services.store.user("ann", api.services.now_us())
    assert [(e.product_id, e.event, e.event_id) for e in state.history] == [("p3", "view", "e1")]
    assert state.seen == ("v3",)
    (watch,) = api.services.store.watches(0, api.services.now_us() + 1)
    assert (watch.user_id, watch.video_id, watch.feed_id, watch.watch_time_s) == ("ann", "v3", "f1", 2.5)
    assert watch.flags == {"liked": True}


def test_a_replayed_batch_changes_nothing(api):
    post(api, LOOK, WATCH)

    assert counts(post(api, LOOK, WATCH)) == (0, 2, 0, 0)
    assert history(api) == ["p3"]


def test_an_event_id_within_a_batch_counts_once(api):
    assert counts(post(api, LOOK, {**LOOK, "product_id": "p4"})) == (1, 1, 0, 0)
    assert history(api) == ["p3"]


def test_a_known_event_id_of_another_user_changes_nothing(api):
    post(api, LOOK)

    assert counts(post(api, {**LOOK, "user_id": "bob"})) == (0, 1, 0, 0)
    assert history(api, "bob") == []


def test_the_same_event_without_an_id_is_known_again(api):
    row = {name: value for name, value in LOOK.items() if name != "event_id"}
    post(api, row)

    assert counts(post(api, row)) == (0, 1, 0, 0)
    assert counts(post(api, {**row, "event": "click"})) == (1, 0, 0, 0)


def test_good_rows_are_stored_beside_bad_ones(api):
    answer = post(api, LOOK, {"user_id": "ann"}, {**LOOK, "event_id": "e2", "event": "stare"}, 7, {**WATCH})

    assert counts(answer) == (2, 0, 0, 3)
    assert [(refused["row"], refused["event_id"]) for refused in answer["refused"]] == [(1, None), (2, "e2"), (3, None)]
    assert history(api) == ["p3"]


def test_items_that_the_snapshot_lacks_are_stored_and_counted(api):
    answer = post(api, {**LOOK, "product_id": "p999"}, {**WATCH, "video_id": "v999"}, {**LOOK, "event_id": "e3"})

    assert counts(answer) == (3, 0, 2, 0)
    assert set(history(api)) == {"p999", "p3"}
    assert counts(post(api, {**LOOK, "product_id": "p999"})) == (0, 1, 0, 0)  # unknown as it is, it is not new


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"user_id": None}, "user_id is no text of 1 to 200 characters"),
        ({"user_id": ""}, "user_id is no text"),
        ({"user_id": "a" * 201}, "user_id is no text"),
        ({"user_id": 7}, "user_id is no text"),
        ({"user_id": ["ann"]}, "user_id is no text"),
        ({"product_id": {}}, "product_id is no text"),
        ({"event_id": ""}, "event_id is no text"),
        ({"event_id": 7}, "event_id is no text"),
        ({"video_id": "v1"}, "either a product_id or a video_id"),
        ({"event": "stare"}, "event is none of"),
        ({"event": None}, "event is none of"),
        ({"event": ["view"]}, "event is none of"),
        ({"colour": "red"}, "unknown field 'colour'"),
        ({"watch_time_s": 1}, "unknown field 'watch_time_s'"),
        ({"occurred_at": "yesterday"}, "neither ISO 8601 nor a number"),
        ({"occurred_at": "2026-02-28T12:00:00"}, "without a time zone"),
        ({"occurred_at": (NOW + timedelta(minutes=6)).isoformat()}, "lies in the future"),
        ({"occurred_at": 1e18}, "no time since 1970"),
        ({"occurred_at": -1}, "no time since 1970"),
        ({"occurred_at": True}, "neither ISO 8601"),
        ({"occurred_at": []}, "neither ISO 8601"),
        ({"occurred_at": "9999-12-31T23:59:59-23:59"}, "no time since 1970"),
    ],
)
def test_a_row_that_cannot_be_stored_is_refused_with_a_reason(idle, change, reason):
    answer = post(idle, {**LOOK, **change})

    assert counts(answer) == (0, 0, 0, 1)
    assert reason in answer["refused"][0]["reason"]


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"watch_time_s": None}, "watch_time_s is no number"),
        ({"watch_time_s": -0.1}, "watch_time_s is no number"),
        ({"watch_time_s": "2"}, "watch_time_s is no number"),
        ({"watch_time_s": True}, "watch_time_s is no number"),
        ({"watch_time_s": 10**400}, "watch_time_s is no number"),
        ({"liked": 1}, "are true or false"),
        ({"shared": "yes"}, "are true or false"),
        ({"feed_id": "f" * 201}, "feed_id is no text"),
        ({"feed_id": 7}, "feed_id is no text"),
        ({"event": "view"}, "unknown field 'event'"),
        ({"occurred_at": NOW.timestamp() - 8 * DAY_S}, "more than 7 days back"),
    ],
)
def test_a_watch_that_cannot_be_stored_is_refused_with_a_reason(idle, change, reason):
    answer = post(idle, {**WATCH, **change})

    assert counts(answer) == (0, 0, 0, 1)
    assert reason in answer["refused"][0]["reason"]


@pytest.mark.parametrize("number", ["NaN", "Infinity", "-Infinity", "1e999"])
@pytest.mark.parametrize("field", ["watch_time_s", "occurred_at"])
def test_numbers_that_are_none_are_refused(idle, field, number):
    row = json.dumps({**WATCH, field: "HERE"}).replace('"HERE"', number)

    assert counts(post_text(idle, f"[{row}]").json()) == (0, 0, 0, 1)


@pytest.mark.parametrize("field", ["user_id", "product_id", "event_id"])
def test_half_a_character_is_refused(idle, field):
    text = json.dumps([{**LOOK, field: "HERE"}]).replace("HERE", "\\ud800")

    assert counts(post_text(idle, text).json()) == (0, 0, 0, 1)


def test_half_a_character_in_a_field_that_nobody_knows_is_told(idle):
    answer = post_text(idle, '[{"user_id": "ann", "product_id": "p1", "\\ud800": 1}]')

    assert answer.status_code == 200
    assert "unknown field" in answer.json()["refused"][0]["reason"]


def test_a_clock_that_is_a_little_ahead_counts_as_now(api, clock):
    post(api, {**LOOK, "occurred_at": (NOW + timedelta(minutes=4)).isoformat()})

    (event,) = api.services.store.user("ann", clock.now_us).history
    assert event.occurred_us == clock.now_us


def test_times_may_be_seconds_or_in_another_zone(api):
    post(
        api,
        {**LOOK, "occurred_at": 1_700_000_000.5},
        {**LOOK, "event_id": "e2", "occurred_at": "2026-02-28T13:00+01:00"},
    )

    times = [event.occurred_us for event in api.services.store.user("ann", api.services.now_us()).history]
    assert times == [1_700_000_000_500_000, 1_772_280_000_000_000]


def test_a_single_object_is_a_batch_of_one(api):
    assert counts(post_text(api, json.dumps(LOOK)).json()) == (1, 0, 0, 0)


def test_an_empty_batch_stores_nothing(idle):
    assert counts(post(idle)) == (0, 0, 0, 0)
    assert counts(post_text(idle, "\n \n", NDJSON).json()) == (0, 0, 0, 0)


@pytest.mark.parametrize("kind", [NDJSON, "Application/X-NDJSON; charset=utf-8"])
def test_a_batch_may_be_an_object_a_line(api, kind):
    text = f"{json.dumps(LOOK)}\r\n\n{json.dumps(WATCH)}"

    assert counts(post_text(api, text, kind).json()) == (2, 0, 0, 0)


def test_a_line_that_is_no_json_refuses_that_row_alone(api):
    text = f'{json.dumps(LOOK)}\n{{"user_id": "an\n{json.dumps(WATCH)}\n[]\n'

    answer = post_text(api, text, NDJSON).json()

    assert counts(answer) == (2, 0, 0, 2)
    assert {refused["reason"] for refused in answer["refused"]} == {"the row is no JSON object"}


def test_a_line_separator_within_a_text_breaks_no_line(api):
    row = json.dumps({**LOOK, "user_id": "a\u2028b\x85c"}, ensure_ascii=False)

    assert counts(post_text(api, row, NDJSON).json()) == (1, 0, 0, 0)
    assert api.get("/v1/users?prefix=a").json()["users"] == ["a\u2028b\x85c"]


@pytest.mark.parametrize(
    ("content", "status"),
    [
        (b"", 400),
        (b"[", 400),
        (b"\xff\xfe", 400),
        ('[{"user_id": "ü"}]'.encode("latin-1"), 400),
        ("[]".encode("utf-16"), 400),
        (b"[" * 200_000, 400),
        (b'{"a":' * 100_000 + b"1" + b"}" * 100_000, 400),
        (b"1" * 5000, 400),
        (b"7", 422),
        (b'"text"', 422),
        (b"null", 422),
        (b"true", 422),
    ],
)
def test_a_body_that_is_no_batch_is_refused(idle, content, status):
    assert post_text(idle, content).status_code == status


def test_deep_rows_are_refused_one_by_one(idle):
    text = '{"user_id": ' + "[" * 100_000 + "]" * 100_000 + "}"

    assert counts(post_text(idle, text, NDJSON).json()) == (0, 0, 0, 1)


def test_a_batch_has_a_largest_number_of_rows(shop, tmp_path):
    with serving(shop, state=tmp_path / "state", max_events=3) as api:
        rows = [{"user_id": "ann", "product_id": f"p{number}"} for number in range(4)]

        assert post(api, *rows[:3])["accepted"] == 3
        answer = api.post("/v1/events", json=rows)

    assert answer.status_code == 413
    assert answer.json()["error"]["code"] == "too_many_events"


def test_a_full_batch_is_stored(api):
    rows = [{"user_id": "ann", "product_id": "p3", "event_id": f"e{number}"} for number in range(1000)]

    assert post(api, *rows)["accepted"] == 1000


@pytest.mark.parametrize("user", ["ü", "日本", "a b", "a\0b", "🙂", "..", "'; DROP TABLE users; --", "a" * 200])
def test_odd_users_are_kept_apart_and_found_again(api, user):
    post(api, {**LOOK, "user_id": user}, {**LOOK, "user_id": user + "x" if len(user) < 200 else "x", "event_id": "e2"})

    quoted = "".join(f"%{byte:02X}" for byte in user.encode())
    answer = api.get(f"/v1/users/{quoted}/history").json()

    assert (answer["user_id"], len(answer["events"])) == (user, 1)


def test_events_while_no_version_is_loaded_are_not_stored(tmp_path):
    with serving(tmp_path) as api:
        answer = api.post("/v1/events", json=[LOOK])
        assert api.services.store.users("", 10) == []

    assert answer.status_code == 503
