"""Who is to be forgotten, and which rows of a table that takes away. Pure; `forget.py` applies it to files."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

import polars as pl

from retrieval.schemas import Columns as C
from serving.events.protocol import Erasure

TIMES = (C.SHOWN_AT, C.OCCURRED_AT, C.RECOMMENDED_AT, "at")
HashOf = Callable[[str], str]


@dataclass(frozen=True)
class Forgotten:
    """The erasure list, made ready: until when (in microseconds since 1970, UTC) what is known of somebody goes.

    *by_id* holds those whose artefacts are yet to be done, *by_hash* those who are only known by a keyed hash.
    """

    by_id: Mapping[str, int]
    by_hash: Mapping[str, int]
    hash_of: HashOf

    def __bool__(self) -> bool:
        return bool(self.by_id or self.by_hash)

    def until_us(self, user_id: str) -> int | None:
        """When somebody was forgotten, the last time; none if never."""
        hashed = self.by_hash.get(self.hash_of(user_id)) if self.by_hash else None
        known = [at_us for at_us in (self.by_id.get(user_id), hashed) if at_us is not None]
        return max(known, default=None)

    def among(self, names: Iterable[str]) -> dict[str, int]:
        """Those of *names* who were forgotten, and when."""
        found = ((name, self.until_us(name)) for name in names)
        return {name: at_us for name, at_us in found if at_us is not None}


def forgotten(erasures: Sequence[Erasure], hash_of: HashOf) -> Forgotten:
    """The list as it can be applied; of several erasures of one user the last one counts."""
    ordered = sorted(erasures, key=lambda erasure: erasure.at_us)
    return Forgotten(
        {erasure.user_id: erasure.at_us for erasure in ordered if erasure.user_id},
        {erasure.user_hash: erasure.at_us for erasure in ordered if erasure.user_hash},
        hash_of,
    )


def rows_to_keep(table: pl.DataFrame, who: Forgotten) -> pl.DataFrame:
    """The rows of a table with a user_id that may stay, in their order.

    Rows of somebody who was forgotten go; those with a time of `TIMES` at or after the erasure stay, since the user
    came back.
    """
    users = who.among(table[C.USER_ID].drop_nulls().unique())
    if not users:
        return table
    erased_us = pl.col(C.USER_ID).replace_strict(users, default=None, return_dtype=pl.Int64)
    return table.filter(erased_us.is_null() | _is_later(table, erased_us))


def _is_later(table: pl.DataFrame, erased_us: pl.Expr) -> pl.Expr:
    """Whether a row was written at or after the erasure; false where the row does not say when."""
    later = [pl.col(name).dt.timestamp("us") >= erased_us for name in TIMES if _is_time(table, name)]
    return pl.all_horizontal(later).fill_null(False) if later else pl.lit(False)


def _is_time(table: pl.DataFrame, name: str) -> bool:
    return isinstance(table.schema.get(name), pl.Datetime)
