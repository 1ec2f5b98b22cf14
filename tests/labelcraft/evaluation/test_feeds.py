import numpy as np
import polars as pl
import pytest

from labelcraft.evaluation.counted import Odd
from retrieval.errors import TableError
from retrieval.metrics.propensity import Curve
from retrieval.tables import Columns as C
from tests.labelcraft.evaluation.logs import (
    SPLIT_HOURS,
    VIDEO_IDS,
    feeds_of,
    opened,
    read,
    slot,
    split,
    videos,
)

FEED = [slot("f", 1, "v0"), slot("f", 2, "v1", watch_s=2.0), slot("f", 3, "v2", reached=False)]


def test_feeds_from_the_split_on_are_tested_and_earlier_ones_are_not(tmp_path):
    log = opened(tmp_path, [*FEED, slot("at", 1, "v1", hours=SPLIT_HOURS), slot("before", 1, "v1", hours=99.9)])

    assert feeds_of(log) == {"f": [0, 1, 2], "at": [1]}


def test_a_label_is_a_reached_slot_watched_by_half_of_its_length(tmp_path):
    log = opened(tmp_path, [*FEED, slot("g", 1, "v3", watch_s=5.0)])

    (part,), _ = read(log)

    by_feed = dict(zip(part.feed_ids, np.split(part.label, part.offsets[1:-1]), strict=True))
    assert by_feed["f"].tolist() == [True, False, False]
    assert by_feed["g"].tolist() == [True]


@pytest.mark.parametrize("rows_per_part", [1, 2, 1000])
def test_a_feed_is_whole_in_one_part_however_many_there_are(tmp_path, rows_per_part):
    slots = [slot(f"f{n}", place, f"v{place}", user=f"u{n % 3}") for n in range(7) for place in (1, 2, 3)]

    log = opened(tmp_path, slots, rows_per_part=rows_per_part)

    assert feeds_of(log) == {f"f{n}": [1, 2, 3] for n in range(7)}
    assert log.users.ids == ["u0", "u1", "u2"]


def test_the_order_of_the_rows_does_not_matter_nor_that_of_ties(tmp_path):
    (one,), _ = read(opened(tmp_path, FEED))
    (other,), _ = read(opened(tmp_path, FEED[::-1]))

    assert one.positions.tolist() == other.positions.tolist() == [1, 2, 3]
    assert one.ties.tolist() == other.ties.tolist()
    assert len(set(one.ties.tolist())) == 3


def test_videos_nobody_knows_are_left_out_of_their_feeds_and_counted(tmp_path):
    slots = [slot(f"f{n}", place, f"v{place}") for n in range(20) for place in (1, 2)]
    log = opened(tmp_path, [*slots, slot("f0", 3, "gone")])

    _, counts = read(log)

    assert counts[Odd.UNKNOWN_VIDEO] == 1
    assert feeds_of(log)["f0"] == [1, 2]


def test_videos_that_the_snapshot_lacks_are_left_out_and_counted(tmp_path):
    log = opened(tmp_path, FEED, videos=videos(snapshot=["v0", "v2"], catalogue=VIDEO_IDS))

    _, counts = read(log)

    assert counts[Odd.NOT_IN_SNAPSHOT] == 1
    assert feeds_of(log) == {"f": [0, 1]}  # v0 and v2, by the snapshot's rows


@pytest.mark.parametrize("q", [0.0, -0.5, 1.5, None, float("nan")])
def test_a_feed_whose_examination_propensity_cannot_weigh_is_set_aside_as_a_whole(tmp_path, q):
    bad = [slot("bad", 1, "v0"), slot("bad", 2, "v1", **{C.EXAMINATION_PROPENSITY: q})]

    log = opened(tmp_path, [*FEED, *bad])
    _, counts = read(log)

    assert counts[Odd.BAD_EXAMINATION] == 1
    assert set(feeds_of(log)) == {"f"}


@pytest.mark.parametrize("p", [0.0, 1.5, float("inf")])
def test_a_selection_propensity_that_cannot_be_one_is_unknown_and_its_slot_stays(tmp_path, p):
    log = opened(tmp_path, [slot("f", 1, "v0", selection_propensity=p), slot("f", 2, "v1", selection_propensity=0.5)])

    (part,), counts = read(log)

    assert np.isnan(part.selection).tolist() == [True, False]
    assert counts[Odd.BAD_SELECTION] == 1


def test_a_feed_that_begins_before_the_split_and_goes_on_after_it_is_set_aside(tmp_path):
    log = opened(tmp_path, [*FEED, slot("long", 1, "v0", hours=99.9), slot("long", 2, "v1", hours=100.1)])

    _, counts = read(log)

    assert counts[Odd.BEGUN_BEFORE] == 1
    assert set(feeds_of(log)) == {"f"}


def test_a_feed_of_several_users_is_set_aside(tmp_path):
    log = opened(tmp_path, [*FEED, slot("two", 1, "v0"), slot("two", 2, "v1", user="bob")])

    _, counts = read(log)

    assert counts[Odd.SEVERAL_USERS] == 1
    assert set(feeds_of(log)) == {"f"}


def test_a_feed_is_as_of_its_first_slot_though_its_pages_were_shown_later(tmp_path):
    log = opened(tmp_path, [slot("f", 1, "v0", hours=110), slot("f", 2, "v1", hours=113)])

    (part,), counts = read(log)

    assert part.shown_us.tolist() == [split().at_us + 10 * 3_600_000_000]
    assert counts[Odd.SPREAD_OUT] == 1


def test_impressions_of_a_clock_that_ran_ahead_are_set_aside(tmp_path):
    log = opened(tmp_path, [*FEED, slot("later", 1, "v0", hours=10_000)], split=split(ahead=1))

    _, counts = read(log)

    assert counts[Odd.AHEAD] == 1
    assert set(feeds_of(log)) == {"f"}


def test_users_in_several_buckets_are_counted_and_kept(tmp_path):
    log = opened(tmp_path, [slot("f", 1, "v0", bucket="a"), slot("g", 1, "v1", bucket="b")])

    _, counts = read(log)

    assert counts[Odd.SEVERAL_BUCKETS] == 1
    assert set(feeds_of(log)) == {"f", "g"}


def test_feeds_without_a_positive_and_of_one_video_are_counted_and_kept(tmp_path):
    log = opened(tmp_path, [*FEED, slot("none", 1, "v0", watch_s=0.0)])

    _, counts = read(log)

    assert (counts[Odd.WITHOUT_POSITIVE], counts[Odd.ONE_VIDEO]) == (1, 1)
    assert set(feeds_of(log)) == {"f", "none"}


def test_a_video_of_unknown_length_is_no_positive_and_counted(tmp_path):
    (part,), counts = read(opened(tmp_path, FEED, videos=videos(duration_s=float("nan"))))

    assert not part.label.any()
    assert counts[Odd.NO_DURATION] == 3


def test_impressions_before_their_video_was_published_are_counted(tmp_path):
    known = videos()
    known.published_us[1] = split().last_us

    _, counts = read(opened(tmp_path, FEED, videos=known))

    assert counts[Odd.BEFORE_PUBLISHED] == 1


def test_a_given_curve_takes_the_place_of_the_column_and_its_end_is_counted(tmp_path):
    curve = Curve(np.array([1, 2]), np.array([1.0, 0.4]), np.array([9, 9]), "given")

    (part,), counts = read(opened(tmp_path, FEED, curve=curve))

    assert part.examination.tolist() == [1.0, 0.4, 0.4]
    assert counts[Odd.BEYOND_CURVE] == 1


def test_without_any_examination_propensity_the_log_is_refused_with_the_cure(tmp_path):
    bare = [{name: value for name, value in row.items() if name != C.EXAMINATION_PROPENSITY} for row in FEED]

    with pytest.raises(TableError, match="--propensities"):
        opened(tmp_path, bare)


def test_a_slot_that_stands_twice_is_refused(tmp_path):
    with pytest.raises(TableError, match="stands twice"):
        read(opened(tmp_path, [*FEED, slot("f", 1, "v4")]))


def test_a_log_with_many_faulty_rows_is_refused_and_with_few_they_are_counted(tmp_path):
    many = [slot(f"f{n}", 1, "v0") for n in range(30)]

    log = opened(tmp_path, [*many, slot("f0", 2, "v1", watch_s=-1.0)])

    assert log.faults == {"watch_time_s is negative or not finite": 1}
    with pytest.raises(TableError, match="2 of 3 rows"):
        opened(tmp_path, [slot("f", 1, "v0"), slot("f", 2, "gone"), slot("f", 3, "gone")])


def test_true_labels_are_joined_by_slot(tmp_path):
    truth = pl.LazyFrame({C.FEED_ID: ["f", "f"], C.POSITION: [1, 3], "label": [False, True]})

    (part,), _ = read(opened(tmp_path, FEED, truth=truth))

    assert part.truth.tolist() == [False, False, True]
