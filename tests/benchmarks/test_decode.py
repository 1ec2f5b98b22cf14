"""The arithmetic of the decoding benchmark, and that every way reads the same clip."""

from fractions import Fraction

import av
import numpy as np
import pytest

from benchmarks import decode
from benchmarks.clips import HEIGHT, WIDTH, ClipRecipe, write_recipe
from benchmarks.report import Figure
from indexing.decode.protocol import Accuracy
from tests.indexing.decode import clips


def test_a_ratio_is_the_median_over_turns_against_the_faster_of_the_others():
    turns = decode.Turns({"ours": [1.0, 2.0, 1.0], "a": [2.0, 9.0, 8.0], "b": [3.0, 6.0, 4.0]})

    # Turn by turn 2/1, 6/2 and 4/1: the median is 3.
    assert turns.ratio("ours", "a", "b") == 3.0


def test_a_rate_is_one_by_the_median_time():
    assert decode.Turns({"ours": [0.5, 0.25, 9.0]}).rate("ours") == 2.0


def test_the_headlines_are_those_of_the_nearest_frames():
    names = ["H.264 GOP 250: ours, nearest / decord", "H.264 GOP 60: ours, nearest / decord", "another"]
    figures = [
        Figure(name, value, "times", "higher", "clip") for name, value in zip(names, [1.5, 2.5, 9.0], strict=True)
    ]

    made = decode.headlines(figures)

    assert [(f.figure, f.value) for f in made] == [
        ("decode_long_gop_vs_decord", 1.5),
        ("decode_short_gop_vs_decord", 2.5),
    ]


def test_a_made_clip_has_the_size_length_and_keyframes_of_its_recipe(tmp_path):
    recipe = ClipRecipe("H.264", "libx264", 10, 1.0, {"preset": "ultrafast", "sc_threshold": "0"})

    path = write_recipe(recipe, tmp_path)

    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        keyframes = [round(p.pts * p.time_base * 30) for p in container.demux(stream) if p.size and p.is_keyframe]
        assert (stream.width, stream.height, stream.frames, stream.average_rate) == (WIDTH, HEIGHT, 30, Fraction(30))
    assert keyframes == [0, 10, 20]


def test_every_way_gives_eight_frames(tmp_path):
    path = clips.write(clips.CLIPS[0], tmp_path)

    counts = {name: len(getattr(read(path), "frames", None) or read(path)) for name, read in decode.ways().items()}

    assert counts == dict.fromkeys(counts, 8)
    assert {"ours, nearest", "decord", "PyAV, seek per frame"} <= set(counts)


@pytest.mark.parametrize("way", [decode.seek_per_frame, decode.forward_pass])
def test_the_plain_ways_give_the_pictures_on_screen(tmp_path, way):
    path = clips.write(clips.CLIPS[0], tmp_path)
    frames = clips.all_frames(path, 448)

    pictures = way(path)

    # 150 pictures of 128 × 64, scaled up to 448 × 224. The middles of eight parts lie at 9.375, 28.125 … pictures;
    # neighbours differ in the first rows by 7/3 levels, others by more.
    rows = [9, 28, 46, 65, 84, 103, 121, 140]
    levels = [picture[:10].mean() for picture in pictures]
    np.testing.assert_allclose(levels, [frames[row].pixels[:3].mean() for row in rows], atol=1)


def test_frames_within_the_tolerance_miss_by_at_most_one(tmp_path):
    path = clips.write(clips.CLIPS[0], tmp_path)

    assert 0 < decode.worst_miss(path, Accuracy.NEAREST) <= 1
    # On screen: at most a picture of 0.04 s early, of a tolerance of 6 s / 32.
    assert decode.worst_miss(path, Accuracy.EXACT) <= 0.04 / (6 / 32) + 1e-6


def test_agreement_of_clips_with_one_picture_is_complete(tmp_path):
    still = clips.Clip("still.mp4", "libx264", (0, 500))
    path = clips.write(still, tmp_path)

    mean, lowest = decode.agreement([path])

    assert np.allclose([mean.value, lowest.value], 1.0, atol=1e-5)
