"""Every row of a log is counted or named: each fate, and the sums of the users that are left."""

import polars as pl
import pytest

from labelcraft.experiments import counts as k
from labelcraft.experiments import metrics as m
from labelcraft.experiments.counts import columns_of, count
from retrieval.errors import ConfigError, TableError
from retrieval.tables import Columns as C
from tests.labelcraft.experiments.small_experiments import LENGTH_S, Slot, at, both_buckets, many, source, write

FILLER = [slot for i in range(30) for slot in many(Slot(f"f{i}", "A" if i % 2 else "B"), 2)]  # few faults among many


def reasons(counts):
    return {one.reason: dict(one.by_bucket) for one in counts.left_out}


def of_first_user(counts):
    return {column: values[0] for column, values in counts.sums.items()} | {"bucket": counts.buckets[counts.bucket[0]]}


def test_sums_of_a_user_by_hand(tmp_path):
    slots = [
        Slot("a", watch_s=LENGTH_S / 4, feed="1", position=1),  # a quarter to the second is a quarter
        Slot("a", watch_s=LENGTH_S / 2, feed="1", position=2),
        Slot("a", watch_s=1.9, feed="1", position=3),
        Slot("a", watch_s=None, feed="1", position=4),  # not reached
        Slot("a", watch_s=3 * LENGTH_S, feed="2"),  # a replay
        Slot("a", watch_s=7.0, video="unlengthed", feed="3"),
        Slot("z", "B"),
    ]

    counts = count(write(tmp_path, slots))

    assert of_first_user(counts) == {
        "bucket": "A", m.FEEDS: 3, m.STARTS: 5, m.KNOWN: 4, m.WATCHED_25: 3, m.WATCHED_50: 2, m.SKIPS: 1,
        m.WATCH_S: 5 + 10 + 1.9 + 60 + 7, m.LENGTH_S: 4 * LENGTH_S,
    }  # fmt: skip
    assert counts.unlengthed == {"A": 1, "B": 0}
    assert counts.n_users == (1, 1)


def test_a_short_video_watched_to_its_end_is_no_skip(tmp_path):
    slots = [Slot("a", watch_s=1.0), Slot("z", "B")]
    written = write(tmp_path, slots)
    videos = pl.read_parquet(tmp_path / "videos.parquet")
    videos.with_columns(pl.lit(1.5).alias(C.DURATION_S)).write_parquet(tmp_path / "videos.parquet")

    assert count(written).sums[m.SKIPS].tolist() == [0.0, 0.0]


def test_users_in_several_buckets_are_left_out_whole_and_counted(tmp_path):
    counts = count(write(tmp_path, [*both_buckets(), Slot("c", "A"), Slot("c", "B")]))

    assert counts.crossed == 1
    assert counts.n_users == (3, 3)


def test_where_every_user_is_in_several_buckets_nothing_is_compared(tmp_path):
    with pytest.raises(ConfigError, match=r"Every user of the experiment spring \(1\) is in several buckets"):
        count(write(tmp_path, [Slot("c", "A"), Slot("c", "B")]))


def test_a_log_that_is_no_parquet_is_refused(tmp_path):
    (tmp_path / "log.parquet").write_text("user,bucket")

    with pytest.raises(TableError, match="cannot be read"):
        columns_of(tmp_path / "log.parquet")


def test_rows_of_the_future_are_left_out(tmp_path):
    counts = count(write(tmp_path, [*FILLER, Slot("a", day=11)]))

    assert reasons(counts) == {k.FUTURE: {"A": 1}}


def test_a_log_that_lies_ahead_as_a_whole_is_made_up_and_counts(tmp_path):
    write(tmp_path, both_buckets())

    assert count(source(tmp_path, now_us=at(-1))).n_users == (3, 3)


def test_more_future_than_one_clock_explains_is_refused(tmp_path):
    with pytest.raises(TableError, match="1 because they are shown after the present"):
        count(write(tmp_path, [*both_buckets(), Slot("a", day=11)]))


def test_rows_without_a_bucket_are_left_out(tmp_path):
    counts = count(write(tmp_path, [*FILLER, Slot("x", None), Slot("y", "")]))

    assert reasons(counts) == {k.NO_BUCKET: {"": 2}}


def test_videos_that_nobody_knows_are_left_out_and_counted_by_bucket(tmp_path):
    counts = count(write(tmp_path, [*FILLER, Slot("f0", "B", video="gone"), Slot("f1", video="gone")]))

    assert reasons(counts) == {k.UNKNOWN_VIDEO: {"A": 1, "B": 1}}


def test_faulty_rows_are_named_as_everywhere(tmp_path):
    counts = count(write(tmp_path, [*FILLER, Slot("a", watch_s=-1.0)]))

    assert reasons(counts) == {"watch_time_s is negative or not finite": {"A": 1}}


def test_many_faulty_rows_are_refused(tmp_path):
    with pytest.raises(TableError, match="2 of 8 rows cannot be used, 2 because they are of a video that"):
        count(write(tmp_path, [*both_buckets(), Slot("a", video="gone"), Slot("b", video="gone")]))


def test_a_slot_that_stands_twice_is_refused(tmp_path):
    with pytest.raises(TableError, match="1 rows repeat the feed_id and position of another"):
        count(write(tmp_path, [Slot("a", feed="f"), Slot("a", feed="f"), Slot("b", "B")]))


def test_rows_of_other_experiments_are_left_out_and_no_fault(tmp_path):
    slots = [*both_buckets(), Slot("a0", "on", experiment="summer"), Slot("a0", None, experiment=None)]
    write(tmp_path, slots)

    counts = count(source(tmp_path, experiment="spring"))

    assert (counts.experiment, counts.buckets) == ("spring", ("A", "B"))
    assert reasons(counts) == {k.OTHER: {"on": 1, "": 1}}


def test_of_several_experiments_one_must_be_chosen(tmp_path):
    written = write(tmp_path, [*both_buckets(), Slot("a", experiment="summer")])

    with pytest.raises(ConfigError, match="has 2 experiments: spring, summer"):
        count(written)


def test_an_experiment_that_is_not_there_is_refused(tmp_path):
    write(tmp_path, both_buckets())

    with pytest.raises(ConfigError, match=r"has no experiment summer.\nIt has spring."):
        count(source(tmp_path, experiment="summer"))


def test_a_log_that_names_no_experiment_is_one(tmp_path):
    counts = count(write(tmp_path, both_buckets(), experiment=None))

    assert (counts.experiment, counts.n_users) == ("", (3, 3))


def test_a_log_without_buckets_is_no_experiment(tmp_path):
    with pytest.raises(TableError, match="has a bucket, so there is no experiment in it"):
        count(write(tmp_path, both_buckets(), bucket=None))


def test_start_and_end_bound_what_is_counted(tmp_path):
    slots = [*both_buckets(), Slot("a0", day=0.5), Slot("a0", day=5), Slot("b0", "B", day=6)]
    write(tmp_path, slots)

    counts = count(source(tmp_path, start_us=at(1), end_us=at(5)))

    assert reasons(counts) == {k.LATE: {"A": 1, "B": 1}, k.EARLY: {"A": 1}}
    assert counts.sums[m.STARTS].tolist() == [1] * 6
    assert (counts.first_us, counts.last_us) == (at(1), at(1))


def test_rows_before_the_start_are_the_time_before(tmp_path):
    earlier = [Slot("a1", None, 4.0, day=0.2, experiment=None), Slot("elsewhere", None, day=0.3, experiment=None)]
    write(tmp_path, [*earlier, *both_buckets()])

    counts = count(source(tmp_path, start_us=at(1)))

    assert counts.before[m.WATCH_S].tolist() == [0, 4, 0, 0, 0, 0]
    assert counts.was_there.tolist() == [False, True, False, False, False, False]


def test_what_was_already_treated_is_no_time_before(tmp_path):
    write(tmp_path, [*both_buckets(), Slot("a1", day=0.2), Slot("a2", None, day=0.2, experiment=None)])

    counts = count(source(tmp_path, start_us=at(1)))

    assert counts.was_there.tolist() == [False, False, True, False, False, False]


def test_without_a_start_earlier_rows_are_told_and_not_used(tmp_path):
    counts = count(write(tmp_path, [Slot("a1", None, day=0.2, experiment=None), *both_buckets()]))

    assert counts.before is None
    assert counts.earlier_rows == 1


def test_a_log_of_the_time_before_is_used_up_to_the_start(tmp_path):
    write(tmp_path, [Slot("b2", None, 3.0, day=0.5, experiment=None), Slot("a0", None, day=2)], "past.parquet")
    write(tmp_path, both_buckets())

    counts = count(source(tmp_path, before=tmp_path / "past.parquet"))

    assert counts.before[m.WATCH_S].tolist() == [0, 0, 0, 0, 0, 3]
    assert reasons(counts) == {k.PAST_START: {"": 1}}


def test_a_guards_column_is_summed_over_reached_slots(tmp_path):
    slots = [Slot("a"), Slot("a", watch_s=None), Slot("b", "B")]
    write(tmp_path, slots, bought=[2, 5, None], liked=[True, True, None])

    counts = count(source(tmp_path, extra=("bought", "liked")))

    assert counts.sums["bought"].tolist() == [2, 0]
    assert counts.sums["liked"].tolist() == [1, 0]
    assert columns_of(tmp_path / "impressions.parquet") == ["bought", "liked"]
