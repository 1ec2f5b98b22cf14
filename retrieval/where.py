"""Filters on attributes: `markets=de`, also in a list, several values or several fields."""

from collections.abc import Mapping, Sequence

import polars as pl

from retrieval.errors import ConfigError, UnknownItemError

Where = Mapping[str, tuple[str, ...]]
"""Field → the values of which one must hold; every field must."""


def parse_where(filters: Sequence[str]) -> dict[str, tuple[str, ...]]:
    """Read filters as written on a command line.

    Raises:
        ConfigError: one is not of the form field=value.

    >>> parse_where(["markets=de,fr", "language=en"])
    {'markets': ('de', 'fr'), 'language': ('en',)}
    """
    return dict(_parse_one(text) for text in filters)


def _parse_one(text: str) -> tuple[str, tuple[str, ...]]:
    field, equals, values = text.partition("=")
    if not equals or not field.strip() or not values.strip():
        raise ConfigError(f"The filter {text!r} is not of the form field=value.", "Write it as in --where markets=de.")
    return field.strip(), tuple(value.strip() for value in values.split(","))


def matching(frame: pl.DataFrame, where: Where) -> pl.Expr:
    """True on the rows of *frame* that pass every filter; a list passes when it holds one of the values.

    Raises:
        UnknownItemError: no such attribute.
    """
    unknown = [field for field in where if field not in frame.columns]
    if unknown:
        raise UnknownItemError(
            f"There is no attribute {unknown[0]} to filter by.", f"Use one of {', '.join(sorted(frame.columns))}."
        )
    return pl.all_horizontal(pl.lit(True), *(_passes(frame, field, values) for field, values in where.items()))


def _passes(frame: pl.DataFrame, field: str, values: tuple[str, ...]) -> pl.Expr:
    column = pl.col(field)
    if isinstance(frame.schema[field], pl.List):
        return column.cast(pl.List(pl.String)).list.set_intersection(list(values)).list.len().fill_null(0) > 0
    if frame.schema[field].is_numeric():
        return column.is_in([float(value) for value in values if _is_number(value)]).fill_null(False)
    return column.cast(pl.String).str.to_lowercase().is_in([value.lower() for value in values]).fill_null(False)


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True
