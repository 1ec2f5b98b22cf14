"""Which packets a plan decodes, from streams written down by hand."""

import pytest

from indexing.decode.index import StreamIndex
from indexing.decode.plan import PacketFacts, entry_points, plan_reading, timeline
from indexing.decode.protocol import Accuracy

KINDS = {"K": (True, True), "P": (False, True), "b": (False, False)}


def stream(kinds, pts=None):
    """Packets in the order of decoding: K can be entered, P is needed by others, b by none."""
    pts = pts or range(len(kinds))
    return [PacketFacts(tick, 1, *KINDS[kind], shown=True) for kind, tick in zip(kinds, pts, strict=True)]


def plan(packets, instants, tolerance=0):
    return plan_reading(packets, timeline(packets), instants, tolerance)


def test_the_picture_on_screen_is_the_last_that_begins_by_then():
    made = plan(stream("KPPP"), [0.5, 2.0, 9.0])

    assert made.rows == (0, 2, 3)


def test_pictures_that_no_other_needs_are_left_out_unless_asked_for():
    made = plan(stream("KbPbP"), [3])

    assert made.fed == (0, 2, 3)


def test_the_decoder_begins_afresh_where_that_saves_packets():
    made = plan(stream("KPPPKPPP"), [1, 5])

    assert made.fed == (0, 1, 4, 5)
    assert made.starts == {0, 4}


def test_nothing_after_the_last_picture_is_decoded():
    assert plan(stream("KPPPPP"), [2]).fed == (0, 1, 2)


def test_a_near_entry_stands_for_an_instant_within_the_tolerance():
    # The picture on screen at 6 would cost 3 packets (4, 5, 6); the entry at 4 costs 1 and is 2 ticks off.
    made = plan(stream("KPPPKPPP"), [6], tolerance=2)

    assert made.rows == (4,)
    assert made.fed == (4,)


def test_beyond_the_tolerance_the_picture_on_screen_is_decoded():
    assert plan(stream("KPPPKPPP"), [7], tolerance=1).rows == (6,)


def test_among_pictures_that_cost_the_same_the_nearest_is_taken():
    # Everything up to the target at 5 is decoded anyway, so the first instant gets what is on screen.
    assert plan(stream("KPPPPP"), [3, 5], tolerance=0.4).rows == (3, 5)


def test_a_picture_that_no_other_needs_stands_for_nothing_but_itself():
    # Of 2 and 4, both 1 tick from the instant, only 4 is decoded anyway on the way to 6.
    assert plan(stream("KPbbPPP"), [3, 6], tolerance=1).rows == (4, 5)


def test_pictures_shown_before_an_entry_need_what_came_earlier():
    # Decoded: K0 P3 K6 b4 b5 P9, as in an open group of pictures; b4 and b5 refer to P3 too.
    packets = stream("KPKbbP", pts=[0, 3, 6, 4, 5, 9])

    assert entry_points(packets) == [0, 0, 2, 0, 0, 2]
    assert plan(packets, [4]).fed == (0, 1, 2, 3)
    assert plan(packets, [9]).fed == (2, 5)


def test_a_run_that_crosses_an_entry_does_not_begin_afresh_there():
    packets = stream("KPKbbP", pts=[0, 3, 6, 4, 5, 9])

    made = plan(packets, [4, 9])

    assert made.starts == {0}
    assert made.fed == (0, 1, 2, 3, 5)


def test_two_pictures_of_one_time_cannot_be_told_apart():
    assert plan(stream("KPP", pts=[0, 1, 1]), [1]) is None


def test_discarded_pictures_are_decoded_where_needed_and_never_shown():
    packets = [PacketFacts(0, 1, True, True, shown=False), *stream("PP", pts=[1, 2])]

    made = plan(packets, [0])

    assert timeline(packets).pts == [1, 2]
    assert made.rows == (0,)
    assert made.fed == (0, 1)


def test_the_last_picture_stands_as_long_as_the_one_before_where_its_duration_is_unknown():
    packets = [PacketFacts(tick, 0, True, True, True) for tick in (0, 4, 7)]

    assert timeline(packets).end == 7 + 3


def test_no_picture_no_timeline():
    assert timeline([]) is None


def index(packets, **facts):
    return StreamIndex("h264", 64, 48, 0.5, tuple(packets), timeline(packets), **facts)


def test_times_count_from_the_first_picture_that_is_shown():
    # Ticks of half a second, from 10 to 18: 4 s; the middles of 4 parts are 0.5, 1.5 … s, so ticks 11, 13, 15, 17.
    made = index(stream("KPPPPPPP", pts=range(10, 18)))

    assert made.duration_s == 4.0
    assert made.instants(4) == [11.0, 13.0, 15.0, 17.0]


def test_nearest_allows_a_quarter_of_a_part():
    # 32 pictures of half a second, one frame: T/(4m) = 4 s = 8 ticks around the instant at tick 16.
    made = index(stream("KPPPPPPPKPPPPPPPPPPPPPPPPPPPPPPP"))

    assert made.plan(1, Accuracy.NEAREST).rows == (8,)
    assert made.plan(1, Accuracy.EXACT).rows == (16,)


@pytest.mark.parametrize(("header_s", "cut"), [(None, False), (4.0, False), (4.2, False), (8.0, True)])
def test_a_header_that_promises_more_than_is_there_tells_of_a_cut_file(header_s, cut):
    assert index(stream("KPPPPPPP"), header_s=header_s).cut == cut


def test_a_container_that_breaks_off_is_cut():
    assert index(stream("KPPP"), broken=True).cut


def test_without_presentation_times_there_is_no_plan():
    assert index(stream("KPPP"), timed=False).plan(2, Accuracy.EXACT) is None


def test_more_frames_than_python_has_stack_are_planned():
    made = plan(stream("K" * 5000), range(5000))

    assert made.rows == tuple(range(5000))


def test_a_long_film_is_planned_in_no_time():
    packets = stream(("K" + "Pbb" * 20) * 3000)

    made = plan(packets, [round((i + 0.5) * len(packets) / 8) for i in range(8)], tolerance=len(packets) / 32)

    assert len(made.fed) == 8
