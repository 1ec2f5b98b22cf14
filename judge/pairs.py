"""The table of pairs that are graded: what was searched for, or looked at before, and a product."""

from enum import StrEnum
from pathlib import Path

import polars as pl

from judge.columns import J
from retrieval.errors import TableError
from retrieval.schemas import NUMBER, TEXT, TEXTS, TIME, Schema
from retrieval.tables import Columns as C
from retrieval.tables import load_table

KIND, HISTORY_IDS, LABEL, WEIGHT = "kind", "history_product_ids", "label", "weight"


class PairKind(StrEnum):
    """What a product is graded for."""

    SEARCH = "search"  # the query
    BROWSE = "browse"  # the products that were looked at before


PAIRS = Schema(
    "pairs",
    key=(J.PAIR_ID,),
    required={J.PAIR_ID: TEXT, KIND: TEXT, C.QUERY: TEXT, HISTORY_IDS: TEXTS, C.PRODUCT_ID: TEXT},
    optional={C.USER_ID: TEXT, LABEL: NUMBER, WEIGHT: NUMBER, C.OCCURRED_AT: TIME},
)


def load_pairs(path: Path) -> pl.DataFrame:
    """The pairs of a table, in its order: pair_id, kind, query, history_product_ids and product_id.

    No row is set aside, as each is to get its answer. A browse pair may have an empty history; null is a fault.

    Raises:
        TableError: the file, a column, a type or a row is wrong.
    """
    columns = {J.PAIR_ID: pl.String, KIND: pl.String, C.QUERY: pl.String, C.PRODUCT_ID: pl.String}
    frame = load_table(path, PAIRS).frame.with_columns(pl.col(name).cast(kind) for name, kind in columns.items())
    _refuse_faulty(frame, path)
    return frame.select(*PAIRS.required)


def _refuse_faulty(frame: pl.DataFrame, path: Path) -> None:
    """Refuse the first row that cannot be asked about."""
    no_query = pl.col(C.QUERY).str.strip_chars().fill_null("") == ""
    no_history = pl.col(HISTORY_IDS).is_null()
    kinds = " and ".join(PairKind)
    for column, faulty, what, cure in (
        (J.PAIR_ID, pl.col(J.PAIR_ID).is_null(), "is null", "Give each pair its own."),
        (C.PRODUCT_ID, pl.col(C.PRODUCT_ID).is_null(), "is null", "Name the product that is graded, or drop the row."),
        (KIND, ~pl.col(KIND).is_in(list(PairKind)).fill_null(False), "is {value!r}", f"Known are {kinds}."),
        (
            C.QUERY, (pl.col(KIND) == PairKind.SEARCH) & no_query, "is {value!r} in a search pair",
            "Give it the words that were searched for, or make it a browse pair with a history.",
        ),
        (
            HISTORY_IDS, (pl.col(KIND) == PairKind.BROWSE) & no_history, "is null in a browse pair",
            "Give it the products that were looked at before, the most recent first; an empty list where none were.",
        ),
    ):  # fmt: skip
        rows = frame.select(faulty.arg_true()).to_series()
        if len(rows):
            value = frame[column][rows[0]]
            raise TableError(f"{path}: column {column} {what.format(value=value)} (row {rows[0]}).", cure)
