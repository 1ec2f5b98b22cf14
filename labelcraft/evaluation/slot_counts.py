"""What a log says of positions, streamed from impressions.parquet into the counts that curves are estimated from.

Slots shown before the split are counted by (group of users, video, position); in memory are those counts and one row a
feed, never the slots. A positive is a reached slot watched to at least half of the video's length.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

import numpy as np
import polars as pl
from numpy.typing import NDArray

from labelcraft.adapters.impressions import refuse_duplicates, scan_log
from labelcraft.adapters.raw import collected, known_duration
from labelcraft.evaluation.counted import Counted
from retrieval.errors import TableError
from retrieval.log import WATCHED_SHARE, from_us
from retrieval.metrics.propensity import N_GROUPS, Counts, feeds_by_position, merged
from retrieval.schemas import IMPRESSIONS
from retrieval.tables import MAX_REJECTED_SHARE, VIDEOS, load_table
from retrieval.tables import Columns as C

MAX_POSITION = 1000
_SEED = 17
_GROUP, _LENGTH, _LAST, _N, _NUMBER = "__group", "__length", "__last", "__n", "__number"
_OPTIONAL = {C.EXAMINATION_PROPENSITY: IMPRESSIONS.optional[C.EXAMINATION_PROPENSITY]}


class OddSlots(StrEnum):
    """Kinds of bad input that the estimates meet."""

    UNKNOWN_VIDEO = "slots of videos that the catalogue lacks"
    NO_DURATION = "slots of videos of unknown duration"
    FAR = f"slots beyond position {MAX_POSITION}"
    PASSED = "feeds with a slot not reached before a reached one"
    MISSING = "feeds without a row for each of their positions"
    BAD_GIVEN = "slots with an examination propensity that is 0 or below, above 1 or not finite"


DONE: Mapping[OddSlots, str] = {
    OddSlots.UNKNOWN_VIDEO: "they tell how far feeds were scrolled, no more",
    OddSlots.NO_DURATION: "they tell how far feeds were scrolled, no more",
    OddSlots.FAR: "set aside",
    OddSlots.PASSED: "the slot counts as scrolled past",
    OddSlots.MISSING: "the others count",
    OddSlots.BAD_GIVEN: "the value is not used",
}


@dataclass(frozen=True)
class Given:
    """The table's own examination propensities: their mean `(n,)` by position, and whether they differ within one."""

    q: NDArray[np.float64]
    varies: bool


@dataclass(frozen=True)
class CountedLog:
    """A log before *before_us*: *parts* are groups of users, *odd* counts what was strange, *faults* rows set aside."""

    parts: tuple[Counts, ...]
    given: Given | None
    n_slots: int
    n_feeds: int
    before_us: int
    odd: tuple[Counted, ...]
    faults: Mapping[str, int]

    @property
    def counts(self) -> Counts:
        """Those of all users."""
        return merged(self.parts)


def count_slots(tables: Path, before_us: int) -> CountedLog:
    """The counts of a shop's log, of what was shown strictly before a time.

    Raises:
        TableError: a table cannot be used, more than `MAX_REJECTED_SHARE` of its rows are faulty, or none is left.
    """
    file = tables / "impressions.parquet"
    videos = _videos(tables)
    earlier = scan_log(file, _OPTIONAL).filter((pl.col(C.SHOWN_AT).dt.timestamp("us") < before_us).fill_null(True))
    rows, n_slots, counted, faults = _usable(earlier, file, before_us)
    refuse_duplicates(rows, file)
    grouped = rows.with_columns((pl.col(C.USER_ID).hash(_SEED) % N_GROUPS).cast(pl.UInt8).alias(_GROUP))
    feeds = _feeds(grouped, file)
    cells, unknown = _cells(grouped, videos, file)
    given, bad = _given(rows, file) if C.EXAMINATION_PROPENSITY in rows.collect_schema() else (None, 0)
    odd = {OddSlots.FAR: counted, **unknown, **_odd_feeds(feeds), OddSlots.BAD_GIVEN: bad}
    parts = tuple(_part(cells, feeds, group) for group in range(N_GROUPS))
    return CountedLog(parts, given, n_slots, int(feeds[_NUMBER].sum()), before_us, _counted(odd), faults)


def _counted(odd: Mapping[OddSlots, int]) -> tuple[Counted, ...]:
    return tuple(Counted(which.value, odd[which], DONE[which]) for which in OddSlots if odd.get(which))


def _videos(tables: Path) -> pl.LazyFrame:
    """Numbers and durations of the catalogue's videos, null where a duration is not known."""
    frame = load_table(tables / "videos.parquet", VIDEOS).frame
    duration = known_duration(pl.col(C.DURATION_S)) if C.DURATION_S in frame.columns else pl.lit(0.0)
    known = frame.lazy().select(C.VIDEO_ID, duration.alias(C.DURATION_S)).with_row_index(_NUMBER)
    return known.with_columns(pl.when(pl.col(C.DURATION_S) > 0).then(pl.col(C.DURATION_S)).alias(C.DURATION_S))


def _usable(scan: pl.LazyFrame, file: Path, before_us: int) -> tuple[pl.LazyFrame, int, int, dict[str, int]]:
    """The rows without those set aside; how many there are, how many lie too far down, and faults by reason."""
    found = {fault.reason: fault.found({}).fill_null(False) for fault in IMPRESSIONS.faults if not fault.needs}
    faulty, far = pl.any_horizontal(*found.values()), (pl.col(C.POSITION) > MAX_POSITION).fill_null(False)
    sums = [fault.sum().alias(reason) for reason, fault in found.items()]
    counted = collected(scan.select(pl.len().alias(_N), far.sum().alias(_LAST), *sums), file).row(0, named=True)
    n_rows, n_far = counted.pop(_N), counted.pop(_LAST)
    faults = {reason: int(n) for reason, n in counted.items() if n}
    if not n_rows - sum(faults.values()):
        raise TableError(
            f"{file} has no usable slot before {from_us(before_us).isoformat(timespec='seconds')}.",
            "Export a longer log, or cut it later with --before.",
        )
    worst = max(faults, key=lambda reason: faults[reason], default="")
    if worst and faults[worst] > MAX_REJECTED_SHARE * n_rows:
        raise TableError(
            f"{file}: {faults[worst]:,} of {n_rows:,} rows cannot be used, because {worst}.",
            f"Mend the export: up to {MAX_REJECTED_SHARE:.0%} are set aside, more are refused.",
        )
    return scan.filter(~faulty & ~far), n_rows, n_far, faults


def _feeds(rows: pl.LazyFrame, file: Path) -> pl.DataFrame:
    """One row for every group, length, last reached position, number of slots and of reached ones: how many feeds."""
    last = pl.col(C.POSITION).filter(pl.col(C.REACHED)).max().fill_null(0).alias(_LAST)
    by_feed = rows.group_by(pl.col(C.FEED_ID).hash(_SEED)).agg(
        pl.col(_GROUP).min(), pl.col(C.POSITION).max().alias(_LENGTH), last, pl.len().alias(_N), pl.col(C.REACHED).sum()
    )
    kinds = by_feed.group_by(_GROUP, _LENGTH, _LAST, _N, C.REACHED).agg(pl.len().alias(_NUMBER))
    return collected(kinds, file)


def _odd_feeds(feeds: pl.DataFrame) -> dict[OddSlots, int]:
    counts = {
        OddSlots.MISSING: pl.col(_NUMBER).filter(pl.col(_N) < pl.col(_LENGTH)).sum(),
        OddSlots.PASSED: pl.col(_NUMBER).filter(pl.col(C.REACHED) < pl.col(_LAST)).sum(),
    }
    return {odd: int(feeds.select(count).item()) for odd, count in counts.items()}


def _cells(rows: pl.LazyFrame, videos: pl.LazyFrame, file: Path) -> tuple[pl.DataFrame, dict[OddSlots, int]]:
    """Counts by group, video and position, and how many slots have no place there."""
    half = pl.col(C.WATCH_TIME_S) >= WATCHED_SHARE * pl.col(C.DURATION_S)
    by_cell = (
        rows.join(videos, on=C.VIDEO_ID, how="left")
        .with_columns((pl.col(C.REACHED) & half.fill_null(False)).alias("positive"), pl.col(C.DURATION_S).is_null())
        .group_by(_GROUP, _NUMBER, C.DURATION_S, C.POSITION)
        .agg(pl.len().alias("shown"), pl.col(C.REACHED).sum(), pl.col("positive").sum())
    )
    cells = collected(by_cell, file)
    unknown, no_duration = pl.col(_NUMBER).is_null(), pl.col(C.DURATION_S)
    counts = {OddSlots.UNKNOWN_VIDEO: unknown, OddSlots.NO_DURATION: no_duration & ~unknown}
    odd = {which: int(cells.filter(where)["shown"].sum()) for which, where in counts.items()}
    return cells.filter(~unknown & ~no_duration), odd


def _part(cells: pl.DataFrame, feeds: pl.DataFrame, group: int) -> Counts:
    mine, ends = cells.filter(pl.col(_GROUP) == group), feeds.filter(pl.col(_GROUP) == group)
    video, position, shown, reached, positives = (
        mine[name].cast(pl.Int64).to_numpy() for name in (_NUMBER, C.POSITION, "shown", C.REACHED, "positive")
    )
    at_risk, went_on = feeds_by_position(ends[_LENGTH], ends[_LAST], ends[_NUMBER])
    return Counts(video, position, shown, reached, positives, at_risk, went_on)


def _given(rows: pl.LazyFrame, file: Path) -> tuple[Given | None, int]:
    """The table's own propensities by position up to the first without one, and how many cannot be used."""
    q = pl.col(C.EXAMINATION_PROPENSITY)
    usable = (q > 0) & (q <= 1)
    by_position = collected(
        rows.group_by(C.POSITION).agg(
            q.filter(usable).mean().alias("mean"),
            (q.filter(usable).max() - q.filter(usable).min()).alias("range"),
            (q.is_not_null() & ~usable).sum().alias("bad"),
        ),
        file,
    ).sort(C.POSITION)
    told = by_position.filter(pl.col("mean").is_not_null()).with_row_index(_NUMBER, offset=1)
    whole = told.filter(pl.col(_NUMBER) == pl.col(C.POSITION))
    bad = int(by_position["bad"].sum())
    if whole.is_empty():
        return None, bad
    return Given(whole["mean"].to_numpy(), bool((whole["range"] > 1e-9).any())), bad
