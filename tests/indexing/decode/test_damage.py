"""Damaged files give frames or a reason: never another exception, and never for ever."""

import numpy as np
import pytest

from indexing.decode.protocol import Accuracy, UnreadableMediaError
from indexing.decode.pyav import PyAvReader
from tests.data import data_folder
from tests.indexing.decode import clips

M = 8
HOSTS = ["closed.mp4", "open.ts", "variable.mkv", "open_hevc.mp4", "hidden_vp9.webm", "forward_av1.mp4"]
REAL = ["torchcodec/nasa_13013.mp4", "torchcodec/testsrc2_vp8.webm", "torchcodec/nasa_13013_hdr.mp4"]


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    folder = tmp_path_factory.mktemp("clips")
    return {clip.name: clips.write(clip, folder) for clip in clips.CLIPS if clip.name in HOSTS}


def outcome(path, accuracy=Accuracy.NEAREST):
    """The video or the reason, whichever there is."""
    try:
        return PyAvReader(accuracy).read(path, M, 448)
    except UnreadableMediaError as error:
        return str(error)


def assert_accounted_for(found):
    if isinstance(found, str):
        assert found
        return
    times = [frame.time_s for frame in found.frames]
    assert 1 <= len(times) <= M
    assert times == sorted(times)


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("name", HOSTS)
def test_flipped_bytes(written, tmp_path, name, seed):
    content = np.frombuffer(written[name].read_bytes(), np.uint8).copy()
    rng = np.random.default_rng(seed)
    content[rng.integers(0, len(content), 10)] ^= rng.integers(1, 255, 10, np.uint8)
    (tmp_path / name).write_bytes(content.tobytes())

    assert_accounted_for(outcome(tmp_path / name))


@pytest.mark.parametrize("seed", range(10))
@pytest.mark.parametrize("name", REAL)
def test_real_files_cut_at_random_lengths(tmp_path, name, seed):
    content = (data_folder("decoder") / name).read_bytes()
    length = int(np.random.default_rng(seed).integers(1, len(content)))
    path = tmp_path / name.rpartition("/")[2]
    path.write_bytes(content[:length])

    assert_accounted_for(outcome(path))


@pytest.mark.parametrize("accuracy", list(Accuracy))
def test_half_a_file_whose_header_comes_first_gives_what_is_there_and_is_partial(tmp_path, accuracy):
    times_ms = tuple(range(0, 6000, 40))
    faststart = clips.Clip("clip.mp4", "libx264", times_ms, {"g": "25"}, {"movflags": "+faststart"})
    whole = clips.write(faststart, tmp_path)
    content = whole.read_bytes()
    cut = tmp_path / "cut.mp4"
    cut.write_bytes(content[: len(content) // 2])

    video = PyAvReader(accuracy).read(cut, M, 448)

    assert video.partial
    assert 2 < video.duration_s < 4  # of 6 s
    frames = clips.all_frames(whole, 448)
    rows = [round(frame.time_s / 0.04) for frame in video.frames]
    np.testing.assert_array_equal([f.pixels for f in video.frames], [frames[row].pixels for row in rows])


def test_damage_in_a_picture_that_was_not_asked_for_costs_nothing(written, tmp_path):
    # Of the 150 pictures, the eight asked for need only their own seconds; a zeroed picture that none needs is passed.
    index = PyAvReader().index(written["closed.mp4"])
    plan = index.plan(M, Accuracy.EXACT)
    unneeded = next(at for at in range(len(index.packets)) if at not in plan.fed and not index.packets[at].needed)
    path = clips.write_zeroed(written["closed.mp4"], tmp_path / "clip.mp4", unneeded, from_byte=10)

    video = PyAvReader().read(path, M, 448)

    whole = PyAvReader().read(written["closed.mp4"], M, 448)
    assert not video.partial
    np.testing.assert_array_equal([f.pixels for f in video.frames], [f.pixels for f in whole.frames])


def test_damage_in_a_picture_asked_for_makes_the_video_partial(written, tmp_path):
    index = PyAvReader().index(written["closed.mp4"])
    wanted = index.shown.position[index.plan(M, Accuracy.EXACT).rows[3]]
    path = clips.write_zeroed(written["closed.mp4"], tmp_path / "clip.mp4", wanted, from_byte=0)

    video = PyAvReader().read(path, M, 448)

    assert video.partial
    assert len(video.frames) == M


def test_a_playlist_opens_no_other_file(written, tmp_path):
    playlist = tmp_path / "clip.mp4"
    playlist.write_text(f"ffconcat version 1.0\nfile {written['closed.mp4']}\n")

    with pytest.raises(UnreadableMediaError, match="no video format that is read here"):
        PyAvReader().read(playlist, M, 448)
