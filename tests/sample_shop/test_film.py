from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from sample_shop.film import FilmingError, film_clip, film_clips
from sample_shop.filming.looks import draw_look
from sample_shop.filming.shots import plan_shots
from sample_shop.vocabulary import Clip, Creator, Garment

CREATOR = Creator("c1", "casual", seed=11)


def make_clip(*garments: Garment, video_id: str = "v1", duration_s: float = 4.0, creator: Creator = CREATOR) -> Clip:
    return Clip(video_id, creator, garments or (Garment("dress", "red"),), duration_s, seed=5)


def read_frames(path: Path) -> np.ndarray:
    with av.open(str(path)) as container:
        return np.stack([frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)])


def step_sizes(frames: np.ndarray) -> np.ndarray:
    """Mean change of a pixel from each frame to the next, `(n_frames - 1,)`."""
    return np.abs(np.diff(frames[:, ::4, ::4].astype(np.int16), axis=0)).mean(axis=(1, 2, 3))


def cut_rows(clip: Clip) -> np.ndarray:
    """Rows of `step_sizes` that lie on a cut: one before each shot but the first."""
    lengths = [shot.n_frames for shot in plan_shots(clip, draw_look(clip.creator))]
    return np.cumsum(lengths)[:-1] - 1


def count_red(frames: np.ndarray) -> int:
    red, green, blue = np.moveaxis(frames.astype(np.int16), -1, 0)
    return int(np.sum(red - np.maximum(green, blue) > 80))


@pytest.fixture(scope="module")
def clip() -> Clip:
    return make_clip(Garment("dress", "red"), Garment("bag", "blue", "dotted"), duration_s=6.1)


@pytest.fixture(scope="module")
def film(clip: Clip, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("film") / "v1.mp4"
    film_clip(clip, path)
    return path


def test_a_clip_is_portrait_h264_at_15_frames_per_second(film: Path) -> None:
    with av.open(str(film)) as container:
        stream = container.streams.video[0]

        assert stream.codec_context.name == "h264"
        assert stream.pix_fmt == "yuv420p"
        assert (stream.width, stream.height) == (288, 512)
        assert stream.average_rate == Fraction(15)


def test_a_clip_lasts_as_long_as_asked_to_the_frame(film: Path) -> None:
    with av.open(str(film)) as container:
        duration_s = container.duration / av.time_base

    assert duration_s == pytest.approx(6.1, abs=1 / 15)
    assert len(read_frames(film)) == 92  # 6.1 s x 15 = 91.5, to the even neighbour


def test_a_clip_starts_playing_before_it_is_whole(film: Path) -> None:
    content = film.read_bytes()

    assert content.index(b"moov") < content.index(b"mdat")


def test_cuts_change_the_picture_more_than_any_motion_does(clip: Clip, film: Path) -> None:
    steps = step_sizes(read_frames(film))
    cuts = cut_rows(clip)

    assert len(cuts) >= 1
    assert steps[cuts].min() > 1.5 * np.delete(steps, cuts).max()


def test_every_shot_moves(clip: Clip, film: Path) -> None:
    steps = step_sizes(read_frames(film))
    shots = np.split(steps, cut_rows(clip))

    assert min(shot[1:].mean() for shot in shots) > 0.2


def test_filming_twice_gives_the_same_bytes(clip: Clip, film: Path, tmp_path: Path) -> None:
    film_clip(clip, tmp_path / "again.mp4")

    assert (tmp_path / "again.mp4").read_bytes() == film.read_bytes()


def test_a_failure_leaves_no_file(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"Clip v1 lasts 1.0 s; clips last 2.4 to 24.0 s"):
        film_clip(make_clip(duration_s=1.0), tmp_path / "v1.mp4")

    assert list(tmp_path.iterdir()) == []


def test_a_failure_leaves_the_older_film(tmp_path: Path) -> None:
    path = tmp_path / "v1.mp4"
    path.write_bytes(b"older")

    with pytest.raises(ValueError, match="v1"):
        film_clip(make_clip(duration_s=1.0), path)

    assert [entry.read_bytes() for entry in tmp_path.iterdir()] == [b"older"]


def test_a_red_garment_shows_red(tmp_path: Path) -> None:
    film_clip(make_clip(Garment("dress", "red")), tmp_path / "red.mp4")
    film_clip(make_clip(Garment("dress", "blue")), tmp_path / "blue.mp4")

    red, blue = read_frames(tmp_path / "red.mp4"), read_frames(tmp_path / "blue.mp4")

    assert count_red(red) > 0.05 * red[..., 0].size
    assert count_red(red) > 10 * count_red(blue)


def test_many_clips_are_filmed_on_several_processes(tmp_path: Path) -> None:
    clips = [make_clip(video_id="v1"), make_clip(video_id="v2"), make_clip(video_id="v3")]
    heard: list[int] = []

    film_clips(clips, tmp_path / "clips", workers=2, progress=heard.append)

    assert sorted(path.name for path in (tmp_path / "clips").iterdir()) == ["v1.mp4", "v2.mp4", "v3.mp4"]
    assert heard == [1, 2, 3]


def test_a_clip_that_fails_on_a_worker_is_named(tmp_path: Path) -> None:
    with pytest.raises(FilmingError, match=r"Clip v7 could not be filmed: Clip v7 lasts 90.0 s"):
        film_clips([make_clip(video_id="v7", duration_s=90.0)], tmp_path, workers=1)
