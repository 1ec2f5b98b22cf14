"""Films the sample shop's clips: short portrait H.264 files. The only module of the sample shop that encodes video."""

import multiprocessing
import os
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor, as_completed
from pathlib import Path

import av
import numpy as np
from av.video.frame import PictureType

from sample_shop.filming.camera import FilmFrame, iter_frames, plan_take
from sample_shop.filming.looks import draw_look
from sample_shop.filming.places import FRAME_HEIGHT, FRAME_WIDTH
from sample_shop.filming.scenes import build_scene
from sample_shop.filming.shots import FRAME_RATE, plan_shots
from sample_shop.vocabulary import Clip

# ultrafast takes 0.45 ms a frame, superfast twice that for half the bytes, and 0.3 MB a clip is little enough.
# Deblocking, which it leaves out, plain walls need: 0.04 ms. CABAC would save 15 % of the bytes for 0.05 ms.
_ENCODER = {
    "preset": "ultrafast",
    "crf": "29",
    "g": "30",
    "x264-params": "deblock=0,0:scenecut=0:threads=1:colormatrix=smpte170m",
}


class FilmingError(RuntimeError):
    """A clip could not be filmed; the message names it and the cause is chained."""


def film_clips(clips: list[Clip], folder: Path, workers: int, progress: Callable[[int], None] | None = None) -> None:
    """Film every clip to `folder/<video_id>.mp4` on *workers* processes; *progress* hears the number done so far.

    Raises:
        FilmingError: the first clip that failed; clips not yet begun are left out.
    """
    folder.mkdir(parents=True, exist_ok=True)
    context = multiprocessing.get_context("spawn")  # a fork would inherit locks of threads that no longer run
    with ProcessPoolExecutor(workers, mp_context=context) as pool:
        # A creator's clips one after another: their places are painted once per process, not once per clip.
        order = sorted(clips, key=lambda clip: clip.creator.creator_id)
        ids = {pool.submit(film_clip, clip, folder / f"{clip.video_id}.mp4"): clip.video_id for clip in order}
        try:
            _await_clips(ids, progress)
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise


def _await_clips(ids: dict[Future[None], str], progress: Callable[[int], None] | None) -> None:
    for n_done, future in enumerate(as_completed(ids), start=1):
        try:
            future.result()
        except Exception as error:
            raise FilmingError(f"Clip {ids[future]} could not be filmed: {error}") from error
        if progress:
            progress(n_done)


def film_clip(clip: Clip, path: Path) -> None:
    """Film one clip to *path*, whole or not at all; the same clip gives the same bytes."""
    unfinished = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        _encode(iter_clip(clip), unfinished)
        unfinished.replace(path)
    finally:
        unfinished.unlink(missing_ok=True)


def iter_clip(clip: Clip) -> Iterator[FilmFrame]:
    """The clip's frames in order."""
    look = draw_look(clip.creator)
    for shot in plan_shots(clip, look):
        scene = build_scene(shot, look)
        yield from iter_frames(scene, plan_take(shot, look, scene.reach_x, scene.reach_y))


def _encode(frames: Iterator[FilmFrame], path: Path) -> None:
    with av.open(str(path), "w", format="mp4", options={"movflags": "+faststart"}) as container:
        stream = container.add_stream("libx264", rate=FRAME_RATE, options=_ENCODER)
        stream.width, stream.height, stream.pix_fmt = FRAME_WIDTH, FRAME_HEIGHT, "yuv420p"
        stream.codec_context.thread_count = 1  # the clips run in parallel; threads within one would cost determinism
        for frame in frames:
            container.mux(stream.encode(_video_frame(frame)))
        container.mux(stream.encode(None))


def _video_frame(frame: FilmFrame) -> av.VideoFrame:
    planes, video = frame.planes, av.VideoFrame(FRAME_WIDTH, FRAME_HEIGHT, "yuv420p")
    if frame.cut:
        video.pict_type = PictureType.I  # the encoder need not look for what we know
    # Luma of video range has 16 steps of room below and 20 above, so adding light modulo 256 never wraps.
    lights = (np.uint8(frame.light % 256), np.uint8(0), np.uint8(0))
    for target, picture, light in zip(video.planes, (planes.luma, planes.blue, planes.red), lights, strict=True):
        rows = np.frombuffer(memoryview(target), np.uint8).reshape(picture.height, target.line_size)
        np.add(np.asarray(picture), light, out=rows[:, : picture.width])
    return video
