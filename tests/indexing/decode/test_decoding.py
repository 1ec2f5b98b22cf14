"""What the two passes make of a decoder's frames, with a decoder written by hand."""

import errno
from types import SimpleNamespace

import av
import pytest

from indexing.decode.decoding import ForwardPass, PlanFailedError, on_screen, planned_pictures
from indexing.decode.plan import ReadingPlan
from indexing.decode.pyav import PyAvReader
from indexing.decode.source import Source
from tests.indexing.decode import clips


class NoMemoryError(ValueError, MemoryError):
    """FFmpeg's word for it, to a library whose errors are ValueErrors."""


class Decoder:
    """Gives one frame for each packet, its position for a time; those in *damaged* come broken, or not at all."""

    def __init__(self, damaged=(), lost=()):
        self.damaged, self.lost = damaged, lost

    def decode(self, packet):
        if packet is None or packet in self.lost:
            return []
        return [SimpleNamespace(pts=packet, dts=packet, is_corrupt=packet in self.damaged)]

    def flush_buffers(self):
        pass


def starved_packets():
    """What a demuxer without memory gives."""
    raise NoMemoryError
    yield


def source(decoder):
    return SimpleNamespace(stream=SimpleNamespace(codec_context=decoder), packets=lambda: iter(range(6)))


PLAN = ReadingPlan((2,), frozenset({0}), (0, 1, 2))


def test_a_plan_gives_the_pictures_asked_for():
    assert planned_pictures(source(Decoder()), PLAN, {2}, lambda frame: frame.pts) == {2: 2}


def test_a_damaged_picture_on_the_way_fails_the_plan():
    with pytest.raises(PlanFailedError):
        planned_pictures(source(Decoder(damaged={1})), PLAN, {2}, lambda frame: frame.pts)


def test_damage_beyond_the_plan_does_not_matter():
    assert planned_pictures(source(Decoder(damaged={3})), PLAN, {2}, lambda frame: frame.pts) == {2: 2}


def test_a_picture_that_does_not_come_fails_the_plan():
    with pytest.raises(PlanFailedError):
        planned_pictures(source(Decoder(lost={2})), PLAN, {2}, lambda frame: frame.pts)


def test_a_forward_pass_keeps_damaged_pictures_and_says_so():
    decoding = ForwardPass(SimpleNamespace(FFmpegError=ValueError), source(Decoder(damaged={4})))

    frames = list(decoding.frames())

    assert [frame.pts for frame in frames] == [0, 1, 2, 3, 4, 5]
    assert decoding.broken


def test_want_of_memory_is_no_damage_to_pass_over():
    class Starved(Decoder):
        def decode(self, packet):
            raise NoMemoryError

    decoding = ForwardPass(SimpleNamespace(FFmpegError=ValueError), source(Starved()))

    with pytest.raises(MemoryError):
        list(decoding.frames())


def test_want_of_memory_between_packets_is_no_end_of_the_file():
    packets = starved_packets()
    stream = SimpleNamespace(codec_context=Decoder())
    decoding = ForwardPass(
        SimpleNamespace(FFmpegError=ValueError), SimpleNamespace(stream=stream, packets=lambda: packets)
    )

    with pytest.raises(MemoryError):
        list(decoding.frames())


def test_want_of_memory_while_demuxing_is_no_end_of_the_file():
    container = SimpleNamespace(demux=lambda _: starved_packets())

    with pytest.raises(MemoryError):
        Source(SimpleNamespace(FFmpegError=ValueError), container, None).index()


def test_want_of_memory_in_a_plan_ends_the_reading(tmp_path, monkeypatch):
    path = clips.write(clips.CLIPS[0], tmp_path)

    def starve(*_):
        raise av.error.MemoryError(errno.ENOMEM, "Cannot allocate memory")

    monkeypatch.setattr("indexing.decode.pyav.planned_pictures", starve)
    with pytest.raises(MemoryError):
        PyAvReader().read(path, 8, 448)


def test_the_first_frame_stands_for_instants_before_it_and_the_last_for_those_after():
    frames = [SimpleNamespace(pts=tick, dts=tick) for tick in (2, 4)]

    assert [frame.pts for frame in on_screen(iter(frames), [1.0, 3.9, 4.0, 9.0])] == [2, 2, 4, 4]


class Packet(bytes):
    """A packet of VP8, at its number's time."""

    is_keyframe = is_discard = False
    duration, size = 1, 1

    def __new__(cls, head, number):
        packet = super().__new__(cls, [head])
        packet.pts = packet.dts = number
        return packet


def test_a_packet_whose_picture_is_never_shown_is_none_of_the_timeline():
    # Bit 4 of VP8's first byte: shown.
    packets = [Packet(0b000_1_000_0, 0), Packet(0b000_0_000_1, 1), Packet(0b000_1_000_1, 2)]
    context = SimpleNamespace(codec=SimpleNamespace(canonical_name="vp8"), extradata=None, width=8, height=8)
    stream = SimpleNamespace(codec_context=context, time_base=0.5, metadata={}, duration=None)
    container = SimpleNamespace(demux=lambda _: iter(packets))

    index = Source(SimpleNamespace(FFmpegError=ValueError), container, stream).index()

    assert index.shown.pts == [0, 2]
    assert len(index.packets) == 3
    assert index.duration_s == 1.5
