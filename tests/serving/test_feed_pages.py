"""The pages of a feed: through exhaustion, across swaps of the snapshot, and while the event store is down."""

import threading
from contextlib import contextmanager

import pytest

from indexing.versions import rollback_snapshot
from serving.app import create_app
from tests.serving.oracle import product_vector, scores_of
from tests.serving.site import Clock, TestClient, build_site, ids, open_breakable, serving, update_site, video_ids


@pytest.fixture(scope="module", name="shop")
def _shop(tmp_path_factory):
    return build_site(tmp_path_factory.mktemp("pages"))


@pytest.fixture(name="clock")
def _clock():
    return Clock()


@pytest.fixture(name="api")
def _api(shop, tmp_path, clock):
    with serving(shop, clock, state=tmp_path / "state") as client:
        look(client, clock)
        yield client


@pytest.fixture(name="moving")
def _moving(tmp_path, clock):
    """A site of its own, whose snapshot a test may change."""
    build_site(tmp_path)
    with serving(tmp_path, clock) as client:
        client.root = tmp_path
        look(client, clock)
        yield client


def look(api, clock, product="p3", user="ann"):
    row = {"user_id": user, "product_id": product, "occurred_at": clock.now_us / 1e6 - 60}
    assert api.post("/v1/events", json=[row]).status_code == 200


def watch(api, clock, *videos):
    rows = [{"user_id": "ann", "video_id": v, "watch_time_s": 1, "occurred_at": clock.now_us / 1e6} for v in videos]
    assert api.post("/v1/events", json=rows).json()["refused"] == []


def page(api, cursor=None, query="k=7", user="ann"):
    answer = api.get(f"/v1/users/{user}/feed?{query}" + (f"&cursor={cursor}" if cursor else ""))
    assert answer.status_code == 200, answer.text
    return answer.json()


def pages(api, n, cursor=None, query="k=7"):
    """So many pages of one feed, each behind the one before."""
    found = []
    for _ in range(n):
        found.append(page(api, found[-1]["cursor"] if found else cursor, query))
    return found


def shown(*answers):
    return [video["video_id"] for answer in answers for video in answer["videos"]]


def follow(api):
    api.services.follower.tick()
    return api.services.stage.live.snapshot.version


def test_pages_are_the_list_in_parts(api):
    found = pages(api, 8, query="k=7")

    assert shown(*found) == shown(page(api, query="k=56"))
    assert [video["rank"] for answer in found for video in answer["videos"]] == list(range(1, 57))
    assert len({answer["feed_id"] for answer in found}) == 1
    assert len({answer["request_id"] for answer in found}) == 8


def test_a_feed_ends_when_all_was_shown(api):
    found = pages(api, 10, query="k=7")

    assert sorted(shown(*found)) == sorted(video_ids())
    assert [answer["returned"] for answer in found] == [7] * 8 + [4, 0]
    assert [answer["exhausted"] for answer in found] == [False] * 8 + [True, True]
    assert [answer["fallback"] for answer in found] == [None] * 9 + ["seen_again"]


def test_a_feed_whose_last_page_is_full_says_so(api):
    assert [answer["exhausted"] for answer in pages(api, 3, query="k=20")] == [False, False, True]


def test_eligible_shrinks_by_what_was_served(api):
    assert [answer["eligible"] for answer in pages(api, 3, query="k=20")] == [60, 40, 20]


def test_behind_all_unseen_the_seen_ones_come_again_best_first(api, clock):
    watch(api, clock, "v1", "v2", "v3")

    first, second, third = pages(api, 3, query="k=57")

    assert (first["returned"], first["exhausted"], first["fallback"]) == (57, True, None)
    scores = scores_of(product_vector("p3"), ["v1", "v2", "v3"])
    assert shown(second) == sorted(scores, key=scores.get, reverse=True)
    assert (second["exhausted"], second["fallback"]) == (True, "seen_again")
    assert [video["rank"] for video in second["videos"]] == [58, 59, 60]
    assert (third["returned"], third["fallback"]) == (0, "seen_again")


def test_who_has_seen_all_gets_it_again_at_once(api, clock):
    watch(api, clock, *video_ids())

    first, second = pages(api, 2, query="k=40")

    assert (first["returned"], first["fallback"], first["exhausted"]) == (40, "seen_again", True)
    assert sorted(shown(first, second)) == sorted(video_ids())


def test_what_passes_no_filter_is_not_in_the_fallback_either(api, clock):
    watch(api, clock, *video_ids())

    answers = pages(api, 3, query="k=20&where=brand:b1&exclude=v1&exclude=v4")

    assert sorted(shown(*answers)) == sorted(f"v{n}" for n in range(7, 60, 3))


def test_a_page_that_a_cap_made_short_is_not_the_end(api, clock):
    watch(api, clock, "v0")

    first, second = pages(api, 2, query="k=10&cap_creator=1")

    assert (first["returned"], first["exhausted"]) == (7, False)  # there are seven creators
    assert (second["returned"], second["fallback"]) == (7, None)
    assert "v0" not in shown(first, second)


def test_capped_pages_reach_every_video(api):
    found = pages(api, 10, query="k=10&cap_creator=1")

    assert sorted(shown(*found)) == sorted(video_ids())
    assert [answer["exhausted"] for answer in found] == [False] * 8 + [True, True]


def test_nothing_repeats_before_an_impression_is_posted_or_after(api, clock):
    first = page(api)
    watch(api, clock, *shown(first)[:3])
    second = page(api, first["cursor"])

    assert not set(shown(first)) & set(shown(second))


def test_what_is_watched_while_paging_is_not_shown_later(api, clock):
    later = shown(*pages(api, 4))[14:]
    first = page(api)
    watch(api, clock, later[0])

    assert later[0] not in shown(*pages(api, 8, first["cursor"]))


def test_a_cursor_may_be_used_again(api):
    first = page(api)

    assert shown(page(api, first["cursor"])) == shown(page(api, first["cursor"]))


def test_a_feed_holds_so_many_videos_and_no_more(shop, tmp_path, clock):
    with serving(shop, clock, state=tmp_path / "state", max_pages=15) as api:
        found = pages(api, 3, query="k=10")

    assert [answer["returned"] for answer in found] == [10, 5, 0]
    assert [answer["exhausted"] for answer in found] == [False, True, True]


def test_a_feed_of_a_history_is_paged_as_well(api):
    body = {"history": [{"product_id": "p3", "occurred_at": 1}], "k": 20}
    first = api.post("/v1/feed", json=body).json()
    second = api.post("/v1/feed", json={**body, "cursor": first["cursor"]}).json()

    assert shown(first, second) == shown(page(api, query="k=40"))


def test_chance_draws_anew_for_each_feed_without_a_name_and_its_pages_go_on(api):
    body = {"history": [], "k": 30, "system": "random"}
    first, other = api.post("/v1/feed", json=body).json(), api.post("/v1/feed", json=body).json()
    rest = api.post("/v1/feed", json=body | {"cursor": first["cursor"]}).json()

    scores = [video["score"] for video in first["videos"] + rest["videos"]]
    assert shown(first) != shown(other)
    assert first["user"]["user_id"] is other["user"]["user_id"] is None
    assert sorted(shown(first, rest)) == sorted(video_ids())
    assert scores == sorted(scores, reverse=True)  # one order, drawn once


@pytest.mark.parametrize("text", ["", "forged", "A" * 20_000, "%FF", "%00", "%F0%9F%98%80"])
def test_what_is_no_cursor_is_refused(api, text):
    answer = api.get(f"/v1/users/ann/feed?cursor={text}")

    assert answer.status_code == 400
    assert answer.json()["error"]["code"] == "invalid_cursor"


def test_a_cursor_of_another_user_or_system_is_refused(api):
    cursor = page(api)["cursor"]

    assert api.get(f"/v1/users/bob/feed?cursor={cursor}").status_code == 400
    assert api.get(f"/v1/users/ann/feed?system=recency&cursor={cursor}").status_code == 400
    assert api.post("/v1/feed", json={"history": [], "cursor": cursor}).status_code == 400
    assert api.get(f"/v1/users/ann/feed?cursor={cursor[:-1]}").status_code == 400


def test_twenty_pages_with_a_swap_in_the_middle_repeat_nothing(moving):
    before = pages(moving, 10, query="k=2")
    gone, new = [f"v{n}" for n in range(0, 60, 6)], [f"v{n}" for n in range(60, 75)]
    version = update_site(moving.root, [v for v in video_ids() if v not in gone] + new, new)
    assert follow(moving) == version

    after = pages(moving, 10, before[-1]["cursor"], "k=2")

    everything = shown(*before, *after)
    assert len(everything) == len(set(everything)) == 40
    assert not set(shown(*after)) & set(gone)
    assert {answer["snapshot"] for answer in after} == {version} != {before[0]["snapshot"]}
    assert [v["rank"] for answer in before + after for v in answer["videos"]] == list(range(1, 41))


def test_across_a_swap_just_what_is_left_and_new_follows(moving):
    first = page(moving, query="k=20")
    left = [v for v in video_ids() if v not in ("v1", "v2", "v3")]
    new = ["v60", "v61"]
    update_site(moving.root, left + new, new)
    follow(moving)

    rest = pages(moving, 3, first["cursor"], "k=20")

    assert sorted(shown(*rest)) == sorted(set(left + new) - set(shown(first)))
    assert rest[-1]["exhausted"]


def test_a_feed_goes_on_over_a_rollback(moving):
    update_site(moving.root, video_ids()[:50])
    follow(moving)
    first = page(moving, query="k=30")
    rollback_snapshot(moving.root / "snapshot")
    follow(moving)

    rest = pages(moving, 2, first["cursor"], "k=20")

    assert sorted(shown(first, *rest)) == sorted(video_ids())


def test_exhaustion_is_not_for_ever(moving):
    first = page(moving, query="k=60")
    update_site(moving.root, [*video_ids(), "v60"], ["v60"])
    follow(moving)

    assert first["exhausted"]
    assert shown(page(moving, first["cursor"], "k=60")) == ["v60"]


def test_seen_videos_stay_seen_over_a_swap(moving, clock):
    watch(moving, clock, "v5", "v6")
    update_site(moving.root, video_ids()[::-1])  # other rows for the same videos
    follow(moving)

    assert set(shown(page(moving, query="k=58"))) == set(video_ids()) - {"v5", "v6"}


def test_no_answer_mixes_two_versions(moving):
    others = [f"v{n}" for n in range(60, 120)]
    first = moving.services.stage.live.snapshot.version
    holds = {first: set(video_ids()), update_site(moving.root, others, others): set(others)}
    ended, answers = threading.Event(), []

    def ask():
        while not ended.is_set():
            answers.append(page(moving, query="k=60"))

    def swap(version):
        rollback_snapshot(moving.root / "snapshot", version)
        assert follow(moving) == version

    asking = [threading.Thread(target=ask) for _ in range(2)]
    with running(asking, ended):
        for version in [*holds] * 4:
            swap(version)

    assert {answer["snapshot"] for answer in answers} == set(holds)
    assert all(set(shown(answer)) == holds[answer["snapshot"]] for answer in answers)


@contextmanager
def running(threads, ended):
    for thread in threads:
        thread.start()
    try:
        yield
    finally:
        ended.set()
        for thread in threads:
            thread.join()


@pytest.fixture(name="broken")
def _broken(shop, tmp_path, clock):
    """A client whose event store goes down and comes back as the test says."""
    services, breakable = open_breakable(shop, clock, state=tmp_path / "state")
    with TestClient(create_app(services), raise_server_exceptions=False) as client:
        client.services, client.store = services, breakable
        look(client, clock)
        yield client


def test_while_the_store_is_down_feeds_are_degraded(broken):
    broken.store.down = True

    answer = page(broken)

    assert (answer["degraded"], answer["fallback"], answer["returned"]) == (True, "global", 7)
    assert (answer["user"]["known"], answer["user"]["events"]) == (False, 0)


def test_a_degraded_feed_keeps_to_filters_and_repeats_nothing(broken):
    first = page(broken, query="k=15&where=markets:fr")
    broken.store.down = True
    second = page(broken, first["cursor"], "k=15&where=markets:fr")

    assert second["degraded"]
    assert sorted(shown(first, second)) == sorted(f"v{n}" for n in range(1, 60, 2))


def test_a_store_that_comes_back_ends_it(broken):
    broken.store.down = True
    page(broken)
    broken.store.down = False
    broken.services.follower.tick()

    answer = page(broken)

    assert (answer["degraded"], answer["fallback"], answer["user"]["events"]) == (False, None, 1)


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("POST", "/v1/events", [{"user_id": "bob", "product_id": "p1", "event_id": "e1"}]),
        ("GET", "/v1/users/ann/history", None),
        ("GET", "/v1/users?prefix=a", None),
        ("DELETE", "/v1/users/ann", None),
        ("POST", "/v1/users/ann/merge/bob", None),
        ("PATCH", "/v1/products", {"products": [{"product_id": "p1", "available": False}]}),
    ],
)
def test_what_needs_the_store_says_when_to_try_again(broken, method, path, body):
    broken.store.down = True

    answer = broken.request(method, path, json=body)

    assert answer.status_code == 503
    assert answer.headers["retry-after"] == "1"
    assert answer.json()["error"]["code"] == "unavailable"


def test_what_was_answered_with_503_was_not_stored(broken):
    row = {"user_id": "bob", "product_id": "p1", "event_id": "e1"}
    broken.store.down = True
    broken.post("/v1/events", json=[row])
    broken.store.down = False
    broken.services.follower.tick()

    assert broken.post("/v1/events", json=[row]).json()["accepted"] == 1


def test_a_worker_is_ready_without_the_store_and_says_so(broken):
    broken.store.down = True
    page(broken)

    answer = broken.get("/readyz")

    assert answer.status_code == 200
    assert answer.json()["events"] is False


def test_search_and_systems_need_no_store(broken):
    broken.store.down = True

    assert broken.get("/v1/videos/v1/similar").status_code == 200
    assert broken.get("/v1/systems").status_code == 200


def test_without_a_snapshot_every_feed_says_when_to_try_again(tmp_path, clock):
    with serving(tmp_path, clock) as api:
        answers = [api.get("/v1/users/ann/feed"), api.get("/readyz"), api.post("/v1/feed", json={"history": []})]
        build_site(tmp_path)
        api.services.follower._again_at = 0.0
        api.services.follower.tick()
        later = api.get("/v1/users/ann/feed")

    assert {answer.status_code for answer in answers} == {503}
    assert {answer.headers["retry-after"] for answer in answers} == {"1"}
    assert not any(str(tmp_path) in answer.text for answer in answers)
    assert len(ids(later)) == 10
