"""A shop's tables in an event store: what comes in, what is left out, and that a repeat changes nothing."""

import json
import subprocess
from contextlib import closing
from datetime import timedelta

import polars as pl
import pytest

from retrieval.log import to_us
from retrieval.tables import Columns as C
from serving.events.ids import event_id_of
from serving.events.importing import ImportCounts, import_tables, newest_events
from serving.events.protocol import Limits, ProductEvent, Watch
from serving.events.sqlite import SqliteStore
from tests import shop
from tests.data import LOOKREEL
from tests.serving.redis_server import free_port

NOW = to_us(shop.at(24))
DAY = 86_400_000_000  # microseconds


@pytest.fixture(name="tables")
def _tables(tmp_path):
    return shop.write_tables(tmp_path / "shop")


@pytest.fixture(name="store")
def _store(tmp_path):
    with closing(SqliteStore(tmp_path / "events.db")) as store:
        yield store


def nothing(done, total):
    pass


def event(user_id, product_id, kind, hours):
    at_us = to_us(shop.at(hours))
    return ProductEvent(event_id_of(user_id, product_id, kind, at_us), user_id, product_id, kind, at_us)


def state(store, now_us=NOW):
    return [store.user("ann", now_us), store.user("bob", now_us), list(store.watches(0, now_us))]


def test_interactions_and_reached_videos_come_in(store, tables):
    said = []

    counts = import_tables(store, tables, NOW, lambda done, total: said.append((done, total)))

    assert counts == ImportCounts(n_events=4, n_watches=2, n_new=6, n_markets=0, n_older=0, n_rejected=0)
    assert said == [(6, 6)]
    assert store.user("ann", NOW).history == (event("ann", "p-red", "view", 10), event("ann", "p-blue", "view", 22))
    assert store.user("bob", NOW).history == (
        event("bob", "p-green", "purchase", 12),
        event("bob", "p-white", "shown", 13),
    )
    assert store.user("ann", NOW).seen == ("v-red",)  # green was not reached
    assert list(store.watches(0, NOW)) == [
        Watch("f1:1", "ann", "v-red", "f1", 10.0, to_us(shop.at(20))),
        Watch("f2:1", "bob", "v-blue", "f2", 1.0, to_us(shop.at(21))),
    ]


def test_a_repeat_changes_nothing_even_when_event_ids_are_forgotten(store, tables):
    import_tables(store, tables, NOW, nothing)
    before = state(store)

    again = import_tables(store, tables, NOW, nothing)
    later = import_tables(store, tables, NOW + 8 * DAY, nothing)  # ids are known for seven days

    assert (again.n_new, later.n_new) == (0, 6)
    assert state(store) == before


def test_ids_flags_and_markets_of_the_tables_are_taken(store, tables):
    with_ids = shop.interactions_frame().with_columns(pl.Series(C.EVENT_ID, ["e1", None, "e3", "e4"]))
    with_ids.write_parquet(tables / "interactions.parquet")
    liked = pl.Series(C.LIKED, [True, None, None])
    shop.impressions_frame().with_columns(liked).write_parquet(tables / "impressions.parquet")
    users = pl.DataFrame({C.USER_ID: ["ann", "bob", "cid"], C.MARKET: ["de", None, "fr"]})
    users.write_parquet(tables / "users.parquet")

    counts = import_tables(store, tables, NOW, nothing)

    assert counts.n_markets == 2
    assert [one.event_id for one in store.user("ann", NOW).history] == [
        "e1",
        event("ann", "p-blue", "view", 22).event_id,
    ]
    assert [dict(one.flags) for one in store.watches(0, NOW)] == [{C.LIKED: True}, {}]
    assert [store.user(user_id, NOW).market for user_id in ("ann", "bob", "cid")] == ["de", None, "fr"]


def test_older_events_than_a_history_keeps_are_left_out_before_the_store(store, tables):
    counts = import_tables(store, tables, NOW, nothing, Limits(history=1))

    # One of two events of each user, and two watches.
    assert counts == ImportCounts(n_events=2, n_watches=2, n_new=4, n_markets=0, n_older=2, n_rejected=0)
    assert [one.product_id for one in store.user("ann", NOW).history] == ["p-blue"]


def test_events_as_old_as_the_last_that_is_kept_are_left_to_the_store():
    frame = shop.interactions_frame().with_columns(pl.lit(shop.at(1)).alias(C.OCCURRED_AT))
    newer = frame.filter(pl.col(C.PRODUCT_ID) == "p-red").with_columns(pl.col(C.OCCURRED_AT) + timedelta(hours=1))

    newest = newest_events(pl.concat([frame, newer]), 2)

    # Ann: one at 2 h and two at 1 h, of which one more has a place; Bob: both.
    assert newest[C.USER_ID].to_list() == ["ann", "ann", "ann", "bob", "bob"]


def test_a_log_without_impressions_has_no_watches(store, tmp_path):
    counts = import_tables(store, shop.write_tables(tmp_path / "bare", impressions=False), NOW, nothing)

    assert (counts.n_events, counts.n_watches) == (4, 0)


def test_the_command_prints_its_counts_and_the_next_command(tables, tmp_path):
    run = lambda *more: subprocess.run(  # noqa: E731
        [LOOKREEL, "events", "import", "--tables", tables, "--events", "sqlite:///events.db", *more],
        cwd=tmp_path, capture_output=True, text=True, check=True,
    )  # fmt: skip

    words, counts = run().stdout, json.loads(run("--json").stdout)

    assert "4 product events and 2 watches, 6 of them new" in words
    assert words.endswith("Next: lookreel serve --snapshot SNAPSHOT --events sqlite:///events.db\n")
    assert counts == {
        "n_events": 4, "n_watches": 2, "n_new": 0, "n_markets": 0, "n_older": 0, "n_rejected": 0,
    }  # fmt: skip


def test_the_command_says_that_a_server_is_down_without_its_password(tables, tmp_path):
    url = f"redis://shop:secret@127.0.0.1:{free_port()}/0"

    done = subprocess.run(
        [LOOKREEL, "events", "import", "--tables", tables, "--events", url],
        cwd=tmp_path,
        capture_output=True,
        text=True,
    )

    assert done.returncode == 2
    assert "does not answer" in done.stderr
    assert "run this again" in done.stderr
    assert "secret" not in done.stderr
