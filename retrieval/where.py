"""Filters on attributes: `markets=de`, also in a list, several values or several fields."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import polars as pl

from retrieval.errors import ConfigError, UnknownItemError


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
        return column.cast(pl.Float64).is_in(_numbers(one)).fill_null(False)
    return column.cast(pl.String).str.to_lowercase().is_in(values).fill_null(False)


def _numbers(one: Filter) -> list[float]:
    try:
        return [float(value) for value in one.values]
    except ValueError:
        raise UnknownItemError(
            f"The attribute {one.field} is a number, and {','.join(one.values)} is not.", "Write one such as 1 or 2.5."
        ) from None
