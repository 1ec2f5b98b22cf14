"""First bytes of coded pictures, written from the standards."""

import pytest

from indexing.decode.bitstream import CAREFUL, PictureKind, picture_kind

# A record of H.264 or HEVC whose last two bits of length say that NAL units have lengths of 4 bytes; HEVC's has one
# temporal layer (bits 3 to 5 of byte 21), or two.
AVCC = bytes([1, 0, 0, 0, 0b11])
HVCC = bytes([1] + [0] * 20 + [0b00_001_0_11])
HVCC_LAYERS = bytes([1] + [0] * 20 + [0b00_010_0_11])


def units(*heads):
    """NAL units of 4 bytes, each after its length."""
    return b"".join((4).to_bytes(4) + bytes([*head, 0, 0, 0])[:4] for head in heads)


@pytest.mark.parametrize(
    ("heads", "kind"),
    [
        ([[0x67], [0x65]], PictureKind(entry=True, needed=True)),  # parameters, then nal_ref_idc 3 and type 5, IDR
        ([[0x61]], PictureKind(entry=False, needed=True)),  # type 1 with nal_ref_idc 3
        ([[0x06], [0x01], [0x01]], PictureKind(entry=False, needed=False)),  # SEI, then type 1 with nal_ref_idc 0
        ([[0x01], [0x21]], PictureKind(entry=False, needed=True)),  # one slice of two is needed
        ([[0x06]], CAREFUL),  # no slice at all
    ],
)
def test_h264(heads, kind):
    assert picture_kind("h264", units(*heads), True, AVCC) == kind


def test_h264_parted_by_start_codes():
    assert picture_kind("h264", b"\0\0\0\1\x09\x10\0\0\1\x65\x88", False, b"") == PictureKind(True, True)


def test_a_keyframe_flag_alone_does_not_make_an_entry():
    # An I picture that is no IDR: pictures after it may refer to what came before.
    assert not picture_kind("h264", units([0x61]), True, AVCC).entry


@pytest.mark.parametrize(
    ("nal_type", "extradata", "kind"),
    [
        (19, HVCC, PictureKind(entry=True, needed=True)),  # IDR_W_RADL
        (21, HVCC, PictureKind(entry=True, needed=True)),  # CRA: decoders drop what it leaves broken
        (1, HVCC, PictureKind(entry=False, needed=True)),  # TRAIL_R
        (0, HVCC, PictureKind(entry=False, needed=False)),  # TRAIL_N
        (8, HVCC, PictureKind(entry=False, needed=False)),  # RASL_N
        (0, HVCC_LAYERS, PictureKind(entry=False, needed=True)),  # a higher layer may need it
    ],
)
def test_hevc(nal_type, extradata, kind):
    assert picture_kind("hevc", units([nal_type << 1, 1]), False, extradata) == kind


@pytest.mark.parametrize(
    ("first", "kind"),
    [
        (0b000_1_000_0, PictureKind(entry=True, needed=True)),
        (0b000_1_000_1, PictureKind(entry=False, needed=True)),
        (0b000_0_000_1, PictureKind(entry=False, needed=True, shown=False)),
    ],
)
def test_vp8(first, kind):
    assert picture_kind("vp8", bytes([first, 0, 0]), True, b"") == kind


@pytest.mark.parametrize(
    ("first", "entry"),
    [
        (0b10_00_0_0_10, True),  # profile 0, no older frame shown again, key
        (0b10_00_0_1_10, False),  # not key
        (0b10_00_1_000, False),  # shows an older frame
        (0b10_11_0_0_0_1, True),  # profile 3 has a reserved bit before these
        (0b10_11_0_0_1_1, False),
    ],
)
def test_vp9(first, entry):
    assert picture_kind("vp9", bytes([first, 0]), True, b"") == PictureKind(entry, needed=True)


SEQUENCE = bytes([1 << 3 | 2, 2, 0, 0])  # type 1 with a size, of 2 bytes


@pytest.mark.parametrize(
    ("data", "entry"),
    [
        (SEQUENCE + bytes([6 << 3 | 2, 1, 0b0_00_1_0000]), True),  # a frame: new, key, shown
        (SEQUENCE + bytes([6 << 3 | 2, 1, 0b0_00_0_0000]), False),  # key, but shown later
        (SEQUENCE + bytes([6 << 3 | 2, 1, 0b0_01_1_0000]), False),  # inter
        (bytes([6 << 3 | 2, 1, 0b0_00_1_0000]), False),  # no sequence header
        (SEQUENCE, False),
    ],
)
def test_av1(data, entry):
    assert picture_kind("av1", data, True, b"") == PictureKind(entry, needed=True)


def test_codecs_nobody_knows_get_the_careful_answer():
    assert picture_kind("theora", b"\0\0", True, b"") == CAREFUL


@pytest.mark.parametrize("codec", ["h264", "hevc", "vp8", "vp9", "av1"])
@pytest.mark.parametrize("data", [b"", b"\xff", b"\0\0\0\0\0\0\0\0", b"\0\0\1", b"\xff" * 9])
def test_odd_bytes_never_raise(codec, data):
    assert isinstance(picture_kind(codec, data, True, AVCC), PictureKind)
