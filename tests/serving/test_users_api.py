"""What is remembered of users over HTTP: weights by hand, erasure that leaves nothing, and merging."""

import sqlite3

import pytest

from serving.answers import HistoryAnswer
from serving.feeds import FeedRequest, make_page
from serving.identity import user_hash
from tests.serving.site import Clock, build_site, ids, open_site, serving

HOUR_S = 3600.0
TOML = """
[systems.patient]
half_life = "10h"
event_weights = { purchase = 3.0, click = 0.5 }
"""


@pytest.fixture(scope="module", name="shop")
def _shop(tmp_path_factory):
    return build_site(tmp_path_factory.mktemp("users"))


@pytest.fixture(name="clock")
def _clock():
    return Clock()


@pytest.fixture(name="api")
def _api(shop, tmp_path, clock):
    (tmp_path / "lookreel.toml").write_text(TOML)
    with serving(shop, clock, state=tmp_path / "state", config=tmp_path / "lookreel.toml") as client:
        yield client


def put(api, user, *rows):
    """Post rows with the hours since each."""
    now_s = api.services.now_us() / 1e6
    posted = [{"user_id": user, **row, "occurred_at": now_s - row.get("occurred_at", 0) * HOUR_S} for row in rows]
    answer = api.post("/v1/events", json=posted).json()
    assert answer["refused"] == []


def history(api, user="ann", query=""):
    return api.get(f"/v1/users/{user}/history?{query}").json()


def test_weights_halve_with_each_half_life(api):
    put(
        api, "ann", {"product_id": "p1", "occurred_at": 30}, {"product_id": "p2", "occurred_at": 10},
        {"product_id": "p3", "occurred_at": 20, "event": "purchase"},
        {"product_id": "p4", "occurred_at": 20, "event": "click"},
        {"product_id": "p5", "occurred_at": 40, "event": "shown"},
    )  # fmt: skip

    answer = history(api, query="system=patient")

    weights = {event["product_id"]: event["weight"] for event in answer["events"]}
    # Half-lives behind the newest, p2: 0, 1, 1, 2, 3; times the weight of the kind: a showing has none.
    assert weights == pytest.approx({"p2": 1.0, "p3": 3 / 2, "p4": 0.5 / 2, "p1": 1 / 4, "p5": 0.0})
    assert answer["half_life_s"] == 10 * HOUR_S
    assert HistoryAnswer.model_validate(answer, strict=True).model_dump() == answer


def test_the_history_is_told_newest_first(api):
    put(api, "ann", {"product_id": "p1", "occurred_at": 3}, {"product_id": "p2", "occurred_at": 1})
    put(api, "ann", {"product_id": "p3", "occurred_at": 2})

    assert [event["product_id"] for event in history(api)["events"]] == ["p2", "p3", "p1"]


def test_products_that_the_snapshot_lacks_are_told(api):
    put(api, "ann", {"product_id": "p1", "occurred_at": 3}, {"product_id": "gone", "occurred_at": 1})

    assert [(event["product_id"], event["known"]) for event in history(api)["events"]] == [
        ("gone", False),
        ("p1", True),
    ]


def test_seen_videos_and_the_market_are_told(api):
    put(api, "ann", {"video_id": "v1", "watch_time_s": 1}, {"video_id": "v2", "watch_time_s": 0})
    api.services.store.put_markets({"ann": "de"})

    assert sorted(history(api)["seen"]) == ["v1", "v2"]
    assert history(api)["market"] == "de"


def test_of_somebody_unknown_nothing_is_remembered(api):
    answer = history(api, "nobody")

    assert (answer["events"], answer["seen"], answer["market"]) == ([], [], None)


def test_an_unknown_system_has_no_weights(api):
    assert api.get("/v1/users/ann/history?system=best").status_code == 422


def test_the_last_events_are_kept(shop, tmp_path):
    (tmp_path / "lookreel.toml").write_text("[serving]\nhistory = 3\n")
    with serving(shop, state=tmp_path / "state", config=tmp_path / "lookreel.toml") as api:
        put(api, "ann", *({"product_id": f"p{hours}", "occurred_at": hours} for hours in range(5)))

        assert [event["product_id"] for event in history(api)["events"]] == ["p0", "p1", "p2"]


def test_a_seen_video_comes_back_after_its_days(shop, tmp_path, clock):
    (tmp_path / "lookreel.toml").write_text("[serving]\nseen_days = 2\n")
    with serving(shop, clock, state=tmp_path / "state", config=tmp_path / "lookreel.toml") as api:
        put(api, "ann", {"video_id": "v1", "watch_time_s": 1})
        assert "v1" not in ids(api.get("/v1/users/ann/feed?k=60"))
        clock.now_us += 49 * 3600 * 10**6

        assert "v1" in ids(api.get("/v1/users/ann/feed?k=60"))


def test_users_are_found_by_the_beginning_of_their_id(api):
    for user in ("anna", "ann", "bob", "anna2"):
        put(api, user, {"product_id": "p1"})

    assert api.get("/v1/users?prefix=ann").json() == {"users": ["ann", "anna", "anna2"]}
    assert api.get("/v1/users?prefix=ann&limit=2").json() == {"users": ["ann", "anna"]}
    assert api.get("/v1/users").json() == {"users": ["ann", "anna", "anna2", "bob"]}
    assert api.get("/v1/users?prefix=x").json() == {"users": []}


@pytest.mark.parametrize("prefix", ["%25", "_", "a%25", "ann%00", "%F0%9F%98%80", "*"])
def test_a_prefix_is_no_pattern(api, prefix):
    put(api, "ann", {"product_id": "p1"})

    assert api.get(f"/v1/users?prefix={prefix}").json() == {"users": []}


@pytest.mark.parametrize("query", ["limit=0", "limit=1001", "limit=x", "prefix=" + "a" * 201])
def test_a_list_of_users_has_bounds(api, query):
    assert api.get(f"/v1/users?{query}").status_code == 422


def fill(api, clock, user="ann"):
    put(api, user, {"product_id": "p1"}, {"product_id": "p2"}, {"video_id": "v1", "watch_time_s": 1})
    api.services.store.put_markets({user: "de"})
    clock.now_us += 1
    assert api.get(f"/v1/users/{user}/feed").json()["user"]["events"] == 2
    clock.now_us += 1


def test_an_erased_user_leaves_nothing_online(api, clock, tmp_path):
    fill(api, clock, "zebra-7")
    api.services.parts.recorder.save()

    answer = api.delete("/v1/users/zebra-7")

    assert answer.json() == {"erased": ["zebra-7"]}
    assert api.get("/v1/users?prefix=z").json() == {"users": []}
    told = history(api, "zebra-7")
    assert (told["events"], told["seen"], told["market"]) == ([], [], None)
    assert list(api.services.store.watches(0, clock.now_us)) == []
    assert [recorded.user_id for recorded in api.services.parts.recorder.all()] == []
    assert not any(b"zebra-7" in file.read_bytes() for file in (tmp_path / "state/recordings").iterdir())
    database = sqlite3.connect(tmp_path / "state/events.db")
    left = {line for line in database.iterdump() if "zebra-7" in line}
    database.close()
    assert [line.partition(" VALUES")[0] for line in left] == ['INSERT INTO "erasures"']


def test_an_erased_user_starts_anew(api, clock):
    fill(api, clock)
    api.delete("/v1/users/ann")
    clock.now_us += 1

    answer = api.get("/v1/users/ann/feed?k=60").json()

    assert (answer["fallback"], answer["user"]["known"], answer["returned"]) == ("global", False, 60)


def test_others_stay_when_a_user_is_erased(api, clock):
    fill(api, clock, "ann")
    fill(api, clock, "anna")

    api.delete("/v1/users/ann")

    assert len(history(api, "anna")["events"]) == 2
    assert {recorded.user_id for recorded in api.services.parts.recorder.all()} == {"anna"}


def test_events_that_are_sent_again_after_an_erasure_stay_away(api, clock):
    row = {"user_id": "ann", "product_id": "p1", "event_id": "e1", "occurred_at": clock.now_us / 1e6}
    api.post("/v1/events", json=[row])
    clock.now_us += 1
    api.delete("/v1/users/ann")

    assert api.post("/v1/events", json=[row]).json()["duplicates"] == 1
    assert history(api)["events"] == []


def test_erasing_somebody_unknown_is_no_error(api):
    assert api.delete("/v1/users/nobody").json() == {"erased": ["nobody"]}


def test_recorded_requests_of_somebody_who_is_only_known_by_a_hash_go_with_the_next_tick(api, clock):
    fill(api, clock)
    store = api.services.store
    store.erase("ann", clock.now_us)
    (entry,) = store.erasures()
    store.settle(entry, user_hash(api.services.secret, "ann"))

    api.services._forget_erased()

    assert api.services.parts.recorder.all() == []


def test_a_request_is_recorded_as_of_when_its_history_was_read(api, clock):
    fill(api, clock)
    request = FeedRequest(5, "ann")
    page, known = make_page(api.services, request), api.services.store.user("ann", clock.now_us)

    api.services.observe(
        request, page, known, store_s=0.5, rank_s=1.5
    )  # an erasure in these two seconds takes it along

    assert api.services.parts.recorder.all()[-1].at_us == clock.now_us - 2_000_000


def test_who_comes_back_after_an_erasure_is_recorded_again(api, clock):
    api.delete("/v1/users/ann")
    clock.now_us += 60_000_000
    fill(api, clock)

    api.services._forget_erased()

    assert [recorded.user_id for recorded in api.services.parts.recorder.all()] == ["ann"]


def test_an_erasure_survives_a_restart(shop, tmp_path, clock):
    with serving(shop, clock, state=tmp_path / "state") as api:
        fill(api, clock)
        api.delete("/v1/users/ann")
    services = open_site(shop, clock, state=tmp_path / "state").start()

    try:
        assert services.store.users("", 10) == []
        assert services.parts.recorder.all() == []
        assert [erasure.user_id for erasure in services.store.erasures()] == ["ann"]
    finally:
        services.close()


def test_a_visitor_becomes_the_user_that_they_are(api, clock):
    put(api, "guest", {"product_id": "p1", "occurred_at": 2}, {"video_id": "v1", "watch_time_s": 1})
    put(api, "ann", {"product_id": "p2", "occurred_at": 1}, {"video_id": "v2", "watch_time_s": 1})

    answer = api.post("/v1/users/guest/merge/ann")

    assert answer.json() == {"moved": 2}
    assert [event["product_id"] for event in history(api)["events"]] == ["p2", "p1"]
    assert sorted(history(api)["seen"]) == ["v1", "v2"]
    assert history(api, "guest")["events"] == []
    assert not {"v1", "v2"} & set(ids(api.get("/v1/users/ann/feed?k=60")))


def test_merging_again_moves_nothing(api):
    put(api, "guest", {"product_id": "p1"})
    api.post("/v1/users/guest/merge/ann")

    assert api.post("/v1/users/guest/merge/ann").json() == {"moved": 0}


def test_erasing_a_user_erases_whom_they_were_before(api, clock):
    put(api, "guest", {"product_id": "p1"})
    clock.now_us += 1
    api.get("/v1/users/guest/feed")
    api.post("/v1/users/guest/merge/ann")
    clock.now_us += 1

    assert api.delete("/v1/users/ann").json() == {"erased": ["ann", "guest"]}
    assert api.services.parts.recorder.all() == []


def test_nobody_is_merged_into_themselves(api):
    put(api, "ann", {"product_id": "p1"})

    assert api.post("/v1/users/ann/merge/ann").status_code == 422
    assert len(history(api)["events"]) == 1
