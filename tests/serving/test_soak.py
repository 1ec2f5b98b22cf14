"""The API's promises on real processes, under load: swaps, blocks, replicas, a store that goes, processes killed."""

import gc
import json
import os
import signal
import threading
import time
import weakref
from dataclasses import replace

import pytest

from indexing.update import update_snapshot
from indexing.versions import rollback_snapshot
from retrieval.snapshot_files import F, object_path, read_manifest
from serving.events.guard import GuardedStore
from serving.services import Services
from tests.serving.api_server import running_server
from tests.serving.load import EVENTS_A_BATCH, Poster, answers_of, asking, seconds_until
from tests.serving.redis_server import running_redis
from tests.serving.site import ADMIN, ADMIN_KEY, build_site, ids, open_site, serving
from tests.serving.soak import Options, run_soak
from tests.serving.soak_driver import ids_in
from tests.serving.soak_shop import SoakShop
from tests.stores import HandStore, write_catalogue

BLOCKED_WITHIN_S, CONVERGED_WITHIN_S, WHOLE_WITHIN_S = 2.0, 5.0, 2.0


def make_shop(root, n_videos=600):
    shop = SoakShop(root, n_videos)
    shop.build()
    return shop


def history_feed(client, product="p0"):
    touched = {"product_id": product, "occurred_at": time.time() - 60}
    return client.ask("POST", "/v1/feed", {"history": [touched]})


def user_feed(client, number):
    return client.ask("GET", f"/v1/users/poster-{number % 50}/feed")


def version_of(client):
    return client.ask("GET", "/readyz").body.get("snapshot")


def block(client, video):
    return client.ask("PUT", "/v1/admin/blocks", {"kind": "video", "key": video, "reason": "a test"})


def pages(server, user_id, n, before=""):
    """*n* pages of one feed behind the page *before*, each over a connection of its own."""
    found, cursor = [], before and f"&cursor={before}"
    for _ in range(n):
        found.append(server.client().ask("GET", f"/v1/users/{user_id}/feed?k=10{cursor}").body)
        cursor = f"&cursor={found[-1]['cursor']}"
        time.sleep(0.1)  # so that workers follow a swap meanwhile
    return found


def versions_over(servers, n):
    """The versions that answer *n* new connections to each server."""
    return {version_of(server.client()) for server in servers for _ in range(n)}


def publish_other_videos(root, last):
    """A version of the small site that lacks its first video."""
    videos = [f"v{number}" for number in range(1, last)]
    HandStore("videos", root / "videos").write({videos[-1]: 0})
    write_catalogue(root / "shop", videos, [f"p{number}" for number in range(20)])
    return update_snapshot(root / "snapshot", root / "videos", root / "products", root / "shop").version


def file_of(root, version):
    """A file that no other version of the small site has."""
    snapshot = root / "snapshot"
    return object_path(snapshot, F.VIDEOS, read_manifest(snapshot, version).files[F.VIDEOS])


def point_to(root, version):
    """Move the pointer without a look at the version's files."""
    file = root / "snapshot/manifest.json"
    draft = file.with_suffix(".draft")
    draft.write_text(json.dumps(json.loads(file.read_text()) | {"version": version}))
    draft.replace(file)


class SlowToClean:
    """A store of so many users that to clean it does not end before *done* is set."""

    def __init__(self, store):
        self._store, self.cleaning, self.done = store, threading.Event(), threading.Event()

    def clean(self, now_us):
        self.cleaning.set()
        self.done.wait(30)

    def __getattr__(self, name):
        return getattr(self._store, name)


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    """A shop with Redis and a server of four workers."""
    root = tmp_path_factory.mktemp("soak")
    shop = make_shop(root)
    (root / "redis").mkdir()
    with running_redis(root / "redis") as redis, running_server(shop.snapshot, root / "state", 4, redis.url) as server:
        yield shop, redis, server


def test_a_minute_of_load_with_swaps_blocks_and_events_breaks_no_promise(tmp_path):
    report = run_soak(tmp_path, Options(seconds=60, swap_s=10, block_s=3))

    assert report.faults == []
    assert report.workers_answering == 4
    assert report.versions_answering >= 4
    assert report.chains_across_versions > 0
    assert report.blocks_seen_before > 0


def test_20_pages_over_workers_and_a_swap_repeat_nothing(site):
    shop, _, server = site

    first = pages(server, "a-reader", 10)
    published = shop.publish(1)
    rest = pages(server, "a-reader", 10, before=first[-1]["cursor"])

    shown = [video for page in (*first, *rest) for video in ids_in(page)]
    assert len(shown) == len(set(shown)) == 200
    assert first[-1]["snapshot"] != published
    assert rest[-1]["snapshot"] == published


def test_feeds_go_on_while_redis_is_killed_and_are_whole_2_seconds_after_its_return(site):
    _, redis, server = site
    poster = Poster()

    with asking(server.clients(), user_feed) as feeds, asking(server.clients(), poster) as posts:
        time.sleep(1.5)
        killed_s = time.monotonic()  # before, since the kill returns when the process is gone, and feeds have noticed
        redis.kill()
        time.sleep(3)
        redis.start()
        back_s = time.monotonic()
        time.sleep(WHOLE_WITHIN_S + 1.5)

    answers, posted = answers_of(feeds), answers_of(posts)
    degraded_s = [answer.received_s for answer in answers if answer.body["degraded"]]
    meanwhile = [answer for answer in answers if killed_s + 1 < answer.sent_s and answer.received_s < back_s - 1]
    assert {answer.status for answer in answers} == {200}
    assert min(degraded_s) > killed_s
    assert max(degraded_s) < back_s + WHOLE_WITHIN_S
    assert all(answer.body["degraded"] for answer in meanwhile)
    assert {answer.status for answer in posted} == {200, 503}
    assert max(answer.received_s for answer in posted if answer.status == 503) < back_s + WHOLE_WITHIN_S
    remembered = poster.remembered(server.client())
    assert {remembered[user_id] for user_id in poster.accepted} == {EVENTS_A_BATCH}
    assert set(remembered.values()) <= {0, EVENTS_A_BATCH}  # a batch is stored whole or not at all


def test_all_workers_of_all_replicas_follow_the_pointer_and_the_blocks(tmp_path):
    shop = make_shop(tmp_path)
    (video,) = shop.nearest("p0", 1)
    (tmp_path / "redis").mkdir()
    with (
        running_redis(tmp_path / "redis") as redis,
        running_server(shop.snapshot, tmp_path / "one", 2, redis.url) as one,
        running_server(shop.snapshot, tmp_path / "two", 2, redis.url) as two,
    ):
        workers = [*one.clients(), *two.clients()]

        published = shop.publish(1)
        published_s = seconds_until(workers, version_of, published.__eq__, 10)
        answering = versions_over([one, two], 20)
        before = workers[0].ask("POST", "/v1/admin/rollback").body["version"]
        rolled_back_s = seconds_until(workers, version_of, before.__eq__, 10)
        shown = [video in ids_in(history_feed(client).body) for client in workers]
        block(workers[0], video)
        blocked_s = seconds_until(workers, history_feed, lambda answer: video not in ids_in(answer.body), 10)

    assert answering == {published}
    assert before != published
    assert max(published_s, rolled_back_s) < CONVERGED_WITHIN_S
    assert shown == [True] * 4
    assert blocked_s < BLOCKED_WITHIN_S


def test_no_acknowledged_event_is_lost_when_workers_and_the_server_are_killed(tmp_path):
    shop, poster = make_shop(tmp_path), Poster()
    with running_server(shop.snapshot, tmp_path / "state", 2) as server:
        with asking([server.client() for _ in range(4)], poster, pause_s=0.0) as posts:
            time.sleep(1)
            killed = server.workers()[0]
            os.kill(killed, signal.SIGKILL)
            server.clients()  # waits until the dead worker is replaced
            metrics = server.client().ask("GET", "/metrics").body["text"]
            os.kill(server.workers()[1], signal.SIGKILL)
            time.sleep(1)
            server.kill()
        n_accepted = len(poster.accepted)

        server.start()

        remembered = poster.remembered(server.client())
    assert 'pid="' in metrics
    assert f'pid="{killed}"' not in metrics  # what a dead worker said last must not stand for ever
    assert sum(loop.lost for loop in posts) > 0
    assert n_accepted > 50
    assert {remembered[user_id] for user_id in poster.accepted} == {EVENTS_A_BATCH}
    assert set(remembered.values()) <= {0, EVENTS_A_BATCH}


def test_a_block_holds_while_a_version_takes_long_to_open(tmp_path):
    root = build_site(tmp_path)
    slow = publish_other_videos(root, 61)
    rollback_snapshot(root / "snapshot")
    file = file_of(root, slow)
    with serving(root, admin_keys=ADMIN_KEY) as client:
        client.headers.update(ADMIN)
        first = ids(client.get("/v1/users/ann/feed"))[0]
        file.unlink()
        os.mkfifo(file)  # to open it waits for a writer, as a disk does that hangs
        point_to(root, slow)
        time.sleep(1)  # the follower has begun to open it

        client.put("/v1/admin/blocks", json={"kind": "video", "key": first, "reason": "a test"})
        time.sleep(BLOCKED_WITHIN_S)
        shown = ids(client.get("/v1/users/ann/feed"))

        with file.open("wb"):
            file.unlink()
    assert len(shown) == 10
    assert first not in shown


def test_a_version_is_followed_at_once_after_one_that_cannot_be_opened(tmp_path):
    root = build_site(tmp_path)
    services = open_site(root)
    services.follower.tick()
    broken = publish_other_videos(root, 61)
    file_of(root, broken).unlink()
    services.follower.tick()

    rollback_snapshot(root / "snapshot")
    whole = publish_other_videos(root, 62)
    services.follower.tick()

    assert services.stage.live.snapshot.version == whole


def test_versions_are_followed_while_the_store_takes_long_to_clean(tmp_path):
    root = build_site(tmp_path)
    parts = open_site(root).parts
    slow = SlowToClean(parts.store)
    services = Services(replace(parts, store=GuardedStore(slow, lambda: None))).start()
    assert slow.cleaning.wait(10)

    published = publish_other_videos(root, 61)
    time.sleep(2)
    live = services.stage.live.snapshot.version

    slow.done.set()
    services.close()
    assert live == published


def test_a_version_that_was_replaced_is_let_go_at_once(tmp_path):
    root = build_site(tmp_path)
    services = open_site(root)
    services.follower.tick()
    services.stage.live.allowed(services.stage.overlay, "de")
    replaced = weakref.ref(services.stage.live)
    space = weakref.ref(services.stage.live.snapshot.space)
    gc.collect()

    gc.disable()  # a cycle would keep it
    publish_other_videos(root, 61)
    services.follower.tick()
    kept = replaced(), space()
    gc.enable()

    assert kept == (None, None)
