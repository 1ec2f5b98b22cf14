"""Every reader against a plain full decode: the right pictures, at the right times, the right way up."""

import csv
import pickle
from dataclasses import replace

import numpy as np
import pytest

from indexing.decode.protocol import Accuracy, UnreadableMediaError
from indexing.decode.pyav import PyAvReader
from indexing.decode.readers import open_reader
from tests.data import DATA, data_folder
from tests.indexing.decode import clips

M = 8
READERS = ["pyav exact", "pyav nearest", "decord exact"]
MANIFEST = DATA / "decoder" / "MANIFEST.csv"
ROWS = csv.DictReader(MANIFEST.read_text().splitlines()) if MANIFEST.exists() else []
FILES = [row["path"] for row in ROWS] or ["absent"]
DECORD_TAKES_ANOTHER = {
    "decord/corrupted.mp4": "one bad packet ends it",
    "torchcodec/discard_first_keyframe.mp4": "it shows what the edit list leaves out",
    "torchcodec/nasa_13013.mp4": "of two video streams it takes the larger",
}


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    folder = tmp_path_factory.mktemp("clips")
    return {clip.name: clips.write(clip, folder) for clip in clips.CLIPS}


def expected(path, long_side=448):
    """The frames of a plain full decode, T, and the rows on screen at (i + ½)·T/m."""
    frames = clips.all_frames(path, long_side)
    times = np.array([frame.time_s for frame in frames])
    duration = PyAvReader().index(path).duration_s
    assert times[-1] <= duration <= times[-1] + 1.0
    return frames, times, [int(np.searchsorted(times, t + 1e-9, "right") - 1) for t in instants(duration)]


def instants(duration):
    return [(i + 0.5) * duration / M for i in range(M)]


def assert_frames_are_right(video, path, accuracy):
    frames, times, on_screen = expected(path)
    rows = [int(np.abs(times - frame.time_s).argmin()) for frame in video.frames]
    np.testing.assert_allclose([f.time_s for f in video.frames], times[rows], atol=1e-6)
    for frame, row in zip(video.frames, rows, strict=True):
        np.testing.assert_array_equal(frame.pixels, frames[row].pixels)
    if accuracy is Accuracy.EXACT:
        assert rows == on_screen
    tolerance = video.duration_s / (4 * M)
    off = np.abs(times[rows] - instants(video.duration_s))
    assert all((off <= tolerance + 1e-9) | (np.array(rows) == on_screen))


@pytest.mark.parametrize("accuracy", list(Accuracy))
@pytest.mark.parametrize("name", FILES)
def test_other_peoples_odd_files_give_their_frames(name, accuracy):
    path = data_folder("decoder") / name

    video = PyAvReader(accuracy).read(path, M, 448)

    assert len(video.frames) == M
    assert video.partial == (name == "decord/corrupted.mp4")
    assert_frames_are_right(video, path, accuracy)


@pytest.mark.parametrize("name", [name for name in FILES if name not in DECORD_TAKES_ANOTHER])
def test_decord_gives_the_same_frames_of_them(name):
    path = data_folder("decoder") / name
    frames, times, on_screen = expected(path)

    video = open_reader("decord").read(path, M, 448)

    np.testing.assert_allclose([frame.time_s for frame in video.frames], times[on_screen], atol=1e-3)
    assert all(
        np.abs(frame.pixels.astype(float) - frames[row].pixels).mean() < 5
        for frame, row in zip(video.frames, on_screen, strict=True)
    )


def test_decord_says_that_it_cannot_read_a_damaged_file():
    with pytest.raises(UnreadableMediaError, match="decord cannot read it"):
        open_reader("decord").read(data_folder("decoder") / "decord/corrupted.mp4", M, 448)


@pytest.mark.parametrize("accuracy", list(Accuracy))
@pytest.mark.parametrize("name", [clip.name for clip in clips.CLIPS])
def test_clips_of_every_kind_give_their_frames_at_the_first_go(written, name, accuracy, monkeypatch):
    monkeypatch.setattr(PyAvReader, "_read_forward", None)  # the careful second pass is for damaged files
    video = PyAvReader(accuracy).read(written[name], M, 448)

    assert len(video.frames) == M
    assert not video.partial
    assert_frames_are_right(video, written[name], accuracy)


@pytest.mark.parametrize("accuracy", list(Accuracy))
def test_what_an_edit_list_leaves_out_is_never_shown(written, tmp_path, accuracy):
    # 6 s of 25 frames a second, keyframes every second: from 0.72 s on, the rest of the first second stays.
    path = clips.write_edited(written["closed.mp4"], tmp_path / "cut.mp4", from_s=0.72)

    video = PyAvReader(accuracy).read(path, M, 448)

    assert video.duration_s == pytest.approx(6 - 0.72, abs=0.05)
    assert_frames_are_right(video, path, accuracy)


def test_frames_stay_right_where_the_file_is_too_large_to_hold(written, monkeypatch):
    monkeypatch.setattr("indexing.decode.source.HELD_BYTES", 1000)

    video = PyAvReader(Accuracy.EXACT).read(written["closed.mp4"], M, 448)

    assert_frames_are_right(video, written["closed.mp4"], Accuracy.EXACT)


@pytest.mark.parametrize("reader", READERS)
def test_readers_travel_to_workers_and_scale_to_the_long_side(written, reader):
    name, accuracy = reader.split()

    video = pickle.loads(pickle.dumps(open_reader(name, accuracy))).read(written["closed.mp4"], 2, 48)

    assert [frame.pixels.shape for frame in video.frames] == [(24, 48, 3)] * 2
    assert (video.width, video.height) == (128, 64)


@pytest.mark.parametrize("reader", READERS)
@pytest.mark.parametrize("content", [b"", b"not a video at all", bytes(5000)])
def test_what_is_no_video_is_unreadable(tmp_path, reader, content):
    (tmp_path / "clip.mp4").write_bytes(content)

    with pytest.raises(UnreadableMediaError):
        open_reader(*reader.split()).read(tmp_path / "clip.mp4", M, 448)


@pytest.mark.parametrize("reader", READERS)
def test_a_picture_beyond_the_limit_is_refused_in_words(written, reader):
    name, _ = reader.split()
    limited = type(open_reader(name))(max_pixels=128 * 64 - 1)

    with pytest.raises(UnreadableMediaError, match="128 × 64 pixels, more than the 8191 allowed"):
        limited.read(written["closed.mp4"], M, 448)


@pytest.mark.parametrize("reader", READERS)
@pytest.mark.parametrize(("own", "given", "least"), [(100, 50, 50), (50, 100, 50)])
def test_a_reader_within_a_bound_keeps_the_lower_of_the_two(reader, own, given, least):
    name, accuracy = reader.split()
    whole = replace(open_reader(name, accuracy), max_pixels=own)

    assert whole.within(given) == replace(whole, max_pixels=least)


@pytest.mark.parametrize("reader", READERS)
def test_a_file_that_lasts_too_long_is_refused_in_words(written, reader):
    name, _ = reader.split()
    limited = type(open_reader(name))(max_duration_s=5.0)

    with pytest.raises(UnreadableMediaError, match="it lasts 6 s, more than the 5 allowed"):
        limited.read(written["closed.mp4"], M, 448)


def test_a_size_that_only_the_decoder_learns_is_limited_too(written):
    # MPEG-4 in mp4 tells no size to a demuxer: FFmpeg's own limit must hold.
    with pytest.raises(UnreadableMediaError):
        PyAvReader(max_pixels=1000).read(written["b_frames_mpeg4.mp4"], M, 448)
