"""What every event store keeps to, asked of each of them."""

import sqlite3
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

import pytest
import redis

from serving.events import open_event_store
from serving.events.protocol import Erasure, Limits, OverlayEntry, ProductEvent, UserState, Watch
from tests.serving.event_writer import LIMITS as WIDE
from tests.serving.event_writer import acknowledged, start_writer
from tests.serving.redis_server import running_redis

S = 1_000_000  # microseconds
NOW = 1_767_225_600 * S  # 2026-01-01
LIMITS = Limits(history=3, seen_s=100.0, event_ids_s=50.0)
ODD = ["tab\tline\nend", "nul\0inside", "\1\2\1\1", "quote'\"\\", "%_*[a-z]?^{}:", "é" * 100 + "😀" * 100, " "]


@pytest.fixture(name="server", scope="module")
def _server(tmp_path_factory):
    with running_redis(tmp_path_factory.mktemp("redis")) as server:
        yield server


@pytest.fixture(name="url", params=["sqlite", "redis"])
def _url(request, tmp_path):
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'events.db'}"
    server = request.getfixturevalue("server")
    with server.client() as client:
        client.flushall()
    return server.url


@pytest.fixture(name="store")
def _store(url):
    with closing(open_event_store(url, LIMITS)) as store:
        yield store


def view(event_id, at_us=NOW, user_id="ann", product_id="p"):
    return ProductEvent(event_id, user_id, product_id, "view", at_us)


def watch(event_id, at_us=NOW, user_id="ann", video_id="v", **flags):
    return Watch(event_id, user_id, video_id, "f1", 2.5, at_us, flags)


def entry(key, value="1", at_us=NOW, market=""):
    return OverlayEntry("block", key, market, value, "recalled", at_us)


def everything(url):
    """All that the store holds, as one text: the bytes of the SQLite files, or every key and value of Redis."""
    if url.startswith("sqlite"):
        path = Path(url.removeprefix("sqlite:///"))
        return b"".join(part.read_bytes() for part in sorted(path.parent.glob("events.db*"))).decode("latin-1")
    read = {
        "string": lambda client, key: "a mark",  # the value is a time, and the key a hash
        "hash": lambda client, key: client.hgetall(key),
        "zset": lambda client, key: client.zrange(key, 0, -1),
        "set": lambda client, key: client.smembers(key),
        "list": lambda client, key: client.lrange(key, 0, -1),
    }
    with closing(redis.Redis.from_url(url)) as client:
        return repr([(key, read[client.type(key).decode()](client, key)) for key in client.scan_iter()])


def test_a_user_is_what_was_put_of_them(store):
    events = [view("e1", NOW + 1), watch("w1", video_id="v1"), view("e2", NOW + 2, product_id="q")]

    new = store.put(events, NOW)

    assert new == [True, True, True]
    assert store.user("ann", NOW) == UserState((events[0], events[2]), ("v1",), None)


def test_an_unknown_user_is_nothing(store):
    assert store.user("nobody", NOW) == UserState()


def test_an_empty_batch_is_no_event(store):
    assert store.put([], NOW) == []


def test_the_newest_events_of_a_history_are_kept_oldest_first(store):
    store.put([view("e5", NOW + 5), view("e1", NOW + 1), view("e3", NOW + 3)], NOW)

    store.put([view("e4", NOW + 4), view("e2", NOW + 2)], NOW)

    assert [event.event_id for event in store.user("ann", NOW).history] == ["e3", "e4", "e5"]


def test_events_of_one_time_stand_in_the_order_of_their_ids(store):
    store.put([view(event_id) for event_id in ("b", "a\0b", "a", "é", "a\1")], NOW)

    # By bytes: a, a NUL b, a SOH, b, é (two bytes from C3 on); the last three are kept.
    assert [event.event_id for event in store.user("ann", NOW).history] == ["a\1", "b", "é"]


def test_a_lowered_history_shows_the_newest(url):
    with closing(open_event_store(url, WIDE)) as store:
        store.put([view(f"e{number}", NOW + number) for number in range(5)], NOW)

    with closing(open_event_store(url, LIMITS)) as store:
        assert [event.event_id for event in store.user("ann", NOW).history] == ["e2", "e3", "e4"]


def test_a_video_is_seen_until_its_time_is_over_even_before_a_clean(store):
    store.put([watch("w1", NOW, video_id="v1"), watch("w2", NOW + S, video_id="v2")], NOW + S)

    # 100 s after a watch it is over: v1's at NOW + 100 s, v2's a second later.
    assert set(store.user("ann", NOW + 100 * S - 1).seen) == {"v1", "v2"}
    assert store.user("ann", NOW + 100 * S).seen == ("v2",)
    assert store.user("ann", NOW + 101 * S).seen == ()


def test_a_video_seen_again_is_seen_for_longer(store):
    store.put([watch("w1", NOW), watch("w2", NOW + 60 * S)], NOW + 60 * S)

    store.put([watch("w3", NOW + 30 * S)], NOW + 60 * S)  # told late, and older than the last: moves nothing back

    assert store.user("ann", NOW + 159 * S).seen == ("v",)
    assert store.user("ann", NOW + 160 * S).seen == ()


def test_a_watch_told_after_its_time_is_not_seen(store):
    store.put([watch("w1", NOW - 100 * S)], NOW)

    assert store.user("ann", NOW).seen == ()
    assert [one.event_id for one in store.watches(0, NOW)] == ["w1"]


def test_an_event_id_is_new_once_in_a_batch_and_across_batches(store):
    first = store.put([view("e1"), view("e1", product_id="other"), watch("e1")], NOW)

    second = store.put([view("e1", user_id="bob"), view("e2", NOW + 1)], NOW)

    assert (first, second) == ([True, False, False], [False, True])
    assert store.user("ann", NOW).history == (view("e1"), view("e2", NOW + 1))
    assert store.user("bob", NOW) == UserState()
    assert list(store.watches(0, 2 * NOW)) == []


def test_an_event_id_is_new_again_after_its_time(store):
    store.put([view("e1")], NOW)

    before, after = store.put([view("e1")], NOW + 50 * S - 1), store.put([view("e1")], NOW + 50 * S)

    assert (before, after) == ([False], [True])
    assert store.user("ann", NOW).history == (view("e1"),)  # the same event stands there once


def test_of_a_batch_with_a_bad_event_nothing_is_kept(store):
    with pytest.raises((sqlite3.Error, redis.DataError)):
        store.put([view("e1"), watch("w1"), view("e2", user_id=None)], NOW)

    assert store.user("ann", NOW) == UserState()
    assert store.users("", 10) == []
    assert store.put([view("e1")], NOW) == [True]


@pytest.mark.parametrize("odd", ODD)
def test_any_text_may_be_an_id(store, odd):
    event = ProductEvent(odd, odd, odd, "view", NOW)
    seen = Watch(f"{odd}!", odd, odd, odd, 0.1, NOW, {"liked": True, odd: False})
    store.put_markets({odd: odd})

    store.put([event, seen], NOW)

    assert store.user(odd, NOW) == UserState((event,), (odd,), odd)
    assert list(store.watches(NOW, NOW + 1)) == [seen]
    assert store.users(odd, 10) == [odd]
    assert store.merge(odd, f"{odd}2", NOW) == 2
    assert store.erase(f"{odd}2", NOW) == [f"{odd}2", odd]
    assert {one.user_id for one in store.erasures()} == {f"{odd}2", odd}


def test_users_are_found_by_prefix_in_the_order_of_bytes(store):
    known = ["a", "a%b", "a_", "a*", "a[1]", "aé", "a😀", "b", "A", "a\uffff"]
    store.put([view(f"e-{user_id}", user_id=user_id) for user_id in known], NOW)

    assert store.users("a", 10) == ["a", "a%b", "a*", "a[1]", "a_", "aé", "a\uffff", "a😀"]  # F0 of 😀 after EF
    assert store.users("a", 3) == ["a", "a%b", "a*"]
    assert store.users("a%", 10) == ["a%b"]
    assert store.users("a[", 10) == ["a[1]"]
    assert store.users("a_", 10) == ["a_"]
    assert store.users("", 2) == ["A", "a"]
    assert store.users("c", 10) == []


def test_a_user_with_a_market_alone_is_known(store):
    store.put_markets({"ann": "de", "bob": "fr"})
    store.put_markets({"ann": "pl"})
    store.put_markets({})

    assert store.user("ann", NOW) == UserState(market="pl")
    assert store.users("", 10) == ["ann", "bob"]


def test_a_merge_moves_history_seen_videos_watches_and_market(store):
    store.put([view("e1", NOW + 1, "anon"), watch("w1", NOW + 2, "anon", liked=True), view("e2", NOW + 3)], NOW)
    store.put_markets({"anon": "de"})

    moved = store.merge("anon", "ann", NOW + 4)

    assert moved == 2
    assert store.user("ann", NOW) == UserState((view("e1", NOW + 1), view("e2", NOW + 3)), ("v",), "de")
    assert store.user("anon", NOW) == UserState()
    assert list(store.watches(0, 2 * NOW)) == [watch("w1", NOW + 2, liked=True)]
    assert store.users("", 10) == ["ann"]


def test_a_merge_keeps_the_users_own_market_the_newest_events_and_the_later_time(store):
    store.put([view(f"e{number}", NOW + number, user_id="anon") for number in range(3)], NOW)
    store.put([view("e3", NOW + 3), watch("w1"), watch("w2", NOW + 10 * S, user_id="anon")], NOW)
    store.put_markets({"anon": "de", "ann": "fr"})

    moved = store.merge("anon", "ann", NOW)

    assert moved == 4
    assert [event.event_id for event in store.user("ann", NOW).history] == ["e1", "e2", "e3"]
    assert store.user("ann", NOW + 109 * S).seen == ("v",)
    assert store.user("ann", NOW + 110 * S).seen == ()
    assert store.user("ann", NOW).market == "fr"


def test_a_repeated_merge_moves_none_and_a_known_event_stays_known(store):
    store.put([view("e1", user_id="anon")], NOW)
    store.merge("anon", "ann", NOW)

    again, with_oneself = store.merge("anon", "ann", NOW), store.merge("ann", "ann", NOW)

    assert (again, with_oneself) == (0, 0)
    assert store.put([view("e1", user_id="anon")], NOW) == [False]
    assert store.user("ann", NOW).history == (view("e1"),)


def test_an_erased_user_goes_with_all_who_were_merged_into_them(store):
    store.put([view("e1", user_id="tab"), view("e2", user_id="phone"), view("e3"), view("e4", user_id="bob")], NOW)
    store.merge("tab", "phone", NOW)
    store.merge("phone", "ann", NOW)
    store.merge("desk", "ann", NOW)

    erased = store.erase("ann", NOW + 1)

    assert erased == ["ann", "desk", "phone", "tab"]
    assert {(one.at_us, one.user_id) for one in store.erasures()} == {(NOW + 1, user_id) for user_id in erased}
    assert store.users("", 10) == ["bob"]
    assert store.erase("ann", NOW + 2) == ["ann"]  # those merged before are done


def test_one_who_was_merged_into_two_is_erased_with_the_first_and_remains_with_neither(store, url):
    store.merge("shared-tablet", "ann", NOW)
    store.merge("shared-tablet", "bob", NOW)

    erased = store.erase("ann", NOW)

    assert erased == ["ann", "shared-tablet"]
    assert everything(url).count("shared-tablet") == 1  # on the erasure list
    assert store.erase("bob", NOW) == ["bob"]


def test_nothing_of_an_erased_user_remains_but_the_erasure_list_and_not_even_that_once_settled(store, url):
    for number in range(40):
        user_id = f"ann-of-the-woods-{number % 2}"
        seen = watch(f"{user_id}-w{number}", NOW + number, user_id, f"v{number}")
        store.put([view(f"{user_id}-{number}", NOW + number, user_id), seen, view(f"b{number}", user_id="bob")], NOW)
    store.put_markets({"ann-of-the-woods-0": "de"})
    store.merge("ann-of-the-woods-1", "ann-of-the-woods-0", NOW)
    assert everything(url).count("ann-of-the-woods") > 10

    erased = store.erase("ann-of-the-woods-0", NOW)

    assert erased == ["ann-of-the-woods-0", "ann-of-the-woods-1"]
    assert everything(url).count("ann-of-the-woods") == 2
    store.settle(Erasure(NOW, "ann-of-the-woods-0"), "hash 0")
    store.settle(Erasure(NOW, "ann-of-the-woods-1"), "hash 1")
    assert "ann-of-the-woods" not in everything(url)
    assert {one.user_hash for one in store.erasures()} == {"hash 0", "hash 1"}
    assert len(store.user("bob", NOW).history) == 3


def test_erasures_are_oldest_first_and_only_the_one_that_is_done_is_settled(store):
    store.erase("late", NOW + 2)
    store.erase("early", NOW + 1)

    store.settle(Erasure(NOW + 2, "late"), "hash")
    store.settle(Erasure(NOW + 9, "early"), "another time, so none of them")
    store.settle(Erasure(NOW + 2, user_hash="hash"), "hash")

    assert store.erasures() == [Erasure(NOW + 1, "early"), Erasure(NOW + 2, user_hash="hash")]


def test_watches_are_those_of_a_span_with_its_beginning_and_without_its_end(store):
    told = [watch(event_id, NOW + at) for event_id, at in (("w0", 0), ("w1", 1), ("w1b", 1), ("w2", 2), ("w3", 3))]
    store.put(told, NOW)

    found = list(store.watches(NOW + 1, NOW + 3))

    assert sorted(found, key=lambda one: one.event_id) == told[1:4]
    assert list(store.watches(NOW + 4, NOW + 9)) == []


def test_more_watches_than_a_page_come_once_each(store):
    told = [watch(f"w{number}", NOW + number // 30) for number in range(2500)]
    store.put(told, NOW)

    found = [one.event_id for one in store.watches(NOW, NOW + 100)]

    assert len(found) == 2500
    assert set(found) == {one.event_id for one in told}


def test_dropped_watches_are_gone_and_what_was_seen_stays(store):
    store.put([watch(f"w{number}", NOW + number) for number in range(1500)], NOW)

    dropped = store.drop_watches(NOW + 1499)

    assert dropped == 1499
    assert [one.event_id for one in store.watches(0, 2 * NOW)] == ["w1499"]
    assert store.user("ann", NOW).seen == ("v",)
    assert store.drop_watches(NOW + 1499) == 0


def test_the_overlay_is_what_was_written_last_oldest_first(store):
    store.put_overlay([entry("v2", at_us=NOW + 1), entry("v1", at_us=NOW + 2), entry("v1", market="de")])

    store.put_overlay([entry("v1", "2", NOW + 3)])

    assert store.overlay() == [entry("v1", market="de"), entry("v2", at_us=NOW + 1), entry("v1", "2", NOW + 3)]


def test_only_new_entries_leave_those_that_are_there(store):
    store.put_overlay([entry("v1")])

    store.put_overlay([entry("v1", "2"), entry("v2", "2", NOW + 1)], only_new=True)

    assert store.overlay() == [entry("v1"), entry("v2", "2", NOW + 1)]


def test_the_revision_grows_with_each_change_of_the_overlay_and_only_then(store):
    revisions = [store.overlay_revision()]

    store.put_overlay([entry("v1"), entry("v2")])
    revisions.append(store.overlay_revision())
    store.put_overlay([entry("v1", "2")], only_new=True)  # there already
    store.drop_overlay([("block", "v9", "")])  # not there
    store.put_overlay([])
    revisions.append(store.overlay_revision())
    dropped = store.drop_overlay([("block", "v1", ""), ("block", "v9", ""), ("block", "v2", "")])
    revisions.append(store.overlay_revision())

    assert dropped == 2
    assert revisions[0] < revisions[1] == revisions[2] < revisions[3]
    assert store.overlay() == []


def test_a_clean_drops_what_has_expired_and_users_of_whom_nothing_is_left(store):
    store.put([view("e1"), watch("w1"), watch("w2", user_id="bob"), watch("w3", NOW + S, "cid")], NOW)
    store.put_markets({"dan": "de"})
    store.drop_watches(NOW + S)

    store.clean(NOW + 100 * S)

    assert store.users("", 10) == ["ann", "cid", "dan"]  # a history, a video that is still seen, a market
    assert store.user("ann", NOW) == UserState((view("e1"),))
    assert store.put([view("e1")], NOW + 100 * S) == [True]


def test_a_store_keeps_everything_when_it_is_opened_again(url):
    with closing(open_event_store(url, LIMITS)) as store:
        store.put([view("e1"), watch("w1")], NOW)
        store.put_overlay([entry("v1")])

    with closing(open_event_store(url, LIMITS)) as store:
        store.ping()
        assert store.user("ann", NOW) == UserState((view("e1"),), ("v",))
        assert store.overlay() == [entry("v1")]
        assert store.put([view("e1")], NOW) == [False]


def test_threads_side_by_side_lose_nothing_and_store_nothing_twice(url):
    with closing(open_event_store(url, WIDE)) as store, ThreadPoolExecutor(8) as threads:
        batches = [[view(f"e{number}", NOW + number), view("same")] for number in range(120)]

        new = list(threads.map(lambda batch: store.put(batch, NOW), batches))

        assert [one[0] for one in new] == [True] * 120
        assert sum(one[1] for one in new) == 1
        assert len(store.user("ann", NOW).history) == 121


def test_processes_that_open_a_new_store_together_lose_nothing_and_store_nothing_twice(url):
    writers = [start_writer(url, "ann", 30 * number, 30 * number + 60) for number in range(4)]  # every other id twice

    printed = [acknowledged(writer.communicate(timeout=60)[0]) for writer in writers]

    assert [writer.returncode for writer in writers] == [0] * 4
    assert [len(ids) for ids, _ in printed] == [60] * 4
    new = [event_id for _, ids in printed for event_id in ids]
    assert sorted(new) == sorted(f"e{number}" for number in range(150))
    with closing(open_event_store(url, WIDE)) as store:
        assert len(store.user("ann", NOW).history) == 150
