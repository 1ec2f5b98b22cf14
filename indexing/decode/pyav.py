"""Frames through PyAV. The only module that imports av for reading."""

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from indexing.decode.protocol import DecodedVideo, Frame, UnreadableMediaError
from indexing.sampling import sample_times
from retrieval.errors import import_extra


@dataclass(frozen=True)
class PyAvReader:
    """One forward pass over the file; only the frames asked for are converted, scaled and turned upright."""

    def read(self, path: Path, n_frames: int, long_side: int) -> DecodedVideo:
        """See `FrameReader.read`."""
        av = import_extra("av", "embed")
        try:
            with av.open(str(path)) as container:
                return _read(av, container, n_frames, long_side)
        except (av.FFmpegError, OSError, ValueError) as error:
            raise UnreadableMediaError(_reason(error)) from error


def _read(av: Any, container: Any, n_frames: int, long_side: int) -> DecodedVideo:
    if not container.streams.video:
        raise UnreadableMediaError("it has no video stream")
    stream = container.streams.video[0]
    start_s, duration_s = _span(container, stream)
    targets = sample_times(duration_s, n_frames)
    decoder = _Decoder(av, container, stream)
    taken = list(_pick(decoder.frames(), targets + start_s))
    if not taken:
        raise UnreadableMediaError("no frame could be decoded")
    scaler = av.video.reformatter.VideoReformatter()  # one for all: each new one costs half a millisecond
    frames = tuple(Frame(max(0.0, frame.time - start_s), _pixels(frame, scaler, long_side)) for frame in taken)
    width, height = _upright_size(taken[0])
    return DecodedVideo(duration_s, width, height, frames, partial=decoder.broken)


def _span(container: Any, stream: Any) -> tuple[float, float]:
    """When the first frame is shown and for how long frames follow, in seconds, from the packets themselves.

    Headers are often wrong: about the start after a cut, about the length after a broken upload.
    """
    packets = [(p.pts, p.duration or 0) for p in container.demux(stream) if p.pts is not None]
    if not packets:
        raise UnreadableMediaError("it has no video packets")
    container.seek(0)
    start = max(0, min(pts for pts, _ in packets))
    end = max(pts + duration for pts, duration in packets)
    return float(start * stream.time_base), float((end - start) * stream.time_base)


def _pick(frames: Iterator[Any], targets_s: NDArray[np.float64]) -> Iterator[Any]:
    """The frame on screen at each target: the last one that begins by then, or the first of all."""
    waiting = deque(targets_s)
    shown = None
    for frame in frames:
        while waiting and shown is not None and frame.time > waiting[0]:
            waiting.popleft()
            yield shown
        if not waiting:
            return
        shown = frame
    if shown is not None:
        yield from (shown for _ in waiting)


@dataclass
class _Decoder:
    """The frames of a stream in order; packets that cannot be decoded are passed over and make it *broken*."""

    av: Any
    container: Any
    stream: Any
    broken: bool = False

    def frames(self) -> Iterator[Any]:
        try:
            for packet in self.container.demux(self.stream):
                yield from (frame for frame in self._decoded(packet) if frame.time is not None)
        except self.av.FFmpegError:  # the container itself breaks off
            self.broken = True

    def _decoded(self, packet: Any) -> list[Any]:
        try:
            return list(packet.decode())
        except self.av.FFmpegError:
            self.broken = True
            return []


def _pixels(frame: Any, scaler: Any, long_side: int) -> NDArray[np.uint8]:
    scale = min(1.0, long_side / max(frame.width, frame.height))
    width, height = max(1, round(frame.width * scale)), max(1, round(frame.height * scale))
    small = scaler.reformat(frame, width=width, height=height, format="rgb24", interpolation="AREA")
    # The display matrix turns counterclockwise, as rot90 does.
    return np.ascontiguousarray(np.rot90(small.to_ndarray(), k=round(frame.rotation / 90)))


def _upright_size(frame: Any) -> tuple[int, int]:
    sideways = round(frame.rotation / 90) % 2 == 1
    return (frame.height, frame.width) if sideways else (frame.width, frame.height)


def _reason(error: Exception) -> str:
    """FFmpeg's own words, without our path."""
    return (getattr(error, "strerror", None) or str(error) or type(error).__name__).rstrip(".")
