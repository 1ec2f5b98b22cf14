"""The conventional system over HTTP: the same feed as in process, users nobody knows, and who is forgotten."""

import numpy as np
import pytest

from indexing.publish import build_snapshot
from indexing.update import update_snapshot
from retrieval.log import from_us
from retrieval.snapshot import open_snapshot
from retrieval.systems import SystemConfig, SystemKind
from tests.given import best_given, given_vector, run_of
from tests.serving.api_server import running_server
from tests.serving.site import build_site, ids, open_breakable, serving, video_ids

KNOWN = video_ids()[:40]
TRAINING = run_of(KNOWN, ["ann", "bob"])
CONVENTIONAL = "system=conventional"


@pytest.fixture(scope="module", name="shop")
def _shop(tmp_path_factory):
    root = build_site(tmp_path_factory.mktemp("conventional"))
    update_snapshot(root / "snapshot", root / "videos", root / "products", root / "shop", run=TRAINING)
    return root


@pytest.fixture(name="api")
def _api(shop, tmp_path):
    with serving(shop, state=tmp_path / "state") as client:
        yield client


def feed_of(api, user, k=10, more=""):
    return api.get(f"/v1/users/{user}/feed?k={k}&{CONVENTIONAL}{more}")


def test_a_feed_over_http_is_the_one_in_process(api, shop):
    system, at = SystemConfig(kind=SystemKind.CONVENTIONAL), from_us(api.services.now_us())

    answer = feed_of(api, "ann")

    expected = open_snapshot(shop / "snapshot").feed([], 10, at=at, system=system, user_id="ann")
    assert ids(answer) == [video.video_id for video in expected.videos]
    assert ids(answer) == best_given(KNOWN, given_vector("ann"), 10)
    assert [video["score"] for video in answer.json()["videos"]] == [video.score for video in expected.videos]
    told = answer.json()
    assert (told["eligible"], told["exact"], told["fallback"], told["user"]["known"]) == (40, True, None, True)
    assert all(video["reasons"] == [] and video["moment_s"] is None for video in told["videos"])


def test_pages_and_filters_go_on_through_the_videos_that_have_a_vector(api):
    first = feed_of(api, "bob", 6, "&where=markets:fr").json()
    second = feed_of(api, "bob", 60, f"&where=markets:fr&cursor={first['cursor']}").json()

    shown = [video["video_id"] for page in (first, second) for video in page["videos"]]
    french = [video for video in KNOWN if int(video[1:]) % 2]
    assert shown == best_given(french, given_vector("bob"), 60)


def test_a_user_the_training_did_not_know_gets_its_default_vector_and_is_told_so(api):
    answer = feed_of(api, "zed")

    assert ids(answer) == best_given(KNOWN, TRAINING.default, 10)
    assert (answer.json()["fallback"], answer.json()["user"]["known"]) == ("global", False)


def test_a_forgotten_user_is_ranked_by_the_default_vector_at_once_and_by_every_other_worker(api, shop, tmp_path):
    with serving(shop, state=tmp_path / "state") as other:
        api.delete("/v1/users/ann")
        other.services.follower.refresh()

        assert ids(feed_of(api, "ann")) == best_given(KNOWN, TRAINING.default, 10)
        assert ids(feed_of(other, "ann")) == best_given(KNOWN, TRAINING.default, 10)
        assert ids(feed_of(other, "bob")) == best_given(KNOWN, given_vector("bob"), 10)


def test_once_settled_a_user_stays_forgotten_though_only_their_hash_is_kept(api, shop, tmp_path):
    api.delete("/v1/users/ann")
    services = api.services
    from serving.identity import user_hash

    services.store.settle(services.store.erasures()[0], user_hash(services.secret, "ann"))

    with serving(shop, state=tmp_path / "state") as again:
        assert ids(feed_of(again, "ann")) == best_given(KNOWN, TRAINING.default, 10)


def test_while_the_erasure_list_could_not_be_read_nobody_s_vector_is_used(shop, tmp_path):
    services, store = open_breakable(shop, state=tmp_path / "state")
    store.down = True

    services.start()

    assert services.is_forgotten("bob")
    services.close()


def test_a_snapshot_without_such_vectors_is_a_422_with_the_cure(tmp_path):
    with serving(build_site(tmp_path, video_ids(8))) as api:
        answer = feed_of(api, "ann")

        assert answer.status_code == 422
        assert "no vectors of a conventional training" in answer.json()["error"]["message"]
        assert api.get("/v1/users/ann/feed?k=3").status_code == 200


def test_a_version_without_them_is_not_taken_where_it_is_the_default_system(shop, tmp_path):
    root = build_site(tmp_path, video_ids(8))
    sources = (root / "videos", root / "products", root / "shop")
    (root / "lookreel.toml").write_text('[serving]\nsystem = "conventional"\n')
    build_snapshot(*sources, root / "snapshot", run=run_of(video_ids(8), ["ann"]))
    with serving(root) as api:
        before = api.services.stage.live.snapshot.version
        build_snapshot(*sources, root / "snapshot")
        api.services.follower.follow()

        assert api.services.stage.live.snapshot.version == before
        assert "cannot be opened" in api.services.follower.problem


def test_a_real_server_serves_it(shop, tmp_path):
    with running_server(shop / "snapshot", tmp_path / "state", workers=2) as server:
        answer = server.client().ask("GET", f"/v1/users/bob/feed?k=10&{CONVENTIONAL}")

    assert answer.status == 200
    assert [video["video_id"] for video in answer.body["videos"]] == best_given(KNOWN, given_vector("bob"), 10)
    np.testing.assert_allclose(
        [video["score"] for video in answer.body["videos"]],
        [given_vector(video["video_id"]) @ given_vector("bob") for video in answer.body["videos"]],
    )
