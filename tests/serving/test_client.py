"""The typed client: against the real app in this process and in another one, and against answers that are scripted."""

import json
import logging
import os
import pickle
import re
import subprocess
import sys
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from textwrap import dedent

import httpx
import pytest

import serving.client
from serving.bodies import FeedWishes, HistoryItem, OfferPatch
from serving.client import ApiCallError, AsyncClient, Client, FeedOptions, Interaction, Retries, Watch, with_event_ids
from serving.client.rows import MAX_BYTES, iter_batches
from tests.serving.asked import Bridge, Server, Time, open_client
from tests.serving.site import ADMIN_KEY, Clock, build_site
from tests.serving.site import serving as serving_site

OK = {"status": "ok"}
PNG = b"\x89PNG\r\n\x1a\nrest"
NOBODY = {"user_id": None, "known": False, "events": 0, "unknown_products": 0, "market": None}
FOUND = {"snapshot": "s", "videos": [], "returned": 0, "eligible": 0, "exact": True}
CLIP = bytes(range(256)) * 4


@pytest.fixture(autouse=True)
def _no_key(monkeypatch):
    monkeypatch.delenv("LOOKREEL_API_KEY", raising=False)


@pytest.fixture(params=["sync", "async"])
def kind(request):
    return request.param


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    root = build_site(tmp_path_factory.mktemp("site"))
    (root / "shop/v1.mp4").write_bytes(CLIP)
    return root


class Ticking(Clock):
    """Time goes on between two looks: what was just posted lies before the next feed."""

    def __call__(self):
        self.now_us += 1
        return self.now_us


@pytest.fixture(name="site")
def _site(root, tmp_path):
    with serving_site(root, Ticking(), state=tmp_path / "state", admin_keys=ADMIN_KEY) as site:
        yield site


def transport_to(site, kind):
    return Bridge(site) if kind == "sync" else httpx.ASGITransport(site.app, raise_app_exceptions=False)


@pytest.fixture(name="client")
def _client(site, kind):
    with open_client(kind, transport_to(site, kind), api_key=ADMIN_KEY) as client:
        yield client


class Script:
    """Answers in turn, the last one for ever, and keeps what was asked: responses, or kinds of failure."""

    def __init__(self, *answers):
        self._answers, self.asked = list(answers), []

    def __call__(self, request):
        self.asked.append(request)
        answer = self._answers.pop(0) if len(self._answers) > 1 else self._answers[0]
        if isinstance(answer, type):
            raise answer("it failed")
        status, content, *headers = answer
        return httpx.Response(status, headers=dict(*headers), **content)


def told(status, value=OK, **headers):
    """A JSON answer."""
    return status, {"json": value}, {name.replace("_", "-"): text for name, text in headers.items()}


def refused(status, code="unavailable", message="Not now.", cure="Try again.", **headers):
    return told(status, {"error": {"code": code, "message": message, "cure": cure}}, **headers)


SYSTEMS = told(200, {"default": "multimodal", "experiment": None, "systems": []})


@pytest.fixture(name="scripted")
def _scripted(kind):
    """Opens a client for a script, with a clock of its own."""
    opened = []

    def open_one(script, time=None, **given):
        context = open_client(kind, httpx.MockTransport(script), time, **given)
        opened.append(context)
        return context.__enter__()

    yield open_one
    for context in opened:
        context.__exit__(None, None, None)


# --- the real app


def test_a_feed_is_typed_and_follows_from_what_was_posted(client):
    posted = client.post_events([Interaction("ann", "p3", event="wishlist"), {"user_id": "ann", "product_id": "p4"}])

    page = client.feed("ann", k=5, where={"markets": ("de", "fr")}, half_life="3d", exclude=["v1", "v2"])

    assert (posted.accepted, posted.duplicates, posted.refused) == (2, 0, [])
    assert [video.rank for video in page.videos] == [1, 2, 3, 4, 5]
    assert {reason.product_id for reason in page.videos[0].reasons} <= {"p3", "p4"}
    assert page.user.events == 2
    assert not {"v1", "v2"} & {video.video_id for video in page.videos}


def test_every_option_of_a_feed_is_known_to_the_server_and_the_other_way_round(client):
    options = {
        "k": 3, "system": "multimodal", "where": {"markets": "de"}, "market": "de", "exclude": ["v1"],
        "half_life": "12h", "diversity": 0.5, "freshness": 0.1, "cap_creator": 1, "cap_brand": 2, "collapse": 0.99,
        "explain": False,
    }  # fmt: skip
    page = client.feed("ann", **options)
    second = client.feed("ann", **options, cursor=page.cursor)
    mine = client.feed_for([HistoryItem(product_id="p1", occurred_at=1.0)], **options)

    assert set(FeedOptions.__annotations__) == set(FeedWishes.model_fields) == {*options, "cursor"}
    assert (second.feed_id, second.videos[0].rank) == (page.feed_id, 4)
    assert all(video.reasons == [] for video in mine.videos)


def test_a_history_may_hold_times_with_a_zone_and_rows_of_any_kind(client):
    @dataclass(frozen=True)
    class Touch:
        product_id: str
        occurred_at: datetime

    history = [Touch("p1", datetime(2026, 2, 1, tzinfo=UTC)), {"product_id": "p2", "occurred_at": 5, "event": "click"}]

    assert client.feed_for(history, k=2).user.events == 2


def test_all_pages_together_repeat_nothing_and_leave_nothing_out(client):
    pages = list(client.pages("ann", k=7))

    videos = [video for page in pages for video in page.videos]
    assert len(videos) == len({video.video_id for video in videos}) == 60
    assert [video.rank for video in videos] == list(range(1, 61))
    assert [page.exhausted for page in pages][-1]
    assert {page.feed_id for page in pages} == {pages[0].feed_id}


def test_what_was_seen_comes_only_again_and_then_all_of_it_once(client):
    client.post_events([Watch("ann", f"v{number}", 2.0) for number in range(40)])

    unseen = [video.video_id for video in client.videos("ann", k=8)]
    all_of_them = [video.video_id for video in client.videos("ann", again=True, k=8)]

    assert set(unseen) == {f"v{number}" for number in range(40, 60)}
    assert len(unseen) == 20
    assert len(all_of_them) == len(set(all_of_them)) == 60
    assert set(all_of_them[:20]) == set(unseen)


def test_for_who_has_seen_all_only_again_gives_something(client):
    client.post_events([Watch("ann", f"v{number}", 2.0) for number in range(60)])

    assert list(client.pages("ann")) == []
    assert len(list(client.videos("ann", again=True))) == 60


def test_a_walk_goes_on_behind_a_cursor(client):
    first = client.feed("ann", k=50)

    rest = list(client.videos("ann", k=50, cursor=first.cursor))

    assert [video.rank for video in rest] == list(range(51, 61))


def test_items_their_files_and_what_is_near(client):
    assert client.video("v1").attributes["creator_id"] == "c1"
    assert client.product("p1", market="de").available
    assert client.poster("v1").startswith(b"v1/")
    assert client.media("v1") == CLIP
    assert client.media("v1", 100, 200) == CLIP[100:200]
    assert client.media("v1", 1000) == CLIP[1000:]
    assert "v1" not in {video.video_id for video in client.similar("v1", k=60, where={"markets": "fr"}).videos}
    with client.stream_media("v1", 10, 20) as pieces:
        assert b"".join(pieces) == CLIP[10:20]


def test_a_range_behind_the_end_and_a_missing_file_are_refused_as_the_server_says(client):
    with pytest.raises(ApiCallError) as behind:
        client.media("v1", 5000)
    with pytest.raises(ApiCallError) as missing, client.stream_media("v2"):
        pass

    assert (behind.value.status, behind.value.code) == (416, "bad_range")
    assert (missing.value.status, missing.value.code) == (404, "not_found")


def test_users_are_listed_remembered_merged_and_erased(client):
    client.post_events([Interaction("guest", "p1"), Interaction("guest", "p2"), Interaction("bob", "p1")])

    assert client.merge("guest", "ann").moved == 2
    assert client.users().users == ["ann", "bob"]
    assert client.users("b", limit=1).users == ["bob"]
    assert {event.product_id for event in client.history("ann", system="multimodal").events} == {"p1", "p2"}
    assert set(client.erase("ann").erased) == {"ann", "guest"}
    assert client.history("ann").events == []


def test_an_operator_blocks_patches_and_looks_at_versions(client):
    client.block("video", "clips/a 50%", "recalled")
    left = client.unblock("video", "clips/a 50%")
    blocked = client.block("creator", "c1", "left")
    version = client.snapshot().live

    assert left.blocks == []
    assert [block.key for block in client.blocks().blocks] == [blocked.key] == ["c1"]
    assert client.patch_products([OfferPatch(product_id="p1", price=3.5), {"product_id": "q", "available": False}])
    assert client.load(version).version == version
    with pytest.raises(ApiCallError, match="409 not_moved"):
        client.rollback()


def test_how_the_server_is(client):
    assert client.health().status == "ok"
    assert client.ready().events is True
    assert client.systems().default in {system.name for system in client.systems().systems}
    assert "# TYPE" in client.metrics()


CALLS = {
    "feed": lambda c: c.feed("ann"),
    "feed_for": lambda c: c.feed_for([]),
    "pages": lambda c: list(c.pages("ann")),
    "videos": lambda c: list(c.videos("ann")),
    "search": lambda c: c.search("red", where={"markets": "de"}, market="de"),
    "search_image": lambda c: c.search_image(PNG, k=2, where={"markets": "de"}),
    "similar": lambda c: c.similar("v1"),
    "video": lambda c: c.video("v1"),
    "product": lambda c: c.product("p1"),
    "poster": lambda c: c.poster("v1"),
    "photo": lambda c: c.photo("p1"),
    "media": lambda c: c.media("v1"),
    "stream_media": lambda c: c.stream_media("v1").__enter__(),
    "post_events": lambda c: c.post_events([Interaction("ann", "p1")]),
    "history": lambda c: c.history("ann"),
    "users": lambda c: c.users(),
    "erase": lambda c: c.erase("ann"),
    "merge": lambda c: c.merge("a", "b"),
    "systems": lambda c: c.systems(),
    "health": lambda c: c.health(),
    "ready": lambda c: c.ready(),
    "metrics": lambda c: c.metrics(),
    "snapshot": lambda c: c.snapshot(),
    "load": lambda c: c.load("0" * 12, accept="0" * 12),
    "rollback": lambda c: c.rollback(),
    "blocks": lambda c: c.blocks(),
    "block": lambda c: c.block("video", "v1", "why"),
    "unblock": lambda c: c.unblock("video", "v1"),
    "patch_products": lambda c: c.patch_products([{"product_id": "p1", "available": True}]),
}


def outcome(call, client):
    """What a call comes to: its error, if it is one that this site must answer with."""
    try:
        return call(client)
    except ApiCallError as error:
        return error


def test_there_is_a_method_for_every_route_in_both_clients(site):
    asked = []
    transport = Bridge(site)
    noted = httpx.MockTransport(lambda r: asked.append((r.method, r.url.path)) or transport.handle_request(r))
    with open_client("sync", noted, api_key=ADMIN_KEY) as client:
        outcomes = {name: outcome(call, client) for name, call in CALLS.items()}

    routes = {(method.upper(), path) for path, methods in site.app.openapi()["paths"].items() for method in methods}
    reached = {
        (method, path)
        for method, path in routes
        for asked_method, asked_path in asked
        if asked_method == method and re.fullmatch(re.sub(r"\{[^}]+\}", "[^/]+", path), asked_path)
    }
    public = {name for name in vars(Client) if not name.startswith("_")} - {"close"}
    errors = {name: error.status for name, error in outcomes.items() if isinstance(error, ApiCallError)}
    assert routes == reached
    assert public == {name for name in vars(AsyncClient) if not name.startswith("_")} - {"close"} == set(CALLS)
    # No model is at hand, this is no whole picture, no product has a photo, and there is one version only.
    assert errors == {"search": 501, "search_image": 422, "photo": 404, "load": 404, "rollback": 409}


# --- what is sent


def test_pictures_are_sent_as_what_they_are_from_bytes_or_a_file(scripted, tmp_path):
    script = Script(told(200, FOUND))
    client = scripted(script)
    (tmp_path / "dress.png").write_bytes(PNG)

    client.search_image(tmp_path / "dress.png", where={"brand": ["b1", "b2"]}, market="de")
    client.search_image(b"\xff\xd8\xff jpeg")

    first, second = script.asked
    assert (first.headers["content-type"], first.content) == ("image/png", PNG)
    assert first.url.query == b"k=10&where=brand%3Ab1%2Cb2&market=de"
    assert second.headers["content-type"] == "image/jpeg"
    with pytest.raises(ValueError, match="neither JPEG"):
        client.search_image(b"GIF89a")


def test_ids_are_quoted_and_what_would_be_another_route_is_refused(scripted):
    script = Script(told(200, {"erased": []}))
    client = scripted(script)

    client.erase("ü 50%?#")
    client.erase("..")

    assert [request.url.raw_path for request in script.asked] == [
        b"/v1/users/%C3%BC%2050%25%3F%23",
        b"/v1/users/%2E%2E",
    ]
    for user_id in ("", "ann/history"):
        with pytest.raises(ValueError, match="unlike"):
            client.erase(user_id)


def test_what_cannot_be_asked_is_refused_before_it_is_sent(scripted):
    script = Script(told(200))
    client = scripted(script)

    with pytest.raises(TypeError, match="no option 'divresity'; there are k, system"):
        client.feed("ann", divresity=0.5)
    with pytest.raises(ValueError, match="hold no comma"):
        client.feed("ann", where={"brand": "Black, White & Co"})
    with pytest.raises(ValueError, match="begins at 0"):
        client.media("v1", 5, 5)
    with pytest.raises(ValueError, match="too long"):
        client.feed("ann", exclude=["v" * 200] * 500)
    with pytest.raises(TypeError, match="not str"):
        client.post_events(["ann"])
    assert script.asked == []


@pytest.mark.parametrize(
    ("given", "normal"),
    [
        ("http://127.0.0.1:8000/", "http://127.0.0.1:8000"),
        ("https://shop.example/lookreel/v1/", "https://shop.example/lookreel"),
        (" http://[::1]:80 ", "http://[::1]:80"),
    ],
)
def test_addresses_are_normalised(given, normal):
    assert Client(given).base_url == AsyncClient(given).base_url == normal


@pytest.mark.parametrize("given", ["127.0.0.1:8000", "ftp://x", "http://ann:pw@x", "http://x?q=1", "", "http://"])
def test_other_addresses_are_refused_without_their_secrets(given):
    with pytest.raises(ValueError, match="base_url") as refusal:
        Client(given)

    assert "pw" not in str(refusal.value)


def test_a_folder_of_the_address_is_kept(scripted):
    script = Script(SYSTEMS)

    scripted(script, base_url="https://shop.example/lookreel").systems()

    assert str(script.asked[0].url) == "https://shop.example/lookreel/v1/systems"


# --- events


def test_rows_are_given_ids_before_they_are_sent_and_keep_them(scripted):
    stored = {"accepted": 2, "duplicates": 0, "unknown_items": 0, "refused": []}
    script = Script(httpx.ReadTimeout, httpx.RemoteProtocolError, told(200, stored))

    scripted(script).post_events([Interaction("ann", "p1", event_id="mine"), Watch("ann", "v1", 2.5, liked=True)])

    sent = [json.loads(request.content) for request in script.asked]
    assert sent[0] == sent[1] == sent[2]
    assert sent[0][0] == {"user_id": "ann", "product_id": "p1", "event": "view", "event_id": "mine"}
    assert sent[0][1].keys() == {"user_id", "video_id", "watch_time_s", "liked", "event_id"}
    assert len(sent[0][1]["event_id"]) == 36


def test_a_batch_whose_answer_is_lost_is_stored_once(site, kind):
    inner, lost = Bridge(site), []

    def lossy(request):
        answer = inner.handle_request(request)
        if not lost:
            lost.append(answer)
            raise httpx.ReadError("reset")
        return answer

    with open_client(kind, httpx.MockTransport(lossy), api_key=ADMIN_KEY) as client:
        posted = client.post_events([Interaction("zoe", "p1")] * 3)
        remembered = client.history("zoe").events

    assert (posted.accepted, posted.duplicates) == (0, 3)
    assert len(remembered) == 3


def test_large_batches_are_sent_in_parts_and_refused_rows_counted_through(client):
    rows = [Interaction("ann", "p1", occurred_at=number) for number in range(2500)]
    rows[2300] = {"user_id": "ann"}

    posted = client.post_events(rows)

    assert posted.accepted == 2499
    assert [(row.row, row.reason) for row in posted.refused] == [
        (2300, "the row must name either a product_id or a video_id")
    ]


def test_no_rows_are_no_request(scripted):
    script = Script(told(500))

    assert scripted(script).post_events([]).accepted == 0
    assert script.asked == []


def test_batches_stay_below_the_servers_bytes_too():
    rows = [{"user_id": "u" * 190_000, "n": number} for number in range(11)]

    batches = list(iter_batches(rows))

    # Five rows are 950 thousand bytes and some, six are over a million.
    assert [batch.first_row for batch in batches] == [0, 5, 10]
    assert all(len(batch.body) <= MAX_BYTES + 2 for batch in batches)
    assert [row for batch in batches for row in json.loads(batch.body)] == rows


def test_rows_that_were_given_ids_may_be_posted_again(client):
    rows = list(with_event_ids([Interaction("ann", "p1"), Interaction("ann", "p2")]))

    assert client.post_events(rows).accepted == 2
    assert client.post_events(rows).duplicates == 2


# --- what is tried again


def test_a_busy_server_is_asked_again_after_longer_and_longer_waits(scripted):
    time = Time()
    script = Script(refused(503), refused(429, "rate_limited"), httpx.ConnectError, httpx.ReadTimeout, SYSTEMS)

    answer = scripted(script, time).systems()

    assert answer.default == "multimodal"
    # The longest that jitter draws: 1/4 s, doubled each time.
    assert time.slept == [0.25, 0.5, 1.0, 2.0]


def test_jitter_draws_from_the_whole_wait():
    class Lowest:
        def uniform(self, low, high):
            return low

    time = Time()
    with open_client("sync", httpx.MockTransport(Script(refused(503), SYSTEMS)), time, rng=Lowest()) as client:
        client.systems()

    assert time.slept == [0.0]


def test_waits_grow_no_further_than_the_longest(scripted):
    time = Time()
    client = scripted(
        Script(*[refused(503)] * 6, SYSTEMS), time, retries=Retries(attempts=7, first_wait_s=1, longest_wait_s=4)
    )

    client.systems()

    assert time.slept == [1, 2, 4, 4, 4, 4]


def test_retry_after_is_heeded_as_seconds_or_as_a_date_of_the_servers_clock(scripted):
    time = Time()
    now = datetime(2031, 5, 1, 12, tzinfo=UTC)
    date = lambda moment: moment.strftime("%a, %d %b %Y %H:%M:%S GMT")  # noqa: E731
    script = Script(
        refused(429, Retry_After="3"),
        refused(503, Retry_After=date(now + timedelta(seconds=5)), Date=date(now)),
        refused(503, Retry_After="soon"),
        SYSTEMS,
    )

    scripted(script, time).systems()

    assert time.slept == [3 + 0.25, 5 + 0.5, 1.0]


def test_a_server_that_asks_for_more_than_there_is_time_is_not_asked_again(scripted):
    time = Time()
    script = Script(refused(429, "rate_limited", "Too often.", Retry_After="3600"))

    with pytest.raises(ApiCallError, match="429 rate_limited: Too often"):
        scripted(script, time).systems()

    assert (len(script.asked), time.slept) == (1, [])


def test_attempts_are_bounded(scripted):
    script = Script(httpx.ConnectError)

    with pytest.raises(ApiCallError) as failure:
        scripted(script, retries=Retries(attempts=3)).systems()

    assert len(script.asked) == 3
    assert (failure.value.status, failure.value.code) == (None, "no_answer")
    assert failure.value.message == "http://shop.example cannot be reached (3 tries)."


def test_no_try_begins_after_the_total_time_and_the_last_is_given_what_is_left(scripted):
    time, script = Time(), Script(httpx.ReadTimeout)

    def slow(request):
        time.now_s += request.extensions["timeout"]["read"]
        return script(request)

    with pytest.raises(ApiCallError, match="does not answer in time"):
        scripted(slow, time, timeout_s=8, retries=Retries(attempts=100, total_s=20, first_wait_s=1)).systems()

    # 8 s, wait 1, 8 s, wait 2, and the last second.
    assert [request.extensions["timeout"]["read"] for request in script.asked] == [8, 8, 1]
    assert time.now_s == 20


@pytest.mark.parametrize("status", [400, 401, 403, 404, 409, 413, 422, 500, 501])
def test_what_another_try_does_not_mend_is_raised_at_once_as_the_server_tells_it(scripted, status):
    script = Script(refused(status, "some_code", "It is so.", "Do that."))

    with pytest.raises(ApiCallError) as failure:
        scripted(script).feed("ann")

    error = failure.value
    assert len(script.asked) == 1
    assert (error.status, error.code, error.message, error.cure) == (status, "some_code", "It is so.", "Do that.")
    assert str(error) == str(pickle.loads(pickle.dumps(error))) == f"{status} some_code: It is so. Do that."


@pytest.mark.parametrize("failure", [httpx.ReadTimeout, httpx.ReadError, httpx.RemoteProtocolError, "busy"])
@pytest.mark.parametrize("name", ["rollback", "unblock"])
def test_what_may_have_been_done_and_must_not_be_done_twice_is_not_sent_again(scripted, name, failure):
    script = Script(refused(503) if failure == "busy" else failure)

    with pytest.raises(ApiCallError):
        CALLS[name](scripted(script))

    assert len(script.asked) == 1


def test_it_is_sent_again_when_nothing_can_have_been_done(scripted):
    loaded = told(200, {"version": "a" * 12, "comparison": None})
    script = Script(httpx.ConnectError, httpx.ConnectTimeout, refused(429, "rate_limited"), loaded)

    assert scripted(script).rollback().version == "a" * 12


@pytest.mark.parametrize("name", ["health", "ready"])
def test_probes_ask_once(scripted, name):
    script = Script(refused(503))

    with pytest.raises(ApiCallError, match="503"):
        CALLS[name](scripted(script))

    assert len(script.asked) == 1


def test_loading_a_version_is_waited_for(scripted):
    script = Script(told(200, {"version": "a" * 12, "comparison": None}))

    scripted(script).load("a" * 12)

    assert script.asked[0].extensions["timeout"] == {"connect": 3.0, "read": 310.0, "write": 310.0, "pool": 310.0}
    assert json.loads(script.asked[0].content) == {"version": "a" * 12}


@pytest.mark.parametrize("given", [{"attempts": 0}, {"total_s": -1}, {"first_wait_s": float("nan")}])
def test_impossible_retries_are_refused(given):
    with pytest.raises(ValueError, match="unlike in Retries"):
        Retries(**given)


# --- answers of others


@pytest.mark.parametrize(
    "answer",
    [
        (200, {"html": "<h1>Log in</h1>"}),
        (200, {"json": {"surprise": 1}}),
        (200, {"content": b""}),
        (404, {"html": "<h1>nginx</h1>"}),
        (302, {"content": b""}, {"Location": "http://elsewhere.example/"}),
        (418, {"json": ["teapot"]}),
    ],
)
@pytest.mark.parametrize("name", ["systems", "feed", "poster", "media", "metrics"])
def test_an_answer_of_another_server_is_told_in_one_sentence(scripted, name, answer):
    script = Script(answer, (404, {"html": "<h1>elsewhere</h1>"}))

    with pytest.raises(ApiCallError) as failure:
        CALLS[name](scripted(script))

    assert failure.value.code == "foreign_answer"
    assert "is not one of the Lookreel API" in failure.value.message
    assert "<h1>" not in str(failure.value)


def test_a_newer_server_may_say_more(scripted):
    more = {"default": "x", "experiment": None, "systems": [], "news": {"a": 1}}

    assert scripted(Script(told(200, more))).systems().default == "x"


def test_a_file_elsewhere_is_fetched_there_without_the_key(scripted):
    script = Script(
        (307, {"content": b""}, {"Location": "https://cdn.example/v1.mp4"}),
        (206, {"content": b"abc"}, {"Content-Type": "video/mp4"}),
    )

    assert scripted(script, api_key="a-key-of-some-length").media("v1", 0, 3) == b"abc"
    ours, theirs = script.asked
    assert "a-key" in ours.headers["authorization"]
    assert "authorization" not in theirs.headers
    assert theirs.headers["range"] == "bytes=0-2"


def test_one_who_sends_the_whole_for_a_range_is_not_understood(scripted):
    script = Script((200, {"content": b"abcdef"}, {"Content-Type": "video/mp4"}))
    client = scripted(script)

    with pytest.raises(ApiCallError, match="range_ignored"):
        client.media("v1", 0, 3)
    with pytest.raises(ApiCallError, match="range_ignored"), client.stream_media("v1", 0, 3):
        pass


def test_a_stream_that_breaks_is_told_as_every_failure():
    class Breaking(httpx.SyncByteStream):
        def __iter__(self):
            yield b"abc"
            raise httpx.ReadError("reset")

    transport = httpx.MockTransport(
        lambda request: httpx.Response(200, headers={"Content-Type": "video/mp4"}, stream=Breaking())
    )
    client = Client("http://shop.example", transport=transport)
    with pytest.raises(ApiCallError) as failure, client.stream_media("v1") as pieces:
        list(pieces)
    client.close()

    assert failure.value.message == "http://shop.example broke the connection off (1 try)."


# --- the key


def test_the_key_comes_from_the_argument_or_the_environment(scripted, monkeypatch):
    monkeypatch.setenv("LOOKREEL_API_KEY", " key-of-the-environment\n")
    script = Script(SYSTEMS)

    scripted(script).systems()
    scripted(script, api_key="key-of-the-argument").systems()
    scripted(script, api_key="").systems()

    sent = [request.headers.get("authorization") for request in script.asked]
    assert sent == ["Bearer key-of-the-environment", "Bearer key-of-the-argument", None]


def test_the_key_is_shown_nowhere(scripted, caplog):
    caplog.set_level(logging.DEBUG)
    key = "very-secret-key-1234"
    script = Script(httpx.ReadTimeout, refused(401, "unauthorized"), (200, {"html": "x"}))
    client = scripted(script, api_key=key)
    errors = [outcome(CALLS["systems"], client) for _ in range(2)]

    shown = [repr(client), str(client), caplog.text, *(repr(error) + str(error) + str(vars(error)) for error in errors)]
    chained = [repr(error.__cause__) + repr(error.__context__) for error in errors]

    assert key not in "".join(shown + chained)
    assert "shop.example" in repr(client)


@pytest.mark.parametrize("key", ["two words", "line\nbreak", "schlüssel"])
def test_a_key_that_no_header_holds_is_refused_without_being_repeated(key):
    with pytest.raises(ValueError, match="API key") as refusal:
        Client(api_key=key)

    assert key not in str(refusal.value)


# --- a server in a process of its own


def test_a_call_outlives_the_server_being_killed_and_started_again(root, tmp_path):
    server = Server(root / "snapshot", tmp_path / "state")
    patient = Retries(attempts=1000, total_s=90, first_wait_s=0.2, longest_wait_s=0.2)
    server.start()
    try:
        with Client(f"{server.url}/v1/", ADMIN_KEY, retries=patient) as client:
            posted = client.post_events([Interaction("ann", "p3")])
            page = client.feed("ann", k=5)
            server.kill()
            server.start()
            second = client.feed("ann", k=5, cursor=page.cursor)
            code = snippet().replace("http://127.0.0.1:8000", client.base_url)
            environment = {**os.environ, "LOOKREEL_API_KEY": ADMIN_KEY}
            command = [sys.executable, "-c", code]
            printed = subprocess.run(command, capture_output=True, text=True, env=environment)
    finally:
        server.kill()

    assert posted.accepted == 1
    assert (second.feed_id, second.user.events) == (page.feed_id, 1)
    assert [video.rank for video in second.videos] == [6, 7, 8, 9, 10]
    assert (printed.stderr, printed.returncode) == ("", 0)
    assert [line.split()[0] for line in printed.stdout.splitlines()] == ["1", "2", "3", "4", "5"]


def snippet():
    """The example of the module's docstring."""
    blocks = serving.client.__doc__.split("\n\n")
    return dedent("\n\n".join(block for block in blocks if block.startswith("    ")))


def test_the_client_imports_nothing_heavy():
    heavy = ["numpy", "polars", "pyarrow", "torch", "fastapi", "starlette"]
    code = (
        "import sys, lookreel; lookreel.Client, lookreel.AsyncClient, lookreel.ApiCallError;"
        f"print([m for m in {heavy} if m in sys.modules])"
    )

    printed = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout

    assert printed.strip() == "[]"


def test_the_kinds_of_events_have_one_home():
    from retrieval import event_kinds, schemas, tables

    assert schemas.EVENTS is tables.EVENTS is event_kinds.EVENTS


def test_help_shows_the_arguments_of_a_method_and_what_it_gives():
    import inspect

    signature = inspect.signature(Client("http://shop.example").product)

    assert list(signature.parameters) == ["product_id", "market"]
    assert signature.return_annotation.__name__ == "ProductAnswer"
