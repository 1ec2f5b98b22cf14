"""Eight frames of a clip: our planner against other ways to get them, on one core and one thread each.

Every way gets the frames for the same instants. The times are CPU seconds of the process, so that neighbours on the
machine do not count; on one core with one thread they are the wall time of an undisturbed run. The ways take turns,
and each ratio is taken within one turn. Ours scales to a long side of 448 pixels, as the embed job does; decord is
measured at full size, as people use it, and scaling to the same size, and the faster of the two is compared with.
"""

import os
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import Any

import av
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from benchmarks.clips import HEIGHT, ClipRecipe, recipes, write_recipe
from benchmarks.report import Figure, run
from indexing.decode.decord import import_decord
from indexing.decode.protocol import Accuracy
from indexing.decode.pyav import PyAvReader
from indexing.doctor import cost_ms
from indexing.sampling import nearest_tolerance, sample_times
from retrieval.encoder import open_encoder

DATA = Path(__file__).resolve().parents[2] / "shared" / "data"
FRAMES, LONG_SIDE = 8, 448
LEAST_REAL_S = 1.0
LONG_GOP, SHORT_GOP = "H.264 GOP 250", "H.264 GOP 60"
Way = Callable[[Path], object]


@dataclass(frozen=True)
class Turns:
    """CPU seconds of each way to read one clip, one value for each turn."""

    seconds: dict[str, list[float]]

    def rate(self, way: str) -> float:
        """Videos a second, by the median turn."""
        return 1.0 / median(self.seconds[way])

    def ratio(self, way: str, *others: str) -> float:
        """How many times as fast as the fastest of *others*, the median over the turns."""
        fastest = [min(times) for times in zip(*(self.seconds[other] for other in others), strict=True)]
        return float(median(theirs / ours for ours, theirs in zip(self.seconds[way], fastest, strict=True)))


def nearest(path: Path) -> object:
    """Our planner, any frame within T/(4m)."""
    return PyAvReader(Accuracy.NEAREST).read(path, FRAMES, LONG_SIDE)


def exact(path: Path) -> object:
    """Our planner, the frames on screen."""
    return PyAvReader(Accuracy.EXACT).read(path, FRAMES, LONG_SIDE)


def decord_full(path: Path) -> object:
    """Plain decord: a batch of frames by number, at full size."""
    return _decord_batch(path)


def decord_scaled(path: Path) -> object:
    """Decord that scales to our size as it decodes."""
    width, height = round(LONG_SIDE * 720 / HEIGHT), LONG_SIDE
    return _decord_batch(path, width=width, height=height)


def _decord_batch(path: Path, **size: int) -> object:
    decord = import_decord()
    video = decord.VideoReader(str(path), ctx=decord.cpu(0), num_threads=1, **size)
    return video.get_batch([int((i + 0.5) * len(video) / FRAMES) for i in range(FRAMES)]).asnumpy()


def seek_per_frame(path: Path) -> object:
    """PyAV, one seek for each frame, then decoding up to it."""
    with _opened(path) as (container, stream):
        wanted = [round(t / stream.time_base) for t in sample_times(float(stream.duration * stream.time_base), FRAMES)]
        pictures = []
        for tick in wanted:
            container.seek(tick, stream=stream)
            shown = None
            for frame in container.decode(stream):
                if frame.pts > tick:
                    break
                shown = frame
            pictures.append(_scaled(shown))
    return pictures


def forward_pass(path: Path) -> object:
    """PyAV, every frame decoded up to the last that is wanted."""
    with _opened(path) as (container, stream):
        wanted = [round(t / stream.time_base) for t in sample_times(float(stream.duration * stream.time_base), FRAMES)]
        pictures, shown = [], None
        for frame in container.decode(stream):
            while wanted and shown is not None and frame.pts > wanted[0]:
                pictures.append(_scaled(shown))
                wanted.pop(0)
            if not wanted:
                break
            shown = frame
    return pictures


@contextmanager
def _opened(path: Path) -> Iterator[tuple[Any, Any]]:
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        stream.codec_context.thread_count = 1
        yield container, stream


def _scaled(frame: Any) -> NDArray[np.uint8]:
    scale = LONG_SIDE / max(frame.width, frame.height)
    size = {"width": round(frame.width * scale), "height": round(frame.height * scale)}
    return np.asarray(frame.reformat(**size, format="rgb24", interpolation="AREA", threads=1).to_ndarray())


def torchcodec_exact(path: Path) -> object:
    """The torchcodec library at full size, on one thread."""
    from torchcodec.decoders import VideoDecoder  # type: ignore[import-not-found,unused-ignore]

    video = VideoDecoder(str(path), num_ffmpeg_threads=1)
    return video.get_frames_at([int((i + 0.5) * len(video) / FRAMES) for i in range(FRAMES)])


def ways() -> dict[str, Way]:
    """The ways to read a clip that this machine has."""
    found: dict[str, Way] = {
        "ours, nearest": nearest,
        "ours, exact": exact,
        "decord": decord_full,
        "decord, scaled": decord_scaled,
        "PyAV, seek per frame": seek_per_frame,
        "PyAV, one forward pass": forward_pass,
    }
    if find_spec("torchcodec"):
        found["torchcodec"] = torchcodec_exact
    else:
        sys.stderr.write("torchcodec is not installed here: not measured.\n")
    return found


@contextmanager
def one_core() -> Iterator[None]:
    """This process, and the threads it starts, on one core."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {min(before)})
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


def take_turns(path: Path, ways: dict[str, Way], n_turns: int) -> Turns:
    """Each way once in every turn, after a first turn that does not count."""
    seconds: dict[str, list[float]] = {name: [] for name in ways}
    for turn in range(n_turns + 1):
        for name, way in ways.items():
            started = time.process_time()
            way(path)
            if turn:
                seconds[name].append(time.process_time() - started)
    return Turns(seconds)


def worst_miss(path: Path, accuracy: Accuracy) -> float:
    """How far the farthest frame is from its instant, as a share of the tolerance T/(4m).

    Raises:
        RuntimeError: a time is not that of a frame of a plain full decode, or EXACT gives one not on screen.
    """
    with _opened(path) as (container, stream):
        pts = sorted(frame.pts * float(stream.time_base) for frame in container.decode(stream))
    times_s = np.array(pts) - pts[0]
    video = PyAvReader(accuracy).read(path, FRAMES, LONG_SIDE)
    instants_s = sample_times(video.duration_s, FRAMES)
    found_s = np.array([frame.time_s for frame in video.frames])
    on_screen_s = times_s[np.searchsorted(times_s, instants_s + 1e-6, side="right") - 1]
    if np.abs(times_s[:, None] - found_s).min(axis=0).max() > 1e-6:
        raise RuntimeError(f"{path.name}: a frame's time is that of no frame of the file")
    if accuracy is Accuracy.EXACT and np.abs(found_s - on_screen_s).max() > 1e-6:
        raise RuntimeError(f"{path.name}: a frame is not the one on screen")
    return float(np.abs(found_s - instants_s).max() / nearest_tolerance(video.duration_s, FRAMES))


def measured_clip(recipe: ClipRecipe, path: Path, n_turns: int) -> list[Figure]:
    """All figures of one clip: rates, ratios, times and how good the doctor's estimate of the cost is."""
    with one_core():
        turns = take_turns(path, ways(), n_turns)
    megabits = path.stat().st_size * 8 / recipe.seconds / 1e6
    clip = f"{recipe.name}, {recipe.seconds:g} s of 720×1280, {megabits:.1f} Mbit/s, {n_turns} turns, 1 core"
    rates = [Figure(f"{recipe.name}: {way}", turns.rate(way), "videos/s", "higher", clip) for way in turns.seconds]
    index = PyAvReader().index(path)
    estimate_s = cost_ms(index, index.plan(FRAMES, Accuracy.NEAREST), index.width * index.height) / 1e3
    worst_miss(path, Accuracy.EXACT)
    return [
        *rates,
        _ratio(recipe, turns, "ours, nearest", clip),
        _ratio(recipe, turns, "ours, exact", clip),
        Figure(
            f"{recipe.name}: farthest frame", worst_miss(path, Accuracy.NEAREST), "of T/(4m)", "lower",
            "nearest, against the times of a plain full decode",
        ),
        Figure(
            f"{recipe.name}: cost estimate", estimate_s * turns.rate("ours, nearest"), "of actual", "near 1",
            "what the doctor says, by the measured CPU time",
        ),
    ]  # fmt: skip


def _ratio(recipe: ClipRecipe, turns: Turns, way: str, clip: str) -> Figure:
    value = turns.ratio(way, "decord", "decord, scaled")
    return Figure(f"{recipe.name}: {way} / decord", value, "times", "higher", f"by the faster decord; {clip}")


def headlines(figures: list[Figure]) -> list[Figure]:
    """The two figures that the project promises, by the default accuracy of the embed job."""
    by_name = {figure.figure: figure for figure in figures}
    names = {"decode_long_gop_vs_decord": LONG_GOP, "decode_short_gop_vs_decord": SHORT_GOP}
    found = {name: by_name[f"{clip}: ours, nearest / decord"] for name, clip in names.items()}
    return [Figure(name, f.value, f.unit, f.better, f"nearest, {f.detail}") for name, f in found.items()]


def agreement(clips: list[Path]) -> list[Figure]:
    """The mean cosine between nearest and exact frames of the clips under `sample`, and the lowest of a clip."""
    encoder = open_encoder()
    cosines = []
    for path in clips:
        sides = [PyAvReader(accuracy).read(path, FRAMES, LONG_SIDE).frames for accuracy in Accuracy]
        ours, theirs = (encoder.encode_images([Image.fromarray(f.pixels) for f in frames]) for frames in sides)
        cosines.append(float((ours * theirs).sum(axis=1).mean()))
    detail = f"nearest and exact frames under sample, {len(clips)} real clips of at least {LEAST_REAL_S:g} s"
    return [
        Figure("decode_agreement", float(np.mean(cosines)), "cosine", "higher", detail),
        Figure("lowest agreement of a clip", min(cosines), "cosine", "higher", detail),
    ]


def real_clips() -> list[Path]:
    """Clips of people_ccby and of data/decoder that are long enough; none where the data are absent."""
    videos = sorted((DATA / "people_ccby").glob("*.mp4")) + sorted(
        path for path in (DATA / "decoder").glob("*/*") if path.suffix in {".mp4", ".mov", ".mkv", ".webm", ".avi"}
    )
    return [path for path in videos if PyAvReader().index(path).duration_s >= LEAST_REAL_S]


def measure(quick: bool) -> list[Figure]:
    """With --quick only H.264, of clips of 6 s."""
    chosen = recipes(6.0 if quick else 15.0)
    if quick:
        chosen = [recipe for recipe in chosen if recipe.name in (LONG_GOP, SHORT_GOP)]
    figures: list[Figure] = []
    with TemporaryDirectory() as folder:
        for recipe in chosen:
            sys.stderr.write(f"{recipe.name} …\n")
            figures += measured_clip(recipe, write_recipe(recipe, Path(folder)), n_turns=2 if quick else 3)
    clips = real_clips()
    if not clips:
        sys.stderr.write("decode_agreement: skipped, as there are no real clips in ../shared/data.\n")
        return [*headlines(figures), *figures]
    return [*headlines(figures), *agreement(clips[:10] if quick else clips), *figures]


if __name__ == "__main__":
    run(measure, "Eight frames of a clip, by several decoders.")
