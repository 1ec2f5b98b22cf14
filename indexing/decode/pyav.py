"""Frames through PyAV. The only module that imports av for reading.

A file is first demuxed, which takes milliseconds and tells when each picture is shown and which ones others need
(`index`, `plan`, `bitstream`). Then only the packets of the plan are decoded. Wherever that does not give every
picture whole, the file is decoded from its beginning, packet by packet, and what can be had is taken.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Self

from indexing.decode.decoding import ForwardPass, PlanFailedError, on_screen, planned_pictures, tick_of
from indexing.decode.index import StreamIndex
from indexing.decode.picture import Developer, assembled
from indexing.decode.protocol import MAX_DURATION_S, MAX_PIXELS, Accuracy, DecodedVideo, UnreadableMediaError
from indexing.decode.source import NoTimesError, Source
from retrieval.errors import import_extra

# Playlists and other formats that name further files or addresses are not opened.
FORMATS = "mov,mp4,m4a,3gp,3g2,mj2,matroska,webm,avi,mpegts,mpeg,flv,ogg,asf,ivf,mxf,gif"
OPENING = {"protocol_whitelist": "file", "format_whitelist": FORMATS, "threads": "1"}
# Else FFmpeg decodes pictures only to say what is in the file: 13 ms for H.264, 23 ms for VP9 at 720 × 1280.
UNPROBED = {**OPENING, "codec_whitelist": "none"}


@dataclass(frozen=True)
class PyAvReader:
    """Decodes the packets that a plan needs, on one thread; only the frames asked for are converted and scaled."""

    accuracy: Accuracy = Accuracy.EXACT
    max_pixels: int = MAX_PIXELS
    max_duration_s: float = MAX_DURATION_S

    def read(self, path: Path, n_frames: int, long_side: int) -> DecodedVideo:
        """See `FrameReader.read`."""
        with _worded_errors() as av:
            try:
                return self._read_planned(av, path, n_frames, long_side)
            except MemoryError:
                raise
            except (PlanFailedError, NoTimesError, av.FFmpegError):
                return self._read_forward(av, path, n_frames, long_side)

    def within(self, max_pixels: int) -> Self:
        """See `FrameReader.within`."""
        return replace(self, max_pixels=min(self.max_pixels, max_pixels))

    def index(self, path: Path) -> StreamIndex:
        """What demuxing alone tells, in milliseconds.

        Raises:
            UnreadableMediaError: there is no video stream or packet, or it is beyond the limits.
        """
        with _worded_errors() as av, self._open(av, path, OPENING) as source:
            return self._checked(source.index())

    def _read_planned(self, av: Any, path: Path, n_frames: int, long_side: int) -> DecodedVideo:
        with self._open(av, path, UNPROBED) as source:
            index = self._checked(source.index())
            plan = index.plan(n_frames, self.accuracy)
            if plan is None:
                raise PlanFailedError
            ticks = [index.shown.pts[row] for row in plan.rows]
            pictures = planned_pictures(source, plan, set(ticks), Developer(av, long_side))
        return assembled(index, ticks, [pictures[tick] for tick in ticks], partial=index.cut)

    def _read_forward(self, av: Any, path: Path, n_frames: int, long_side: int) -> DecodedVideo:
        with self._open(av, path, OPENING) as source:
            index = self._checked(source.index())
            decoding, develop = ForwardPass(av, source), Developer(av, long_side)
            shown = on_screen(decoding.frames(), index.instants(n_frames))
            taken = [(tick_of(frame), develop(frame)) for frame in shown]
        if not taken:
            raise UnreadableMediaError("no frame could be decoded")
        return assembled(index, [t for t, _ in taken], [p for _, p in taken], partial=index.cut or decoding.broken)

    @contextmanager
    def _open(self, av: Any, path: Path, options: dict[str, str]) -> Iterator[Source]:
        limits = {"max_pixels": str(self.max_pixels)}  # FFmpeg keeps it before it allocates anything
        with _opened(av, path, {**options, **limits}) as container:
            covers = av.stream.Disposition.attached_pic
            streams = [stream for stream in container.streams.video if not stream.disposition & covers]
            if not streams or streams[0].codec_context is None:
                raise UnreadableMediaError("it has no video stream that can be decoded")
            streams[0].codec_context.thread_count = 1
            streams[0].codec_context.options = limits
            yield Source(av, container, streams[0])

    def _checked(self, index: StreamIndex) -> StreamIndex:
        if index.width * index.height > self.max_pixels:
            size = f"{index.width} × {index.height}"
            raise UnreadableMediaError(f"its picture has {size} pixels, more than the {self.max_pixels} allowed")
        if index.duration_s > self.max_duration_s:
            limit = f"more than the {self.max_duration_s:.0f} allowed"
            raise UnreadableMediaError(f"it lasts {index.duration_s:.0f} s, {limit}")
        return index


def _opened(av: Any, path: Path, options: dict[str, str]) -> Any:
    try:
        return av.open(f"file:{path}", options=options, metadata_errors="replace")
    except av.error.ArgumentError as error:  # FFmpeg's word for a format that is not in the list
        raise UnreadableMediaError("it is in no video format that is read here") from error


@contextmanager
def _worded_errors() -> Iterator[Any]:
    """Yield the av package; what it raises becomes FFmpeg's own words, without our path. Want of memory stays that."""
    av = import_extra("av", "embed")
    try:
        yield av
    except MemoryError:  # FFmpeg's is an FFmpegError too
        raise
    except (av.FFmpegError, OSError, ValueError) as error:
        words = getattr(error, "strerror", None) or str(error) or type(error).__name__
        raise UnreadableMediaError(words.rstrip(".")) from error
