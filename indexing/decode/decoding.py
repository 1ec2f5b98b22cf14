"""Packets to pictures: only those of a plan, or all of them in order with whatever damage there is."""

from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from indexing.decode.picture import Developer, Picture
from indexing.decode.plan import ReadingPlan
from indexing.decode.source import Source


class PlanFailedError(Exception):
    """The plan does not give every picture whole: a careful pass over the file is needed."""


def planned_pictures(source: Source, plan: ReadingPlan, ticks: set[int], develop: Developer) -> dict[int, Picture]:
    """The pictures shown at *ticks*, by tick.

    Raises:
        PlanFailedError: one of them does not come, or any picture on the way is damaged.
    """
    pictures = {}
    for frame in _planned_frames(source, plan):
        if frame.is_corrupt:
            raise PlanFailedError
        if frame.pts in ticks:
            pictures[frame.pts] = develop(frame)
    if len(pictures) < len(ticks):
        raise PlanFailedError
    return pictures


def _planned_frames(source: Source, plan: ReadingPlan) -> Iterator[Any]:
    decoder, fed = source.stream.codec_context, set(plan.fed)
    for position, packet in enumerate(source.packets()):
        if position > plan.fed[-1]:
            break
        if position in plan.starts and position > plan.fed[0]:
            yield from decoder.decode(None)
            decoder.flush_buffers()
        if position in fed:
            yield from decoder.decode(packet)
    yield from decoder.decode(None)


@dataclass
class ForwardPass:
    """The frames of a stream in order. What cannot be decoded is passed over, and makes the pass *broken*.

    FFmpeg's want of memory is one of its errors, but no damage of the file: it is raised.
    """

    av: Any
    source: Source
    broken: bool = False

    def frames(self) -> Iterator[Any]:
        """Frames with a time, in the order of time."""
        try:
            for packet in self.source.packets():
                yield from self._decoded(packet)
        except MemoryError:
            raise
        except self.av.FFmpegError:  # the container itself breaks off
            self.broken = True
        yield from self._decoded(None)

    def _decoded(self, packet: Any) -> list[Any]:
        try:
            frames = [f for f in self.source.stream.codec_context.decode(packet) if tick_of(f) is not None]
        except MemoryError:
            raise
        except self.av.FFmpegError:
            self.broken = True
            return []
        self.broken = self.broken or any(frame.is_corrupt for frame in frames)
        return frames


def tick_of(frame: Any) -> Any:
    """When a frame is shown, in ticks; when it was to be decoded where that is all that is known."""
    return frame.dts if frame.pts is None else frame.pts


def on_screen(frames: Iterator[Any], instants: Sequence[float]) -> Iterator[Any]:
    """The frame on screen at each instant: the last one that begins by then, or the first of all."""
    waiting = deque(instants)
    shown = None
    for frame in frames:
        while waiting and shown is not None and tick_of(frame) > waiting[0]:
            waiting.popleft()
            yield shown
        if not waiting:
            return
        shown = frame
    if shown is not None:
        yield from (shown for _ in waiting)
