"""What a coded picture's first bytes say: may decoding start here, does a later picture need it, is it shown.

A container's keyframe flag does not tell an open group of pictures from a closed one, so the codec's own words decide.
Where they are not known the answers are the careful ones: no entry, needed, shown.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass


@dataclass(frozen=True)
class PictureKind:
    """*entry*: pictures shown from this one on decode right when decoding starts here. *needed*: others refer to it."""

    entry: bool
    needed: bool
    shown: bool = True


Data = bytes | memoryview
CAREFUL = PictureKind(entry=False, needed=True)

H264_SLICE, H264_IDR = 1, 5
HEVC_LAST_VCL = 31
HEVC_LAST_LEADING_OR_TRAILING = 15  # below: odd types are references, even ones are not
HEVC_ENTRIES = range(16, 22)  # BLA, IDR and CRA; decoders drop the leading pictures that a CRA leaves broken
VP9_MARKER = 0b10
AV1_SEQUENCE_HEADER, AV1_FRAME_HEADER, AV1_FRAME = 1, 3, 6


def picture_kind(codec: str, data: Data, keyframe: bool, extradata: bytes) -> PictureKind:
    """What a packet of one picture says.

    Args:
        codec: FFmpeg's name of the codec.
        keyframe: what the container says of the packet.
        extradata: the codec's configuration record, as the container holds it.
    """
    classify = KINDS.get(codec)
    return classify(data, keyframe, extradata) if classify else CAREFUL


def nal_units(data: Data, length_bytes: int) -> Iterator[Data]:
    """The first two bytes of each NAL unit; *length_bytes* 0 means that start codes part them."""
    return _parted_by_lengths(data, length_bytes) if length_bytes else _parted_by_start_codes(data)


def h264_kind(data: Data, keyframe: bool, extradata: bytes) -> PictureKind:
    """Only an IDR picture is an entry: what follows another I picture may refer to what came before it."""
    units = nal_units(data, _nal_length_bytes(extradata, 4))
    slices = [unit[0] for unit in units if H264_SLICE <= unit[0] & 0x1F <= H264_IDR]
    if not slices:
        return CAREFUL
    entry = all(byte & 0x1F == H264_IDR for byte in slices)
    return PictureKind(entry, needed=any(byte >> 5 & 3 for byte in slices))


def hevc_kind(data: Data, keyframe: bool, extradata: bytes) -> PictureKind:
    """A picture that its own temporal layer does not need may still serve a higher layer where there are several."""
    units = nal_units(data, _nal_length_bytes(extradata, 21))
    types = [kind for kind in (unit[0] >> 1 & 0x3F for unit in units) if kind <= HEVC_LAST_VCL]
    if not types:
        return CAREFUL
    unneeded = all(kind < HEVC_LAST_LEADING_OR_TRAILING and kind % 2 == 0 for kind in types)
    droppable = unneeded and _has_one_temporal_layer(extradata)
    return PictureKind(all(kind in HEVC_ENTRIES for kind in types), needed=not droppable)


def vp8_kind(data: Data, keyframe: bool, extradata: bytes) -> PictureKind:
    """Bit 0 of the first byte is 0 in a keyframe, bit 4 is 1 where the picture is shown."""
    return PictureKind(entry=data[0] & 1 == 0, needed=True, shown=data[0] >> 4 & 1 == 1) if data else CAREFUL


def vp9_kind(data: Data, keyframe: bool, extradata: bytes) -> PictureKind:
    """Pictures that are not shown come in one packet with the one that is, so every packet shows one."""
    if not data or data[0] >> 6 != VP9_MARKER:
        return CAREFUL
    after_profile = 3 if data[0] >> 4 & 3 != 3 else 2  # bits left in the byte: profile 3 has a reserved bit
    shows_older, inter = data[0] >> after_profile & 1, data[0] >> (after_profile - 1) & 1
    return PictureKind(entry=not shows_older and not inter, needed=True)


def av1_kind(data: Data, keyframe: bool, extradata: bytes) -> PictureKind:
    """An entry brings a sequence header and then a key frame that is shown at once."""
    return PictureKind(entry=_av1_starts_afresh(data), needed=True)


def mpeg_kind(data: Data, keyframe: bool, extradata: bytes) -> PictureKind:
    """MPEG-1, 2 and 4: only pictures shown before an I picture may refer across it."""
    return PictureKind(entry=keyframe, needed=True)


def intra_kind(data: Data, keyframe: bool, extradata: bytes) -> PictureKind:
    """Codecs whose pictures all stand alone."""
    return PictureKind(entry=True, needed=False)


KINDS: dict[str, Callable[[Data, bool, bytes], PictureKind]] = {
    "h264": h264_kind,
    "hevc": hevc_kind,
    "vp8": vp8_kind,
    "vp9": vp9_kind,
    "av1": av1_kind,
    "mpeg1video": mpeg_kind,
    "mpeg2video": mpeg_kind,
    "mpeg4": mpeg_kind,
    "mjpeg": intra_kind,
    "prores": intra_kind,
}


def _av1_starts_afresh(data: Data) -> bool:
    with_header = False
    for kind, payload in _obus(data):
        if kind == AV1_SEQUENCE_HEADER:
            with_header = True
        elif kind in (AV1_FRAME_HEADER, AV1_FRAME):
            # show_existing_frame 0, frame_type 00 (key), show_frame 1
            return with_header and len(payload) == 1 and payload[0] >> 4 == 0b0001
    return False


def _obus(data: Data) -> Iterator[tuple[int, Data]]:
    at = 0
    while at < len(data):
        kind, extended, sized = data[at] >> 3 & 0xF, data[at] >> 2 & 1, data[at] >> 1 & 1
        at += 1 + extended
        size, n_bytes = _leb128(data, at) if sized else (len(data) - at, 0)
        at += n_bytes
        yield kind, data[at : at + 1]
        at += size


def _leb128(data: Data, at: int) -> tuple[int, int]:
    value = 0
    for n_bytes, byte in enumerate(data[at : at + 8]):
        value |= (byte & 0x7F) << 7 * n_bytes
        if byte < 0x80:
            return value, n_bytes + 1
    return len(data), 0


def _parted_by_lengths(data: Data, length_bytes: int) -> Iterator[Data]:
    at = 0
    while at + length_bytes < len(data):
        size = int.from_bytes(data[at : at + length_bytes])
        yield data[at + length_bytes : at + length_bytes + 2]
        at += length_bytes + size


def _parted_by_start_codes(data: Data) -> Iterator[Data]:
    data = bytes(data)
    at = data.find(b"\0\0\1")
    while 0 <= at < len(data) - 3:
        yield data[at + 3 : at + 5]
        at = data.find(b"\0\0\1", at + 3)


def _nal_length_bytes(extradata: bytes, at: int) -> int:
    """The bytes of each length, from an avcC or hvcC record; 0 where there is none, so start codes part the units."""
    return (extradata[at] & 3) + 1 if len(extradata) > at and extradata[0] == 1 else 0


def _has_one_temporal_layer(extradata: bytes) -> bool:
    return len(extradata) > 21 and extradata[0] == 1 and extradata[21] >> 3 & 7 == 1
