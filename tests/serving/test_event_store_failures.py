"""What event stores do when something goes wrong: kills, servers that are down, files of others, a second host."""

import os
import random
import sqlite3
import threading
import time
from contextlib import closing

import pytest

from serving.events import open_event_store
from serving.events.guard import GuardedStore
from serving.events.protocol import EventStoreError, Limits, ProductEvent, StoreDownError, Watch
from serving.events.redis import RedisStore
from serving.events.sqlite import SqliteStore
from tests.serving.event_writer import LIMITS as WIDE
from tests.serving.event_writer import acknowledged, start_writer
from tests.serving.redis_server import RedisServer, running_redis

ROUNDS = 5
LONGEST_S = 0.15


@pytest.fixture(name="server")
def _server(tmp_path):
    with running_redis(tmp_path, "--appendfsync", "always") as server:
        yield server


@pytest.fixture(name="path")
def _path(tmp_path):
    return tmp_path / "events.db"


def view(event_id, at_us=1):
    return ProductEvent(event_id, "ann", "p", "view", at_us)


def kept_ids(store):
    return {event.event_id for event in store.user("ann", 1_000_000).history}


def test_a_killed_process_loses_nothing_that_sqlite_acknowledged(path):
    url, rng, told = f"sqlite:///{path}", random.Random(20261127), []

    for number in range(ROUNDS):
        writer = start_writer(url, "ann", number * 100_000, (number + 1) * 100_000)
        first = writer.stdout.readline()  # so that the kill falls among writes
        time.sleep(rng.uniform(0.0, LONGEST_S))
        writer.kill()
        told += acknowledged(first + writer.communicate()[0])[0]

    with closing(SqliteStore(path, WIDE)) as store, closing(sqlite3.connect(path)) as file:
        assert len(told) > ROUNDS
        assert set(told) <= kept_ids(store)
        assert len(kept_ids(store)) <= len(told) + ROUNDS  # of each round one may be stored and not yet told
        assert file.execute("PRAGMA integrity_check").fetchone() == ("ok",)


def test_a_killed_server_loses_nothing_that_redis_acknowledged(server):
    rng, told = random.Random(20261127), []

    def write(first):
        with closing(RedisStore(server.url, WIDE)) as store:
            for number in range(first, first + 100_000):
                try:
                    store.put([view(f"e{number}", number)], 1_000_000)
                except StoreDownError:
                    return
                told.append(f"e{number}")

    for number in range(ROUNDS):
        writer = threading.Thread(target=write, args=(number * 100_000,))
        writer.start()
        time.sleep(rng.uniform(0.02, LONGEST_S))
        server.kill()
        writer.join(timeout=10)
        server.start()

    with closing(RedisStore(server.url, WIDE)) as store:
        assert len(told) > ROUNDS
        assert set(told) <= kept_ids(store)
        assert len(kept_ids(store)) <= len(told) + ROUNDS


def test_a_new_file_is_its_owners_alone(path):
    with closing(SqliteStore(path)):
        modes = {part.name: part.stat().st_mode & 0o777 for part in path.parent.iterdir()}

    assert modes == {"events.db": 0o600, "events.db-shm": 0o600, "events.db-wal": 0o600}


def test_a_folder_that_does_not_exist_is_named_with_its_cure(tmp_path):
    with pytest.raises(EventStoreError, match=r"The folder .*/state of .*events\.db does not exist\.\nMake it, mkdir"):
        SqliteStore(tmp_path / "away" / "state" / "events.db")


def test_a_folder_is_no_event_store(tmp_path):
    with pytest.raises(EventStoreError, match="is a folder, not an event store"):
        SqliteStore(tmp_path)


def test_a_file_that_is_no_database_is_refused_and_left_as_it_is(path):
    path.write_text("user_id,product_id\n" * 200)

    with pytest.raises(EventStoreError, match="is not an event store: file is not a database"):
        SqliteStore(path)

    assert path.read_text() == "user_id,product_id\n" * 200


def test_another_programs_database_is_refused_and_left_as_it_is(path):
    with closing(sqlite3.connect(path)) as other:
        other.execute("CREATE TABLE orders (number INTEGER)")
    before = path.read_bytes()

    with pytest.raises(EventStoreError, match="another program's database"):
        SqliteStore(path)

    assert path.read_bytes() == before


def test_a_newer_schema_is_refused_with_both_versions(path):
    SqliteStore(path).close()
    with closing(sqlite3.connect(path)) as newer:
        newer.execute("PRAGMA user_version = 9")

    with pytest.raises(EventStoreError, match=r"schema version 9; this version of Lookreel knows up to 1"):
        SqliteStore(path)


def test_a_file_that_was_damaged_is_an_outage_not_a_crash(path):
    with closing(SqliteStore(path)) as store:
        store.put([view("e1")], 1)
    with path.open("r+b") as file:
        file.seek(100)
        file.write(b"\xff" * (path.stat().st_size - 100))  # behind the header

    with pytest.raises(EventStoreError, match="restore this one from a backup"):
        SqliteStore(path)


def test_a_lock_that_is_held_too_long_is_an_outage_and_what_follows_works(path):
    with closing(SqliteStore(path, busy_s=0.05)) as store, closing(sqlite3.connect(path)) as other:
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(StoreDownError, match="database is locked"):
            store.put([view("e1")], 1)
        assert kept_ids(store) == set()  # reads wait for no writer
        other.rollback()

        assert store.put([view("e1")], 1) == [True]


def test_a_second_host_is_refused_while_the_first_lives_and_told_of_redis(path):
    first_clock, second_clock = [1000.0], [1059.0]
    with closing(SqliteStore(path, host="first", clock=lambda: first_clock[0])) as first:
        with pytest.raises(
            EventStoreError, match=r"in use on another host.*59 s ago(.|\n)*--events redis://HOST:6379/0"
        ):
            SqliteStore(path, host="second", clock=lambda: second_clock[0])
        SqliteStore(path, host="first", clock=lambda: second_clock[0]).close()  # another process of the same host

        second_clock[0] = 1118.9  # the other process had spoken at 1059
        with pytest.raises(EventStoreError, match="another host"):
            SqliteStore(path, host="second", clock=lambda: second_clock[0])
        second_clock[0] = 1119.0
        SqliteStore(path, host="second", clock=lambda: second_clock[0]).close()

        first_clock[0] = 1120.0
        with pytest.raises(StoreDownError, match="another host"):
            first.ping()


def test_a_ping_keeps_the_file_for_its_host(path):
    clock = [1000.0]
    with closing(SqliteStore(path, host="first", clock=lambda: clock[0])) as store:
        clock[0] = 1050.0
        store.ping()

    with pytest.raises(EventStoreError, match="10 s ago"):
        SqliteStore(path, host="second", clock=lambda: 1060.0)


def test_calls_of_a_closed_store_leave_no_connection_behind(path):
    store = SqliteStore(path)
    store.close()

    assert kept_ids(store) == set()
    assert not [link for link in os.listdir("/proc/self/fd") if _leads_to(link, path)]


def _leads_to(link, path):
    try:
        return os.readlink(f"/proc/self/fd/{link}").startswith(str(path))
    except FileNotFoundError:  # the listing's own
        return False


def test_an_unknown_scheme_is_refused_with_the_known_ones_and_without_the_password():
    with pytest.raises(EventStoreError, match="sqlite://, redis://, rediss://, valkey://") as refused:
        open_event_store("postgres://shop:secret@db/events")

    assert "secret" not in str(refused.value)


@pytest.mark.parametrize("url", ["sqlite://events.db", "sqlite:///", "sqlite:events.db"])
def test_a_sqlite_url_without_a_path_is_refused_with_an_example(url):
    with pytest.raises(EventStoreError, match=r"sqlite:///events\.db"):
        open_event_store(url)


def test_a_redis_url_that_cannot_be_read_is_refused():
    with pytest.raises(EventStoreError, match="redis://HOST:6379/0"):
        open_event_store("redis://localhost:many/0")


def test_a_relative_sqlite_path_is_relative_to_the_working_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)

    open_event_store("sqlite:///events.db").close()

    assert (tmp_path / "events.db").exists()


def test_valkey_is_spoken_to_as_redis(server):
    with closing(open_event_store(server.url.replace("redis://", "valkey://"))) as store:
        assert store.put([view("e1")], 1) == [True]


def test_a_server_that_is_not_there_is_an_outage_at_once(tmp_path):
    with closing(open_event_store(RedisServer(tmp_path).url)) as store:
        began_s = time.monotonic()
        with pytest.raises(StoreDownError, match="does not answer"):
            store.user("ann", 1)

        assert time.monotonic() - began_s < 0.5


def test_a_server_that_hangs_is_an_outage_after_one_time_limit(server):
    with closing(RedisStore(server.url, read_s=0.3)) as store, server.frozen():
        began_s = time.monotonic()
        with pytest.raises(StoreDownError, match="does not answer"):
            store.user("ann", 1)

        assert time.monotonic() - began_s < 0.9  # 0.3 s, once, and a slow machine


@pytest.mark.parametrize("command", [("CONFIG", "SET", "maxmemory", "1"), ("REPLICAOF", "127.0.0.1", "1")])
def test_a_server_that_takes_no_writes_is_an_outage_and_stores_nothing(server, command):
    with closing(RedisStore(server.url)) as store, server.client() as client:
        client.execute_command(*command)

        with pytest.raises(StoreDownError, match="refuses for now"):
            store.put([view("e1")], 1)

        assert kept_ids(store) == set()


def test_a_guarded_store_opens_without_its_server_and_asks_it_only_in_probes(tmp_path, server):
    server.kill()
    errors = []
    with closing(GuardedStore(open_event_store(server.url), lambda: errors.append("down"))) as store:
        assert store.up
        with pytest.raises(StoreDownError, match="does not answer"):
            store.put([view("e1")], 1)
        assert (store.up, len(errors)) == (False, 1)

        with pytest.raises(StoreDownError, match="when it was last asked"):
            store.user("ann", 1)
        assert len(errors) == 1  # it was not asked
        assert not store.probe()
        assert len(errors) == 2

        server.start()
        with pytest.raises(StoreDownError, match="when it was last asked"):
            store.ping()  # no probe has found it yet
        assert store.probe()
        assert store.put([view("e1")], 1) == [True]
        assert (store.up, len(errors)) == (True, 2)


def test_a_guard_lets_errors_of_ours_through_and_stays_up(path):
    errors = []
    with closing(GuardedStore(SqliteStore(path), lambda: errors.append("down"))) as store:
        with pytest.raises(sqlite3.IntegrityError):
            store.put([ProductEvent("e1", None, "p", "view", 1)], 1)

        assert (store.up, errors) == (True, [])


def test_a_server_that_goes_down_among_watches_takes_the_guard_down(server):
    with closing(GuardedStore(RedisStore(server.url), lambda: None)) as store:
        store.put([Watch(f"w{number}", "ann", "v", "f1", 1.0, number) for number in range(1500)], 1)
        found = store.watches(0, 1500)
        assert next(found).event_id == "w0"

        server.kill()

        with pytest.raises(StoreDownError):
            list(found)
        assert not store.up


def test_a_guarded_store_passes_every_call_on(path):
    with closing(GuardedStore(SqliteStore(path, Limits(history=1)), lambda: None)) as store:
        store.put([view("e1", 1), view("e2", 2)], 1)
        store.put_markets({"ann": "de"})

        assert store.user("ann", 1).market == "de"
        assert kept_ids(store) == {"e2"}
        assert store.users("a", 9) == ["ann"]
        assert (store.merge("anon", "ann", 1), store.drop_watches(1), list(store.watches(0, 9))) == (0, 0, [])
        assert (store.overlay_revision(), store.overlay(), store.drop_overlay([("block", "v", "")])) == (0, [], 0)
        store.put_overlay([], only_new=True)
        store.clean(1)
        store.ping()
        assert store.erase("ann", 1) == ["ann", "anon"]
        assert len(store.erasures()) == 2
        store.settle(store.erasures()[0], "hash")
