import fcntl
import json
import os
import signal
import subprocess
import sys
import textwrap
import threading
import time
from pathlib import Path

import pytest

from serving.exposure import ServedLog, page_line
from serving.served_writer import ROTATE, ServedWriter
from tests.serving.pages import PAGE, make_page

DAY_US = 86_400_000_000
NEVER_S = 3600.0


class Clock:
    def __init__(self, now_us: int) -> None:
        self.now_us = now_us

    def __call__(self) -> int:
        return self.now_us


def lines_in(folder: Path) -> list[dict]:
    contents = [file.read_bytes() for file in sorted(folder.glob("*.jsonl"))]
    return [json.loads(line) for content in contents for line in content.splitlines()]


def rows_in(folder: Path) -> int:
    """Of whole lines: a kill may tear the last one."""
    contents = [file.read_bytes().rpartition(b"\n")[0] for file in folder.glob("*.jsonl")]
    return sum(len(json.loads(line)["video_ids"]) for content in contents for line in content.splitlines())


def waiting_for(what) -> bool:
    until = time.monotonic() + 10
    while not what() and time.monotonic() < until:
        time.sleep(0.01)
    return what()


def test_a_page_is_one_line_that_holds_every_field():
    assert json.loads(page_line(PAGE)) == {
        "feed_id": "f1", "request_id": "r1", "user_id": "u1", "shown_us": 1_000_000, "system": "multimodal",
        "system_hash": "ab12", "snapshot": "v1", "bucket": "treatment", "experiment": "spring", "first_position": 1,
        "video_ids": ["v1", "v2"], "scores": [0.5, 0.25], "selection_propensities": [1.0, 1.0],
    }  # fmt: skip


def test_what_was_appended_is_on_disk_after_close(tmp_path):
    log = ServedLog(tmp_path, flush_s=NEVER_S)

    log.append(make_page("a", "b"))
    log.append(make_page("c", feed_id="f2"))
    log.close()

    assert [line["video_ids"] for line in lines_in(tmp_path)] == [["a", "b"], ["c"]]
    assert (log.errors, log.dropped_rows) == (0, 0)


def test_a_file_is_named_by_date_host_and_process_and_readable_by_its_owner_only(tmp_path):
    log = ServedLog(tmp_path / "served", flush_s=NEVER_S, now_us=lambda: DAY_US + 5)

    log.append(PAGE)
    log.close()

    (file,) = (tmp_path / "served").iterdir()
    assert file.name.startswith("served-1970-01-02-")
    assert file.name.endswith(f"-{os.getpid()}-{DAY_US + 5}.jsonl")
    assert file.stat().st_mode & 0o777 == 0o600


def test_enough_rows_are_written_before_the_call_returns(tmp_path):
    log = ServedLog(tmp_path, flush_rows=4, flush_s=NEVER_S)

    log.append(make_page("a", "b", "c", "d"))

    assert rows_in(tmp_path) == 4
    log.close()


def test_enough_rows_that_are_kept_are_soon_written_by_the_thread(tmp_path):
    log = ServedLog(tmp_path, flush_rows=4, flush_s=NEVER_S)

    log.keep(make_page("a", "b", "c", "d"))

    assert waiting_for(lambda: rows_in(tmp_path) == 4)
    log.close()


def test_fewer_rows_wait(tmp_path):
    log = ServedLog(tmp_path, flush_rows=4, flush_s=NEVER_S)

    log.append(make_page("a", "b", "c"))

    assert rows_in(tmp_path) == 0
    log.close()


@pytest.mark.parametrize("text", ['"', "\\", "\n", "é", "\u2028", "\0"])
def test_any_text_has_its_line(text):
    line = page_line(make_page(text, user_id=text))

    assert line.count(b"\n") == 1
    assert (json.loads(line)["video_ids"], json.loads(line)["user_id"]) == ([text], text)


def test_scores_keep_nine_digits_and_propensities_all():
    line = json.loads(page_line(make_page("a", scores=(1 / 3,), selection_propensities=(1 / 3,))))

    assert line["scores"] == [0.333333333]
    assert line["selection_propensities"] == [1 / 3]


def test_few_rows_are_written_in_time(tmp_path):
    log = ServedLog(tmp_path, flush_rows=1000, flush_s=0.02)

    log.append(make_page("a"))

    assert waiting_for(lambda: rows_in(tmp_path) == 1)
    log.close()


def test_an_empty_page_leaves_no_line(tmp_path):
    log = ServedLog(tmp_path, flush_s=NEVER_S)

    log.append(make_page(video_ids=(), scores=(), selection_propensities=()))
    log.close()

    assert not list(tmp_path.iterdir())


def test_pages_of_many_threads_all_arrive_whole(tmp_path):
    log = ServedLog(tmp_path, flush_rows=7, flush_s=0.001, rotate_bytes=2000)

    def append_many(thread: int) -> None:
        [log.append(make_page("a", "b", feed_id=f"{thread}-{number}")) for number in range(200)]

    threads = [threading.Thread(target=append_many, args=(number,)) for number in range(4)]
    [thread.start() for thread in threads]
    [thread.join() for thread in threads]
    log.close()

    expected = {f"{thread}-{number}" for thread in range(4) for number in range(200)}
    feeds = [line["feed_id"] for line in lines_in(tmp_path)]
    assert len(feeds) == 800
    assert set(feeds) == expected


def test_a_full_file_is_followed_by_another(tmp_path):
    log = ServedLog(tmp_path, flush_rows=1, flush_s=NEVER_S, rotate_bytes=len(page_line(PAGE)))

    log.append(PAGE)
    log.append(PAGE)
    log.close()

    assert sorted(len(file.read_bytes()) for file in tmp_path.iterdir()) == [len(page_line(PAGE))] * 2


def test_midnight_begins_another_file(tmp_path):
    clock = Clock(DAY_US - 1)
    log = ServedLog(tmp_path, flush_rows=1, flush_s=NEVER_S, now_us=clock)

    log.append(PAGE)
    clock.now_us = DAY_US
    log.append(PAGE)
    log.close()

    assert sorted(file.name[:17] for file in tmp_path.iterdir()) == ["served-1970-01-01", "served-1970-01-02"]


def test_an_idle_writer_lets_go_of_its_file_at_midnight(tmp_path):
    clock = Clock(DAY_US - 1)
    log = ServedLog(tmp_path, flush_rows=1, flush_s=NEVER_S, now_us=clock)
    log.append(PAGE)
    clock.now_us = DAY_US

    log.flush()

    (file,) = tmp_path.iterdir()
    with file.open() as opened:
        fcntl.flock(opened, fcntl.LOCK_EX | fcntl.LOCK_NB)  # BlockingIOError while the writer has it
    log.close()


def test_a_file_that_is_written_is_locked(tmp_path):
    log = ServedLog(tmp_path, flush_rows=1, flush_s=NEVER_S)
    log.append(PAGE)

    (file,) = tmp_path.iterdir()
    with file.open() as opened, pytest.raises(BlockingIOError):
        fcntl.flock(opened, fcntl.LOCK_EX | fcntl.LOCK_NB)
    log.close()


def test_a_writer_that_is_asked_to_lets_go_of_its_file(tmp_path):
    log = ServedLog(tmp_path, flush_rows=1, flush_s=NEVER_S)
    log.append(PAGE)
    (file,) = tmp_path.iterdir()
    (tmp_path / (file.name + ROTATE)).touch()

    log.append(make_page("later"))
    log.close()

    assert [line["video_ids"] for line in map(json.loads, file.read_bytes().splitlines())] == [["v1", "v2"]]
    assert len(list(tmp_path.glob("*.jsonl"))) == 2


def test_a_file_that_somebody_removed_is_followed_by_another(tmp_path):
    log = ServedLog(tmp_path, flush_rows=1, flush_s=NEVER_S)
    log.append(PAGE)
    next(tmp_path.iterdir()).unlink()

    log.append(make_page("later"))
    log.close()

    assert [line["video_ids"] for line in lines_in(tmp_path)] == [["later"]]


def test_a_folder_that_cannot_be_written_fails_no_feed_and_loses_no_row(tmp_path):
    told: list[Exception] = []
    (tmp_path / "served").write_text("a file where the folder should be")
    log = ServedLog(tmp_path / "served", flush_rows=2, flush_s=NEVER_S, on_error=told.append)

    log.append(make_page("a", "b"))
    log.append(make_page("c", "d"))

    assert (log.errors, len(told)) == (1, 1)  # the first call tried; after it only the thread does
    (tmp_path / "served").unlink()
    log.close()
    assert rows_in(tmp_path / "served") == 4
    assert log.dropped_rows == 0


def test_rows_that_wait_for_the_disk_are_bounded_and_counted(tmp_path):
    (tmp_path / "served").write_text("a file where the folder should be")
    log = ServedLog(tmp_path / "served", flush_rows=2, flush_s=NEVER_S, max_waiting_rows=4)

    [log.append(make_page("a", "b")) for _ in range(3)]
    (tmp_path / "served").unlink()
    log.close()

    assert rows_in(tmp_path / "served") == 4
    assert log.dropped_rows == 2


def test_what_is_never_written_is_counted_at_the_end(tmp_path):
    (tmp_path / "served").write_text("a file where the folder should be")
    log = ServedLog(tmp_path / "served", flush_s=NEVER_S)

    log.append(make_page("a", "b"))
    log.close()

    assert log.dropped_rows == 2
    assert log.errors >= 1


def test_a_score_that_is_no_number_is_dropped_alone(tmp_path):
    log = ServedLog(tmp_path, flush_s=NEVER_S)

    log.append(make_page("a", scores=(float("nan"),)))
    log.append(make_page("b"))
    log.close()

    assert [line["video_ids"] for line in lines_in(tmp_path)] == [["b"]]
    assert (log.errors, log.dropped_rows) == (1, 1)


FULL_DISK = """
    import resource, signal, sys
    from pathlib import Path
    from serving.exposure import ServedLog, page_line
    from tests.serving.pages import PAGE
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)  # then a write beyond the limit is short, and the next one fails
    log = ServedLog(Path(sys.argv[1]), flush_rows=4, flush_s=3600)
    limit = len(page_line(PAGE)) * 3 // 2
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, resource.RLIM_INFINITY))
    [log.append(PAGE) for _ in range(3)]
    log.flush()
    resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
    failed = log.errors
    log.append(PAGE)
    log.close()
    print(failed, log.dropped_rows)
"""


def run_script(script: str, *arguments: object) -> subprocess.Popen:
    command = [sys.executable, "-c", textwrap.dedent(script), *map(str, arguments)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=Path(__file__).parents[2])


def test_a_line_that_a_full_disk_cut_is_finished_once_there_is_room(tmp_path):
    with run_script(FULL_DISK, tmp_path / "served") as process:
        told, _ = process.communicate(timeout=60)

    assert told.split() == ["2", "0"]
    assert (tmp_path / "served").exists()
    assert lines_in(tmp_path / "served") == [json.loads(page_line(PAGE))] * 4


def test_a_line_that_was_cut_is_written_again_whole_in_the_next_file(tmp_path):
    clock = Clock(DAY_US - 1)
    writer = ServedWriter(tmp_path, rotate_bytes=1000, now_us=clock)
    writer.write([b'{"a":1}\n'])
    writer._file.cut = 3  # as after a short write of the next line
    clock.now_us = DAY_US

    assert writer.write([b'{"b":2}\n', b'{"c":3}\n']) == 2
    writer.close()

    assert sorted(file.read_bytes() for file in tmp_path.iterdir()) == [b'{"a":1}\n', b'{"b":2}\n{"c":3}\n']


# It appends for ever and keeps the number of rows it appended in a file.
APPENDER = """
    import os, sys, time
    from pathlib import Path
    from serving.exposure import ServedLog
    from tests.serving.pages import make_page
    folder, flush_rows, flush_s, pause_s = Path(sys.argv[1]), int(sys.argv[2]), float(sys.argv[3]), float(sys.argv[4])
    counter = os.open(sys.argv[5], os.O_CREAT | os.O_WRONLY)
    log, rows = ServedLog(folder, flush_rows, flush_s, rotate_bytes=100_000), 0
    while True:
        log.append(make_page("a", "b", "c", shown_us=time.time_ns() // 1000))
        rows += 3
        os.pwrite(counter, b"%020d" % rows, 0)
        time.sleep(pause_s)
"""


@pytest.mark.parametrize("alive_s", [0.1, 0.23, 0.37])
def test_a_sigkill_loses_no_more_rows_than_the_docstring_says(tmp_path, alive_s):
    counter = tmp_path / "count"

    with run_script(APPENDER, tmp_path / "served", 100, NEVER_S, 0.0, counter) as process:
        assert waiting_for(counter.exists)
        time.sleep(alive_s)
        process.send_signal(signal.SIGKILL)

    appended = int(counter.read_text())
    assert appended > 100
    assert appended - 100 <= rows_in(tmp_path / "served") <= appended + 3  # killed between append and count


def test_a_sigkill_loses_no_more_seconds_than_the_docstring_says(tmp_path):
    flush_s, slack_s = 0.2, 1.0  # of a busy machine

    with run_script(APPENDER, tmp_path / "served", 10**6, flush_s, 0.005, tmp_path / "count") as process:
        assert waiting_for(lambda: rows_in(tmp_path / "served") > 0)
        time.sleep(2.0)
        killed_us = time.time_ns() // 1000
        process.send_signal(signal.SIGKILL)

    newest_us = max(line["shown_us"] for line in lines_in(tmp_path / "served"))
    assert killed_us - newest_us <= (flush_s + slack_s) * 1e6
