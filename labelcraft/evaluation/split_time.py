"""Where a log is cut: everything that is fitted comes from strictly before it, and test feeds are shown from it on."""

import time
from dataclasses import dataclass
from pathlib import Path

import polars as pl

from labelcraft.adapters.raw import collected, require_columns, unreadable
from retrieval.errors import ConfigError, TableError
from retrieval.log import from_us
from retrieval.recommend import parse_at
from retrieval.tables import MAX_REJECTED_SHARE
from retrieval.tables import Columns as C

DEFAULT_TEST_DAYS = 2.0
DAY_US = 86_400_000_000


@dataclass(frozen=True)
class Split:
    """The cut *at_us* of a log whose last impression was shown at *last_us*.

    *ahead* rows are shown after the present, by a clock that ran ahead: the last impression is that before them.
    """

    at_us: int
    last_us: int
    ahead: int = 0

    @property
    def words(self) -> str:
        return from_us(self.at_us).isoformat(timespec="seconds")


def find_split(
    impressions: Path, *, test_days: float | None = None, at: str | None = None, now_us: int | None = None
) -> Split:
    """The cut of a log of impressions.

    Args:
        test_days: so many days before the last impression, `DEFAULT_TEST_DAYS` where *at* is not given either.
        at: a time as on the command line, UTC where it names no zone.
        now_us: the present, by default that of this machine's clock.

    Raises:
        ConfigError: both are given, the time is none, or nothing lies before or after it.
        TableError: there is no such file, it is empty, or many of its rows lie after the present.

    Rows after the present are left out of "last" when they are at most `MAX_REJECTED_SHARE` of the log: one wrong clock
    would otherwise move the cut past everything. Where all rows lie ahead, the log is made up or this machine's clock
    is wrong, and they count; between the two nobody can tell which, and the log is refused.
    """
    if test_days is not None and at is not None:
        raise ConfigError("--test-days and a time both say where the log is cut.", "Give one of them.")
    first_us, last_us, ahead = _reach(impressions, time.time_ns() // 1000 if now_us is None else now_us)
    asked_us = parse_at(at)
    days = DEFAULT_TEST_DAYS if test_days is None else test_days
    at_us = last_us - int(days * DAY_US) if asked_us is None else asked_us
    if not first_us < at_us <= last_us:
        raise ConfigError(
            f"The log is to be cut at {from_us(at_us).isoformat()}, but {impressions} reaches from "
            f"{from_us(first_us).isoformat()} to {from_us(last_us).isoformat()}.",
            "Choose a time between the two, or fewer test days: something must come before the cut, and after it.",
        )
    return Split(at_us, last_us, ahead)


def _reach(file: Path, now_us: int) -> tuple[int, int, int]:
    """The first and last shown_at, and how many rows lie ahead of the present (0 where all do)."""
    if not file.is_file():
        raise TableError(f"There is no table {file}.", "Export the feed's log as the README's section on tables says.")
    scan = pl.scan_parquet(file)
    try:
        types = scan.collect_schema()
    except (pl.exceptions.PolarsError, OSError) as error:
        raise unreadable(file, error) from error
    require_columns(file, types.names(), [C.SHOWN_AT])
    if not isinstance(types[C.SHOWN_AT], pl.Datetime):
        raise TableError(f"{file}: column {C.SHOWN_AT} is {types[C.SHOWN_AT]}, not a UTC timestamp.", "Cast it to one.")
    shown = pl.col(C.SHOWN_AT).dt.timestamp("us")
    known = shown.filter(shown <= now_us)
    counted = scan.select(
        n=shown.count(), ahead=(shown > now_us).sum(), first=shown.min(), last=shown.max(), last_known=known.max()
    )
    row = collected(counted, file).row(0, named=True)
    n, ahead = row["n"], row["ahead"]
    if not n:
        raise TableError(f"{file} has no rows.", "Export it again; nothing can be learned from an empty log.")
    if ahead == n:
        return row["first"], row["last"], 0
    if ahead > MAX_REJECTED_SHARE * n:
        raise TableError(
            f"{file}: {ahead:,} of {n:,} rows are shown after the present, {from_us(now_us).isoformat()}.",
            "Mend the clock that wrote them, or this machine's.",
        )
    return row["first"], row["last_known"], ahead
