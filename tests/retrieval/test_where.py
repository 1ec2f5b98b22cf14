"""Filters on every kind of attribute, and what is said of those that make no sense."""

from datetime import UTC, date, datetime

import polars as pl
import pytest

from retrieval.errors import UnknownItemError
from retrieval.where import matching, parse_where

FRAME = pl.DataFrame(
    {
        "markets": [["de", "fr"], ["FR"], None],
        "language": ["de", "EN", None],
        "views": [1, 2, None],
        "price": [1.5, 2.0, 3.0],
        "live": [True, False, None],
        "day": [date(2026, 1, 1), date(2026, 1, 2), None],
        "at": [datetime(2026, 1, 1, 12), datetime(2026, 1, 2, 0), None],
        "zoned": [datetime(2026, 1, 1, 12, tzinfo=UTC), datetime(2026, 1, 2, 0, tzinfo=UTC), None],
        "box": [[1.0], [2.0], [3.0]],
    }
)


def passing(*filters):
    return FRAME.select(matching(FRAME, parse_where(filters))).to_series().arg_true().to_list()


@pytest.mark.parametrize(
    ("filters", "rows"),
    [
        ([], [0, 1, 2]),
        (["markets=fr"], [0, 1]),
        (["markets=DE,it"], [0]),
        (["language=en"], [1]),
        (["views=2"], [1]),
        (["views=1,2"], [0, 1]),
        (["price=2"], [1]),
        (["live=true"], [0]),
        (["live=False"], [1]),
        (["day=2026-01-02"], [1]),
        (["at=2026-01-01"], [0]),
        (["at=2026-01-02T00:00:00"], [1]),
        (["zoned=2026-01-01T13:00:00+01:00"], [0]),
        (["zoned=2026-01-01T12:00:00Z,2026-01-02"], [0, 1]),
        (["zoned=2026-01-02T12:00:00Z"], []),
        (["markets=fr", "markets=de"], [0]),
        (["markets=fr", "views=2"], [1]),
        (["language=xx"], []),
    ],
)
def test_filters_pass_the_rows_that_hold_a_value(filters, rows):
    assert passing(*filters) == rows


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("mood=calm", "no attribute mood"),
        ("views=many", "views is a number"),
        ("live=perhaps", "live is true or false, and perhaps is not"),
        ("day=abc", "day is a date, and abc is not"),
        ("at=abc", "at is a time, and abc is not"),
        ("zoned=2026-02-30", "zoned is a time"),
        ("zoned=0001-01-01T00:00:00+14:00", "zoned is a time"),
        ("box=1", "which no filter compares"),
    ],
)
def test_senseless_filters_are_refused(text, words):
    with pytest.raises(UnknownItemError, match=words):
        passing(text)
