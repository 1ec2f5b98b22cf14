"""Readers that hang, die or are killed cost their own file, and nobody is left behind."""

import multiprocessing
import os
import random
import signal
import threading
import time
from contextlib import suppress
from itertools import islice
from pathlib import Path

import pytest

from indexing.limits import Limits
from indexing.media import PhotosTask, VideoTask, hash_task, signature_of, unread
from indexing.reading import AHEAD, ReaderPool, reading
from retrieval.folders import sha256_of
from tests.indexing import misbehaving as m

ROOT = Path(__file__).resolve().parents[2]
QUICK = Limits(seconds=2.0, memory_mb=300)
BAD = {
    "sleeps": m.Sleeps, "hangs": m.HangsInLibrary, "exits": m.Exits, "segfaults": m.Segfaults, "killed": m.IsKilled,
    "gorges": m.Gorges, "no memory": m.IsToldOfNoMemory, "raises": m.Raises, "quits": m.Quits,
    "unspeakable": m.IsUnspeakable, "unsendable": m.GivesWhatCannotBeSent,
}  # fmt: skip


@pytest.fixture(name="pool", scope="module")
def _pool():
    with ReaderPool(2) as pool:
        yield pool


@pytest.fixture(name="fates", scope="module")
def _fates():
    """What became of each of BAD, read side by side, with a good file after each."""
    tasks = [task for name, kind in BAD.items() for task in (kind(name), m.Fine(f"after {name}"))]
    with reading(tasks, 2, QUICK) as items:
        return dict(zip((task.uri for task in tasks), items, strict=True))


def readers():
    """The ids of the worker processes there are."""
    return {child.pid for child in multiprocessing.active_children()}


def kill_readers(stop, spared, n_kills, seed):
    """Kill a worker now and then, at most *n_kills* times, until told to stop."""
    rng = random.Random(seed)
    for _ in range(n_kills):
        if stop.wait(rng.uniform(0.2, 0.5)):
            return
        for pid in sorted(readers() - spared, key=lambda _: rng.random())[:1]:
            with suppress(ProcessLookupError):  # it has just been found dead
                os.kill(pid, signal.SIGKILL)


def names(items):
    return [item.content_hash for item in items]


def test_results_come_in_the_order_of_the_tasks_however_long_each_takes(pool):
    tasks = [m.Fine(str(n), delay_s=0.2 if n % 3 == 0 else 0.0) for n in range(9)]

    assert names(pool.read(tasks)) == ["0", "1", "2", "3", "4", "5", "6", "7", "8"]


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("sleeps", "reading took longer than 2 s"),
        ("hangs", "reading took longer than 2 s"),
        ("exits", "its reader died (exit code 3)"),
        ("segfaults", "its reader died (signal SEGV)"),
        ("killed", "its reader died (signal KILL)"),
        ("gorges", "reading needed more than 300 MB"),
        ("no memory", "reading needed more than 300 MB"),
        ("raises", "NotImplementedError: a codec of the future"),  # the library's word, told in the quarantine
        ("quits", "SystemExit: a library that thinks it is a program"),
        ("unspeakable", "UnspeakableError"),
    ],
)
def test_a_file_that_misbehaves_is_set_aside_with_a_reason(fates, name, reason):
    assert fates[name].pictures == ()
    assert fates[name].failures == ((name, reason),)


def test_a_result_that_cannot_be_sent_is_a_reason_too(fates):
    assert "lambda" in fates["unsendable"].failures[0][1]


@pytest.mark.parametrize("name", BAD)
def test_the_file_after_one_that_misbehaves_is_read(fates, name):
    assert fates[f"after {name}"].content_hash == f"after {name}"


def test_a_file_whose_reader_dies_is_tried_three_times_in_all(pool, tmp_path):
    log = tmp_path / "log"

    items = list(pool.read([m.DiesAtFirst(str(log), deaths=99)]))

    assert items == [unread(m.Fine(str(log)), "its reader died (signal KILL)")]
    assert log.read_text() == "attempt\n" * 3


def test_a_file_whose_reader_was_killed_by_mischance_is_read_all_the_same(pool, tmp_path):
    log = str(tmp_path / "log")

    assert names(pool.read([m.DiesAtFirst(log, deaths=2)])) == [log]


def test_a_reader_that_ran_out_of_memory_is_replaced(pool):
    before, _, after = pool.read([m.TellsProcess("before"), m.IsToldOfNoMemory("no memory"), m.TellsProcess("after")])

    assert before.content_hash not in after.content_hash


def test_readers_killed_at_random_lose_nothing_and_keep_the_order():
    tasks = [m.Fine(str(n), delay_s=0.02) for n in range(200)]
    stop = threading.Event()
    killer = threading.Thread(target=kill_readers, args=(stop, readers(), 8, 7))

    with reading(tasks, 2) as items:
        first = next(items)
        killer.start()
        rest = list(items)
        stop.set()
        killer.join()

    assert names([first, *rest]) == [str(n) for n in range(200)]


def test_only_a_little_is_read_ahead_of_the_consumer(pool):
    taken = []
    tasks = (taken.append(n) or m.Fine(str(n)) for n in range(500))

    items = pool.read(tasks)
    next(items)

    assert len(taken) == 2 * AHEAD


def test_an_iterator_may_be_left_early_and_the_next_gets_its_own_results(pool):
    left = list(islice(pool.read(m.Fine(f"old {n}", 0.2) for n in range(100)), 3))
    started = time.monotonic()

    then = names(pool.read(m.Fine(f"new {n}") for n in range(5)))

    assert names(left) == ["old 0", "old 1", "old 2"]
    assert then == ["new 0", "new 1", "new 2", "new 3", "new 4"]
    assert time.monotonic() - started < 1.5  # the 29 that were waiting would take 2.9 s


def test_two_iterators_may_be_read_side_by_side(pool):
    digits, letters = (pool.read(map(m.Fine, of)) for of in ("123", "abc"))

    assert [(d.content_hash, e.content_hash) for d, e in zip(digits, letters, strict=True)] == [
        ("1", "a"), ("2", "b"), ("3", "c"),
    ]  # fmt: skip


def test_a_reader_that_died_while_idle_is_replaced(pool):
    (idle,) = names(pool.read([m.TellsProcess("x")]))

    os.kill(int(idle), signal.SIGKILL)

    assert names(pool.read([m.Fine("a"), m.Fine("b")])) == ["a", "b"]


def test_a_fault_in_the_tasks_themselves_is_raised_as_it_is(pool):
    with pytest.raises(ZeroDivisionError):
        list(pool.read(m.Fine(str(1 // n)) for n in (1, 0)))

    assert names(pool.read([m.Fine("next")])) == ["next"]


def test_readers_import_neither_torch_nor_the_encoders(pool):
    modules = names(pool.read([m.TellsModules("x")]))[0].split()

    assert "indexing.media" in modules
    assert not {"torch", "polars", "fsspec", "httpx"} & set(modules)


def test_hashes_and_signatures_are_asked_side_by_side_and_empty_where_unknown(pool, tmp_path):
    (tmp_path / "photo.png").write_bytes(b"not decoded for this")
    tasks = [VideoTask(str(tmp_path / name), 8, 448) for name in ("photo.png", "absent.mp4")]

    assert list(pool.map(hash_task, tasks)) == [sha256_of(tmp_path / "photo.png"), ""]
    assert list(pool.map(signature_of, [*tasks, PhotosTask((), "", 448)]))[:2] == [tasks[0].signature(), ""]
