"""Filters on attributes: `markets=de`, also in a list, several values or several fields."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import TypeVar

import polars as pl

from retrieval.errors import ConfigError, UnknownItemError

T = TypeVar("T")


@dataclass(frozen=True)
class Filter:
    """Passes where *field* has one of *values*, or is a list that holds one; letters' case does not matter."""

    field: str
    values: tuple[str, ...]


Where = tuple[Filter, ...]
"""Filters that must all pass."""


def where_of(filters: "Where | Mapping[str, str | Sequence[str]]") -> Where:
    """Filters from a mapping of fields to a value or several.

    >>> where_of({"markets": "de", "language": ("en", "fr")})
    (Filter(field='markets', values=('de',)), Filter(field='language', values=('en', 'fr')))
    """
    if not isinstance(filters, Mapping):
        return filters
    return tuple(
        Filter(field, (values,) if isinstance(values, str) else tuple(values)) for field, values in filters.items()
    )


def parse_where(filters: Sequence[str]) -> Where:
    """Read filters as written on a command line.

    Raises:
        ConfigError: one is not of the form field=value.

    >>> parse_where(["markets=de,fr"])
    (Filter(field='markets', values=('de', 'fr')),)
    """
    return tuple(_parse_one(text) for text in filters)


def _parse_one(text: str) -> Filter:
    field, equals, values = text.partition("=")
    if not equals or not field.strip() or not values.strip():
        raise ConfigError(f"The filter {text!r} is not of the form field=value.", "Write it as in --where markets=de.")
    return Filter(field.strip(), tuple(value.strip() for value in values.split(",")))


def matching(frame: pl.DataFrame, where: Where) -> pl.Expr:
    """True on the rows of *frame* that pass every filter.

    Raises:
        UnknownItemError: no such attribute, or not one that can be compared with these values.
    """
    return pl.all_horizontal(pl.repeat(True, pl.len()), *(_passes(frame, one) for one in where))


def is_comparable(kind: pl.DataType) -> bool:
    """Whether filters compare attributes of this type."""
    if isinstance(kind, pl.List):
        return kind.inner == pl.String
    return kind.is_numeric() or kind.is_temporal() or kind in (pl.String, pl.Boolean, pl.Categorical)


def _passes(frame: pl.DataFrame, one: Filter) -> pl.Expr:
    if one.field not in frame.columns:
        known = ", ".join(sorted(frame.columns))
        raise UnknownItemError(f"There is no attribute {one.field} to filter by.", f"Use one of {known}.")
    kind, column = frame.schema[one.field], pl.col(one.field)
    if not is_comparable(kind):
        raise UnknownItemError(
            f"The attribute {one.field} is {kind}, which no filter compares.", "Filter by another one."
        )
    values = [value.casefold() for value in one.values]
    if isinstance(kind, pl.List):
        return column.list.eval(pl.element().str.to_lowercase().is_in(values)).list.any().fill_null(False)
    if kind.is_numeric():
        return column.cast(pl.Float64).is_in(_read(one, float, "a number", "1 or 2.5")).fill_null(False)
    if kind == pl.Boolean:
        return column.is_in(_read(one, _flag, "true or false", "true")).fill_null(False)
    if kind == pl.Date:
        return column.is_in(_read(one, date.fromisoformat, "a date", "2026-01-31")).fill_null(False)
    if isinstance(kind, pl.Datetime):
        return _at_times(column, kind, one)
    return column.cast(pl.String).str.to_lowercase().is_in(values).fill_null(False)


def _at_times(column: pl.Expr, kind: pl.Datetime, one: Filter) -> pl.Expr:
    """True at these instants or on these days; what has no zone is in UTC."""
    spans = _read(one, _day_or_instant, "a time", "2026-01-31 or 2026-01-31T12:00:00Z")
    days = [span for span in spans if not isinstance(span, datetime)]
    instants = [span for span in spans if isinstance(span, datetime)]
    zoned = column.dt.convert_time_zone("UTC") if kind.time_zone else column.dt.replace_time_zone("UTC")
    utc = zoned.dt.cast_time_unit("us")
    return (
        utc.dt.date().is_in(pl.lit(pl.Series(days, dtype=pl.Date)).implode())
        | utc.is_in(pl.lit(pl.Series(instants, dtype=pl.Datetime("us", "UTC"))).implode())
    ).fill_null(False)


def _day_or_instant(text: str) -> date:
    if len(text) == len("2026-01-31"):
        return date.fromisoformat(text)
    instant = datetime.fromisoformat(text.upper())
    return instant.astimezone(UTC) if instant.tzinfo else instant.replace(tzinfo=UTC)


def _flag(text: str) -> bool:
    return {"true": True, "false": False}[text.casefold()]


def _read(one: Filter, parse: Callable[[str], T], kind: str, example: str) -> list[T]:
    """The values of a filter as its attribute has them."""
    try:
        return [parse(value) for value in one.values]
    except (ValueError, KeyError, OverflowError):
        raise UnknownItemError(
            f"The attribute {one.field} is {kind}, and {','.join(one.values)} is not.", f"Write one such as {example}."
        ) from None
