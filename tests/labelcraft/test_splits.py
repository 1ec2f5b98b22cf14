import logging
from dataclasses import replace

import numpy as np
import polars as pl
import pytest

from labelcraft.dataset import histories_of
from labelcraft.datasets import load_dataset
from labelcraft.splits import (
    CoreRows,
    HistoryRows,
    SplitOptions,
    check_leakage,
    days_of,
    holdout_users,
    k_core,
    split_dataset,
)
from labelcraft.vocabulary import encode, fit_edges, fit_vocabulary
from retrieval.errors import ConfigError
from tests.data import data_folder
from tests.labelcraft.small_logs import Seen, make_dataset, random_rows

DAYS = SplitOptions((3, 1, 1))
ONE_EACH = SplitOptions((1, 1, 1))


def at_noon(*rows):
    """Rows of (user, video) for each day, the first list being day 0."""
    return [Seen(user, video, day + 0.5) for day, of_day in enumerate(rows) for user, video in of_day]


def videos_of(split, rows):
    return split.data.items.ids[split.data.log.item[rows] - 1].tolist()


def users_of(split, rows):
    return split.data.log.user_ids[split.data.log.user[rows] - 1].tolist()


def codes_by_id(split, field):
    items = split.data.items
    place = [f.name for f in items.fields].index(field)
    return dict(zip(items.ids.tolist(), items.codes[1:, place].tolist(), strict=True))


def user_codes(split):
    log = split.data.log
    return dict(zip(log.user_ids.tolist(), log.user_codes[1:].tolist(), strict=True))


def part_by_row(split):
    """The part of each row by the name that its watch time is."""
    names = split.data.log.feedback.watch_s
    parts = {"train": split.train, "holdout": split.holdout, "stop": split.stop, "test": split.test}
    return {name: part for part, rows in parts.items() for name in names[rows].tolist()}


def history_by_row(split, before_us):
    """The history of each row before a time, by the name that its watch time is."""
    log = split.data.log
    rows = np.flatnonzero(log.time_us < before_us)
    windows = split.data.items.ids[split.histories.window(rows, 50) - 1]
    blank = split.histories.window(rows, 50) == 0
    return dict(zip(log.feedback.watch_s[rows].tolist(), np.where(blank, "", windows).tolist(), strict=True))


# Parts


def test_days_count_in_utc_from_that_of_the_first_row():
    split = split_dataset(make_dataset(Seen("u", "a", 7.99), Seen("u", "b", 8.01), Seen("u", "c", 9.5)), ONE_EACH)

    assert videos_of(split, split.train) == ["a"]  # a few minutes before midnight: a day of its own
    assert videos_of(split, np.sort(np.concatenate([split.holdout, split.stop]))) == ["b"]
    assert videos_of(split, split.test) == ["c"]


def test_rows_after_the_last_day_are_left_out_with_a_count(caplog):
    caplog.set_level(logging.INFO)

    split = split_dataset(make_dataset(*(Seen("u", video, day) for day, video in enumerate("abcde"))), ONE_EACH)

    assert len(split.data.log) == 3
    assert "2 rows after day 3 left out" in caplog.text


def test_a_log_too_short_for_its_days_says_so():
    with pytest.raises(ConfigError, match="test part has no rows: the log has 2 days, split into 1/1/1") as error:
        split_dataset(make_dataset(Seen("u", "a", 0), Seen("u", "b", 1)), ONE_EACH)

    assert "--days" in error.value.cure


@pytest.mark.parametrize("wrong", [{"days": (12, 0, 1)}, {"core": -1}, {"min_count": 0}, {"n_buckets": 0}])
def test_impossible_options_are_refused(wrong):
    with pytest.raises(ConfigError):
        SplitOptions(**wrong)


def test_days_of_no_rows_are_none():
    assert days_of(np.zeros(0, np.int64)).tolist() == []


def test_baselines_train_on_the_hold_out_too():
    split = split_dataset(make_dataset(*random_rows(0)), DAYS)

    both = sorted([*split.train.tolist(), *split.holdout.tolist()])
    assert split.train_of_baselines.tolist() == both


def test_a_part_is_a_log_whose_histories_reach_back():
    split = split_dataset(make_dataset(*(Seen("u", video, day) for day, video in enumerate("abc"))), ONE_EACH)

    log, histories = split.part(split.test)

    assert len(log) == 1
    assert histories.window(np.array([0]), 2).tolist() == [[2, 1]]


# Hold-out and stopping users


def test_validation_users_fall_in_two_halves_that_share_no_user():
    split = split_dataset(make_dataset(*random_rows(0)), DAYS)

    held, stop = set(users_of(split, split.holdout)), set(users_of(split, split.stop))
    day = days_of(split.data.log.time_us)
    assert not held & stop
    assert len(held) == len(stop) == 4
    assert np.sort(np.concatenate([split.holdout, split.stop])).tolist() == np.flatnonzero(day == 3).tolist()


def test_halves_depend_on_the_seed_alone():
    data = make_dataset(*(row for user in range(40) for row in at_noon([(f"u{user}", "a")])))
    rows = np.arange(40)

    drawn = holdout_users(data.log, rows, seed=1)

    assert drawn.sum() == 20
    assert drawn.tolist() == holdout_users(data.log, rows, seed=1).tolist()
    assert drawn.tolist() != holdout_users(data.log, rows, seed=2).tolist()


def test_another_user_moves_at_most_one_from_one_half_to_the_other():
    data = make_dataset(*(row for user in range(41) for row in at_noon([(f"u{user}", "a")])))

    fewer, more = (holdout_users(data.log, np.arange(n), seed=1)[:41] for n in (40, 41))

    assert (fewer != more).sum() <= 1


# The k-core


def test_k_core_goes_on_until_nothing_more_falls():
    # Video c has one row; without it user 2 has one row, without that video b has one, and then user 1 has one.
    user, item = np.array([1, 1, 2, 2]), np.array([1, 2, 2, 3])

    assert not k_core(user, item, 2, np.ones(4, np.bool_)).any()


def test_k_core_keeps_what_holds_together():
    user, item = np.array([1, 1, 2, 2, 3]), np.array([1, 2, 1, 2, 1])

    assert k_core(user, item, 2, np.ones(5, np.bool_)).tolist() == [True, True, True, True, False]


def test_core_counts_training_rows_and_filters_every_part():
    pairs = [("u", "a"), ("u", "b"), ("v", "a"), ("v", "b")]
    data = make_dataset(*at_noon([*pairs, ("w", "a")], [("u", "a"), ("w", "a")], [("u", "a"), ("w", "a"), ("w", "b")]))

    split = split_dataset(data, replace(ONE_EACH, core=2))

    assert sorted(users_of(split, np.arange(len(split.data.log)))) == ["u", "u", "u", "u", "v", "v"]
    # Counted over all rows, w has four.
    by_all = split_dataset(data, replace(ONE_EACH, core=2, core_rows=CoreRows.ALL))
    assert users_of(by_all, np.arange(len(by_all.data.log))).count("w") == 4


def test_core_over_all_rows_does_not_count_days_that_are_left_out():
    days = [[("u", "a"), ("u", "b"), ("v", "a"), ("v", "b")], [("u", "a")], [("u", "a"), ("w", "a")], [("w", "a")]]

    split = split_dataset(make_dataset(*at_noon(*days)), replace(ONE_EACH, core=2, core_rows=CoreRows.ALL))

    assert "w" not in users_of(split, np.arange(len(split.data.log)))


def test_without_a_core_new_videos_stay_in_the_test():
    split = split_dataset(make_dataset(*at_noon([("u", "a")], [("u", "a")], [("u", "new")])), ONE_EACH)

    assert videos_of(split, split.test) == ["new"]


# The vocabulary


def test_levels_that_training_saw_too_rarely_are_new():
    data = make_dataset(*at_noon([("u", "a"), ("v", "a"), ("u", "b")], [("u", "b")], [("u", "c"), ("v", "c")]))

    assert codes_by_id(split_dataset(data, ONE_EACH), "video") == {"a": 2, "b": 1, "c": 1}
    assert codes_by_id(split_dataset(data, replace(ONE_EACH, min_count=1)), "video") == {"a": 2, "b": 3, "c": 1}


def test_a_new_video_of_a_known_creator_has_its_code():
    rows = at_noon([("u", "a"), ("v", "a")], [("u", "a")], [("u", "b"), ("u", "c"), ("u", "d")])
    data = make_dataset(*rows, creators={"a": "ann", "b": "ann", "c": "bob"})

    split = split_dataset(data, ONE_EACH)

    assert codes_by_id(split, "creator") == {"a": 2, "b": 2, "c": 1, "d": 1}  # d has none
    assert split.data.items.fields[2].n_levels == 3


def test_codes_fill_their_range_and_padding_is_0():
    items = split_dataset(make_dataset(*random_rows(1)), DAYS).data.items

    assert items.codes[0].tolist() == [0, 0, 0]
    assert (items.codes[1:] >= 1).all()
    assert (items.codes.max(axis=0) < [f.n_levels for f in items.fields]).all()
    assert np.unique(items.codes[:, 0]).tolist() == list(range(items.fields[0].n_levels))


def test_users_whom_training_never_saw_are_0_and_the_others_count_from_1():
    data = make_dataset(*at_noon([("b", "a"), ("d", "a")], [("a", "a"), ("c", "a")], [("d", "a")]))

    split = split_dataset(data, ONE_EACH)

    assert user_codes(split) == {"a": 0, "b": 1, "c": 0, "d": 2}
    assert split.n_users == 2


def test_duration_buckets_hold_equal_shares_of_training_rows():
    rows = [Seen("u", f"v{second}", 0) for second in range(1, 7)]
    later = [Seen("u", "v1", 1), Seen("u", "long", 2), Seen("u", "unknown", 2)]
    seconds = {f"v{second}": float(second) for second in range(1, 7)}

    data = make_dataset(*rows, *later, durations={**seconds, "long": 3600.0, "unknown": 0.0})
    split = split_dataset(data, replace(ONE_EACH, n_buckets=3))

    expected = {"v1": 2, "v2": 2, "v3": 3, "v4": 3, "v5": 4, "v6": 4, "long": 4, "unknown": 1}
    assert codes_by_id(split, "duration") == expected
    assert split.data.items.fields[1].n_levels == 5


def test_durations_between_the_training_ones_have_the_bucket_of_the_next():
    data = make_dataset(
        *at_noon([("u", "a"), ("u", "b")], [("u", "a")], [("u", "c")]), durations={"a": 5.0, "b": 9.0, "c": 5.1}
    )

    assert codes_by_id(split_dataset(data, ONE_EACH), "duration") == {"a": 2, "b": 3, "c": 3}


def test_no_bucket_is_without_training_rows():
    # Two thirds of these rows last 8 s, so no row lies above that edge.
    assert fit_edges(np.array([5.0, 8.0, 8.0]), 3).tolist() == [5.0]


def test_no_known_duration_in_training_leaves_one_bucket():
    data = make_dataset(*at_noon([("u", "a")], [("u", "a")], [("u", "b")]), durations={"a": 0.0, "b": 9.0})

    assert fit_edges(np.zeros(3), 5).tolist() == []
    assert codes_by_id(split_dataset(data, ONE_EACH), "duration") == {"a": 1, "b": 2}


# Histories


def test_histories_of_liked_rows_are_an_option():
    rows = [Seen("u", "a", 0, 9.0), Seen("u", "b", 0.5, 1.0), Seen("u", "c", 1), Seen("u", "d", 2)]

    split = split_dataset(make_dataset(*rows), replace(ONE_EACH, history_rows=HistoryRows.LIKED))

    assert split.histories.window(np.array([2]), 3).tolist() == [[1, 0, 0]]  # a was half watched, b was not


# Leakage


@pytest.fixture
def whole():
    """A log of five days and its split."""
    data = make_dataset(*random_rows(5))
    return data, split_dataset(data, DAYS)


def test_a_sound_split_passes(whole):
    data, split = whole

    check_leakage(split, data)


def test_a_row_in_two_parts_is_refused(whole):
    data, split = whole

    with pytest.raises(ValueError, match="two parts"):
        check_leakage(replace(split, test=np.append(split.test, split.train[0])), data)


def test_a_user_in_both_halves_is_refused(whole):
    data, split = whole
    torn = replace(split, holdout=split.holdout[1:], stop=np.append(split.stop, split.holdout[0]))

    with pytest.raises(ValueError, match="held out and in the stopping set"):
        check_leakage(torn, data)


def test_a_training_row_later_than_a_test_row_is_refused(whole):
    data, split = whole
    late = split.data.log.time_us[split.test].argmax()
    mixed = replace(split, train=np.append(split.train, split.test[late]), test=np.delete(split.test, late))

    with pytest.raises(ValueError, match="trains what a"):
        check_leakage(mixed, data)


def test_a_validation_row_later_than_a_test_row_is_refused(whole):
    data, split = whole
    late = split.data.log.time_us[split.test].argmax()
    user = split.data.log.user[split.test[late]]
    half = "holdout" if user in split.data.log.user[split.holdout] else "stop"
    mixed = {half: np.append(getattr(split, half), split.test[late]), "test": np.delete(split.test, late)}

    with pytest.raises(ValueError, match="trains what a test row"):
        check_leakage(replace(split, **mixed), data)


def test_codes_fitted_on_later_rows_are_refused(whole):
    data, split = whole
    everything = fit_vocabulary(split.data.log, np.arange(len(split.data.log)), data.items)
    leaking = replace(split, data=replace(split.data, items=encode(data.items, everything)))

    with pytest.raises(ValueError, match="codes or duration buckets"):
        check_leakage(leaking, data)


def test_buckets_fitted_on_later_rows_are_refused():
    durations = {f"v{video}": 1.0 + video for video in range(30)}
    data = make_dataset(*random_rows(5), durations=durations)
    split = split_dataset(data, DAYS)
    later = replace(split.vocabulary, edges_s=split.vocabulary.edges_s[1:])
    leaking = replace(split, data=replace(split.data, items=encode(data.items, later)))

    with pytest.raises(ValueError, match="duration buckets"):
        check_leakage(leaking, data)


def test_users_known_from_later_rows_are_refused():
    data = make_dataset(*at_noon([("u", "a")], [("u", "a")], [("new", "a")]))
    split = split_dataset(data, ONE_EACH)
    leaking = replace(split, data=replace(split.data, log=replace(split.data.log, user_codes=np.array([0, 1, 2]))))

    with pytest.raises(ValueError, match="users' codes"):
        check_leakage(leaking, data)


def test_a_history_that_holds_its_own_row_is_refused(whole):
    data, split = whole
    greedy = replace(split.histories, end=split.histories.end + 1)

    with pytest.raises(ValueError, match="at its row's time or later"):
        check_leakage(replace(split, histories=greedy), data)


def test_a_history_that_reaches_another_user_is_refused(whole):
    data, split = whole
    second = split.data.log.user > 1
    wide = replace(split.histories, start=np.where(second, 0, split.histories.start))

    with pytest.raises(ValueError, match="another user"):
        check_leakage(replace(split, histories=wide), data)


def test_a_history_of_rows_that_do_not_count_is_refused(whole):
    data, split = whole
    some = histories_of(split.data.log, split.data.log.feedback.watch_s > 5)

    with pytest.raises(ValueError, match="log's own rows"):
        check_leakage(replace(split, histories=some), data)


# What the future cannot change


@pytest.mark.parametrize("seed", range(8))
def test_moving_a_test_event_changes_no_earlier_history_no_code_and_no_part(seed):
    rows = random_rows(seed)
    later = [i for i, row in enumerate(rows) if row.day >= 4]
    i = later[seed % len(later)]
    moved = [*rows[:i], replace(rows[i], day=4.0 + (rows[i].day + 0.31) % 1), *rows[i + 1 :]]

    before, after = (split_dataset(make_dataset(*log), DAYS) for log in (rows, moved))

    first_us = round(min(rows[i].day, moved[i].day) * 86_400_000_000)
    assert part_by_row(before) == part_by_row(after)
    assert codes_by_id(before, "video") == codes_by_id(after, "video")
    assert codes_by_id(before, "duration") == codes_by_id(after, "duration")
    assert user_codes(before) == user_codes(after)
    assert history_by_row(before, first_us) == history_by_row(after, first_us)


@pytest.mark.parametrize("seed", range(8))
def test_another_future_changes_nothing_in_training(seed):
    durations = {f"v{video}": 1.0 + video * video for video in range(30)}
    rows = random_rows(seed)
    other = [replace(row, video=f"v{(i * 7) % 30}") if row.day >= 3 else row for i, row in enumerate(rows)]

    before, after = (split_dataset(make_dataset(*log, durations=durations), DAYS) for log in (rows, other))

    assert codes_by_id(before, "video") == codes_by_id(after, "video")
    assert codes_by_id(before, "duration") == codes_by_id(after, "duration")
    assert user_codes(before) == user_codes(after)
    assert part_by_row(before) == part_by_row(after)
    assert history_by_row(before, 3 * 86_400_000_000) == history_by_row(after, 3 * 86_400_000_000)


# The real rows


def test_real_rows_split_by_their_milliseconds_into_8_3_and_3_days():
    path = data_folder("kuairand") / "feed_27k_liked_or_hated.tsv"

    split = split_dataset(load_dataset("kuairand", path), SplitOptions((8, 3, 3)))

    day = pl.read_csv(path, separator="	")["time_ms"] // 86_400_000
    day = day - day.min()
    assert len(split.train) == (day < 8).sum()
    assert len(split.holdout) + len(split.stop) == day.is_between(8, 10).sum()
    assert len(split.test) == day.is_between(11, 13).sum()
    assert len(split.data.log) == 41_828 - (day > 13).sum()  # the log's 14 days in China touch 15 in UTC
