"""Workers begin when there is work, and end with their pool, their parent or their program, whatever they are at."""

import multiprocessing
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from indexing.limits import Limits
from indexing.media import hash_task
from indexing.reading import ReaderPool, reading
from indexing.workers import WorkerPool
from retrieval.errors import UserFacingError
from tests.indexing import misbehaving as m

ROOT = Path(__file__).resolve().parents[2]
FORGETFUL_SCRIPT = """
from indexing.reading import ReaderPool
from tests.indexing.misbehaving import Fine, HangsInLibrary
pool = ReaderPool(2)
items = pool.read([Fine("a"), HangsInLibrary("b"), HangsInLibrary("c"), HangsInLibrary("d")])
print(next(items).content_hash)
"""
STOPPED_SCRIPT = """
from indexing.limits import Limits
from indexing.reading import ReaderPool
from tests.indexing.misbehaving import Fine
with ReaderPool(1, Limits(seconds=4.0)) as pool:
    items = pool.read([Fine("a"), Fine("b", 2.5)])
    print(next(items), flush=True)
    print(next(items).failures, flush=True)
"""
WAITING_SCRIPT = """
import multiprocessing, time
from indexing.reading import ReaderPool
from tests.indexing.misbehaving import Fine, HangsInLibrary
with ReaderPool(2) as pool:
    list(pool.read([Fine("a", 0.5), Fine("b", 0.5)]))
    items = pool.read([Fine("c"), HangsInLibrary("d")])
    next(items)
    try:
        time.sleep(0.3)
        print(*(child.pid for child in multiprocessing.active_children()), flush=True)
        next(items)
    except KeyboardInterrupt:
        print("interrupted", flush=True)
"""


def readers():
    """The ids of the worker processes there are."""
    return {child.pid for child in multiprocessing.active_children()}


def names(items):
    return [item.content_hash for item in items]


@pytest.fixture(name="waiting")
def _waiting():
    """A process of which one reader hangs and one is idle, in a session of its own, and the ids of the two."""
    command = [sys.executable, "-c", WAITING_SCRIPT]
    with subprocess.Popen(
        command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True
    ) as process:
        workers = [int(pid) for pid in process.stdout.readline().split()]
        yield process, workers
        process.kill()


def is_running(pid):
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except (FileNotFoundError, ProcessLookupError):
        return False


def all_end(pids, within_s=5.0):
    """Whether these processes end in time."""
    deadline = time.monotonic() + within_s
    while any(map(is_running, pids)) and time.monotonic() < deadline:
        time.sleep(0.02)
    return not any(map(is_running, pids))


def test_readers_start_when_there_is_work_and_are_kept_for_the_next():
    others = readers()

    with ReaderPool(1) as pool:
        none = readers() - others
        first, second = (names(pool.read([m.TellsProcess("x")])) for _ in range(2))
        one = [str(pid) for pid in readers() - others]

    assert none == set()
    assert first == second == one
    assert readers() == others


def test_leaving_ends_readers_that_hang():
    others, started = readers(), time.monotonic()

    with reading([m.Fine("a"), m.HangsInLibrary("b")], 1) as items:
        next(items)

    assert readers() == others
    assert time.monotonic() - started < 10


def test_what_readers_print_keeps_off_the_results_of_a_command(capfd):
    with reading([m.Prints("x")], 1) as items:
        list(items)

    out, err = capfd.readouterr()
    assert out == ""
    assert err == "from C\nfrom Python\n"


def test_a_system_that_refuses_more_processes_is_one_error_in_words(monkeypatch):
    def refuse(_):
        raise OSError(11, "Resource temporarily unavailable")

    monkeypatch.setattr("multiprocessing.context.SpawnProcess.start", refuse)
    monkeypatch.setattr("indexing.dispatcher.TICK_S", 0.01)

    with WorkerPool(1, Limits()) as pool:
        result = pool.submit(hash_task, m.Fine("a"))

        with pytest.raises(UserFacingError, match=r"Resource temporarily unavailable.*10 of them in a row"):
            result.result(timeout=10)


def test_readers_that_cannot_begin_are_one_error_in_words(capfd):
    with WorkerPool(2, Limits(), preload=("no_such_module",)) as pool:
        results = [pool.submit(hash_task, m.Fine(str(n))) for n in range(3)]

        with pytest.raises(UserFacingError, match=r"end before they begin \(exit code 1\).*\n.*fewer --workers"):
            results[2].result(timeout=30)

    assert "No module named 'no_such_module'" in capfd.readouterr().err


def test_a_closed_pool_takes_no_more_work():
    with WorkerPool(1, Limits()) as pool:
        pass

    with pytest.raises(RuntimeError, match="is closed"):
        pool.submit(hash_task, m.Fine("late"))


def test_a_pool_that_nobody_closes_ends_with_its_program():
    command = [sys.executable, "-c", FORGETFUL_SCRIPT]

    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=20)

    assert (done.stdout, done.stderr, done.returncode) == ("a\n", "", 0)


def test_a_pool_that_is_dropped_ends_its_readers():
    others = readers()
    pool = ReaderPool(1)
    list(pool.read([m.Fine("a")]))

    del pool

    assert readers() == others


def test_time_that_a_job_stands_still_is_not_counted_against_its_files():
    with subprocess.Popen(
        [sys.executable, "-c", STOPPED_SCRIPT], cwd=ROOT, stdout=subprocess.PIPE, text=True, start_new_session=True
    ) as process:
        process.stdout.readline()

        os.killpg(process.pid, signal.SIGSTOP)
        time.sleep(4.5)
        os.killpg(process.pid, signal.SIGCONT)

        assert process.stdout.read() == "()\n"


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere a reader outlives its parent by one file")
def test_readers_die_with_a_parent_that_is_killed(waiting):
    process, workers = waiting

    process.kill()

    assert len(workers) == 2
    assert all_end(workers)


def test_ctrl_c_is_the_parents_to_handle(waiting):
    process, workers = waiting

    os.killpg(process.pid, signal.SIGINT)
    out, err = process.communicate(timeout=20)

    assert (out, err, process.returncode) == ("interrupted\n", "", 0)
    assert all_end(workers)
