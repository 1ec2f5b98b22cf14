import subprocess
import sys
import textwrap
from datetime import UTC, datetime
from pathlib import Path

import polars as pl
import pytest

from retrieval.errors import UserFacingError
from retrieval.tables import IMPRESSIONS, load_table
from serving.archive import ArchiveError, open_archive
from serving.closed_files import alone_in
from serving.compaction import compact, compact_watches
from serving.events.protocol import Erasure, Watch
from serving.events.sqlite import SqliteStore
from serving.export import Span, export_impressions
from serving.exposure import ServedLog, page_line
from serving.served_files import parse_pages, read_served
from serving.served_writer import this_host
from serving.watch_files import read_watches, watch_frame
from tests.serving.pages import PAGE, make_page

DAY_US = 86_400_000_000
ALL = Span(0, 10 * DAY_US)
DEAD = 2**22 + 1  # no process has so high a number


def hash_of(user_id: str) -> str:
    return f"hash of {user_id}"


def make_watch(video_id: str, watch_time_s: float, event_id: str = "", **fields) -> Watch:
    given = {"user_id": "u1", "feed_id": "f1", "occurred_us": 2_000_000, **fields}
    return Watch(event_id or f"e-{video_id}-{watch_time_s}", video_id=video_id, watch_time_s=watch_time_s, **given)


def export(pages, watches=(), erased=(), span=ALL):
    content = b"".join(map(page_line, pages))
    return export_impressions([parse_pages(content)], watch_frame(list(watches)).lazy(), erased, hash_of, span)


def write_log(folder: Path, *pages, date="1970-01-01", host=None, pid=DEAD, number=1, torn=b"") -> Path:
    folder.mkdir(exist_ok=True)
    file = folder / f"served-{date}-{host or this_host()}-{pid}-{number}.jsonl"
    file.write_bytes(b"".join(map(page_line, pages)) + torn)
    return file


def videos_of(*places) -> list[str]:
    return sorted(video for part in read_served([*map(str, places)], 0, DAY_US) for video in part.frame["video_id"])


@pytest.fixture
def store(tmp_path):
    opened = SqliteStore(tmp_path / "events.db")
    yield opened
    opened.close()


def test_a_page_becomes_a_row_for_each_slot():
    page = make_page("a", "b", first_position=11, scores=(0.5, 0.25), selection_propensities=(0.75, 1.0))

    part = parse_pages(page_line(page))

    shown = datetime(1970, 1, 1, 0, 0, 1, tzinfo=UTC)
    common = {"feed_id": "f1", "request_id": "r1", "user_id": "u1", "shown_at": shown, "system": "multimodal"}
    common |= {"system_hash": "ab12", "snapshot": "v1", "bucket": "treatment", "experiment": "spring"}
    assert part.frame.to_dicts() == [
        common | {"position": 11, "video_id": "a", "score": 0.5, "selection_propensity": 0.75},
        common | {"position": 12, "video_id": "b", "score": 0.25, "selection_propensity": 1.0},
    ]
    assert part.torn_lines == 0


def test_what_is_unknown_is_null():
    part = parse_pages(page_line(make_page("a", selection_propensities=(), bucket="", experiment="")))

    row = part.frame.row(0, named=True)
    assert (row["selection_propensity"], row["bucket"], row["experiment"]) == (None, None, None)
    assert row["score"] == 0.5


@pytest.mark.parametrize("torn", [page_line(PAGE)[:-1], page_line(PAGE)[:30], b"\0\0\0", b'{"feed_id'])
def test_a_torn_last_line_is_skipped_and_counted(torn):
    part = parse_pages(page_line(make_page("a")) + torn)

    assert (part.frame["video_id"].to_list(), part.torn_lines) == (["a"], 1)


@pytest.mark.parametrize("damaged", [b"\0\0\0\0", b"[1]", b'{"feed_id": 7}', b"{}", page_line(PAGE)[:50]])
def test_a_damaged_line_among_others_is_skipped_and_counted(damaged):
    part = parse_pages(page_line(make_page("a")) + damaged + b"\n" + page_line(make_page("b")))

    assert (part.frame["video_id"].to_list(), part.torn_lines) == (["a", "b"], 1)


def test_only_the_span_is_read(tmp_path):
    pages = [make_page(str(at_us), shown_us=at_us) for at_us in (9, 10, 19, 20)]
    write_log(tmp_path, *pages)

    frames = [part.frame for part in read_served([str(tmp_path)], 10, 20)]

    assert pl.concat(frames)["video_id"].to_list() == ["10", "19"]


def test_a_file_of_an_earlier_day_is_not_opened_for_a_later_span(tmp_path):
    write_log(tmp_path, make_page("a"), date="1970-01-01")
    write_log(tmp_path, make_page("b", shown_us=9 * DAY_US), date="1970-01-10")

    parts = list(read_served([str(tmp_path)], 9 * DAY_US, 10 * DAY_US))

    assert [part.frame["video_id"].to_list() for part in parts] == [["b"]]


def test_a_folder_that_is_not_there_holds_nothing(tmp_path):
    assert list(read_served([str(tmp_path / "none")], 0, DAY_US)) == []


def test_an_unknown_protocol_is_refused():
    with pytest.raises(ArchiveError, match="teleport://x cannot be opened"):
        open_archive("teleport://x")


@pytest.mark.parametrize("target", ["{folder}/parquet", "file://{folder}/parquet", "memory://{folder}", "{folder}"])
def test_closed_files_become_parquet_and_read_the_same(tmp_path, target):
    folder, place = tmp_path / "log", target.format(folder=tmp_path / "log")
    write_log(folder, make_page("a", "b"), make_page("c"), torn=b'{"torn')
    before = pl.concat(part.frame for part in read_served([str(folder)], 0, DAY_US))

    done = compact(folder, place, now_us=DAY_US)

    assert (done.files, done.rows, done.torn_lines, done.left_open) == (1, 3, 1, 0)
    assert not list(folder.glob("*.jsonl"))
    assert pl.concat(part.frame for part in read_served([place], 0, DAY_US)).equals(before)


def test_a_second_time_there_is_nothing_to_do(tmp_path):
    write_log(tmp_path, make_page("a"))
    compact(tmp_path, str(tmp_path), now_us=DAY_US)

    assert compact(tmp_path, str(tmp_path), now_us=DAY_US).files == 0
    assert videos_of(tmp_path) == ["a"]


def test_the_file_of_a_living_writer_is_left_and_read_beside_the_parquet(tmp_path):
    write_log(tmp_path, make_page("old"))
    log = ServedLog(tmp_path, flush_rows=1, flush_s=3600)
    log.append(make_page("new"))

    done = compact(tmp_path, str(tmp_path), now_us=DAY_US)

    assert (done.files, done.left_open) == (1, 1)
    assert videos_of(tmp_path) == ["new", "old"]
    log.close()
    assert compact(tmp_path, str(tmp_path), now_us=DAY_US).files == 1


def test_a_file_of_another_host_is_taken_once_its_day_is_over_for_long_enough(tmp_path):
    write_log(tmp_path, make_page("a"), host="elsewhere")

    early = compact(tmp_path, str(tmp_path), now_us=DAY_US + 599_999_999, older_than_s=600)
    late = compact(tmp_path, str(tmp_path), now_us=DAY_US + 600_000_000, older_than_s=600)

    assert (early.left_open, late.files) == (1, 1)


def test_an_empty_file_of_a_killed_writer_leaves_nothing(tmp_path):
    write_log(tmp_path)

    assert compact(tmp_path, str(tmp_path), now_us=DAY_US).rows == 0
    assert [file.name for file in tmp_path.iterdir()] == [".lock"]


def test_a_kill_between_writing_and_removing_doubles_nothing(tmp_path):
    file = write_log(tmp_path, make_page("a", "b"))
    content = file.read_bytes()
    compact(tmp_path, str(tmp_path), now_us=DAY_US)
    file.write_bytes(content)  # as if the kill had come before its removal

    between = videos_of(tmp_path)
    compact(tmp_path, str(tmp_path), now_us=DAY_US)

    assert between == videos_of(tmp_path) == ["a", "b"]
    assert not list(tmp_path.glob("*.jsonl"))


def test_a_file_that_is_compacted_while_it_is_read_is_found(tmp_path):
    [write_log(tmp_path, make_page(str(number)), number=number) for number in range(3)]

    parts = read_served([str(tmp_path)], 0, DAY_US)
    first = next(parts)
    compact(tmp_path, str(tmp_path), now_us=DAY_US)  # the reader has listed them as JSONL

    frames = [first.frame, *(part.frame for part in parts)]
    assert sorted(pl.concat(frames)["video_id"]) == ["0", "1", "2"]


def test_two_at_once_are_refused(tmp_path):
    with alone_in(tmp_path), pytest.raises(UserFacingError, match="Another job is changing"):
        compact(tmp_path, str(tmp_path), now_us=DAY_US)


def test_drafts_of_a_killed_one_are_swept_after_an_hour(tmp_path):
    (tmp_path / ".served-x.parquet.0.partial").write_text("u1")
    age_us = int((tmp_path / ".served-x.parquet.0.partial").stat().st_mtime * 1e6)

    compact(tmp_path, str(tmp_path), now_us=age_us + 3_601_000_000)

    assert not list(tmp_path.glob("*.partial"))


# It compacts file after file and kills itself at the system call whose number is given.
KILLED = """
    import os, signal, sys
    from pathlib import Path
    import serving.archive, serving.compaction
    folder, calls = Path(sys.argv[1]), int(sys.argv[2])
    count = 0
    def counted(call):
        def wrapped(*arguments, **named):
            global count
            count += 1
            if count > calls:
                os.kill(os.getpid(), signal.SIGKILL)
            return call(*arguments, **named)
        return wrapped
    os.fsync = counted(os.fsync)
    Path.replace = counted(Path.replace)
    Path.unlink = counted(Path.unlink)
    serving.compaction.compact(folder, str(folder), 86_400_000_000)
    print("done")
"""


@pytest.mark.parametrize("calls", range(9))
def test_a_kill_at_any_step_of_compacting_neither_loses_nor_doubles_a_row(tmp_path, calls):
    [write_log(tmp_path, make_page(f"{number}-a", f"{number}-b"), number=number) for number in range(2)]
    command = [sys.executable, "-c", textwrap.dedent(KILLED), str(tmp_path), str(calls)]

    killed = subprocess.run(command, capture_output=True, text=True, timeout=60, cwd=Path(__file__).parents[2])

    assert "done" not in killed.stdout
    assert videos_of(tmp_path) == ["0-a", "0-b", "1-a", "1-b"]
    compact(tmp_path, str(tmp_path), now_us=DAY_US)
    assert videos_of(tmp_path) == ["0-a", "0-b", "1-a", "1-b"]
    assert len(list(tmp_path.glob("served-*"))) == 2


def put(store, *watches):
    store.put(list(watches), now_us=DAY_US)


def events_of(store, *places):
    table = read_watches([*map(str, places)], store, 0, 10 * DAY_US).collect()
    return sorted(table["event_id"])


def test_old_ones_move_to_parquet_and_read_the_same(tmp_path, store):
    old = make_watch("a", 1.5, "old", occurred_us=10, flags={"liked": True})
    put(store, old, make_watch("b", 2.0, "new", occurred_us=DAY_US))

    done = compact_watches(store, str(tmp_path / "parquet"), now_us=DAY_US + 11, older_than_s=86_400)

    assert (done.files, done.rows, done.late) == (1, 1, 0)
    assert [watch.event_id for watch in store.watches(0, 10 * DAY_US)] == ["new"]
    assert events_of(store, tmp_path / "parquet") == ["new", "old"]
    archived = read_watches([str(tmp_path / "parquet")], None, 0, 11).collect()
    assert archived.equals(watch_frame([old]))


def test_a_kill_before_they_are_dropped_doubles_none(tmp_path, store):
    put(store, make_watch("a", 1.0, "one", occurred_us=10), make_watch("b", 1.0, "two", occurred_us=20))
    archive = open_archive(tmp_path / "parquet")
    archive.write_parquet("watches-of-a-killed-run.parquet", watch_frame(list(store.watches(0, 15))))

    between = events_of(store, tmp_path / "parquet")
    compact_watches(store, str(tmp_path / "parquet"), now_us=100, older_than_s=0.00005)

    assert between == events_of(store, tmp_path / "parquet") == ["one", "two"]


def test_a_repeat_of_a_killed_run_overwrites_its_file(tmp_path, store):
    put(store, make_watch("a", 1.0, "one", occurred_us=10))
    compact_watches(store, str(tmp_path / "parquet"), now_us=100, older_than_s=0.00005)
    store.clean(30 * DAY_US)
    store.put([make_watch("a", 1.0, "one", occurred_us=10)], now_us=40 * DAY_US)  # as if it had not been dropped

    compact_watches(store, str(tmp_path / "parquet"), now_us=100, older_than_s=0.00005)

    assert len(list((tmp_path / "parquet").iterdir())) == 1


def test_many_go_to_several_files(tmp_path, store):
    put(store, *(make_watch("a", 1.0, f"e{number}", occurred_us=number) for number in range(5)))

    done = compact_watches(store, str(tmp_path / "parquet"), now_us=DAY_US, older_than_s=0, rows_a_file=2)

    assert (done.files, done.rows) == (3, 5)
    assert events_of(store, tmp_path / "parquet") == ["e0", "e1", "e2", "e3", "e4"]


def test_a_watched_slot_is_reached_and_the_others_stay_unreached():
    done = export([make_page("a", "b")], [make_watch("b", 3.5, flags={"liked": True})])

    columns = ["video_id", "position", "reached", "watch_time_s", "liked", "shared"]
    assert done.frame.select(columns).rows() == [
        ("a", 1, False, None, None, None),
        ("b", 2, True, 3.5, True, False),
    ]
    assert (done.served_never_seen, done.seen_never_served) == (1, 0)


def test_of_several_watches_the_longest_counts_and_any_flag():
    watches = [
        make_watch("a", 2.0, flags={"liked": True}),
        make_watch("a", 5.0, flags={"shared": True}),
        make_watch("a", 3.0, flags={"liked": False}),
    ]

    row = export([make_page("a")], watches).frame.row(0, named=True)

    assert (row["watch_time_s"], row["liked"], row["shared"], row["followed"]) == (5.0, True, True, False)


def test_a_watch_of_another_feed_is_seen_but_never_served():
    done = export([make_page("a")], [make_watch("a", 1.0, feed_id="f2"), make_watch("z", 1.0)])

    assert (done.served_never_seen, done.seen_never_served) == (1, 2)


def test_a_page_that_was_delivered_twice_counts_once():
    first, again = make_page("a", "b"), make_page("a", "c", shown_us=1_500_000, request_id="r2")

    done = export([first, again], [make_watch("c", 1.0)])

    # position 1: the first delivery, neither seen; position 2: the one that was seen
    assert done.frame.select("position", "video_id", "request_id").rows() == [(1, "a", "r1"), (2, "c", "r2")]
    assert (done.repeated_rows, done.served_never_seen) == (2, 1)


def test_watches_across_the_edges_of_the_span_are_matched():
    span = Span(10, 20, lag_us=5)
    pages = [make_page("before", feed_id="f0", shown_us=8), make_page("within", feed_id="f1", shown_us=19)]
    watches = [
        make_watch("before", 1.0, feed_id="f0", occurred_us=11),
        make_watch("within", 2.0, feed_id="f1", occurred_us=22),
        make_watch("other", 2.0, feed_id="f2", occurred_us=22),
    ]

    done = export(pages, watches, span=span)

    assert done.frame.select("video_id", "watch_time_s").rows() == [("within", 2.0)]
    assert done.seen_never_served == 0
    assert (span.slots_us, span.watches_us) == ((5, 20), (10, 25))


@pytest.mark.parametrize("erased", [Erasure(50, user_id="u2"), Erasure(50, user_hash="hash of u2")])
def test_erased_users_are_left_out_until_they_came_back(erased):
    pages = [
        make_page("mine", feed_id="f1", user_id="u1", shown_us=10),
        make_page("gone", feed_id="f2", user_id="u2", shown_us=49),
        make_page("back", feed_id="f3", user_id="u2", shown_us=50),
    ]
    watches = [make_watch("gone", 1.0, feed_id="f2", user_id="u2", occurred_us=49)]

    done = export(pages, watches, [Erasure(20, user_id="u2"), erased])

    assert sorted(done.frame["video_id"]) == ["back", "mine"]
    assert (done.erased_rows, done.seen_never_served) == (1, 0)


def test_nothing_served_is_an_empty_table():
    done = export([])

    assert done.frame.is_empty()
    assert (done.served_never_seen, done.repeated_rows) == (0, 0)


def test_the_table_is_one_that_the_shop_can_load(tmp_path):
    done = export([make_page("a", "b"), make_page("c", feed_id="f2")], [make_watch("b", 3.5)])
    done.frame.write_parquet(tmp_path / "impressions.parquet")

    loaded = load_table(tmp_path / "impressions.parquet", IMPRESSIONS)

    assert loaded.rejected.is_empty()
    assert loaded.frame.equals(done.frame)
