"""A shop's own log: `impressions.parquet` with the catalogue beside it, in the columns of `retrieval.tables`.

Read are feed_id and position (for the key), user_id, video_id, shown_at, reached, watch_time_s, and liked, commented,
followed and shared where the table has them; of the videos duration_s, creator_id, brand and product_ids, and of the
products category and color, each where it is there.

- Slots that were not reached were not seen: they are no rows here, whatever else they hold.
- A video without a duration has 0: not known. Watch times above the duration are replays and are kept.
- A (user, video) pair that occurs again is another row. Slots of one feed share its time and stand by position.
- All videos of the catalogue are kept, shown or not: each needs a code to be recommended. A video's category
  and colour are those of its first product.
- Rows are faulty by the same rules as everywhere in Lookreel; of the log only what is kept here is ever in memory.
"""

from collections.abc import Mapping
from pathlib import Path

import polars as pl

from labelcraft.adapters.raw import (
    BRAND,
    CATEGORY,
    COLOUR,
    COMMENTED,
    CREATOR,
    DURATION_S,
    FOLLOWED,
    LIKED,
    ORDER,
    SHARED,
    TIME_US,
    USER,
    VIDEO,
    WATCH_S,
    RawLog,
    collected,
    known_duration,
    require_columns,
    unreadable,
    usable,
)
from retrieval.errors import TableError
from retrieval.schemas import ColumnType
from retrieval.tables import IMPRESSIONS, VIDEOS, load_catalogue, load_table
from retrieval.tables import Columns as C

KINDS = {LIKED: C.LIKED, COMMENTED: C.COMMENTED, FOLLOWED: C.FOLLOWED, SHARED: C.SHARED}


def scan_impressions(path: Path) -> RawLog:
    """The reached impressions of a shop's folder of tables."""
    videos = _videos(path)
    file = path / "impressions.parquet"
    rows = _usable(scan_log(file, {name: IMPRESSIONS.optional[name] for name in KINDS.values()}), file, videos[VIDEO])
    refuse_duplicates(rows, file)
    names = rows.collect_schema().names()
    kinds = {kind: column for kind, column in KINDS.items() if column in names}
    reached = rows.filter(pl.col(C.REACHED)).select(
        pl.col(C.USER_ID).alias(USER),
        pl.col(C.VIDEO_ID).alias(VIDEO),
        pl.col(C.SHOWN_AT).to_physical().alias(TIME_US),
        pl.col(C.POSITION).alias(ORDER),
        pl.col(C.WATCH_TIME_S).alias(WATCH_S),
        *(pl.col(column).fill_null(False).alias(kind) for kind, column in kinds.items()),
    )
    fields = tuple(name for name in (CREATOR, BRAND, CATEGORY, COLOUR) if name in videos.columns)
    return RawLog(reached, videos.lazy(), tuple(kinds), fields, catalogue=True)


def scan_log(file: Path, optional: Mapping[str, ColumnType]) -> pl.LazyFrame:
    """The log's required columns and those of *optional* that are there, checked and cast as in `retrieval.tables`.

    Raises:
        TableError: the file is absent or no parquet, or a column is absent or of another type.
    """
    if not file.is_file():
        raise TableError(
            f"There is no table {file}, so there is no watch time to learn from.",
            "Export the feed's log as the README's section on tables says, or name another data set.",
        )
    scan = pl.scan_parquet(file)
    try:
        types = scan.collect_schema()
    except (pl.exceptions.PolarsError, OSError) as error:
        raise unreadable(file, error) from error
    require_columns(file, types.names(), list(IMPRESSIONS.required))
    kept = {**IMPRESSIONS.required, **{name: kind for name, kind in optional.items() if name in types}}
    for name, kind in kept.items():
        _check_type(types[name], name, kind, file)
    return scan.select(
        pl.col(name) if kind.cast is None else pl.col(name).cast(kind.cast, strict=False) for name, kind in kept.items()
    )


def _check_type(dtype: pl.DataType, name: str, kind: ColumnType, file: Path) -> None:
    if not kind.accepts(dtype) and dtype != pl.Null:
        raise TableError(
            f"{file}: column {name} is {dtype}, not {kind.words}.", f"Before writing the table, {kind.cure}."
        )


def _usable(scan: pl.LazyFrame, file: Path, ids: pl.Series) -> pl.LazyFrame:
    known = {C.VIDEO_ID: ids}
    # A comparison with null is no fault by itself: a null watch time is right where the slot was not reached.
    return usable(scan, file, {f.reason: f.found(known).fill_null(False) for f in IMPRESSIONS.faults})


def refuse_duplicates(rows: pl.LazyFrame, file: Path) -> None:
    """Compare 64-bit hashes of the keys: eight bytes a row, and one false alarm in 300,000 logs of ten million rows."""
    hashes = collected(rows.select(pl.struct(IMPRESSIONS.key).hash().alias("hash")), file)["hash"]
    n_again = len(hashes) - hashes.n_unique()
    if n_again:
        raise TableError(
            f"{file}: {n_again} rows repeat the {' and '.join(IMPRESSIONS.key)} of another.",
            "Keep one row for each slot of a feed; `lookreel tables check` names the first.",
        )


def _videos(folder: Path) -> pl.DataFrame:
    """The catalogue's videos with the fields they have."""
    if (folder / "products.parquet").is_file():
        catalogue = load_catalogue(folder)
        videos, products = catalogue.videos, catalogue.products
    else:
        videos, products = load_table(folder / "videos.parquet", VIDEOS).frame, None
    fields = {CREATOR: C.CREATOR_ID, BRAND: C.BRAND}
    kept: list[pl.Expr | pl.Series]
    kept = [pl.col(column).alias(name) for name, column in fields.items() if column in videos.columns]
    if products is not None and C.PRODUCT_IDS in videos.columns:
        traits = {CATEGORY: C.CATEGORY, COLOUR: C.COLOR}
        there = {name: column for name, column in traits.items() if column in products.columns}
        kept += [_of_first_product(videos, products, column).alias(name) for name, column in there.items()]
    duration = pl.col(C.DURATION_S) if C.DURATION_S in videos.columns else pl.lit(0.0)
    return videos.select(pl.col(C.VIDEO_ID).alias(VIDEO), known_duration(duration).alias(DURATION_S), *kept)


def _of_first_product(videos: pl.DataFrame, products: pl.DataFrame, column: str) -> pl.Series:
    first = videos.select(pl.col(C.PRODUCT_IDS).list.first().alias(C.PRODUCT_ID))
    joined = first.join(products.select(C.PRODUCT_ID, column), on=C.PRODUCT_ID, how="left", maintain_order="left")
    return joined[column]
