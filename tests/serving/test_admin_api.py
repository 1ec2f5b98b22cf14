"""What an operator changes while feeds are served: versions, blocks and offers, over swaps, rollbacks and restarts."""

import gc
import json
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import pytest

from indexing.purge import Asked, PurgePlaces, purge
from indexing.versions import rollback_snapshot
from retrieval.snapshot import Snapshot
from retrieval.snapshot_files import live_version, manifest_path, object_path, read_manifest
from serving.answers import Block, BlocksAnswer, LoadedAnswer, PatchedAnswer, SnapshotAnswer
from serving.overlay import Offer
from tests.serving.site import (
    ADMIN,
    ADMIN_KEY,
    NOW,
    Clock,
    build_site,
    ids,
    open_breakable,
    open_site,
    serving,
    update_site,
    video_ids,
)

STRICT = "[serving]\nmin_overlap = 0.9\n"
LAX = "[serving]\nmax_latency_ratio = 1000000\n"
OTHERS = [f"v{number}" for number in range(60, 120)]
KEYS = {"admin_keys": ADMIN_KEY}


@pytest.fixture(name="root")
def _root(tmp_path):
    return build_site(tmp_path)


@pytest.fixture(name="api")
def _api(root):
    with operating(root) as client:
        yield client


@pytest.fixture(scope="module", name="idle")
def _idle(tmp_path_factory):
    """A client for requests that change nothing, or that undo what they did: it is shared."""
    with operating(build_site(tmp_path_factory.mktemp("idle"))) as client:
        yield client


@pytest.fixture(name="strict")
def _strict(root):
    """A client of a service that refuses versions which show other videos."""
    (root / "lookreel.toml").write_text(STRICT)
    with operating(root) as client:
        yield client


@contextmanager
def operating(root, **settings):
    """A client with the admin's key."""
    with serving(root, Clock(), **KEYS, **settings) as client:
        client.headers.update(ADMIN)
        yield client


def follow(api):
    api.services.follower.tick()
    return api.services.stage.live.snapshot.version


def told(api):
    answer = api.get("/v1/admin/snapshot")
    assert answer.status_code == 200
    return SnapshotAnswer.model_validate(answer.json())


def load(api, version, **body):
    return api.post("/v1/admin/snapshot", json={"version": version, **body})


def block(api, kind, key, reason="of the test"):
    answer = api.put("/v1/admin/blocks", json={"kind": kind, "key": key, "reason": reason})
    assert answer.status_code == 200, answer.text
    api.services.follower.tick()
    return answer.json()


def patch(api, *products):
    answer = api.patch("/v1/products", json={"products": list(products), "reason": "of the test"})
    assert answer.status_code == 200, answer.text
    api.services.follower.tick()
    return PatchedAnswer.model_validate(answer.json())


def shown(api, query=""):
    return set(ids(api.get(f"/v1/users/ann/feed?k=60&{query}")))


def test_what_is_served_is_told(api, root):
    version = live_version(root / "snapshot")

    answer = told(api)

    assert (answer.live, answer.pointer, answer.versions) == (version, version, [version])
    assert (answer.problem, answer.comparison) == ("", None)
    assert answer.loaded_at == "2026-03-01T00:00:00+00:00"


def test_a_published_version_is_followed(api, root):
    version = update_site(root, OTHERS, OTHERS)

    assert follow(api) == version
    assert shown(api) == set(OTHERS)
    assert len(told(api).versions) == 2


def test_a_kept_version_is_loaded_by_name(api, root):
    first = live_version(root / "snapshot")
    update_site(root, OTHERS, OTHERS)
    follow(api)

    answer = load(api, first)

    loaded = LoadedAnswer.model_validate(answer.json())
    assert (loaded.version, loaded.comparison.version) == (first, first)
    assert (loaded.comparison.overlap, loaded.comparison.requests) == (0.0, 20)
    assert follow(api) == first


@pytest.mark.parametrize("version", ["0" * 12, "f" * 12])
def test_a_version_that_is_not_kept_is_not_found(idle, version):
    assert load(idle, version).status_code == 404


@pytest.mark.parametrize(
    "version", ["", "..", "0" * 11, "0" * 13, "A" * 12, "0" * 12 + "\n", "../../" + "0" * 6, None, 7]
)
def test_what_cannot_name_a_version_is_refused(idle, version):
    assert load(idle, version).status_code == 422


def test_a_version_past_the_bounds_is_refused_and_the_old_one_stays(strict, root):
    first = live_version(root / "snapshot")
    version = update_site(root, OTHERS, OTHERS)

    assert follow(strict) == first

    answer = told(strict)
    assert (answer.live, answer.pointer) == (first, version)
    assert "shares 0.00 of the top 10, less than 0.9" in answer.problem
    assert (answer.comparison.overlap, answer.comparison.version, answer.comparison.against) == (0.0, version, first)
    assert shown(strict) == set(video_ids())


def test_a_version_that_is_refused_is_not_kept_open(strict, root):
    version = update_site(root, OTHERS, OTHERS)

    assert follow(strict) != version

    gc.collect()
    # By type alone: isinstance asks lazy modules of other libraries for their class, which warns.
    assert version not in {one.version for one in gc.get_objects() if type(one) is Snapshot}


def test_a_version_within_the_bounds_goes_live(strict, root):
    version = update_site(root, [*video_ids(), "v60"], ["v60"])

    assert follow(strict) == version
    assert told(strict).problem == ""


@pytest.mark.parametrize("accept", [None, "yes", "0" * 12])
def test_a_refused_version_is_not_loaded_unless_it_is_accepted_by_name(strict, root, accept):
    first = live_version(root / "snapshot")
    version = update_site(root, OTHERS, OTHERS)
    follow(strict)

    answer = load(strict, version, accept=accept)

    assert answer.status_code == 409
    assert answer.json()["error"]["code"] == "bounds_broken"
    assert version in answer.json()["error"]["cure"]
    assert follow(strict) == first


def test_a_refused_version_that_is_accepted_by_name_goes_live(strict, root):
    version = update_site(root, OTHERS, OTHERS)
    follow(strict)

    assert load(strict, version, accept=version).status_code == 200
    assert follow(strict) == version
    assert told(strict).problem == ""


def test_what_was_purged_goes_whatever_the_bounds_say(strict, root):
    gone = video_ids()[:50]
    asked, places = Asked(videos=tuple(gone)), PurgePlaces(root / "snapshot", root / "videos")

    purge(asked, places, root / "receipt.json", NOW)

    assert follow(strict) == live_version(root / "snapshot")
    assert shown(strict) == set(video_ids()[50:])


def test_rolling_back_is_never_refused_for_its_bounds(strict, root):
    first = live_version(root / "snapshot")
    version = update_site(root, OTHERS, OTHERS)
    follow(strict)
    load(strict, version, accept=version)
    follow(strict)

    answer = strict.post("/v1/admin/rollback")

    assert answer.json()["version"] == first
    assert follow(strict) == first


def test_a_rollback_needs_no_event_store(root):
    first = live_version(root / "snapshot")
    update_site(root, OTHERS, OTHERS)
    services, breakable = open_breakable(root)
    services.start()
    try:
        breakable.down = True
        assert services.roll_back() == first
        services.follower.tick()
        assert services.stage.live.snapshot.version == first
    finally:
        services.close()


def test_there_is_nothing_before_the_first_version(idle):
    answer = idle.post("/v1/admin/rollback")

    assert answer.status_code == 409
    assert answer.json()["error"]["code"] == "not_moved"


def damage(root, version):
    """Change a byte of a file that only this version has."""
    manifest = read_manifest(root / "snapshot", version)
    name, checksum = next((n, c) for n, c in manifest.objects() if n == "videos.parquet")
    file = object_path(root / "snapshot", name, checksum)
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 1
    file.chmod(0o644)
    file.write_bytes(bytes(content))


def test_a_damaged_version_does_not_go_live_and_is_told_of(api, root):
    first = live_version(root / "snapshot")
    version = update_site(root, video_ids()[:30])
    damage(root, version)

    assert follow(api) == first

    answer = told(api)
    assert (answer.live, answer.pointer) == (first, version)
    assert answer.problem
    assert str(root) not in answer.problem
    assert shown(api) == set(video_ids())


def test_a_damaged_version_is_not_loaded(api, root):
    version = update_site(root, video_ids()[:30])
    damage(root, version)

    answer = load(api, version)

    assert answer.status_code == 404
    assert str(root) not in answer.text


def test_a_version_without_what_the_system_filters_by_does_not_go_live(tmp_path):
    config = '[systems.local]\nkind = "multimodal"\nwhere = { language = "de" }\n[serving]\nsystem = "local"\n'
    (tmp_path / "lookreel.toml").write_text(config)
    with operating(build_site(tmp_path, language=["de"] * 60)) as api:
        first, other = told(api).live, update_site(tmp_path, video_ids(50))  # which knows no languages

        assert follow(api) == first
        assert told(api).problem
        assert load(api, other).status_code == 404


def test_behind_a_damaged_version_a_whole_one_is_followed(api, root):
    damage(root, update_site(root, video_ids()[:30]))
    follow(api)
    rollback_snapshot(root / "snapshot")
    version = update_site(root, video_ids()[:40])

    assert follow(api) == version
    assert told(api).problem == ""


@pytest.mark.parametrize("content", ["", "{", "[]", '{"kind": "snapshot"}', "\x00"])
def test_a_damaged_pointer_leaves_the_live_version(api, root, content):
    first = live_version(root / "snapshot")
    (root / "snapshot/manifest.json").write_text(content)

    assert follow(api) == first

    answer = told(api)
    assert (answer.live, answer.pointer) == (first, "")
    assert answer.problem
    assert str(root) not in answer.problem


def test_what_one_worker_refuses_another_refuses_too(root):
    (root / "lookreel.toml").write_text(STRICT)
    (root / "lax.toml").write_text(LAX)  # alone it would take any version
    strict = open_site(root, state=root / "one", events=f"sqlite:///{root}/shared.db").start()
    lax = open_site(root, state=root / "two", events=f"sqlite:///{root}/shared.db", config=root / "lax.toml").start()
    first = live_version(root / "snapshot")
    version = update_site(root, OTHERS, OTHERS)

    try:
        strict.follower.tick()
        lax.follower.tick()
        assert [one.stage.live.snapshot.version for one in (strict, lax)] == [first, first]

        strict.load_version(version, accept=True)
        for one in (strict, lax):
            one.follower.tick()
        assert [one.stage.live.snapshot.version for one in (strict, lax)] == [version, version]
    finally:
        strict.close()
        lax.close()


def test_a_worker_that_starts_later_starts_with_what_the_others_serve(strict, root):
    first = live_version(root / "snapshot")
    update_site(root, OTHERS, OTHERS)
    follow(strict)

    later = open_site(root, state=root / "later", events=f"sqlite:///{root}/state/events.db").start()
    try:
        assert later.stage.live.snapshot.version == first
    finally:
        later.close()


def test_workers_agree_on_a_version_that_was_loaded_by_one_of_them(root):
    first = live_version(root / "snapshot")
    update_site(root, OTHERS, OTHERS)
    one, other = (open_site(root, state=root / name).start() for name in ("one", "two"))

    try:
        one.load_version(first, accept=False)
        one.follower.tick()
        other.follower.tick()
        assert [one.stage.live.snapshot.version, other.stage.live.snapshot.version] == [first, first]
    finally:
        one.close()
        other.close()


def test_verdicts_of_versions_that_are_gone_are_forgotten(strict, root):
    version = update_site(root, OTHERS, OTHERS)
    follow(strict)
    rollback_snapshot(root / "snapshot")
    manifest_path(root / "snapshot", version).unlink()
    strict.services.follower._saved_at = -1e9
    follow(strict)

    assert [entry.kind for entry in strict.services.store.overlay() if entry.key == version] == []


def test_a_block_is_told_with_its_reason_and_time(api):
    answer = block(api, "video", "v1", "a complaint")

    expected = {"kind": "video", "key": "v1", "reason": "a complaint", "since": "2026-03-01T00:00:00+00:00"}
    assert answer == expected
    assert Block.model_validate(answer)
    assert api.get("/v1/admin/blocks").json() == {"blocks": [expected]}
    assert BlocksAnswer.model_validate(api.get("/v1/admin/blocks").json())


@pytest.mark.parametrize(
    ("kind", "key", "expected"),
    [
        ("video", "v1", {"v1"}),
        ("creator", "c2", {f"v{n}" for n in range(2, 60, 7)}),
        ("brand", "b0", {f"v{n}" for n in range(0, 60, 3)}),
        ("product", "p4", {"v4", "v24", "v44"}),
    ],
)
def test_what_is_blocked_is_shown_nowhere(api, kind, key, expected):
    api.post("/v1/events", json=[{"user_id": "ann", "video_id": v, "watch_time_s": 1} for v in ("v3", "v4", "v24")])
    block(api, kind, key)

    left = set(video_ids()) - expected
    seen = {"v3", "v4", "v24"}
    first = api.get("/v1/users/ann/feed?k=60").json()
    again = api.get(f"/v1/users/ann/feed?k=60&cursor={first['cursor']}").json()
    posted = api.post("/v1/feed", json={"history": [], "k": 60})
    assert {video["video_id"] for video in first["videos"]} == left - seen
    assert {video["video_id"] for video in again["videos"]} == left & seen  # the fallback
    assert set(ids(posted)) == left
    assert set(ids(api.get("/v1/videos/v5/similar?k=60"))) == left - {"v5"}
    assert all(shown(api, f"system={system}") == left - seen for system in ("recency", "popularity", "random"))


def test_a_block_holds_behind_a_cursor_that_was_given_before(api):
    first = api.get("/v1/users/ann/feed?k=5").json()
    rest = ids(api.get(f"/v1/users/ann/feed?k=55&cursor={first['cursor']}"))
    block(api, "video", rest[0])

    assert ids(api.get(f"/v1/users/ann/feed?k=60&cursor={first['cursor']}")) == rest[1:]


def test_a_lifted_block_lets_the_video_come_back(api):
    block(api, "video", "v1")
    block(api, "brand", "b2")

    answer = api.delete("/v1/admin/blocks/video/v1").json()
    api.services.follower.tick()

    assert [one["key"] for one in answer["blocks"]] == ["b2"]
    assert shown(api) == {f"v{n}" for n in range(60) if n % 3 != 2}


def test_a_block_that_is_not_there_cannot_be_lifted(idle):
    assert idle.delete("/v1/admin/blocks/video/v1").status_code == 404
    assert idle.delete("/v1/admin/blocks/offer/v1").status_code == 422


@pytest.mark.parametrize("key", ["Dolce/Gabbana", "a/../b", "ü 50 %", "a?b#c", "/", "日本"])
def test_a_block_of_any_name_can_be_lifted(idle, key):
    block(idle, "brand", key)

    quoted = "".join(f"%{byte:02X}" for byte in key.encode())

    assert idle.delete(f"/v1/admin/blocks/brand/{quoted}").json() == {"blocks": []}


def test_the_same_block_twice_is_one(api):
    block(api, "video", "v1", "first")
    block(api, "video", "v1", "second")

    (one,) = api.get("/v1/admin/blocks").json()["blocks"]
    assert one["reason"] == "second"


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"kind": "video", "key": "v1"},
        {"kind": "video", "key": "v1", "reason": ""},
        {"kind": "video", "key": "", "reason": "x"},
        {"kind": "film", "key": "v1", "reason": "x"},
        {"kind": "price", "key": "v1", "reason": "x"},
        {"kind": "accepted", "key": "v1", "reason": "x"},
        {"kind": "video", "key": "v" * 201, "reason": "x"},
        {"kind": "video", "key": "v1", "reason": "x" * 501},
        {"kind": "video", "key": "v1", "reason": "x", "until": 1},
    ],
)
def test_what_is_no_block_is_refused(idle, body):
    assert idle.put("/v1/admin/blocks", json=body).status_code == 422
    assert idle.get("/v1/admin/blocks").json() == {"blocks": []}


def test_a_product_that_is_out_takes_its_videos_along(api):
    answer = patch(api, {"product_id": "p4", "available": False})

    assert (answer.changed, answer.unknown_products) == (1, [])
    assert set(video_ids()) - shown(api) == {"v4", "v24", "v44"}
    assert api.get("/v1/products/p4").json()["available"] is False
    assert api.get("/v1/videos/v4").status_code == 200


def test_a_product_that_is_out_in_a_market_hides_videos_there(api):
    patch(api, {"product_id": "p4", "available": False, "market": "de"})

    assert set(video_ids()) - shown(api, "market=de") == {"v4", "v24", "v44"}
    assert shown(api, "market=fr") == shown(api) == set(video_ids())
    similar = ids(api.get("/v1/videos/v5/similar?k=60&market=de"))
    assert set(video_ids()) - set(similar) == {"v4", "v24", "v44", "v5"}


def test_what_a_market_says_goes_before_what_all_say(api):
    patch(api, {"product_id": "p4", "available": False}, {"product_id": "p4", "available": True, "market": "de"})

    assert shown(api, "market=de") == set(video_ids())
    assert "v4" not in shown(api, "market=fr")


def test_a_field_that_is_absent_stays_as_it_was(api):
    patch(api, {"product_id": "p4", "available": False})
    patch(api, {"product_id": "p4", "price": 7.5})
    patch(api, {"product_id": "p4", "price": 5, "market": "de"})

    assert "v4" not in shown(api)
    assert [api.get(f"/v1/products/p4{query}").json()["price"] for query in ("", "?market=fr", "?market=de")] == [
        7.5,
        7.5,
        5,
    ]
    assert api.get("/v1/products/p4").json()["available"] is False


def test_a_field_that_is_null_is_lifted_in_that_market_alone(api):
    patch(api, {"product_id": "p4", "available": False, "price": 7.5}, {"product_id": "p4", "price": 5, "market": "de"})

    answer = patch(api, {"product_id": "p4", "available": None}, {"product_id": "p4", "price": None, "market": "de"})

    assert answer.changed == 2
    assert shown(api) == set(video_ids())
    assert api.services.stage.overlay.offers == {("p4", ""): Offer(None, 7.5)}
    assert api.get("/v1/products/p4?market=de").json()["price"] == 7.5


def test_an_offer_of_which_all_is_lifted_leaves_nothing_in_the_store_or_its_copy(api, root):
    before = api.get("/v1/products/p4").json()
    patch(api, {"product_id": "p4", "available": False, "price": 7.5, "market": "de"})

    patch(
        api, {"product_id": "p4", "available": None, "price": None, "market": "de"}, {"product_id": "p5", "price": None}
    )

    assert api.services.store.overlay() == []
    assert json.loads((root / "state/overlay.json").read_text())["entries"] == []
    assert api.get("/v1/products/p4?market=de").json() == before


def test_what_a_patch_says_last_of_a_field_counts(api):
    patch(api, {"product_id": "p4", "price": None}, {"product_id": "p4", "price": 5})
    patch(api, {"product_id": "p5", "price": 5}, {"product_id": "p5", "price": None})

    assert api.services.stage.overlay.offers == {("p4", ""): Offer(None, 5)}


def test_fields_that_are_written_at_once_are_both_kept(api):
    bodies = [{"product_id": f"p{n}", **field} for n in range(20) for field in ({"available": False}, {"price": 7.5})]

    with ThreadPoolExecutor(8) as threads:
        list(threads.map(lambda body: api.patch("/v1/products", json={"products": [body]}), bodies))
    api.services.follower.tick()

    assert set(api.services.stage.overlay.offers.values()) == {Offer(False, 7.5)}


def test_offers_of_products_that_the_snapshot_lacks_are_kept_for_the_next(api):
    answer = patch(api, {"product_id": "p99", "available": False}, {"product_id": "p1", "available": True})

    assert (answer.changed, answer.unknown_products) == (2, ["p99"])


@pytest.mark.parametrize(
    "products",
    [
        [],
        [{}],
        [{"product_id": ""}],
        [{"product_id": "p1", "available": "perhaps"}],
        [{"product_id": "p1", "price": -1}],
        [{"product_id": "p1", "price": "dear"}],
        [{"product_id": "p1", "market": ""}],
        [{"product_id": "p1", "market": "m" * 51}],
        [{"product_id": "p1", "colour": "red"}],
        [{"product_id": "p1"}] * 1001,
    ],
)
def test_what_is_no_offer_is_refused(idle, products):
    assert idle.patch("/v1/products", json={"products": products}).status_code == 422


@pytest.mark.parametrize("price", ["NaN", "Infinity", "-Infinity", "1e999"])
def test_a_price_is_a_number(idle, price):
    body = f'{{"products": [{{"product_id": "p1", "price": {price}}}]}}'

    answer = idle.patch("/v1/products", content=body, headers={"content-type": "application/json"})

    assert answer.status_code == 422


@pytest.mark.parametrize(("hide_when", "hidden"), [("all", False), ("any", True), ("never", False)])
def test_when_videos_are_hidden_is_a_setting(root, hide_when, hidden):
    other = build_site(root / "other", product_ids=[["p1", "p2"]] * 60)
    (other / "lookreel.toml").write_text(f'[serving]\nhide_when = "{hide_when}"\n')
    with operating(other) as api:
        patch(api, {"product_id": "p1", "available": False})

        assert (shown(api) == set()) is hidden


def test_blocks_and_offers_survive_a_swap_a_rollback_and_a_restart(api, root):
    block(api, "video", "v1")
    block(api, "creator", "c2")
    patch(api, {"product_id": "p4", "available": False})
    hidden = {"v1", "v4", "v24", "v44", *(f"v{n}" for n in range(2, 60, 7))}
    left = set(video_ids()) - hidden

    update_site(root, [*video_ids()[::-1], "v60"], ["v60"])  # its creator is c4, its product p0
    follow(api)
    swapped = shown(api)
    api.post("/v1/admin/rollback")
    follow(api)
    back = shown(api)
    with operating(root, state=root / "another", events=f"sqlite:///{root}/state/events.db") as restarted:
        later = shown(restarted)

    creators = {video: f"c{row % 7}" for row, video in enumerate([*video_ids()[::-1], "v60"])}
    products = {video: f"p{row % 20}" for row, video in enumerate([*video_ids()[::-1], "v60"])}
    assert swapped == {v for v in creators if v != "v1" and creators[v] != "c2" and products[v] != "p4"}
    assert back == later == left


def test_a_block_reaches_every_worker(root):
    shared = f"sqlite:///{root}/shared.db"
    with (
        operating(root, state=root / "one", events=shared) as one,
        operating(root, state=root / "two", events=shared) as two,
    ):
        block(one, "video", "v1")
        two.services.follower.tick()

        assert "v1" not in shown(two)


def test_blocks_hold_when_a_worker_starts_while_the_store_is_down(root):
    with operating(root) as api:
        block(api, "video", "v1")
    services, breakable = open_breakable(root)
    breakable.down = True
    services.start()
    try:
        assert services.stage.overlay.blocks["video"] == {"v1"}
        assert services.require_ready()
    finally:
        services.close()


def test_while_no_block_is_known_nothing_is_shown(root):
    services, breakable = open_breakable(root, state=root / "new")
    breakable.down = True
    services.start()
    try:
        assert services.stage.live is not None
        with pytest.raises(Exception, match="loaded"):
            services.require_ready()
    finally:
        services.close()
