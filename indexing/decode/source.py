"""The video stream of a file that is open: its packets, and what they tell before anything is decoded."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from indexing.decode.bitstream import picture_kind
from indexing.decode.index import StreamIndex
from indexing.decode.plan import PacketFacts, timeline
from indexing.decode.protocol import MAX_PACKETS, UnreadableMediaError

HELD_BYTES = 64 * 2**20  # packets are kept between demuxing and decoding up to here; larger files are demuxed twice


class NoTimesError(UnreadableMediaError):
    """No packet says when its picture is shown or decoded."""


@dataclass
class Source:
    """A stream of an open container, with PyAV's module. *held* are its packets while they fit in memory."""

    av: Any
    container: Any
    stream: Any
    held: list[Any] | None = field(default_factory=list)

    def index(self) -> StreamIndex:
        """Demux the whole stream; of a container that breaks off, what comes before that.

        Raises:
            NoTimesError: there is no packet with a time; probing the file may supply them.
        """
        facts, timed, broken = [], True, False
        try:
            for packet in self._demuxed():
                facts.append(self._facts(packet))
                timed = timed and packet.pts is not None
        except MemoryError:  # FFmpeg's is an FFmpegError too, but the file need not be damaged
            raise
        except self.av.FFmpegError:
            broken = True
        return self._index(tuple(facts), timed, broken)

    def packets(self) -> Iterator[Any]:
        """The packets again, in the order of decoding; after `index` only."""
        if self.held is not None:
            yield from self.held
            return
        self.container.seek(0)
        yield from (packet for packet in self._read() if _can_be_placed(packet))

    def _index(self, facts: tuple[PacketFacts, ...], timed: bool, broken: bool) -> StreamIndex:
        shown = timeline(facts)
        if shown is None:
            raise NoTimesError("it has no pictures that carry a time")
        context = self.stream.codec_context
        return StreamIndex(
            codec=context.codec.canonical_name,
            width=context.width,
            height=context.height,
            tick_s=float(self.stream.time_base),
            packets=facts,
            shown=shown,
            header_s=_header_s(self.stream, shown.start),
            timed=timed,
            broken=broken,
        )

    def _demuxed(self) -> Iterator[Any]:
        n_bytes = 0
        for number, packet in enumerate(self._read()):
            if number >= MAX_PACKETS:
                raise UnreadableMediaError(f"it has more than {MAX_PACKETS} pictures")
            if _can_be_placed(packet):
                n_bytes += packet.size
                self._hold(packet, n_bytes)
                yield packet

    def _read(self) -> Iterator[Any]:
        try:
            yield from self.container.demux(self.stream)
        except IndexError:
            return  # at the end PyAV asks every stream for its rest, and knows none that appeared on the way

    def _hold(self, packet: Any, n_bytes: int) -> None:
        if n_bytes > HELD_BYTES:
            self.held = None
        elif self.held is not None:
            self.held.append(packet)

    def _facts(self, packet: Any) -> PacketFacts:
        context = self.stream.codec_context
        extradata = context.extradata or b""
        kind = picture_kind(context.codec.canonical_name, memoryview(packet), packet.is_keyframe, extradata)
        pts = packet.dts if packet.pts is None else packet.pts
        # An edit list leaves out pictures that others need: the packets are there, marked to be discarded.
        return PacketFacts(pts, packet.duration or 0, kind.entry, kind.needed, kind.shown and not packet.is_discard)


def _can_be_placed(packet: Any) -> bool:
    """Whether it holds anything and says when. The last packet of PyAV is empty: it asks the decoder for the rest."""
    return bool(packet.size) and not (packet.pts is None and packet.dts is None)


def _header_s(stream: Any, start: int) -> float | None:
    """How long the stream is by its header. Matroska has a tag that counts from 0 to the end, wherever it starts."""
    hours, _, rest = stream.metadata.get("DURATION", "").partition(":")
    minutes, _, seconds = rest.partition(":")
    try:
        return 3600 * int(hours) + 60 * int(minutes) + float(seconds) - float(start * stream.time_base)
    except ValueError:
        return float(stream.duration * stream.time_base) if stream.duration else None
