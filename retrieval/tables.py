"""A shop's input tables, read and checked. `schemas` says what they hold.

Structural faults (no such column, another type, a key twice) are refused. Row faults (an unknown product, a null time,
an unknown event) are set aside with a reason and counted; above `MAX_REJECTED_SHARE` the table is refused too.
"""

from dataclasses import dataclass
from pathlib import Path

import polars as pl

from retrieval.errors import TableError
from retrieval.event_kinds import EVENTS as EVENTS
from retrieval.schemas import IMPRESSIONS as IMPRESSIONS
from retrieval.schemas import INTERACTIONS as INTERACTIONS
from retrieval.schemas import PRODUCTS as PRODUCTS
from retrieval.schemas import SCHEMAS, ColumnType, Known, Schema
from retrieval.schemas import USERS as USERS
from retrieval.schemas import VIDEOS as VIDEOS
from retrieval.schemas import Columns as Columns

C = Columns
MAX_REJECTED_SHARE = 0.05
_ROW, _REASON = "__row", "__reason"  # names that no shop's own column has


@dataclass(frozen=True)
class Table:
    """One checked table. *rejected* holds the rows set aside: table, row (from 0 in the file) and reason."""

    frame: pl.DataFrame
    rejected: pl.DataFrame


@dataclass(frozen=True)
class Tables:
    """A shop's tables, checked against each other. *rejected* gathers the rows set aside from all of them."""

    videos: pl.DataFrame
    products: pl.DataFrame
    interactions: pl.DataFrame
    impressions: pl.DataFrame | None
    users: pl.DataFrame | None
    rejected: pl.DataFrame


def load_table(path: Path, schema: Schema, known: Known | None = None) -> Table:
    """Return the rows of *path* that *schema* allows, and those it sets aside.

    Raises:
        TableError: the file, a column, a type or a key is wrong, or more than `MAX_REJECTED_SHARE` of the rows are.
    """
    frame = _check_structure(_read_parquet(path), path, schema)
    good, rejected = _split_faulty(frame, schema, known or {})
    _refuse_too_many(rejected, frame.height, path)
    _refuse_duplicates(good, path, schema)
    return Table(good.drop(_ROW), rejected)


@dataclass(frozen=True)
class Catalogue:
    """A shop's videos and products, checked against each other. *rejected* gathers the rows set aside from both."""

    videos: pl.DataFrame
    products: pl.DataFrame
    rejected: pl.DataFrame


def load_catalogue(folder: Path) -> Catalogue:
    """Return the videos and products of *folder*; its log is not read.

    Raises:
        TableError: one of them cannot be used, as in `load_table`.
    """
    products = load_table(folder / "products.parquet", PRODUCTS)
    videos = load_table(folder / "videos.parquet", VIDEOS)
    kept, dangling = _drop_unknown_products(videos.frame, products.frame[C.PRODUCT_ID], folder / "videos.parquet")
    return Catalogue(kept, products.frame, pl.concat([dangling, products.rejected, videos.rejected]))


def load_tables(folder: Path) -> Tables:
    """Return the tables of *folder*: videos, products and interactions, and where present impressions and users.

    Raises:
        TableError: one of them cannot be used, as in `load_table`.
    """
    catalogue = load_catalogue(folder)
    known = {C.PRODUCT_ID: catalogue.products[C.PRODUCT_ID], C.VIDEO_ID: catalogue.videos[C.VIDEO_ID]}
    interactions = load_table(folder / "interactions.parquet", INTERACTIONS, known)
    impressions = _load_optional(folder, IMPRESSIONS, known)
    users = _load_optional(folder, USERS, known)
    log = [interactions, *(table for table in (impressions, users) if table)]
    return Tables(
        catalogue.videos,
        catalogue.products,
        interactions.frame,
        impressions.frame if impressions else None,
        users.frame if users else None,
        pl.concat([catalogue.rejected, *(table.rejected for table in log)]),
    )


def resolve_uri(uri: str, table: Path) -> str:
    """Return *uri* as it can be opened: relative ones are relative to the folder of *table*.

    >>> resolve_uri("clips/a.mp4", Path("shop/videos.parquet"))
    'shop/clips/a.mp4'
    >>> resolve_uri("s3://bucket/a.mp4", Path("shop/videos.parquet"))
    's3://bucket/a.mp4'
    """
    return uri if "://" in uri else str(table.parent / uri)


def _load_optional(folder: Path, schema: Schema, known: Known) -> Table | None:
    path = folder / f"{schema.name}.parquet"
    return load_table(path, schema, known) if path.exists() else None


def _read_parquet(path: Path) -> pl.DataFrame:
    if not path.exists():
        raise TableError(f"There is no table {path}.", "Check the path; the README's section on tables lists them.")
    try:
        frame = pl.read_parquet(path)
    except (pl.exceptions.PolarsError, OSError) as error:
        raise TableError(f"{path} cannot be read as parquet: {error}.", "Write it again as a parquet file.") from error
    if frame.is_empty():
        raise TableError(f"{path} has no rows.", "Export it again; an empty table recommends nothing.")
    return frame


def _check_structure(frame: pl.DataFrame, path: Path, schema: Schema) -> pl.DataFrame:
    missing = [name for name in schema.required if name not in frame.columns]
    if missing:
        raise TableError(
            f"{path} has no column {missing[0]}; it has {', '.join(frame.columns)}.",
            f"Add {missing[0]} ({schema.required[missing[0]].words}) or rename the column that holds it.",
        )
    types = {**schema.required, **schema.optional}
    present = {name: types[name] for name in frame.columns if name in types}
    for name, kind in present.items():
        _check_type(frame[name], kind, path)
    casts = {name: kind.cast for name, kind in present.items() if kind.cast is not None}
    casted = frame.with_columns(pl.col(name).cast(cast, strict=False) for name, cast in casts.items())
    return casted.with_row_index(_ROW)


def _check_type(column: pl.Series, kind: ColumnType, path: Path) -> None:
    if not kind.accepts(column.dtype) and column.dtype != pl.Null:
        raise TableError(
            f"{path}: column {column.name} is {column.dtype}, not {kind.words} (row 0 holds {column[0]!r}).",
            f"Before writing the table, {kind.cure}.",
        )


def _split_faulty(frame: pl.DataFrame, schema: Schema, known: Known) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Return the rows without a fault, and (table, row, reason) of the others, the first fault found naming each."""
    looked_for = [
        fault
        for fault in schema.faults
        if (not fault.needs or fault.needs in known) and (not fault.column or fault.column in frame.columns)
    ]
    if not looked_for:
        return frame, _rejected_rows(schema.name, [], [])
    reasons = [pl.when(fault.found(known)).then(pl.lit(fault.reason)) for fault in looked_for]
    marked = frame.with_columns(pl.coalesce(reasons).alias(_REASON))
    faulty = marked.filter(pl.col(_REASON).is_not_null())
    good = marked.filter(pl.col(_REASON).is_null()).drop(_REASON)
    return good, _rejected_rows(schema.name, faulty[_ROW].to_list(), faulty[_REASON].to_list())


def _rejected_rows(table: str, rows: list[int], reasons: list[str]) -> pl.DataFrame:
    schema = {C.TABLE: pl.String, C.ROW: pl.Int64, C.REASON: pl.String}
    return pl.DataFrame({C.TABLE: [table] * len(rows), C.ROW: rows, C.REASON: reasons}, schema=schema)


def _refuse_too_many(rejected: pl.DataFrame, n_rows: int, path: Path) -> None:
    share = rejected.height / n_rows
    if share > MAX_REJECTED_SHARE:
        reason, count = rejected[C.REASON].value_counts(sort=True).row(0)
        raise TableError(
            f"{path}: {rejected.height} of {n_rows} rows ({share:.0%}) cannot be used, {count} because {reason} "
            f"(first in row {rejected[C.ROW][0]}).",
            f"Mend the export: up to {MAX_REJECTED_SHARE:.0%} are set aside, more are refused.",
        )


def _refuse_duplicates(frame: pl.DataFrame, path: Path, schema: Schema) -> None:
    if not schema.key:
        return
    again = frame.filter(~pl.struct(schema.key).is_first_distinct())
    if not again.is_empty():
        values = ", ".join(f"{name} {again[name][0]}" for name in schema.key)
        raise TableError(
            f"{path}: {values} stands twice (again in row {again[_ROW][0]}; {again.height} such rows).",
            f"Keep one row for each {' and '.join(schema.key)}.",
        )


def _drop_unknown_products(
    videos: pl.DataFrame, product_ids: pl.Series, path: Path
) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Return *videos* with the unknown ids taken out of product_ids, and the rows where that was done.

    A video stays useful without a product, so the row is mended rather than set aside.
    """
    if C.PRODUCT_IDS not in videos.columns:
        return videos, _rejected_rows(VIDEOS.name, [], [])
    present = videos.with_columns(pl.col(C.PRODUCT_IDS).list.drop_nulls())
    named = present[C.PRODUCT_IDS].explode(empty_as_null=False).drop_nulls()
    unknown = named.filter(~named.is_in(product_ids.implode())).unique()
    # Each list is compared with the few unknown ids: with all known ones, 100,000 videos took some ten seconds.
    known = pl.col(C.PRODUCT_IDS).list.eval(pl.element().filter(~pl.element().is_in(unknown.implode())))
    mended = present.with_columns(known) if len(unknown) else present
    lost = present[C.PRODUCT_IDS].list.len().fill_null(0) != mended[C.PRODUCT_IDS].list.len().fill_null(0)
    rows = lost.arg_true().to_list()
    dangling = _rejected_rows(
        VIDEOS.name, rows, ["product_ids names a product the catalogue lacks (taken out)"] * len(rows)
    )
    _refuse_too_many(dangling, videos.height, path)
    return mended, dangling


def table_sizes(tables: Tables) -> dict[str, int]:
    """Usable rows of each table that is there."""
    frames = {name: getattr(tables, name) for name in SCHEMAS}
    return {name: frame.height for name, frame in frames.items() if frame is not None}
