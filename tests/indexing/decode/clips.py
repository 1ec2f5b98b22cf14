"""Clips of every kind that a planner can trip over, encoded here, and a plain decoder to compare with."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from functools import cache
from pathlib import Path

import av
import numpy as np

CLOCK = Fraction(1, 1000)
WIDTH, HEIGHT = 128, 64  # decord takes pictures of many small widths for ones of four channels; not this one


@dataclass(frozen=True)
class Clip:
    """A clip to write: *times_ms* are when its pictures are shown."""

    name: str
    encoder: str
    times_ms: Sequence[int] = tuple(range(0, 6000, 40))
    options: dict[str, str] = field(default_factory=dict)
    muxing: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Shown:
    """A frame as a plain full decode gives it, upright, *time_s* after the first."""

    time_s: float
    pixels: np.ndarray


X264 = "keyint=25:min-keyint=25:bframes=3:open-gop="
X265 = "log-level=none:keyint=25:min-keyint=25:bframes=4:"
VARIABLE = tuple(np.cumsum([10, 33, 100, 400, 33] * 30).tolist())
CLIPS = [
    Clip("b_frames.mp4", "libx264", options={"bf": "4", "refs": "5"}),
    Clip("one_keyframe.mp4", "libx264", options={"g": "250", "sc_threshold": "0"}),
    Clip("closed.mp4", "libx264", options={"x264-params": X264 + "0"}),
    Clip("open.mp4", "libx264", options={"x264-params": X264 + "1"}),
    Clip("open.ts", "libx264", options={"x264-params": X264 + "1"}),
    Clip("refresh.mp4", "libx264", options={"x264-params": "intra-refresh=1:keyint=40:bframes=0"}),
    Clip("interlaced.mp4", "libx264", options={"x264-params": "tff=1:bframes=3"}),
    Clip("variable.mp4", "libx264", VARIABLE, {"bf": "3"}),
    Clip("variable.mkv", "libx264", VARIABLE, {"bf": "3"}),
    Clip("late.mp4", "libx264", tuple(range(5000, 11000, 40))),
    Clip("late.mkv", "libx264", tuple(range(5000, 11000, 40))),
    Clip("fragments.mp4", "libx264", options={"g": "30"}, muxing={"movflags": "frag_keyframe+empty_moov"}),
    Clip("open_hevc.mp4", "libx265", options={"x265-params": X265 + "open-gop=1"}),
    Clip("open_hevc.ts", "libx265", options={"x265-params": X265 + "open-gop=1"}),
    Clip("layers_hevc.mp4", "libx265", options={"x265-params": X265 + "temporal-layers=3:b-adapt=0"}),
    Clip("open_mpeg2.ts", "mpeg2video", options={"g": "12", "bf": "2"}),
    Clip("b_frames_mpeg4.mp4", "mpeg4", options={"g": "25", "bf": "2"}),
    Clip("hidden.webm", "libvpx", options={"g": "40", "auto-alt-ref": "1", "lag-in-frames": "16", "cpu-used": "5"}),
    Clip("hidden_vp9.webm", "libvpx-vp9", options={"g": "40", "lag-in-frames": "16", "cpu-used": "5"}),
    Clip("forward_av1.mp4", "libsvtav1", options={"preset": "12", "g": "32", "svtav1-params": "irefresh-type=1"}),
]


def write(clip: Clip, folder: Path) -> Path:
    """Encode pictures that all differ, and return the path."""
    path = folder / clip.name
    rate = Fraction(25)
    with av.open(str(path), "w", options=clip.muxing) as container:
        stream = container.add_stream(clip.encoder, rate=rate, options=clip.options)
        stream.width, stream.height, stream.pix_fmt = WIDTH, HEIGHT, "yuv420p"
        stream.codec_context.time_base = Fraction(1, 25) if "mpeg" in clip.encoder else CLOCK
        for number, time_ms in enumerate(clip.times_ms):
            frame = av.VideoFrame.from_ndarray(_pixels(number), format="rgb24")
            frame.pts, frame.time_base = time_ms, CLOCK
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path


def write_edited(source: Path, path: Path, from_s: float) -> Path:
    """Copy the packets so that the container leaves out the pictures before *from_s*, as an editor's cut does."""
    with av.open(str(source)) as whole, av.open(str(path), "w") as cut:
        stream = whole.streams.video[0]
        copied = cut.add_stream_from_template(stream)
        ticks = round(from_s / stream.time_base)
        for packet in (p for p in whole.demux(stream) if p.size):
            packet.pts, packet.dts, packet.stream = packet.pts - ticks, packet.dts - ticks, copied
            cut.mux(packet)
    return path


def write_zeroed(source: Path, path: Path, position: int, from_byte: int) -> Path:
    """Copy the file with zeros in the packet at *position*, in the order of decoding, from that byte on."""
    with av.open(str(source)) as container:
        packets = [packet for packet in container.demux(video=0) if packet.size]
    at, size = packets[position].pos, packets[position].size
    content = bytearray(source.read_bytes())
    content[at + from_byte : at + size] = bytes(size - from_byte)
    path.write_bytes(content)
    return path


@cache
def all_frames(path: Path, long_side: int) -> list[Shown]:
    """Every frame of the first video stream in the order of time, from one plain pass without any plan."""
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        stream.codec_context.thread_count = 1
        frames = sorted(_decoded(container, stream), key=lambda frame: frame.pts)
    return [Shown(float((f.pts - frames[0].pts) * f.time_base), _upright(f, long_side)) for f in frames]


def _decoded(container, stream):
    for packet in container.demux(stream):
        try:
            yield from packet.decode()
        except av.FFmpegError:
            continue


def _upright(frame, long_side):
    scale = min(1.0, long_side / max(frame.width, frame.height))
    size = {"width": max(1, round(frame.width * scale)), "height": max(1, round(frame.height * scale))}
    pixels = frame.reformat(**size, format="rgb24", interpolation="AREA").to_ndarray()
    return np.rot90(pixels, k=round(frame.rotation / 90))


def _pixels(number: int) -> np.ndarray:
    """A texture that pans over stripes which change with every picture."""
    rng = np.random.default_rng(7)
    texture = np.kron(rng.integers(30, 220, (40, 64)), np.ones((4, 4))).astype(np.uint8)
    y, x = int(40 + 35 * np.sin(number / 11)), int(60 + 50 * np.sin(number / 17))
    grey = texture[y : y + HEIGHT, x : x + WIDTH].copy()
    grey[:10] = number * 7 % 255
    return np.stack([grey, 255 - grey, np.roll(grey, number, axis=1)], axis=2)
