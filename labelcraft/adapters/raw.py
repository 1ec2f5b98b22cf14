"""What every reader hands over, a log not yet read, and what readers share: headers checked, faulty rows set aside."""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import polars as pl

from retrieval.errors import TableError
from retrieval.tables import MAX_REJECTED_SHARE

logger = logging.getLogger(__name__)

USER, VIDEO, TIME_US, ORDER, WATCH_S, DURATION_S = "user", "video", "time_us", "order", "watch_s", "duration_s"
CREATOR, TAG, MUSIC, BRAND, CATEGORY, COLOUR = "creator", "tag", "music", "brand", "category", "colour"
LIKED, COMMENTED, FOLLOWED, SHARED, FAVORITED = "liked", "commented", "followed", "shared", "favorited"

FIRST_NUMBER = r"(\d+)"  # of a list of tags: a field of videos holds one level, so the first tag stands for all


@dataclass(frozen=True)
class RawLog:
    """A log that can be read: nothing but what is named here will ever be in memory.

    *rows* has USER and VIDEO (text), TIME_US, ORDER (of the rows of one user and time), WATCH_S and a flag for each
    of *kinds*, all of them usable. *videos* has VIDEO once, DURATION_S (0 where it is not known) and the text columns
    *fields*. Without *catalogue*, only the videos that the rows name are kept.
    """

    rows: pl.LazyFrame
    videos: pl.LazyFrame
    kinds: tuple[str, ...]
    fields: tuple[str, ...]
    catalogue: bool = False


def scan_text(
    files: Sequence[Path], columns: Mapping[str, type[pl.DataType]], separator: str = ",", optional: Sequence[str] = ()
) -> pl.LazyFrame:
    """The *columns* of *files* as one table, not yet read, with ORDER, the row's number.

    Raises:
        TableError: a file is absent or has no header, or lacks a column that is not *optional*.
    """
    present = set(columns)
    for file in files:
        names = column_names(file, separator)
        require_columns(file, names, [name for name in columns if name not in optional])
        present &= set(names)
    types = {name: kind for name, kind in columns.items() if name in present}
    scan = pl.scan_csv(list(files), separator=separator, schema_overrides=types, row_index_name=ORDER)
    return scan.select(ORDER, *types)


def column_names(file: Path, separator: str) -> list[str]:
    """The names in the header of a text file."""
    if not file.is_file():
        raise TableError(f"There is no file {file}.", "Check the path; the data set's own page says where to get it.")
    try:
        return pl.scan_csv(file, separator=separator, infer_schema=False).collect_schema().names()
    except pl.exceptions.PolarsError as error:
        raise unreadable(file, error) from error


def require_columns(file: Path, present: Sequence[str], needed: Sequence[str]) -> None:
    """Refuse *file* if one of the *needed* columns is not *present*."""
    missing = [name for name in needed if name not in present]
    if missing:
        raise TableError(
            f"{file} has no column {missing[0]}; it has {', '.join(present)}.",
            "Check that it is the file of this data set and in its original form, header included.",
        )


def unreadable(file: Path, error: Exception) -> TableError:
    """What to say of a file whose text is not what its columns should hold."""
    reason = str(error).strip().splitlines()[0]
    return TableError(f"{file} cannot be read: {reason}", "Mend that value, or take the file from its source again.")


def usable(rows: pl.LazyFrame, file: Path, faults: Mapping[str, pl.Expr] | None = None) -> pl.LazyFrame:
    """*rows* without those that have one of *faults* (by default those every log may have), which are counted.

    Raises:
        TableError: more than `MAX_REJECTED_SHARE` of the rows are faulty, or a value has the wrong kind.
    """
    found = {reason: fault.fill_null(True) for reason, fault in (faults or FAULTS).items()}
    faulty = pl.any_horizontal(*found.values())
    counted = [pl.len().alias("rows"), faulty.sum().alias("faulty"), *(f.sum().alias(r) for r, f in found.items())]
    counts = collected(rows.select(counted), file).row(0, named=True)
    n_rows, n_faulty = counts.pop("rows"), counts.pop("faulty")
    worst = max(counts, key=lambda reason: int(counts[reason]))
    if not n_rows:
        raise TableError(f"{file} has no rows.", "Export it again; nothing can be learned from an empty log.")
    if n_faulty > MAX_REJECTED_SHARE * n_rows:
        raise TableError(
            f"{file}: {n_faulty} of {n_rows} rows ({n_faulty / n_rows:.0%}) cannot be used, {counts[worst]} because "
            f"{worst}.",
            f"Mend the export: up to {MAX_REJECTED_SHARE:.0%} are set aside, more are refused.",
        )
    if n_faulty:
        logger.info("%s: %d of %d rows set aside, %d because %s", file, n_faulty, n_rows, counts[worst], worst)
    return rows.filter(~faulty)


FAULTS = {
    "the user is null": pl.col(USER).is_null(),
    "the video is null": pl.col(VIDEO).is_null(),
    "the time is null": pl.col(TIME_US).is_null(),
    "the watch time is null, negative or not finite": (pl.col(WATCH_S) < 0) | ~pl.col(WATCH_S).is_finite(),
}


def collected(frame: pl.LazyFrame, file: Path) -> pl.DataFrame:
    """*frame* read, block by block."""
    try:
        return frame.collect(engine="streaming")
    except (pl.exceptions.PolarsError, OSError) as error:
        raise unreadable(file, error) from error


def flag(column: str) -> pl.Expr:
    """Whether a column of 0 and 1 is 1; an empty cell is no feedback."""
    return (pl.col(column) > 0).fill_null(False)


def seconds_of_ms(column: str) -> pl.Expr:
    """Milliseconds as the nearest seconds there are.

    polars divides by a constant by multiplying with its inverse: 13,838 became 13.838000000000001, and videos watched
    to their end would not always compare equal to durations given in seconds.
    """
    return (pl.col(column) / 1000.0).round(3)


def known_duration(seconds: pl.Expr) -> pl.Expr:
    """Seconds, 0 where they are not known: null, negative and endless ones are not."""
    return pl.when((seconds > 0) & seconds.is_finite()).then(seconds).otherwise(0.0)


def durations_of(rows: pl.LazyFrame) -> pl.LazyFrame:
    """The videos that *rows* name, with the longest known of the durations that the rows give."""
    return rows.group_by(VIDEO).agg(pl.col(DURATION_S).max())


def whole_us(units: pl.Expr, us_per_unit: int) -> pl.Expr:
    """A time in some unit as whole microseconds; null where it is no number."""
    return (units * us_per_unit).round().cast(pl.Int64, strict=False)
