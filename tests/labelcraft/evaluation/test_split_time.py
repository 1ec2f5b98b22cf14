from datetime import timedelta

import polars as pl
import pytest

from labelcraft.evaluation.split_time import find_split
from retrieval.errors import ConfigError, TableError
from retrieval.log import to_us
from retrieval.tables import Columns as C
from tests.shop import at

NOW_US = to_us(at(24 * 100))


def log(path, *hours):
    file = path / "impressions.parquet"
    pl.DataFrame({C.SHOWN_AT: [at(hour) for hour in hours]}).write_parquet(file)
    return file


def test_test_days_are_counted_back_from_the_last_impression(tmp_path):
    split = find_split(log(tmp_path, 0, 24, 50), test_days=1, now_us=NOW_US)

    assert (split.at_us, split.last_us) == (to_us(at(26)), to_us(at(50)))


def test_a_time_is_taken_as_it_is_and_is_utc(tmp_path):
    assert find_split(log(tmp_path, 0, 50), at="2026-01-02", now_us=NOW_US).at_us == to_us(at(24))


def test_a_row_of_a_clock_that_ran_ahead_does_not_move_the_cut(tmp_path):
    file = log(tmp_path, *range(40), 24 * 365)

    split = find_split(file, test_days=1, now_us=NOW_US)

    assert (split.at_us, split.ahead) == (to_us(at(39) - timedelta(days=1)), 1)


def test_a_log_that_lies_ahead_as_a_whole_counts_as_it_is(tmp_path):
    split = find_split(log(tmp_path, 0, 48), test_days=1, now_us=to_us(at(-1)))

    assert (split.at_us, split.ahead) == (to_us(at(24)), 0)


def test_a_log_that_lies_half_ahead_is_refused(tmp_path):
    with pytest.raises(TableError, match="2 of 4 rows are shown after the present"):
        find_split(log(tmp_path, 0, 1, 30, 31), now_us=to_us(at(10)))


def test_two_ways_to_cut_are_refused(tmp_path):
    with pytest.raises(ConfigError, match="both"):
        find_split(log(tmp_path, 0, 1), test_days=1, at="2026-01-02", now_us=NOW_US)


@pytest.mark.parametrize("days", [-1.0, 2.0, 30.0])
def test_a_cut_with_nothing_before_it_is_refused(tmp_path, days):
    file = log(tmp_path, 0, 48)

    with pytest.raises(ConfigError, match="is to be cut at"):
        find_split(file, test_days=days, now_us=NOW_US)


def test_a_log_that_is_absent_is_told(tmp_path):
    with pytest.raises(TableError, match="There is no table"):
        find_split(tmp_path / "impressions.parquet", now_us=NOW_US)
