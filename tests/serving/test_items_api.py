"""Videos, products and their files over HTTP."""

from datetime import UTC, date, datetime, timedelta

import polars as pl
import pytest

from indexing.publish import build_snapshot
from retrieval.schemas import Columns as C
from serving.answers import ProductAnswer, SearchAnswer, VideoAnswer
from tests.serving.oracle import scores_of, video_vector
from tests.serving.site import ADMIN, ADMIN_KEY, build_site, ids, serving, video_ids
from tests.stores import poster_of

FILM = bytes(range(200))
KEYS = {"admin_keys": ADMIN_KEY, "read_keys": "read-key-for-tests", "write_keys": "write-key-for-tests"}
URIS = {
    "v1": "clips/v1.mp4",
    "v2": "../secret.mp4",
    "v3": "out.mp4",
    "v4": "https://cdn.example/clips/v4.mp4",
    "v5": "https://evil.example/v5.mp4",
    "v6": "clips/v6.mp4",
    "v7": "v7\0.mp4",
}
PHOTOS = {
    "p1": ["photos/p1.jpg", "photos/other.jpg"],
    "p2": ["../secret.jpg"],
    "p3": [],
    "p4": None,
    "p5": [None],
    "p6": ["https://cdn.example/p6.jpg"],
}


def attach(folder):
    """Uris of the videos, and what else tables may hold."""
    videos = pl.read_parquet(folder / "videos.parquet")
    names = videos[C.VIDEO_ID]
    videos.with_columns(
        pl.Series(C.URI, [URIS.get(name, f"{name}.mp4") for name in names]),
        pl.Series("length", [timedelta(seconds=n) for n in range(len(names))]),
        pl.Series("made", [date(2026, 1, 1)] * len(names)),
        pl.Series("shown", [[datetime(2026, 1, 2, tzinfo=UTC)]] * len(names)),
        pl.Series("share", [float("nan")] * len(names)),
        pl.Series("about", [{"colour": "red", "sizes": [1, 2]}] * len(names)),
    ).write_parquet(folder / "videos.parquet")
    products = pl.read_parquet(folder / "products.parquet")
    offers = [
        {"market": "de", "available": False, "price": 12.0, "currency": "EUR"},
        {"market": "fr", "available": None, "price": None, "currency": None},
    ]
    products.with_columns(
        pl.Series(C.IMAGE_URIS, [PHOTOS.get(name) for name in products[C.PRODUCT_ID]], pl.List(pl.String)),
        pl.Series(C.PRICE, [10.0 + n for n in range(products.height)]),
        pl.Series(C.OFFERS, [offers if name == "p1" else None for name in products[C.PRODUCT_ID]]),
    ).write_parquet(folder / "products.parquet")


@pytest.fixture(scope="module", name="root")
def _root(tmp_path_factory):
    root = build_site(tmp_path_factory.mktemp("items"))
    attach(root / "shop")
    build_snapshot(root / "videos", root / "products", root / "shop", root / "snapshot")
    for name in ("secret.mp4", "secret.jpg"):
        (root / name).write_bytes(b"secret")
    for name in ("clips", "photos"):
        (root / "shop" / name).mkdir()
    (root / "shop/clips/v1.mp4").write_bytes(FILM)
    (root / "shop/photos/p1.jpg").write_bytes(b"jpeg")
    (root / "shop/out.mp4").symlink_to(root / "secret.mp4")
    (root / "lookreel.toml").write_text('[media]\nallowed = ["https://cdn.example"]\n')
    return root


@pytest.fixture(scope="module", name="api")
def _api(root):
    with serving(root, **KEYS) as client:
        client.headers.update(ADMIN)
        yield client


def get(api, path, **headers):
    return api.get(path, headers=headers, follow_redirects=False)


def test_a_video_is_told_with_its_attributes_but_not_its_place(api):
    answer = get(api, "/v1/videos/v1").json()

    assert VideoAnswer.model_validate(answer)
    assert (answer["video_id"], answer["attributes"]["title"]) == ("v1", "v1")
    assert answer["attributes"][C.PUBLISHED_AT] == "2026-01-01T00:01:00+00:00"
    assert C.URI not in answer["attributes"]


def test_attributes_of_any_type_are_told(api):
    told = get(api, "/v1/videos/v2").json()["attributes"]

    assert (told["length"], told["made"], told["shown"]) == ("0:00:02", "2026-01-01", ["2026-01-02T00:00:00+00:00"])
    assert (told["share"], told["about"]) == (None, {"colour": "red", "sizes": [1, 2]})


@pytest.mark.parametrize("path", ["", "/media", "/poster", "/similar"])
@pytest.mark.parametrize("video", ["v999", "..", "%2e%2e", "..%5c..%5csecret", "v1%00", "V1", "%ff"])
def test_a_video_that_is_not_there_is_not_found(api, video, path):
    assert get(api, f"/v1/videos/{video}{path}").status_code == 404


def test_an_id_of_any_length_is_answered(api):
    assert get(api, "/v1/videos/" + "v" * 200).status_code == 404
    assert get(api, "/v1/videos/" + "v" * 201).status_code == 422


def test_a_film_is_sent_whole(api):
    answer = get(api, "/v1/videos/v1/media")

    assert (answer.status_code, answer.content) == (200, FILM)
    assert answer.headers["content-type"] == "video/mp4"
    assert answer.headers["accept-ranges"] == "bytes"
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert answer.headers["cache-control"].startswith("private")


@pytest.mark.parametrize(
    ("asked", "told", "part"),
    [
        ("bytes=0-9", "bytes 0-9/200", FILM[:10]),
        ("bytes=190-", "bytes 190-199/200", FILM[190:]),
        ("bytes=-5", "bytes 195-199/200", FILM[195:]),
        ("bytes=100-9999", "bytes 100-199/200", FILM[100:]),
        ("bytes=0-0", "bytes 0-0/200", FILM[:1]),
        ("bytes=-9999", "bytes 0-199/200", FILM),
    ],
)
def test_a_part_of_a_film_is_sent(api, asked, told, part):
    answer = get(api, "/v1/videos/v1/media", Range=asked)

    assert (answer.status_code, answer.headers["content-range"], answer.content) == (206, told, part)
    assert answer.headers["content-length"] == str(len(part))


def test_several_parts_are_sent_as_one_answer(api):
    answer = get(api, "/v1/videos/v1/media", Range="bytes=0-1,10-11")

    assert answer.status_code == 206
    assert answer.headers["content-type"].startswith("multipart/byteranges")
    assert FILM[:2] in answer.content
    assert FILM[10:12] in answer.content


@pytest.mark.parametrize("asked", ["bytes=200-", "bytes=9999-10000"])
def test_a_part_behind_the_end_is_refused_in_our_form(api, asked):
    answer = get(api, "/v1/videos/v1/media", Range=asked)

    assert (answer.status_code, answer.headers["content-range"]) == (416, "bytes */200")
    assert answer.json()["error"]["code"] == "bad_range"


@pytest.mark.parametrize("asked", ["bytes=9-5", "bytes=a-b", "lines=0-1", "bytes", "bytes="])
def test_a_part_that_cannot_be_read_is_refused_in_our_form(api, asked):
    answer = get(api, "/v1/videos/v1/media", Range=asked)

    assert answer.status_code == 400
    assert answer.json()["error"]["code"] == "bad_range"


@pytest.mark.parametrize(
    "asked", ["bytes=" + "0-,0-," * 5000, "bytes=" + ",".join(f"{n}-{n}" for n in range(0, 198, 2))]
)
def test_very_many_parts_are_no_more_than_the_film(api, asked):
    answer = get(api, "/v1/videos/v1/media", Range=asked)

    assert answer.status_code in (200, 206, 431)
    assert len(answer.content) < 20_000


def test_a_part_of_a_film_that_was_replaced_is_sent_whole(api):
    answer = get(api, "/v1/videos/v1/media", **{"Range": "bytes=0-9", "If-Range": '"another"'})

    assert (answer.status_code, answer.content) == (200, FILM)


@pytest.mark.parametrize("video", ["v2", "v3", "v5", "v6", "v7", "v8"])
def test_a_film_outside_of_the_folder_is_not_found(api, video):
    answer = get(api, f"/v1/videos/{video}/media")

    assert answer.status_code == 404
    assert answer.json()["error"]["message"] == "The file of this item is not here."


def test_a_film_at_an_allowed_address_is_pointed_to(api):
    answer = get(api, "/v1/videos/v4/media")

    assert (answer.status_code, answer.headers["location"]) == (307, URIS["v4"])


def test_no_query_names_another_file(api):
    assert get(api, "/v1/videos/v1/media?uri=../secret.mp4&path=/etc/passwd").content == FILM


def test_a_poster_is_the_frame_of_the_middle(api):
    answer = get(api, "/v1/videos/v1/poster")

    assert (answer.status_code, answer.headers["content-type"]) == (200, "image/jpeg")
    assert answer.content in {poster_of("v1", 0, part) for part in (0, 1)}


def test_the_nearest_videos_are_similar_and_not_itself(api):
    answer = get(api, "/v1/videos/v1/similar?k=59").json()

    expected = scores_of(video_vector("v1"), [video for video in video_ids() if video != "v1"])
    assert SearchAnswer.model_validate(answer)
    assert {video["video_id"]: video["score"] for video in answer["videos"]} == pytest.approx(expected, abs=1e-4)
    assert (answer["returned"], answer["eligible"], answer["exact"]) == (59, 59, True)


def test_similar_videos_keep_to_filters(api):
    shown = ids(get(api, "/v1/videos/v1/similar?k=60&where=brand:b2"))

    assert set(shown) == {f"v{n}" for n in range(2, 60, 3)}


@pytest.mark.parametrize("query", ["k=0", "k=101", "where=colour:red", "where=uri:a", "where=", "market="])
def test_similar_videos_cannot_be_asked_for_like_this(api, query):
    assert get(api, f"/v1/videos/v1/similar?{query}").status_code == 422


def test_a_product_is_told_with_what_it_costs(api):
    answer = get(api, "/v1/products/p2").json()

    assert ProductAnswer.model_validate(answer)
    assert (answer["product_id"], answer["available"], answer["price"]) == ("p2", True, 12.0)
    assert C.IMAGE_URIS not in answer["attributes"]


@pytest.mark.parametrize(
    ("market", "available", "price"), [("de", False, 12.0), ("fr", True, 11.0), ("pl", True, 11.0)]
)
def test_an_offer_of_the_market_is_what_counts(api, market, available, price):
    answer = get(api, f"/v1/products/p1?market={market}").json()

    assert (answer["available"], answer["price"]) == (available, price)


def test_a_photo_is_the_first_one(api):
    answer = get(api, "/v1/products/p1/photo")

    assert (answer.status_code, answer.content, answer.headers["content-type"]) == (200, b"jpeg", "image/jpeg")


@pytest.mark.parametrize("product", ["p2", "p3", "p4", "p5", "p999"])
def test_a_photo_that_is_not_there_is_not_found(api, product):
    assert get(api, f"/v1/products/{product}/photo").status_code == 404


def test_a_photo_at_an_allowed_address_is_pointed_to(api):
    assert get(api, "/v1/products/p6/photo").headers["location"] == "https://cdn.example/p6.jpg"


@pytest.mark.parametrize(("kind", "key"), [("video", "v1"), ("creator", "c1"), ("brand", "b1")])
@pytest.mark.parametrize("path", ["", "/media", "/poster", "/similar"])
def test_nothing_of_a_blocked_video_is_shown(api, kind, key, path):
    api.put("/v1/admin/blocks", json={"kind": kind, "key": key, "reason": "of the test"})
    api.services.follower.tick()
    answer = get(api, f"/v1/videos/v1{path}")
    api.delete(f"/v1/admin/blocks/{kind}/{key}")
    api.services.follower.tick()

    assert answer.status_code == 404
    assert get(api, f"/v1/videos/v1{path}").status_code == 200


@pytest.mark.parametrize("path", ["", "/photo"])
def test_nothing_of_a_blocked_product_is_shown(api, path):
    api.put("/v1/admin/blocks", json={"kind": "product", "key": "p1", "reason": "of the test"})
    api.services.follower.tick()
    answer = get(api, f"/v1/products/p1{path}")
    api.delete("/v1/admin/blocks/product/p1")
    api.services.follower.tick()

    assert answer.status_code == 404
    assert get(api, f"/v1/products/p1{path}").status_code == 200


def test_without_a_folder_of_media_there_are_no_files(root, tmp_path):
    with serving(root, state=tmp_path, media=None) as api:
        assert get(api, "/v1/videos/v1/media").status_code == 404
        assert get(api, "/v1/videos/v1/poster").status_code == 200
