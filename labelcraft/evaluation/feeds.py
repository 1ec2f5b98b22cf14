"""The feeds shown after the split, streamed from impressions.parquet in parts of whole feeds.

A part is what a hash of feed_id puts there, so memory holds one part, the ids of the users, and nothing else of the
log. Rows are faulty by the rules of `retrieval.schemas`; what is odd beyond that is counted by `Odd` and handled as
`counted.DONE` says.
"""

import math
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import polars as pl
from numpy.typing import NDArray

from labelcraft.adapters.impressions import scan_log
from labelcraft.adapters.raw import collected
from labelcraft.evaluation.counted import Odd
from labelcraft.evaluation.split_time import DAY_US, Split
from retrieval.errors import TableError
from retrieval.ids import IdMap
from retrieval.log import WATCHED_SHARE
from retrieval.metrics.propensity import Curve, apply, n_beyond
from retrieval.ragged import Ints, offsets_of
from retrieval.schemas import IMPRESSIONS
from retrieval.tables import MAX_REJECTED_SHARE
from retrieval.tables import Columns as C

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]
ROWS_PER_PART = 500_000
LOOK_BACK_US = DAY_US  # a feed that began longer before the split is not told from one that begins after it
SPREAD_US = 3_600_000_000
LABEL = "label"
_OPTIONAL = {name: IMPRESSIONS.optional[name] for name in (C.SELECTION_PROPENSITY, C.EXAMINATION_PROPENSITY, C.BUCKET)}
_UNKNOWN_VIDEO = f"{C.VIDEO_ID} names no video of the catalogue"
_TIE_SEED = 20_250_907


@dataclass(frozen=True)
class Videos:
    """What feeds must know of videos: *ids* of the snapshot's rows, by row *duration_s* (NaN: unknown), *published_us*.

    *catalogue* are the ids of the shop's table, which may hold more.
    """

    ids: IdMap
    duration_s: Floats
    published_us: Ints
    catalogue: pl.Series


@dataclass(frozen=True)
class Part:
    """Some of the test feeds, whole, feed after feed and by logged position.

    By feed `(n_feeds,)`: *feed_ids*, *users* (numbers of `TestLog.users`), *shown_us* (of the first slot). By slot
    `(n,)`: *videos* (rows of the snapshot), *positions*, *reached*, *label* (observed: reached and watched by half),
    *examination* in (0, 1], *selection* (NaN where unknown), *watch_s* (NaN where not reached), *ties* (a hash of feed
    and video), and *truth*, the label whether or not the slot was examined, where somebody knows it.
    """

    feed_ids: pl.Series
    users: Ints
    shown_us: Ints
    offsets: Ints
    videos: Ints
    positions: Ints
    reached: Bools
    label: Bools
    examination: Floats
    selection: Floats
    watch_s: Floats
    ties: Ints
    truth: Bools | None = None
    counts: Mapping[Odd, int] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.users)

    @property
    def owners(self) -> Ints:
        """Which feed each slot is of."""
        return np.repeat(np.arange(len(self)), np.diff(self.offsets))


@dataclass(frozen=True)
class TestLog:
    """The log after the split, not yet read but for its *users* and sizes.

    *curve* gives the examination propensity of positions; without it the table's own column is taken. *faults* counts
    rows set aside by reason, *counts* what else was odd. *truth* has feed_id, position and label.
    """

    __test__ = False  # no test, whatever its name

    rows: pl.LazyFrame
    file: Path
    split: Split
    videos: Videos
    users: IdMap
    n_rows: int
    n_parts: int
    faults: Mapping[str, int]
    counts: Mapping[Odd, int]
    curve: Curve | None = None
    truth: pl.LazyFrame | None = None

    def parts(self) -> Iterator[Part]:
        """Every test feed in one part; a part may be empty.

        Raises:
            TableError: a slot of a feed stands twice.
        """
        for number in range(self.n_parts):
            yield self._part(number)

    def _part(self, number: int) -> Part:
        mine = self.rows.filter(pl.col(C.FEED_ID).hash(_TIE_SEED) % self.n_parts == number)
        if self.truth is not None:
            mine = mine.join(self.truth, on=[C.FEED_ID, C.POSITION], how="left")
        return _assembled(self, collected(mine, self.file).sort(C.FEED_ID, C.POSITION))


def open_feeds(
    file: Path,
    split: Split,
    videos: Videos,
    *,
    curve: Curve | None = None,
    truth: pl.LazyFrame | None = None,
    rows_per_part: int = ROWS_PER_PART,
) -> TestLog:
    """The test feeds of a log, counted and not yet read.

    Args:
        curve: the examination propensities of logged positions; by default the table's own.
        truth: labels whether or not a slot was examined, as feed_id, position and label.

    Raises:
        TableError: the log cannot be used, or more than `MAX_REJECTED_SHARE` of its rows are faulty.
    """
    scan = scan_log(file, _OPTIONAL)
    names = scan.collect_schema().names()
    if curve is None and C.EXAMINATION_PROPENSITY not in names:
        raise TableError(
            f"{file} has no column {C.EXAMINATION_PROPENSITY}.",
            "Estimate a curve and give it with --propensities: lookreel evaluate propensities --help",
        )
    tested, counts, faults = _counted_rows(scan, file, split, videos)
    after = tested.filter(pl.col(C.SHOWN_AT).dt.timestamp("us") >= split.at_us)
    if not (n_rows := int(collected(after.select(pl.len()), file).item())):
        raise TableError(f"{file} has no usable feed from {split.words} on.", "Split earlier, or test more days.")
    users = collected(after.select(pl.col(C.USER_ID).unique()), file)[C.USER_ID].sort().to_list()
    counts[Odd.SEVERAL_BUCKETS] = _in_several_buckets(tested, file) if C.BUCKET in names else 0
    n_parts = math.ceil(n_rows / rows_per_part)
    return TestLog(tested, file, split, videos, IdMap(users), n_rows, n_parts, faults, counts, curve, truth)


def _counted_rows(
    scan: pl.LazyFrame, file: Path, split: Split, videos: Videos
) -> tuple[pl.LazyFrame, dict[Odd, int], dict[str, int]]:
    """The usable rows from just before the split on, and what was set aside."""
    found = {fault.reason: fault.found({C.VIDEO_ID: videos.catalogue}).fill_null(False) for fault in IMPRESSIONS.faults}
    shown = pl.col(C.SHOWN_AT).dt.timestamp("us")
    near = scan.filter(shown.is_null() | (shown >= split.at_us - LOOK_BACK_US))
    faulty = pl.any_horizontal(*found.values())
    ahead = (shown > split.last_us) & ~faulty if split.ahead else pl.lit(False)
    row = collected(
        near.select(
            pl.len().alias("rows"),
            ahead.sum().alias("ahead"),
            *(fault.sum().alias(reason) for reason, fault in found.items()),
        ),
        file,
    ).row(0, named=True)
    n, n_ahead = row.pop("rows"), row.pop("ahead")
    faults = {reason: int(count) for reason, count in row.items() if count}
    _refuse_many(faults, n, file)
    counts = {Odd.AHEAD: int(n_ahead or 0), Odd.UNKNOWN_VIDEO: faults.pop(_UNKNOWN_VIDEO, 0)}
    return near.filter(~faulty & ~ahead), counts, faults


def _refuse_many(faults: Mapping[str, int], n_rows: int, file: Path) -> None:
    worst = max(faults, key=lambda reason: faults[reason], default="")
    if worst and faults[worst] > MAX_REJECTED_SHARE * n_rows:
        raise TableError(
            f"{file}: {faults[worst]:,} of {n_rows:,} rows around and after the split cannot be used, because {worst}.",
            f"Mend the export: up to {MAX_REJECTED_SHARE:.0%} are set aside, more are refused.",
        )


def _in_several_buckets(rows: pl.LazyFrame, file: Path) -> int:
    by_user = rows.group_by(C.USER_ID).agg(pl.col(C.BUCKET).drop_nulls().n_unique().alias("n"))
    return int(collected(by_user.select((pl.col("n") > 1).sum()), file).item())


def _assembled(log: TestLog, rows: pl.DataFrame) -> Part:
    """The feeds of *rows*, sorted by feed and position, that can be tested."""
    if rows.select(pl.struct(C.FEED_ID, C.POSITION).is_duplicated().any()).item():
        raise TableError(
            f"{log.file}: a {C.POSITION} of a {C.FEED_ID} stands twice.",
            "Keep one row for each slot of a feed; `lookreel tables check` names the first.",
        )
    counts: Counter[Odd] = Counter()
    rows = _with_examination(log, rows, counts)
    rows = _testable_feeds(log, rows, counts)
    rows = rows.with_columns(row=pl.Series(log.videos.ids.rows(rows[C.VIDEO_ID]), dtype=pl.Int64))
    counts[Odd.NOT_IN_SNAPSHOT] = int((rows["row"] < 0).sum())
    return _part_of(log, rows.filter(pl.col("row") >= 0), counts)


def _with_examination(log: TestLog, rows: pl.DataFrame, counts: Counter[Odd]) -> pl.DataFrame:
    """*rows* with a propensity each."""
    if log.curve is None:
        return rows
    positions = rows[C.POSITION].to_numpy()
    counts[Odd.BEYOND_CURVE] += n_beyond(log.curve, positions)
    return rows.with_columns(pl.Series(C.EXAMINATION_PROPENSITY, apply(log.curve, positions)))


def _testable_feeds(log: TestLog, rows: pl.DataFrame, counts: Counter[Odd]) -> pl.DataFrame:
    """The rows of feeds that are one user's, begin after the split and can be weighted."""
    shown, q = pl.col(C.SHOWN_AT).dt.timestamp("us"), pl.col(C.EXAMINATION_PROPENSITY)
    feeds = rows.group_by(C.FEED_ID, maintain_order=True).agg(
        shown.min().alias("first"),
        shown.max().alias("last"),
        (pl.col(C.USER_ID).n_unique() > 1).alias(Odd.SEVERAL_USERS),
        ((q > 0) & (q <= 1)).fill_null(False).not_().any().alias(Odd.BAD_EXAMINATION),
    )
    begun = pl.col("first") < log.split.at_us
    feeds = feeds.filter(pl.col("last") >= log.split.at_us).with_columns(begun.alias(Odd.BEGUN_BEFORE))
    bad = [pl.col(odd) for odd in (Odd.BEGUN_BEFORE, Odd.SEVERAL_USERS, Odd.BAD_EXAMINATION)]
    for odd in (Odd.BEGUN_BEFORE, Odd.SEVERAL_USERS, Odd.BAD_EXAMINATION):
        counts[odd] += int(feeds[odd].sum())
    kept = feeds.filter(~pl.any_horizontal(bad))
    counts[Odd.SPREAD_OUT] += int((kept["last"] - kept["first"] > SPREAD_US).sum())
    return rows.join(kept.select(C.FEED_ID, "first"), on=C.FEED_ID, how="inner", maintain_order="left")


def _part_of(log: TestLog, rows: pl.DataFrame, counts: Counter[Odd]) -> Part:
    video, reached = rows["row"].to_numpy(), rows[C.REACHED].to_numpy()
    watch_s = rows[C.WATCH_TIME_S].cast(pl.Float64).fill_null(np.nan).to_numpy()
    duration_s = log.videos.duration_s[video]
    label = reached & (watch_s >= WATCHED_SHARE * duration_s)
    feeds = rows.group_by(C.FEED_ID, maintain_order=True).agg(pl.len().alias("n"), pl.first(C.USER_ID, "first"))
    offsets = offsets_of(feeds["n"].to_numpy().astype(np.int64))
    ties = rows.select(pl.struct(C.FEED_ID, C.VIDEO_ID).hash(_TIE_SEED) // 2).to_series().cast(pl.Int64).to_numpy()
    counts[Odd.BEFORE_PUBLISHED] += int((rows["first"].to_numpy() < log.videos.published_us[video]).sum())
    counts[Odd.NO_DURATION] += int(np.isnan(duration_s).sum())
    counts[Odd.ONE_VIDEO] += int((feeds["n"] == 1).sum())
    if len(feeds):
        counts[Odd.WITHOUT_POSITIVE] += int((np.add.reduceat(label, offsets[:-1]) == 0).sum())
    return Part(
        feeds[C.FEED_ID], log.users.rows(feeds[C.USER_ID]), feeds["first"].to_numpy(), offsets,
        video, rows[C.POSITION].to_numpy(), reached, label, rows[C.EXAMINATION_PROPENSITY].to_numpy(),
        _selection(rows, counts), watch_s, ties,
        rows[LABEL].fill_null(False).to_numpy() if LABEL in rows.columns else None, counts,
    )  # fmt: skip


def _selection(rows: pl.DataFrame, counts: Counter[Odd]) -> Floats:
    """The selection propensities, NaN where there is none that can be used."""
    if C.SELECTION_PROPENSITY not in rows.columns:
        return np.full(rows.height, np.nan)
    given = rows[C.SELECTION_PROPENSITY].cast(pl.Float64)
    p = given.fill_null(np.nan).to_numpy()
    usable = (p > 0) & (p <= 1)
    counts[Odd.BAD_SELECTION] += int((~usable & given.is_not_null().to_numpy()).sum())
    return np.where(usable, p, np.nan)
