"""Search by text and picture over HTTP with the model that ships; without torch, feeds go on."""

import io
import struct
import subprocess
import sys
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from indexing.embed import EmbedOptions, embed_products, embed_videos
from indexing.publish import build_snapshot
from retrieval.encoder import open_encoder
from serving.answers import SearchAnswer
from serving.errors import ApiError
from serving.pictures import MAX_STRETCH, read_picture
from tests import shop
from tests.serving.site import ADMIN, ADMIN_KEY, build_site, ids, serving

PIXELS = 400_000


@pytest.fixture(scope="module", name="root")
def _root(tmp_path_factory):
    """The tiny shop of drawn dresses, embedded with the model that ships."""
    root = tmp_path_factory.mktemp("search")
    tables, encoder = shop.write_dress_shop(root / "shop"), open_encoder("sample", "cpu")
    options = EmbedOptions(frames=2, workers=1)
    embed_products(tables / "products.parquet", root / "products", encoder, options)
    embed_videos(tables / "videos.parquet", root / "videos", encoder, options)
    build_snapshot(root / "videos", root / "products", tables, root / "snapshot")
    return root


@pytest.fixture(scope="module", name="api")
def _api(root):
    limits = {"pixel_limit": PIXELS, "upload_limit": 300_000, "max_text": 100}
    with serving(root, admin_keys=ADMIN_KEY, **limits) as client:
        client.headers.update(ADMIN)
        yield client


@pytest.fixture(scope="module", name="photo")
def _photo(root):
    return (root / "shop/photos/red.png").read_bytes()


def written(image, kind="PNG", **how):
    file = io.BytesIO()
    image.save(file, kind, **how)
    return file.getvalue()


def search(api, content, kind="image/png", query=""):
    return api.post(f"/v1/search/image?{query}", content=content, headers={"content-type": kind})


def bomb(width, height):
    """A PNG of a few kilobytes whose head claims so many pixels, all of them there."""
    lines = zlib.compress(bytes(height * (1 + (width + 7) // 8)), 9)
    head = struct.pack(">IIBBBBB", width, height, 1, 0, 0, 0, 0)
    chunks = [(b"IHDR", head), (b"IDAT", lines), (b"IEND", b"")]
    body = b"".join(
        struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data)) for name, data in chunks
    )
    return b"\x89PNG\r\n\x1a\n" + body


@pytest.mark.parametrize("colour", ["red", "green", "blue", "white"])
def test_a_text_finds_the_dress_it_describes(api, colour):
    answer = api.post("/v1/search", json={"text": f"a {colour} dress", "k": 4}).json()

    assert SearchAnswer.model_validate(answer)
    assert answer["videos"][0]["video_id"] == f"v-{colour}"
    assert (answer["returned"], answer["eligible"], answer["exact"]) == (4, 4, True)
    assert [video["rank"] for video in answer["videos"]] == [1, 2, 3, 4]
    assert 0 <= answer["videos"][0]["moment_s"] < 2  # so long are the clips


def test_scores_of_a_text_are_inner_products(api):
    snapshot = api.services.stage.live.snapshot
    query = snapshot.encoder().encode_texts(["a red dress"])[0]
    scores = np.asarray(snapshot.space.video_vectors[:], np.float32) @ query

    videos = api.post("/v1/search", json={"text": "a red dress", "k": 4}).json()["videos"]

    found = {video["video_id"]: video["score"] for video in videos}
    assert found == pytest.approx(dict(zip(snapshot.video_ids.ids, scores.tolist(), strict=True)), abs=1e-3)


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP"])
def test_a_picture_finds_its_like(api, photo, kind):
    content = written(Image.open(io.BytesIO(photo)).convert("RGB"), kind)

    answer = search(api, content, f"image/{kind.lower()}", "k=2")

    assert answer.status_code == 200
    assert SearchAnswer.model_validate(answer.json())
    assert ids(answer)[0] == "v-red"


def test_a_picture_on_its_side_is_turned_as_its_metadata_says(photo):
    exif = Image.Exif()
    exif[0x0112] = 6  # shown with a quarter turn
    content = written(Image.new("RGB", (40, 20)), "JPEG", exif=exif)

    assert read_picture(content, "image/jpeg", PIXELS).size == (20, 40)


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGBA", "I;16", "CMYK"])
def test_pictures_of_any_mode_become_colours(mode):
    kind, media = ("JPEG", "image/jpeg") if mode == "CMYK" else ("PNG", "image/png")

    assert read_picture(written(Image.new(mode, (8, 8)), kind), media, PIXELS).mode == "RGB"


def test_search_keeps_to_filters_and_k(api, photo):
    assert set(ids(api.post("/v1/search", json={"text": "dress", "where": ["markets:de"]}))) == {"v-red", "v-green"}
    assert ids(search(api, photo, query="where=markets:fr&k=1")) == ["v-red"]


@pytest.mark.parametrize(("kind", "key"), [("video", "v-red"), ("product", "p-red")])
def test_a_blocked_video_is_not_found_by_search(api, photo, kind, key):
    api.put("/v1/admin/blocks", json={"kind": kind, "key": key, "reason": "of the test"})
    api.services.follower.tick()
    found = [ids(api.post("/v1/search", json={"text": "a red dress"})), ids(search(api, photo))]
    api.delete(f"/v1/admin/blocks/{kind}/{key}")
    api.services.follower.tick()

    assert [set(one) for one in found] == [{"v-green", "v-blue", "v-white"}] * 2


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"text": ""},
        {"text": " \t\n"},
        {"text": "a" * 101},
        {"text": 7},
        {"text": None},
        {"text": "dress", "k": 0},
        {"text": "dress", "k": 101},
        {"text": "dress", "where": ["colour:red"]},
        {"text": "dress", "where": ["markets:de"] * 21},
        {"text": "dress", "market": ""},
        {"text": "dress", "colour": "red"},
    ],
)
def test_a_search_that_cannot_be_is_refused(api, body):
    assert api.post("/v1/search", json=body).status_code == 422


@pytest.mark.parametrize("text", ["\\ud800", "dress \\udfff"])
def test_half_a_character_is_refused(api, text):
    answer = api.post("/v1/search", content=f'{{"text": "{text}"}}', headers={"content-type": "application/json"})

    assert answer.status_code == 422


@pytest.mark.parametrize("text", ["\0", "🙂", "赤いドレス", "'; --", "\\u202e\\u0000", "a " * 50, "%s{}$\\\\"])
def test_any_text_can_be_searched_for(api, text):
    assert api.post("/v1/search", json={"text": text}).status_code == 200


@pytest.mark.parametrize(
    "kind", ["", "image/gif", "image/svg+xml", "application/pdf", "text/html", "multipart/form-data"]
)
def test_another_type_of_upload_is_refused(api, photo, kind):
    answer = search(api, photo, kind)

    assert answer.status_code == 415
    assert answer.json()["error"]["cure"] == "Send one of image/jpeg, image/png, image/webp."


@pytest.mark.parametrize("declared", ["image/jpeg", "image/webp"])
def test_a_picture_of_another_type_than_it_says_is_refused(api, photo, declared):
    assert search(api, photo, declared).status_code == 422


@pytest.mark.parametrize(
    "content",
    [b"", b"\x89PNG\r\n\x1a\n", b"\x89PNG", b"GIF89a" + bytes(50), b"<svg/>", b"%PDF-1.7", b"\0" * 1000, b"text"],
)
def test_what_is_no_picture_is_refused(api, content):
    answer = search(api, content)

    assert answer.status_code == 422
    assert answer.json()["error"]["message"] == "The body is no image/png that can be read."


@pytest.mark.parametrize("part", [0.1, 0.5, 0.9])
def test_a_truncated_picture_is_refused(api, photo, part):
    assert search(api, photo[: int(len(photo) * part)]).status_code == 422


def test_a_picture_of_too_many_pixels_is_refused_before_they_are_decoded(api):
    content = bomb(30_000, 30_000)  # 900 million pixels in about 110 kB

    answer = search(api, content)

    assert len(content) < 200_000
    assert answer.status_code == 413
    assert answer.json()["error"]["code"] == "picture_too_large"


def test_a_picture_that_claims_too_many_pixels_is_refused(api, photo):
    content = photo[:16] + struct.pack(">II", 2**31 - 1, 2**31 - 1) + photo[24:]

    assert search(api, content).status_code in (413, 422)


def test_the_largest_picture_is_a_setting():
    read_picture(bomb(250, 400), "image/png", 100_000)

    with pytest.raises(ApiError) as error:
        read_picture(bomb(251, 400), "image/png", 100_000)

    assert error.value.status == 413


@pytest.mark.parametrize(("width", "height"), [(1, MAX_STRETCH + 1), (MAX_STRETCH + 1, 1), (1, 90_000)])
def test_a_picture_that_an_encoder_would_enlarge_without_end_is_refused(api, width, height):
    assert search(api, bomb(width, height)).status_code == 422


def test_a_long_picture_is_read(api):
    assert search(api, written(Image.new("RGB", (10, 10 * MAX_STRETCH)))).status_code == 200
    assert search(api, written(Image.new("RGB", (1, 1)))).status_code == 200


def test_an_upload_that_is_too_large_is_refused(api):
    assert search(api, bytes(300_001)).status_code == 413
    assert search(api, bytes(300_000)).status_code == 422


def test_other_bodies_are_not_as_large_as_uploads_may_be(root, tmp_path):
    with serving(root, state=tmp_path, body_limit=1000) as api:
        assert api.post("/v1/search", content=b" " * 1001).status_code == 413
        assert search(api, bytes(2000)).status_code == 422


def damaged(content, seed):
    """The content with a few bytes changed near its beginning, where its structure is."""
    rng = np.random.default_rng(seed)
    changed = bytearray(content)
    for place in rng.integers(0, min(len(changed), 300), rng.integers(1, 8)):
        changed[place] = rng.integers(256)
    return bytes(changed)


def outcome(content, media_type):
    try:
        return read_picture(content, media_type, PIXELS).mode
    except ApiError as error:
        return error.status


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP"])
def test_damaged_pictures_are_read_or_refused_and_never_fail(kind):
    exif = Image.Exif()
    exif[0x0112], exif[0x010E], exif[0x8769] = 6, "a dress", {0x9003: "2026:01:01 00:00:00"}
    good = written(Image.effect_noise((40, 30), 60).convert("RGB"), kind, exif=exif.tobytes())

    outcomes = {outcome(damaged(good, seed), f"image/{kind.lower()}") for seed in range(1500)}

    assert outcomes <= {"RGB", 413, 422}
    assert 422 in outcomes


def test_metadata_that_makes_pillow_stumble_is_refused():
    head = b"Exif\0\0MM\0*\0\0\0\x08\0\x01\x01\x12\0\x0b\0\0\0\x01" + struct.pack(">f", 6.5) + bytes(4)  # a turn of 6.5
    content = written(Image.new("RGB", (8, 8)), "JPEG", exif=head)

    assert outcome(content, "image/jpeg") in ("RGB", 422)


WITHOUT_TORCH = """
import sys, warnings
from pathlib import Path

class Absent:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in ("torch", "PIL", "open_clip", "torchvision", "av", "skimage"):
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)

sys.meta_path.insert(0, Absent())
warnings.simplefilter("error")

from starlette.testclient import TestClient
from serving.app import create_app
from serving.services import open_services
from serving.settings import Settings

root = Path(sys.argv[1])
settings = Settings(snapshot=root / "snapshot", state=root / "bare", config=root / "none.toml")
with TestClient(create_app(open_services(settings, None)), raise_server_exceptions=False) as api:
    feed = api.get("/v1/users/ann/feed?k=3")
    text = api.post("/v1/search", json={"text": "a red dress"})
    picture = api.post("/v1/search/image", content=b"x", headers={"content-type": "image/png"})
    near = api.get(f"/v1/videos/{feed.json()['videos'][0]['video_id']}/similar")
for answer in (feed, near):
    print(answer.status_code, answer.json()["returned"])
for answer in (text, picture):
    print(answer.status_code, answer.json()["error"]["code"], answer.json()["error"]["cure"])
"""


def test_without_torch_feeds_are_served_and_searches_say_what_is_missing(root):
    done = subprocess.run(
        [sys.executable, "-c", WITHOUT_TORCH, str(root)], cwd=Path(__file__).parents[2], capture_output=True, text=True
    )

    assert done.returncode == 0, done.stderr
    cure = "501 not_installed Install it: pip install 'lookreel[embed]'"
    assert done.stdout.splitlines() == ["200 3", "200 3", cure, cure]


def test_a_model_that_is_not_at_hand_is_told_without_its_path(tmp_path):
    build_site(tmp_path)  # its encoder is by hand, which nobody can open
    with serving(tmp_path) as api:
        answers = [api.post("/v1/search", json={"text": "red"}), search(api, written(Image.new("RGB", (4, 4))))]

    assert [answer.status_code for answer in answers] == [501, 501]
    assert {answer.json()["error"]["code"] for answer in answers} == {"no_model"}
    assert not any(str(tmp_path) in answer.text for answer in answers)
