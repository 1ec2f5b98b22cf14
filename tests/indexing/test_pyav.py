"""Frames at the right times and the right way up, from clips written here and from other people's odd files."""

import av
import numpy as np
import pytest

from indexing.decode.decord import import_decord
from indexing.decode.protocol import UnreadableMediaError
from indexing.decode.pyav import PyAvReader
from tests import shop
from tests.data import decoder_file

RED, GREEN, BLUE, WHITE = shop.COLOURS.values()


def colour_of(frame):
    return tuple(np.round(frame.pixels.reshape(-1, 3).mean(axis=0)).astype(int).tolist())


def test_frames_are_those_on_screen_at_the_middles_of_equal_parts(tmp_path):
    # 4 s at 10 frames a second, a colour a second: the middles are at 0.5, 1.5, 2.5 and 3.5 s.
    shop.write_clip(tmp_path / "clip.mp4", [RED] * 10 + [GREEN] * 10 + [BLUE] * 10 + [WHITE] * 10)

    video = PyAvReader().read(tmp_path / "clip.mp4", 4, 448)

    assert video.duration_s == pytest.approx(4.0)
    assert [frame.time_s for frame in video.frames] == pytest.approx([0.5, 1.5, 2.5, 3.5])
    np.testing.assert_allclose([colour_of(f) for f in video.frames], [RED, GREEN, BLUE, WHITE], atol=12)
    assert not video.partial


def test_more_frames_than_there_are_repeat_the_ones_on_screen(tmp_path):
    shop.write_clip(tmp_path / "clip.mp4", [RED, BLUE], fps=1)

    frames = PyAvReader().read(tmp_path / "clip.mp4", 4, 448).frames

    np.testing.assert_allclose([colour_of(f) for f in frames], [RED, RED, BLUE, BLUE], atol=12)


def test_frames_are_scaled_to_the_long_side_and_never_up(tmp_path):
    shop.write_clip(tmp_path / "clip.mp4", [RED] * 5, size=(96, 160))

    small = PyAvReader().read(tmp_path / "clip.mp4", 1, 80)
    large = PyAvReader().read(tmp_path / "clip.mp4", 1, 448)

    assert small.frames[0].pixels.shape == (80, 48, 3)
    assert large.frames[0].pixels.shape == (160, 96, 3)
    assert (small.width, small.height) == (96, 160)


def test_a_file_cut_short_gives_the_frames_there_are_and_says_partial(tmp_path):
    colours = [tuple(np.random.default_rng(n).integers(0, 255, 3).tolist()) for n in range(60)]
    whole = tmp_path / "whole.mkv"
    shop.write_clip(whole, colours)
    cut = tmp_path / "cut.mkv"
    cut.write_bytes(whole.read_bytes()[: whole.stat().st_size // 2])

    video = PyAvReader().read(cut, 4, 448)

    assert 1 <= len(video.frames) <= 4
    assert video.duration_s < 6.0


@pytest.mark.parametrize(
    ("content", "words"), [(b"not a video at all", "Invalid data"), (b"\x00" * 5000, "Invalid data")]
)
def test_what_is_no_video_is_unreadable_with_a_reason(tmp_path, content, words):
    (tmp_path / "clip.mp4").write_bytes(content)

    with pytest.raises(UnreadableMediaError, match=words):
        PyAvReader().read(tmp_path / "clip.mp4", 4, 448)


@pytest.mark.parametrize(
    ("name", "codec", "words"),
    [("sound.m4a", "aac", "no video stream"), ("sound.wav", "pcm_s16le", "no video format that is read here")],
)
def test_sound_without_a_picture_is_unreadable(tmp_path, name, codec, words):
    with av.open(str(tmp_path / name), "w", format="mp4" if codec == "aac" else "wav") as container:
        stream = container.add_stream(codec, rate=8000)
        stream.layout = "mono"
        kind = ("fltp", np.float32) if codec == "aac" else ("s16", np.int16)
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 1024), kind[1]), format=kind[0], layout="mono")
        frame.sample_rate = 8000
        container.mux(stream.encode(frame))
        container.mux(stream.encode(None))

    with pytest.raises(UnreadableMediaError, match=words):
        PyAvReader().read(tmp_path / name, 4, 448)


@pytest.mark.parametrize(
    "name",
    [
        "decord/video_0.mov",
        "decord/video_90.mov",
        "decord/video_180.mov",
        "decord/video_270.mov",
        "torchcodec/nasa_13013_rotated.mp4",
    ],
)
def test_rotation_flags_turn_the_picture_as_another_decoder_does(name):
    path = decoder_file(name)
    decord = import_decord()

    video = PyAvReader().read(path, 1, 4000)

    ours = video.frames[0].pixels
    theirs = decord.VideoReader(str(path))
    theirs = theirs.get_batch(range(len(theirs))).asnumpy()
    assert (video.height, video.width, 3) == ours.shape == theirs.shape[1:]
    # One of decord's frames is ours; upside down the nearest differs by more than ten levels on average.
    assert np.abs(theirs.astype(float) - ours).mean(axis=(1, 2, 3)).min() < 1


def test_a_bad_packet_costs_its_own_frames_only():
    # One of its 50 frames cannot be decoded: it lies in the fifth of eight parts.
    video = PyAvReader().read(decoder_file("decord/corrupted.mp4"), 8, 448)

    assert len(video.frames) == 8
    assert video.partial


def test_times_count_from_the_first_frame_where_the_file_starts_late():
    late = decoder_file("torchcodec/test_non_zero_start.mp4")

    video = PyAvReader().read(late, 4, 448)

    parts = np.array([frame.time_s for frame in video.frames]) / video.duration_s
    np.testing.assert_allclose(parts, [0.125, 0.375, 0.625, 0.875], atol=0.05)


def test_a_title_in_another_encoding_is_no_reason_to_refuse_a_file(tmp_path):
    shop.write_clip(tmp_path / "clip.mkv", [RED] * 5)
    content = (tmp_path / "clip.mkv").read_bytes()
    (tmp_path / "latin.mkv").write_bytes(content.replace(b"ENCODER", b"ENC\xd6DER"))

    assert b"ENCODER" in content
    assert len(PyAvReader().read(tmp_path / "latin.mkv", 2, 448).frames) == 2
