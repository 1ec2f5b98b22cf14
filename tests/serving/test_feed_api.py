"""One page of a feed over HTTP, against plain numpy."""

from datetime import timedelta

import numpy as np
import polars as pl
import pytest

from indexing.publish import build_snapshot
from retrieval.config import choose
from retrieval.schemas import Columns as C
from retrieval.snapshot import HistoryEvent
from retrieval.systems import SystemConfig
from serving.answers import FeedAnswer
from serving.buckets import bucket_of
from serving.served_files import parse_pages
from tests.serving.oracle import (
    HOUR_US,
    best,
    moment_of,
    product_vector,
    scores_of,
    user_vector,
    video_vector,
    weights_of,
)
from tests.serving.site import NOW, Clock, build_site, ids, serving, video_ids
from tests.stores import START

TOML = """
[systems.curious]
explore_position = 2
explore_pool = 5
explore_temperature = 0.5
[systems.german]
where = { markets = "fr" }
[experiment]
name = "spring"
salt = "spring-1"
systems = { control = "recency", treatment = "multimodal" }
"""
IN_LOG = ("request_id", "video_id")


@pytest.fixture(scope="module", name="shop")
def _shop(tmp_path_factory):
    numbers = range(60)
    ratings = [None if n % 4 else n / 8 for n in numbers]
    boxes = [{"width": n} for n in numbers]
    return build_site(tmp_path_factory.mktemp("feeds"), season=list(numbers), rating=ratings, box=boxes)


@pytest.fixture(name="clock")
def _clock():
    return Clock()


@pytest.fixture(name="api")
def _api(shop, tmp_path, clock):
    with serving(shop, clock, state=tmp_path / "state") as client:
        yield client


@pytest.fixture(scope="module", name="idle")
def _idle(shop, tmp_path_factory):
    """A client for requests that change nothing: it is shared, and its clock stands still."""
    with serving(shop, state=tmp_path_factory.mktemp("idle")) as client:
        look(client, client.services.now_us, {"p3": 1}, user="ruled")
        yield client


@pytest.fixture(name="divided")
def _divided(shop, tmp_path, clock):
    (tmp_path / "lookreel.toml").write_text(TOML)
    with serving(shop, clock, state=tmp_path / "state", config=tmp_path / "lookreel.toml") as client:
        yield client


def ago(clock, hours):
    return (clock.now_us - hours * HOUR_US) / 1e6


def look(api, clock, products, user="ann"):
    """Let a user look at products, by the hours since each."""
    rows = [
        {"user_id": user, "product_id": product, "occurred_at": ago(clock, hours)}
        for product, hours in products.items()
    ]
    assert api.post("/v1/events", json=rows).json()["accepted"] == len(rows)


def watch(api, clock, videos, user="ann"):
    rows = [{"user_id": user, "video_id": video, "watch_time_s": 1, "occurred_at": ago(clock, 1)} for video in videos]
    assert api.post("/v1/events", json=rows).json()["accepted"] == len(rows)


def feed(api, query="", user="ann"):
    answer = api.get(f"/v1/users/{user}/feed?{query}")
    assert answer.status_code == 200, answer.text
    return answer


def without_chance(answer):
    """What must be equal where two answers are the same: all but the ids of feed and request, and the cursor."""
    return {name: value for name, value in answer.json().items() if name not in ("feed_id", "request_id", "cursor")}


def test_scores_are_those_of_the_decayed_mean(api, clock):
    look(api, clock, {"p3": 1, "p8": 100, "p12": 400})
    scores = scores_of(
        user_vector(["p3", "p8", "p12"], weights_of([HOUR_US, 100 * HOUR_US, 400 * HOUR_US])), video_ids()
    )

    videos = feed(api, "k=60").json()["videos"]

    assert {v["video_id"]: v["score"] for v in videos} == pytest.approx(scores, abs=1e-5)
    assert [v["score"] for v in videos] == pytest.approx(best(scores, 60), abs=1e-5)
    assert [v["rank"] for v in videos] == list(range(1, 61))


def test_the_kinds_of_events_weigh_as_the_system_says(api, clock):
    row = {"user_id": "ann", "occurred_at": ago(clock, 1)}
    posted = [{**row, "product_id": "p3", "event": "view"}, {**row, "product_id": "p8", "event": "shown"}]
    api.post("/v1/events", json=posted)

    videos = feed(api, "k=5").json()["videos"]

    assert [v["score"] for v in videos] == pytest.approx(
        best(scores_of(product_vector("p3"), video_ids()), 5), abs=1e-5
    )


def test_shares_are_each_products_part_of_the_score(api, clock):
    look(api, clock, {"p3": 0.5, "p8": 168.5})
    expected = {"p3": 2 / 3 * product_vector("p3"), "p8": 1 / 3 * product_vector("p8")}  # a week older: half as much

    videos = feed(api, "k=60").json()["videos"]

    found = {(v["video_id"], r["product_id"]): r["share"] for v in videos for r in v["reasons"]}
    wanted = {(v, p): float(expected[p] @ video_vector(v)) for v in video_ids() for p in expected}
    assert found == pytest.approx(wanted, abs=2e-5)
    assert [sum(r["share"] for r in v["reasons"]) for v in videos] == pytest.approx(
        [v["score"] for v in videos], abs=2e-5
    )


def test_shares_of_a_product_touched_twice_are_one_reason(api, clock):
    look(api, clock, {"p3": 1})
    look(api, clock, {"p3": 2})

    videos = feed(api, "k=5").json()["videos"]

    assert [[r["product_id"] for r in v["reasons"]] for v in videos] == [["p3"]] * 5
    assert [v["reasons"][0]["share"] for v in videos] == pytest.approx([v["score"] for v in videos], abs=1e-5)


def test_three_reasons_are_given_largest_first(api, clock):
    look(api, clock, {"p1": 1, "p2": 2, "p3": 3, "p4": 4, "p5": 5})

    reasons = feed(api, "k=1").json()["videos"][0]["reasons"]

    shares = [reason["share"] for reason in reasons]
    assert len(shares) == 3
    assert shares == sorted(shares, reverse=True)


def test_without_explanations_the_list_is_the_same(api, clock):
    look(api, clock, {"p3": 1})

    plain, told = feed(api, "k=10&explain=false"), feed(api, "k=10")

    assert ids(plain) == ids(told)
    assert all(v["reasons"] == [] for v in plain.json()["videos"])
    assert [v["moment_s"] for v in plain.json()["videos"]] == [v["moment_s"] for v in told.json()["videos"]]


def test_the_moment_is_that_of_the_nearest_frame(api, clock):
    look(api, clock, {"p3": 1})

    videos = feed(api, "k=60").json()["videos"]

    found = {v["video_id"]: v["moment_s"] for v in videos}
    assert found == {video: moment_of(product_vector("p3"), video) for video in video_ids()}
    assert set(found.values()) == {0.0, 1.0}


def test_the_half_life_of_the_request_counts(api, clock):
    look(api, clock, {"p3": 1, "p8": 5})
    scores = scores_of(user_vector(["p3", "p8"], [1.0, 1 / 16]), video_ids())  # four half-lives older

    videos = feed(api, "k=10&half_life=1h").json()["videos"]

    assert [v["score"] for v in videos] == pytest.approx(best(scores, 10), abs=1e-5)


def test_who_is_unknown_gets_the_videos_nearest_to_what_is_popular(idle):
    answer = feed(idle, "k=10", user="nobody").json()  # the log holds one view of p0, so that it alone is popular

    expected = best(scores_of(product_vector("p0"), video_ids()), 10)
    assert [v["score"] for v in answer["videos"]] == pytest.approx(expected, abs=1e-5)
    assert answer["fallback"] == "global"
    assert answer["user"] == {"user_id": "nobody", "known": False, "events": 0, "unknown_products": 0, "market": None}
    assert all(v["reasons"] == [] for v in answer["videos"])


def test_products_that_the_snapshot_lacks_are_counted_and_take_no_part(api, clock):
    look(api, clock, {"p3": 1, "gone": 2})

    answer = feed(api, "k=10").json()

    assert answer["user"] == {"user_id": "ann", "known": True, "events": 1, "unknown_products": 1, "market": None}
    assert [v["score"] for v in answer["videos"]] == pytest.approx(
        best(scores_of(product_vector("p3"), video_ids()), 10), abs=1e-5
    )


def test_a_posted_event_turns_the_next_feed_towards_that_product(api, clock):
    look(api, clock, {"p3": 100})
    before = feed(api, "k=10").json()["videos"]

    look(api, clock, {"p8": 0.001})
    after = feed(api, "k=10").json()["videos"]

    towards = scores_of(product_vector("p8"), video_ids())
    assert sum(towards[v["video_id"]] for v in after) > sum(towards[v["video_id"]] for v in before)
    assert {r["product_id"] for v in after for r in v["reasons"]} == {"p3", "p8"}


def test_an_event_without_a_time_counts_in_the_next_feed(api, clock):
    api.post("/v1/events", json=[{"user_id": "ann", "product_id": "p8"}])
    clock.now_us += 1

    assert feed(api, "k=1").json()["user"]["events"] == 1


def test_a_market_has_its_own_popular_products(tmp_path, clock):
    build_site(tmp_path)
    rows = [("ann", "p0", "view", START + timedelta(days=30), None), ("bob", "p5", "view", START, "de")]
    names = [C.USER_ID, C.PRODUCT_ID, C.EVENT, C.OCCURRED_AT, C.MARKET]
    pl.DataFrame(rows, schema=names, orient="row").write_parquet(tmp_path / "shop/interactions.parquet")
    build_snapshot(tmp_path / "videos", tmp_path / "products", tmp_path / "shop", tmp_path / "snapshot")
    both = (product_vector("p0") + product_vector("p5")) / 2

    with serving(tmp_path, clock) as api:
        german, elsewhere = (feed(api, f"k=10&market={market}").json() for market in ("de", "at"))

    expected = [best(scores_of(vector, video_ids()), 10) for vector in (product_vector("p5"), both)]
    assert [v["score"] for v in german["videos"]] == pytest.approx(expected[0], abs=1e-5)
    assert [v["score"] for v in elsewhere["videos"]] == pytest.approx(expected[1], abs=1e-5)
    assert german["user"]["market"] == "de"


def test_the_market_that_is_remembered_of_a_user_counts(api):
    api.services.store.put_markets({"ann": "de"})

    assert feed(api).json()["user"]["market"] == "de"
    assert feed(api, "market=fr").json()["user"]["market"] == "fr"


def test_an_answer_is_what_the_model_says(api, clock):
    look(api, clock, {"p3": 1})

    body = feed(api, "k=3").json()

    assert FeedAnswer.model_validate(body, strict=True).model_dump() == body


def test_the_counts_of_an_answer(api, clock):
    watch(api, clock, ["v1", "v2"])

    answer = feed(api, "k=4&exclude=v3&where=markets:fr").json()  # every second video is for fr: v1, v3 … of 30

    assert (answer["returned"], answer["eligible"], answer["exact"]) == (4, 28, True)


def test_system_and_hash_are_told(idle):
    listed = {system["name"]: system["hash"] for system in idle.get("/v1/systems").json()["systems"]}

    answer = feed(idle, "system=recency").json()

    assert (answer["system"], answer["system_hash"]) == ("recency", listed["recency"])


@pytest.mark.parametrize("system", ["recency", "popularity", "random", "multimodal"])
def test_seen_and_excluded_videos_are_in_no_system(api, clock, system):
    watch(api, clock, ["v0", "v59", "v20"])

    shown = ids(feed(api, f"system={system}&k=60&exclude=v40&exclude=v58"))

    assert set(shown) == set(video_ids()) - {"v0", "v20", "v59", "v40", "v58"}
    assert len(shown) == 55


def test_the_newest_come_first_by_recency(idle):
    assert ids(feed(idle, "system=recency&k=3")) == ["v59", "v58", "v57"]


def test_a_video_of_the_future_is_not_shown(shop, tmp_path):
    clock = Clock(int((START + timedelta(minutes=10)).timestamp() * 1e6))  # v10 is published just now

    with serving(shop, clock, state=tmp_path / "state") as api:
        assert set(ids(feed(api, "k=60"))) == set(video_ids(11))


def test_an_unknown_system_is_refused_with_the_known_ones(idle):
    answer = idle.get("/v1/users/ann/feed?system=best")

    assert answer.status_code == 422
    assert answer.json()["error"]["cure"] == "Use one of random, recency, popularity, multimodal, conventional."


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("where=markets:fr", [f"v{n}" for n in range(1, 60, 2)]),
        ("where=markets:FR", [f"v{n}" for n in range(1, 60, 2)]),
        ("where=brand:b1,b2", [f"v{n}" for n in range(60) if n % 3]),
        ("where=brand:b1&where=markets:fr", [f"v{n}" for n in range(60) if n % 3 == 1 and n % 2]),
        ("where=season:7", ["v7"]),
        ("where=season:7,8.0", ["v7", "v8"]),
        ("where=rating:0.5", ["v4"]),
        ("where=video_id:v3", ["v3"]),
        ("where=product_ids:p4", ["v4", "v24", "v44"]),
        ("where=creator_id:nobody", []),
        ("where=title: v5 ", ["v5"]),
    ],
)
def test_filters_leave_just_what_passes(idle, query, expected):
    assert set(ids(feed(idle, f"k=60&{query}"))) == set(expected)


def test_filters_of_a_system_hold_beside_those_of_the_request(divided):
    shown = set(ids(feed(divided, "system=german&k=60&where=brand:b1")))

    assert shown == {f"v{n}" for n in range(60) if n % 3 == 1 and n % 2}


@pytest.mark.parametrize("text", ["colour:red", "uri:v1.mp4", "box:1", "Markets:de", " :de", ":"])
def test_an_unknown_attribute_is_refused_with_the_known_ones(idle, text):
    answer = idle.get("/v1/users/ann/feed", params={"where": text})

    assert answer.status_code == 422
    assert "uri" not in answer.json()["error"]["cure"]


@pytest.mark.parametrize("text", ["colour:red", "box:1"])  # no filter compares boxes
def test_the_known_attributes_are_listed(idle, text):
    answer = idle.get(f"/v1/users/ann/feed?where={text}").json()

    expected = "brand, creator_id, hashtags, markets, product_ids, published_at, rating, season, title, video_id"
    assert answer["error"]["cure"] == f"Use one of {expected}."


@pytest.mark.parametrize("text", ["", "markets", "markets:", "markets: , ,", "season:high", "season:1,high"])
def test_a_filter_that_cannot_be_read_is_refused(idle, text):
    assert idle.get("/v1/users/ann/feed", params={"where": text}).status_code == 422
    assert idle.post("/v1/feed", json={"history": [], "where": [text]}).status_code == 422


@pytest.mark.parametrize("text", ["published_at:abc", "season:high"])
@pytest.mark.parametrize("path", ["users/ann/feed", "videos/v1/similar"])
def test_a_value_of_another_type_is_refused_with_the_type_of_the_field(idle, path, text):
    answer = idle.get(f"/v1/{path}", params={"where": text})

    assert answer.status_code == 422
    assert answer.json()["error"]["message"].startswith(f"The attribute {text.split(':')[0]} is a ")


RULES = [
    ("cap_creator=1", {"rules.cap_creator": 1}),
    ("cap_brand=2", {"rules.cap_brand": 2}),
    ("diversity=0.7", {"rules.diversity": 0.7}),
    ("freshness=3", {"rules.freshness": 3.0}),
    ("collapse=0.5", {"rules.collapse": 0.5}),
    ("diversity=0.3&freshness=1&cap_creator=2&cap_brand=4&collapse=0.9", {
        "rules.diversity": 0.3, "rules.freshness": 1.0, "rules.cap_creator": 2, "rules.cap_brand": 4,
        "rules.collapse": 0.9,
    }),
]  # fmt: skip


@pytest.mark.parametrize(("query", "choices"), RULES)
def test_a_rule_of_the_url_is_that_of_the_ranking(idle, query, choices):
    history = [HistoryEvent("p3", NOW - timedelta(hours=1))]
    snapshot, system = idle.services.stage.live.snapshot, choose(SystemConfig(), choices)
    expected = snapshot.feed(history, 10, at=NOW, system=system)

    answer = feed(idle, f"k=10&{query}", "ruled")

    assert ids(answer) == [video.video_id for video in expected.videos] != ids(feed(idle, "k=10", "ruled"))
    assert answer.json()["system_hash"] == expected.system_hash


@pytest.mark.parametrize(("query", "choices"), RULES)
def test_a_rule_of_a_body_is_that_of_the_url(idle, query, choices):
    body = {name.removeprefix("rules."): value for name, value in choices.items()}

    posted = idle.post("/v1/feed", json={"history": [{"product_id": "p3", "occurred_at": ago(Clock(), 1)}], **body})

    assert ids(posted) == ids(feed(idle, query, "ruled"))


def test_caps_hold_in_a_page(idle):
    creators = [int(video[1:]) % 7 for video in ids(feed(idle, "k=7&cap_creator=1"))]
    brands = [int(video[1:]) % 3 for video in ids(feed(idle, "k=9&cap_brand=3"))]

    assert sorted(creators) == list(range(7))
    assert sorted(brands) == [0, 0, 0, 1, 1, 1, 2, 2, 2]


def test_of_videos_that_are_the_same_one_is_shown(tmp_path, clock):
    build_site(tmp_path, videos=["v1", "v2", "v3"])
    snapshot_vectors = np.array([video_vector(video) for video in ("v1", "v2", "v3")])
    unit = snapshot_vectors / np.linalg.norm(snapshot_vectors, axis=1, keepdims=True)
    nearest = float((unit @ unit.T)[~np.eye(3, dtype=bool)].max())

    with serving(tmp_path, clock) as api:
        assert len(ids(feed(api, f"k=3&collapse={nearest - 0.01:.3f}"))) == 2
        assert len(ids(feed(api, f"k=3&collapse={nearest + 0.01:.3f}"))) == 3


def test_every_option_at_its_default_changes_nothing(api, clock):
    look(api, clock, {"p3": 1, "p8": 30})
    off = "diversity=0&freshness=0&cap_creator=0&cap_brand=0&collapse=0&half_life=7d&explain=true&system=multimodal"

    assert without_chance(feed(api, f"k=20&{off}")) == without_chance(feed(api, "k=20"))


def test_the_slot_that_explores_tells_its_probability(divided, clock):
    look(divided, clock, {"p3": 1})
    ranked = feed(divided, "k=60&system=multimodal").json()["videos"]
    pool = np.array([video["score"] for video in ranked[3:8]])  # three of four are certain, then five may be drawn
    weights = np.exp((pool - pool.max()) / (0.5 * pool.std()))
    expected = {video["video_id"]: p for video, p in zip(ranked[3:8], weights / weights.sum(), strict=True)}

    pages = [feed(divided, "k=4&system=curious").json()["videos"] for _ in range(60)]

    certain = [video["video_id"] for video in ranked[:3]]
    assert {tuple(v["video_id"] for v in page if v["rank"] != 2) for page in pages} == {tuple(certain)}
    assert {v["selection_propensity"] for page in pages for v in page if v["rank"] != 2} == {1.0}
    drawn = {page[1]["video_id"]: page[1]["selection_propensity"] for page in pages}
    assert len(drawn) > 1
    assert drawn == pytest.approx({video: expected[video] for video in drawn}, abs=1e-4)


def test_chance_tells_that_any_video_might_have_come(api, clock):
    watch(api, clock, ["v1", "v2"])

    propensities = {video["selection_propensity"] for video in feed(api, "system=random&k=5").json()["videos"]}

    assert propensities == {1 / 58}


@pytest.mark.parametrize("user", [f"user-{number}" for number in range(8)])
def test_an_experiment_gives_every_user_the_system_of_their_bucket(divided, user):
    bucket = bucket_of(divided.services.parts.experiment, user)

    answer = feed(divided, user=user).json()

    assert (answer["experiment"], answer["bucket"]) == ("spring", bucket)
    assert answer["system"] == {"control": "recency", "treatment": "multimodal"}[bucket]


def test_who_names_a_system_takes_no_part_in_the_experiment(divided):
    answer = feed(divided, "system=popularity").json()

    assert (answer["experiment"], answer["bucket"], answer["system"]) == (None, None, "popularity")


def test_a_grade_stands_with_the_video_of_that_user(shop, tmp_path, clock):
    grades = tmp_path / "grades.parquet"
    pl.DataFrame({"user_id": ["ann", "bob"], "video_id": ["v3", "v4"], "grade": [5, 1]}).write_parquet(grades)

    with serving(shop, clock, state=tmp_path / "state", grades=grades) as api:
        videos = feed(api, "k=60").json()["videos"]

    assert {v["video_id"]: v["grade"] for v in videos if v["grade"] is not None} == {"v3": 5}


def test_a_history_in_the_body_is_answered_as_that_of_a_user(api, clock):
    look(api, clock, {"p3": 1, "p8": 50})
    history = [
        {"product_id": "p8", "occurred_at": ago(clock, 50), "event": "view"},
        {"product_id": "p3", "occurred_at": (NOW - timedelta(hours=1)).isoformat()},
    ]

    posted = api.post("/v1/feed", json={"history": history, "k": 10})

    assert posted.json()["videos"] == feed(api, "k=10").json()["videos"]
    assert posted.json()["user"]["user_id"] is None
    assert FeedAnswer.model_validate(posted.json(), strict=True)


def test_a_history_in_the_body_is_not_remembered_as_a_user(api):
    api.post("/v1/feed", json={"history": [{"product_id": "p3", "occurred_at": 1}]})

    assert api.get("/v1/users?prefix=").json() == {"users": []}


def test_events_of_a_body_that_lie_ahead_take_no_part(api, clock):
    history = [{"product_id": "p3", "occurred_at": ago(clock, -1)}, {"product_id": "p8", "occurred_at": ago(clock, 1)}]

    answer = api.post("/v1/feed", json={"history": history}).json()

    assert answer["user"]["events"] == 1
    assert {r["product_id"] for v in answer["videos"] for r in v["reasons"]} == {"p8"}


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"history": {}},
        {"history": [], "kk": 1},
        {"history": [{"product_id": "p3"}]},
        {"history": [{"product_id": "", "occurred_at": 1}]},
        {"history": [{"product_id": "p3", "occurred_at": 1, "event": "stared"}]},
        {"history": [{"product_id": "p3", "occurred_at": "yesterday"}]},
        {"history": [{"product_id": "p3", "occurred_at": "2026-01-01T00:00:00"}]},
        {"history": [{"product_id": "p3", "occurred_at": -1}]},
        {"history": [{"product_id": "p3", "occurred_at": 1e300}]},
        {"history": [{"product_id": "p3", "occurred_at": 1}] * 1001},
        {"history": [], "exclude": ["v1"] * 1001},
        {"history": [], "where": ["markets:de"] * 21},
        {"history": [], "market": ""},
        {"history": [], "half_life": "soon"},
        {"history": [], "half_life": "0d"},
        {"history": [], "half_life": "0." + "0" * 400 + "1s"},
        {"history": [], "diversity": 1.5},
        {"history": [], "cap_creator": -1},
        {"history": [], "k": "many"},
        {"history": [], "k": 2.5},
    ],
)
def test_a_body_that_asks_for_what_cannot_be_is_refused(idle, body):
    answer = idle.post("/v1/feed", json=body)

    assert answer.status_code == 422
    assert answer.json()["error"]["code"] == "invalid_request"


@pytest.mark.parametrize(
    "query",
    [
        "k=0", "k=-1", "k=101", "k=1e3", "k=", "k=nan", "k=99999999999999999999999999", "kk=1", "system=" + "x" * 101,
        "half_life=", "half_life=0s", "half_life=3", "half_life=inf", "half_life=-1d", "diversity=1.01",
        "diversity=-0.1", "diversity=nan", "freshness=11", "freshness=inf", "cap_creator=-1", "cap_creator=1.5",
        "cap_brand=1001", "collapse=2", "explain=perhaps", "market=", "exclude=", "cursor=" + "A" * 20_001,
        "&".join(["exclude=v1"] * 501), "&".join(["where=markets:de"] * 21), "&" * 2000,
    ],
)  # fmt: skip
def test_a_query_that_asks_for_what_cannot_be_is_refused(idle, query):
    answer = idle.get(f"/v1/users/ann/feed?{query}")

    assert answer.status_code == 422
    assert answer.json()["error"]["code"] == "invalid_request"


def test_the_largest_k_is_a_setting(shop, tmp_path, clock):
    with serving(shop, clock, state=tmp_path / "state", max_k=7) as api:
        assert len(ids(feed(api, "k=7"))) == 7
        assert api.get("/v1/users/ann/feed?k=8").status_code == 422
        assert api.post("/v1/feed", json={"history": [], "k": 8}).status_code == 422


def test_the_served_log_tells_what_was_answered(shop, tmp_path, clock):
    with serving(shop, clock, state=tmp_path / "state") as api:
        look(api, clock, {"p3": 1})
        first = feed(api, "k=3").json()
        second = feed(api, f"k=2&cursor={first['cursor']}").json()
        posted = api.post("/v1/feed", json={"history": [], "k": 1, "system": "random"}).json()

    (file,) = (tmp_path / "state/served").glob("*.jsonl")
    logged = parse_pages(file.read_bytes()).frame
    answers = [first, second, posted]
    slots = [(a["request_id"], v["rank"], a["feed_id"], v["video_id"]) for a in answers for v in a["videos"]]
    assert sorted(logged.select("request_id", "position", "feed_id", "video_id").iter_rows()) == sorted(slots)
    scores = {(a["request_id"], v["video_id"]): v["score"] for a in answers for v in a["videos"]}
    found = {(request, video): score for request, video, score in logged.select(*IN_LOG, "score").iter_rows()}
    assert found == pytest.approx(scores, rel=1e-7)
    chances = {(a["request_id"], v["video_id"]): v["selection_propensity"] for a in answers for v in a["videos"]}
    found = {(request, video): p for request, video, p in logged.select(*IN_LOG, "selection_propensity").iter_rows()}
    assert found == pytest.approx(chances, rel=1e-7)
    assert set(logged["user_id"]) == {"ann", f"anonymous:{posted['feed_id']}"}
    assert set(logged["snapshot"]) == {first["snapshot"]}
    assert set(logged["system_hash"]) == {a["system_hash"] for a in answers}
