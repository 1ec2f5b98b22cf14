"""Files broken in every way that chance finds: each is read or set aside with a reason, and nothing hangs or crashes.

The readers are killed now and then meanwhile, which must change nothing.
"""

import multiprocessing
import os
import random
import signal
import threading
from contextlib import suppress

import pytest

from indexing.limits import Limits
from indexing.media import VideoTask
from indexing.reading import reading
from tests.data import data_folder

SEED = 20260101
LIMITS = Limits(seconds=10.0, memory_mb=1000)
N_FLIPPED = 200
N_KILLS = 5
SOURCES = (
    "decord/unordered.mov", "decord/video_90.mov", "torchcodec/discard_first_keyframe.mp4",
    "torchcodec/av1_video.mkv", "torchcodec/h265_video.mp4", "torchcodec/nasa_13013_rotated.mp4",
    "torchcodec/test_non_zero_start.mp4", "torchcodec/testsrc2_mpeg4.mp4",
    "torchcodec/testsrc2_odd_width_mpeg2.mp4", "torchcodec/testsrc2_444_8bit_hevc.mp4",
)  # fmt: skip


@pytest.fixture(name="killing")
def _killing():
    """Kill a reader now and then while the test runs: few times, since each new one costs half a second."""
    stop, rng = threading.Event(), random.Random(SEED)

    def kill():
        for _ in range(N_KILLS):
            if stop.wait(rng.uniform(0.4, 0.8)):
                return
            with suppress(IndexError, ValueError, ProcessLookupError):  # it is being replaced just now
                os.kill(multiprocessing.active_children()[rng.randrange(2)].pid, signal.SIGKILL)

    thread = threading.Thread(target=kill)
    thread.start()
    yield
    stop.set()
    thread.join()


def flipped(content, rng):
    """The bytes with one to thirty of them changed, a third of them in the first kilobyte, where the headers are."""
    changed = bytearray(content)
    for _ in range(rng.randint(1, 30)):
        span = len(content) if rng.random() < 2 / 3 else min(1024, len(content))
        changed[rng.randrange(span)] ^= rng.randint(1, 255)
    return bytes(changed)


def fates(paths):
    """(uri, number of pictures, reasons) of each file, read by two workers."""
    tasks = [VideoTask(str(path), 4, 224) for path in paths]
    with reading(tasks, 2, LIMITS) as items:
        return [
            (t.uri, len(i.pictures), [reason for _, reason in i.failures]) for t, i in zip(tasks, items, strict=True)
        ]


def unaccounted(fates):
    """The files with neither pictures nor a reason, or with both."""
    return [fate for fate in fates if bool(fate[1]) == bool(fate[2] and all(fate[2]))]


@pytest.mark.usefixtures("killing")
def test_every_odd_file_there_is_gives_frames_or_a_reason():
    folder = data_folder("decoder")
    paths = sorted(path for path in folder.glob("*/*") if path.is_file())

    found = fates(paths)

    assert [uri for uri, _, _ in found] == [str(path) for path in paths]
    assert unaccounted(found) == []
    assert sum(n > 0 for _, n, _ in found) > len(paths) / 2


@pytest.mark.usefixtures("killing")
def test_files_cut_at_random_give_frames_or_a_reason(tmp_path):
    folder, rng, paths = data_folder("decoder"), random.Random(SEED), []
    for number, name in enumerate(SOURCES):
        content = (folder / name).read_bytes()
        for length in rng.sample(range(len(content)), 10):
            paths.append(tmp_path / f"{number}-{length}{(folder / name).suffix}")
            paths[-1].write_bytes(content[:length])

    found = fates(paths)

    assert [uri for uri, _, _ in found] == [str(path) for path in paths]
    assert unaccounted(found) == []


@pytest.mark.usefixtures("killing")
def test_files_with_bytes_changed_at_random_give_frames_or_a_reason(tmp_path):
    folder, rng, paths = data_folder("decoder"), random.Random(SEED), []
    contents = [(name, (folder / name).read_bytes()) for name in SOURCES]
    for number in range(N_FLIPPED):
        name, content = contents[number % len(contents)]
        paths.append(tmp_path / f"{number}{(folder / name).suffix}")
        paths[-1].write_bytes(flipped(content, rng))

    found = fates(paths)

    assert [uri for uri, _, _ in found] == [str(path) for path in paths]
    assert unaccounted(found) == []
