"""The columns of every table, named once: what a table must hold, what it may, and which rows cannot be used."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import polars as pl

from retrieval.event_kinds import EVENTS as EVENTS


class Columns:
    """Every column name of ours, once."""

    VIDEO_ID = "video_id"
    URI = "uri"
    PUBLISHED_AT = "published_at"
    DURATION_S = "duration_s"
    TITLE = "title"
    CREATOR_ID = "creator_id"
    BRAND = "brand"
    PRODUCT_IDS = "product_ids"
    HASHTAGS = "hashtags"
    MARKETS = "markets"
    LANGUAGE = "language"
    PRODUCT_ID = "product_id"
    DESCRIPTION = "description"
    CATEGORY = "category"
    COLOR = "color"
    PRICE = "price"
    IMAGE_URIS = "image_uris"
    AVAILABLE = "available"
    POPULARITY = "popularity"
    OFFERS = "offers"
    USER_ID = "user_id"
    EVENT = "event"
    OCCURRED_AT = "occurred_at"
    EVENT_ID = "event_id"
    QUERY = "query"
    SESSION_ID = "session_id"
    MARKET = "market"
    SEGMENT = "segment"
    FEED_ID = "feed_id"
    POSITION = "position"
    SHOWN_AT = "shown_at"
    REACHED = "reached"
    WATCH_TIME_S = "watch_time_s"
    LIKED = "liked"
    COMMENTED = "commented"
    FOLLOWED = "followed"
    SHARED = "shared"
    SYSTEM = "system"
    SNAPSHOT = "snapshot"
    REQUEST_ID = "request_id"
    BUCKET = "bucket"
    EXPERIMENT = "experiment"
    SELECTION_PROPENSITY = "selection_propensity"
    EXAMINATION_PROPENSITY = "examination_propensity"
    RANK = "rank"
    SCORE = "score"
    RECOMMENDED_AT = "recommended_at"
    TABLE = "table"
    ROW = "row"
    REASON = "reason"


C = Columns


@dataclass(frozen=True)
class ColumnType:
    """A type a column may have: *accepts* tells it by polars type, *words* names it, *cast* is what we keep."""

    words: str
    accepts: Callable[[pl.DataType], bool]
    cast: pl.DataType | type[pl.DataType] | None
    cure: str


def _is_utc_time(dtype: pl.DataType) -> bool:
    return isinstance(dtype, pl.Datetime) and dtype.time_zone in ("UTC", "Etc/UTC")


def _is_text_list(dtype: pl.DataType) -> bool:
    return isinstance(dtype, pl.List) and dtype.inner in (pl.String, pl.Null)


TEXT = ColumnType("text", lambda t: t == pl.String, None, "cast it with .cast(pl.String)")
TIME = ColumnType(
    "a UTC timestamp",
    _is_utc_time,
    pl.Datetime("us", "UTC"),
    "make it one: naive UTC times with .dt.replace_time_zone('UTC'), texts with .str.to_datetime(time_zone='UTC'), "
    "seconds with pl.from_epoch(…, time_unit='s').dt.replace_time_zone('UTC')",
)
NUMBER = ColumnType("a number", lambda t: t.is_numeric(), pl.Float64, "cast it with .cast(pl.Float64)")
WHOLE = ColumnType("a whole number", lambda t: t.is_integer(), pl.Int64, "cast it with .cast(pl.Int64)")
FLAG = ColumnType("true or false", lambda t: t == pl.Boolean, None, "cast it with .cast(pl.Boolean)")
TEXTS = ColumnType(
    "a list of texts", _is_text_list, pl.List(pl.String), "make it a list: single texts with pl.concat_list(…)"
)
OFFERS_TYPE = ColumnType(
    "a list of {market, available, price, currency}",
    lambda t: isinstance(t, pl.List) and isinstance(t.inner, pl.Struct),
    None,
    "see the README's section on tables",
)

Known = Mapping[str, pl.Series]
"""Ids that other tables define, by the name of the column that refers to them."""


@dataclass(frozen=True)
class Fault:
    """A fault of single rows: *reason* for people, *found* true on the rows that have it.

    *needs* names the `Known` ids, *column* the optional column, without which the fault cannot be looked for.
    """

    reason: str
    found: Callable[[Known], pl.Expr]
    needs: str = ""
    column: str = ""


@dataclass(frozen=True)
class Schema:
    """What a table must and may hold. *key* columns together name a row once."""

    name: str
    key: tuple[str, ...]
    required: Mapping[str, ColumnType]
    optional: Mapping[str, ColumnType]
    faults: tuple[Fault, ...] = ()


def _null(column: str) -> Fault:
    return Fault(f"{column} is null", lambda _: pl.col(column).is_null())


def _is_negative(column: str) -> pl.Expr:
    return (pl.col(column) < 0) | ~pl.col(column).is_finite()


def _unknown(column: str, noun: str) -> Fault:
    return Fault(
        f"{column} names no {noun} of the catalogue",
        lambda known: ~pl.col(column).is_in(known[column].implode()).fill_null(False),
        needs=column,
    )


VIDEOS = Schema(
    "videos",
    key=(C.VIDEO_ID,),
    required={C.VIDEO_ID: TEXT, C.URI: TEXT, C.PUBLISHED_AT: TIME},
    optional={
        C.DURATION_S: NUMBER, C.TITLE: TEXT, C.CREATOR_ID: TEXT, C.BRAND: TEXT, C.PRODUCT_IDS: TEXTS,
        C.HASHTAGS: TEXTS, C.MARKETS: TEXTS, C.LANGUAGE: TEXT,
    },
    faults=(_null(C.VIDEO_ID), _null(C.URI), _null(C.PUBLISHED_AT)),
)  # fmt: skip
PRODUCTS = Schema(
    "products",
    key=(C.PRODUCT_ID,),
    required={C.PRODUCT_ID: TEXT, C.TITLE: TEXT},
    optional={
        C.DESCRIPTION: TEXT, C.BRAND: TEXT, C.CATEGORY: TEXT, C.COLOR: TEXT, C.PRICE: NUMBER, C.IMAGE_URIS: TEXTS,
        C.AVAILABLE: FLAG, C.POPULARITY: NUMBER, C.LANGUAGE: TEXT, C.OFFERS: OFFERS_TYPE,
    },
    faults=(
        _null(C.PRODUCT_ID),
        Fault(f"{C.POPULARITY} is negative or not finite", lambda _: _is_negative(C.POPULARITY), column=C.POPULARITY),
    ),
)  # fmt: skip
INTERACTIONS = Schema(
    "interactions",
    key=(),
    required={C.USER_ID: TEXT, C.PRODUCT_ID: TEXT, C.EVENT: TEXT, C.OCCURRED_AT: TIME},
    optional={C.EVENT_ID: TEXT, C.QUERY: TEXT, C.SESSION_ID: TEXT, C.MARKET: TEXT},
    faults=(
        _null(C.USER_ID),
        _null(C.PRODUCT_ID),
        _null(C.OCCURRED_AT),
        Fault(f"{C.EVENT} is none of {', '.join(EVENTS)}", lambda _: ~pl.col(C.EVENT).is_in(EVENTS).fill_null(False)),
        _unknown(C.PRODUCT_ID, "product"),
    ),
)
IMPRESSIONS = Schema(
    "impressions",
    key=(C.FEED_ID, C.POSITION),
    required={
        C.FEED_ID: TEXT, C.USER_ID: TEXT, C.VIDEO_ID: TEXT, C.POSITION: WHOLE, C.SHOWN_AT: TIME, C.REACHED: FLAG,
        C.WATCH_TIME_S: NUMBER,
    },
    optional={
        C.LIKED: FLAG, C.COMMENTED: FLAG, C.FOLLOWED: FLAG, C.SHARED: FLAG, C.SYSTEM: TEXT, C.SNAPSHOT: TEXT,
        C.REQUEST_ID: TEXT, C.BUCKET: TEXT, C.EXPERIMENT: TEXT,
        C.SELECTION_PROPENSITY: NUMBER, C.EXAMINATION_PROPENSITY: NUMBER,
    },
    faults=(
        *map(_null, (C.FEED_ID, C.USER_ID, C.VIDEO_ID, C.POSITION, C.SHOWN_AT, C.REACHED)),
        Fault(f"{C.POSITION} is below 1", lambda _: pl.col(C.POSITION) < 1),
        Fault(f"{C.WATCH_TIME_S} is negative or not finite", lambda _: _is_negative(C.WATCH_TIME_S)),
        Fault("reached without a watch time", lambda _: pl.col(C.REACHED) & pl.col(C.WATCH_TIME_S).is_null()),
        _unknown(C.VIDEO_ID, "video"),
    ),
)  # fmt: skip
USERS = Schema(
    "users",
    key=(C.USER_ID,),
    required={C.USER_ID: TEXT},
    optional={C.MARKET: TEXT, C.LANGUAGE: TEXT, C.SEGMENT: TEXT},
    faults=(_null(C.USER_ID),),
)
SCHEMAS = {schema.name: schema for schema in (VIDEOS, PRODUCTS, INTERACTIONS, IMPRESSIONS, USERS)}
