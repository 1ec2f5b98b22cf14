"""Reads the served log back, one row for each slot, from its JSONL and from the parquet that this is compacted to."""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from io import BytesIO
from typing import Any

import polars as pl

from retrieval.schemas import Columns as C
from serving.archive import Archive, open_archive
from serving.served_writer import utc_date

SCORE, SYSTEM_HASH = C.SCORE, "system_hash"
JSONL, PARQUET = ".jsonl", ".parquet"
PREFIX = "served-"
_SERVED: dict[str, pl.DataType | type[pl.DataType]] = {
    C.FEED_ID: pl.String, C.REQUEST_ID: pl.String, C.USER_ID: pl.String, C.SHOWN_AT: pl.Datetime("us", "UTC"),
    C.POSITION: pl.Int64, C.VIDEO_ID: pl.String, SCORE: pl.Float64, C.SELECTION_PROPENSITY: pl.Float64,
    C.SYSTEM: pl.String, SYSTEM_HASH: pl.String, C.SNAPSHOT: pl.String, C.BUCKET: pl.String, C.EXPERIMENT: pl.String,
}  # fmt: skip
SERVED_SCHEMA = pl.Schema(_SERVED)
_TEXTS = (C.FEED_ID, C.REQUEST_ID, C.USER_ID, C.SYSTEM, SYSTEM_HASH, C.SNAPSHOT, C.BUCKET, C.EXPERIMENT)
_WHOLE = ("shown_us", "first_position")
_LISTS = {"video_ids": pl.String, "scores": pl.Float64, "selection_propensities": pl.Float64}
_PAGE_SCHEMA: dict[str, Any] = (
    dict.fromkeys(_TEXTS, pl.String)
    | dict.fromkeys(_WHOLE, pl.Int64)
    | {name: pl.List(inner) for name, inner in _LISTS.items()}
)
_DAY_US = 86_400_000_000


@dataclass(frozen=True)
class ServedPart:
    """The slots of one file, with the columns of `SERVED_SCHEMA`, and how many of its lines were torn."""

    frame: pl.DataFrame
    torn_lines: int = 0


def read_served(places: Sequence[str], from_us: int, to_us: int) -> Iterator[ServedPart]:
    """Yield the slots shown in [from_us, to_us), file by file, so that memory holds one file at a time.

    Args:
        places: folders or fsspec URLs, of JSONL, of parquet or of both. What is there as parquet is not read as JSONL.
    """
    for name, found in _files(list(map(open_archive, places))).items():
        if _may_hold(name, from_us):
            part = _read_moving(name, found)
            yield ServedPart(part.frame.filter(_is_between(from_us, to_us)), part.torn_lines)


def parse_pages(content: bytes) -> ServedPart:
    """The slots of the lines of a served log. A line torn by a power cut or a full disk is skipped and counted."""
    whole, _, rest = content.rpartition(b"\n")
    torn = int(bool(rest))
    try:
        pages = _read_lines(whole)
    except pl.exceptions.PolarsError:
        lines = [line for line in whole.split(b"\n") if line]
        good = [line for line in lines if _is_page(line)]
        torn += len(lines) - len(good)
        pages = _read_lines(b"\n".join(good))
    complete = pages.filter(pl.all_horizontal(pl.col(*_TEXTS, *_WHOLE, "video_ids").is_not_null()))
    return ServedPart(slots_of(complete), torn + pages.height - complete.height)


def slots_of(pages: pl.DataFrame) -> pl.DataFrame:
    """One row for each slot of *pages*, whose columns are the fields of `ServedPage`; a text of "" becomes null."""
    n_slots = pl.col("video_ids").list.len()
    positions = pl.int_ranges(pl.col("first_position"), pl.col("first_position") + n_slots)
    filled = [_filled(name, n_slots).alias(name) for name in ("scores", "selection_propensities")]
    slots = pages.filter(n_slots > 0).with_columns(*filled, positions.alias(C.POSITION))
    exploded = slots.explode(*_LISTS, C.POSITION)
    return exploded.select(
        pl.col(C.FEED_ID, C.REQUEST_ID, C.USER_ID),
        pl.from_epoch("shown_us", time_unit="us").dt.replace_time_zone("UTC").alias(C.SHOWN_AT),
        C.POSITION,
        pl.col("video_ids").alias(C.VIDEO_ID),
        pl.col("scores").alias(SCORE),
        pl.col("selection_propensities").alias(C.SELECTION_PROPENSITY),
        pl.col(C.SYSTEM, SYSTEM_HASH, C.SNAPSHOT),
        pl.col(C.BUCKET, C.EXPERIMENT).replace("", None),
    ).cast(SERVED_SCHEMA)


def _filled(name: str, n_slots: pl.Expr) -> pl.Expr:
    """A list of a value for each slot: unknown ones where the page has another number of values."""
    unknown = pl.lit(None, pl.Float64).repeat_by(n_slots)
    return pl.when(pl.col(name).list.len() == n_slots).then(pl.col(name)).otherwise(unknown)


def _read_lines(content: bytes) -> pl.DataFrame:
    return pl.read_ndjson(BytesIO(content), schema=_PAGE_SCHEMA)


def _is_page(line: bytes) -> bool:
    try:
        page = json.loads(line)
    except ValueError:
        return False
    return (
        isinstance(page, dict)
        and all(isinstance(page.get(name), str) for name in _TEXTS)
        and all(isinstance(page.get(name), int) for name in _WHOLE)
        and all(isinstance(page.get(name), list) for name in _LISTS)
    )


def _files(archives: Sequence[Archive]) -> dict[str, list[tuple[Archive, str]]]:
    """By the name without its ending, in order of the names: where each file is, the parquet first.

    The JSONL are listed before the parquet, so that one that is compacted meanwhile is found as both, not as neither.
    """
    found: dict[str, list[tuple[Archive, str]]] = {}
    for ending in (JSONL, PARQUET):
        for archive in archives:
            names = [name for name in archive.names() if name.startswith(PREFIX) and name.endswith(ending)]
            for name in names:
                found.setdefault(name.removesuffix(ending), []).insert(0, (archive, ending))
    return dict(sorted(found.items()))


def _read_moving(name: str, found: Sequence[tuple[Archive, str]]) -> ServedPart:
    """Read the first of *found* that is there: the others are the same rows."""
    for archive, ending in found:
        try:
            return read_part(archive, name + ending)
        except FileNotFoundError:
            continue
    for archive, _ in found:  # listed as JSONL, compacted before it was read, and the places hold its parquet
        try:
            return read_part(archive, name + PARQUET)
        except FileNotFoundError:
            continue
    return ServedPart(pl.DataFrame(schema=SERVED_SCHEMA))


def read_part(archive: Archive, file: str) -> ServedPart:
    """The slots of one file.

    Raises:
        FileNotFoundError: there is none of that name.
    """
    if file.endswith(PARQUET):
        return ServedPart(archive.read_parquet(file))
    return parse_pages(archive.read(file))


def _is_between(from_us: int, to_us: int) -> pl.Expr:
    shown = pl.col(C.SHOWN_AT).dt.timestamp("us")
    return (shown >= from_us) & (shown < to_us)


def _may_hold(name: str, from_us: int) -> bool:
    """Whether a file may hold rows of that time or later: a file of a UTC day holds none shown after that day.

    It may hold earlier ones, which waited for a full disk. A day of slack is left for clocks that differ.
    """
    return name.removeprefix(PREFIX)[:10] >= utc_date(max(0, from_us - _DAY_US))
