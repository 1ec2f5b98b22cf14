"""From the log to sums per user, by polars and block by block: what is in memory is one row a user, never the log.

Each row of the log has one fate: it is counted, it belongs to the time before, or it is left out for a reason that the
report names with its number. In this order: a row is faulty by the rules of `retrieval.schemas`; it lies in the future;
it lies before the start; it is of another experiment or of none; it lies after the end; it has no bucket; its video is
not in the catalogue. A user who appears in several buckets is left out whole, since both systems made what they did.
A slot that was not reached is no start. A start of a video of unknown length counts as a start and for watch time, but
not for the shares watched.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl

from labelcraft.adapters.impressions import refuse_duplicates, scan_log
from labelcraft.adapters.raw import collected, known_duration, unreadable
from labelcraft.experiments import metrics as m
from labelcraft.experiments.uplift import Floats
from retrieval.errors import ConfigError, TableError
from retrieval.log import WATCHED_SHARE
from retrieval.schemas import FLAG, IMPRESSIONS, NUMBER, ColumnType
from retrieval.tables import MAX_REJECTED_SHARE, VIDEOS, load_table
from retrieval.tables import Columns as C

COUNTED, BEFORE = "counted", "before"
FUTURE = "shown after the present, by a clock that ran ahead"
EARLY = "given a bucket before the start"
OTHER, LATE = "of another experiment or of none", "shown after the end"
NO_BUCKET, UNKNOWN_VIDEO = "without a bucket", "of a video that the catalogue lacks"
PAST_START = "of the time before, but shown after the start"
EXPECTED = (OTHER, LATE, EARLY, PAST_START)  # choices of whoever asks, no faults of the log
QUARTER = 0.25
_FATE, _KNOWN_VIDEO, _LENGTH, _PLACE = "__fate", "__known", "__length", "__place"
GUARD = ColumnType(
    "a number, or true or false", lambda t: NUMBER.accepts(t) or FLAG.accepts(t), pl.Float64, "cast it"
)  # fmt: skip


@dataclass(frozen=True)
class Source:
    """What to count. *before* is a log of the time before; without it, and with *start_us*, the log's own earlier rows.

    *extra* are columns of the log that guards are made of. Rows shown after *now_us* are in the future.
    """

    impressions: Path
    videos: Path
    experiment: str | None
    before: Path | None
    start_us: int | None
    end_us: int | None
    now_us: int
    extra: Sequence[str] = ()


@dataclass(frozen=True)
class LeftOut:
    """So many rows left out for a *reason*, by bucket ("" without one)."""

    reason: str
    rows: int
    by_bucket: Mapping[str, int]


@dataclass(frozen=True)
class Counts:
    """Sums by user: *sums* and *before* (None without a time before) by column, `(n_users,)`, users in one bucket only.

    *bucket* `(n_users,)` numbers *buckets*. *was_there* `(n_users,)` says who has rows of the time before.
    *crossed* counts the users left out for having several buckets. *unlengthed* are starts of unknown length by bucket.
    """

    experiment: str
    buckets: tuple[str, ...]
    bucket: np.ndarray
    sums: Mapping[str, Floats]
    before: Mapping[str, Floats] | None
    was_there: np.ndarray
    rows: int
    left_out: tuple[LeftOut, ...]
    crossed: int
    unlengthed: Mapping[str, int]
    first_us: int
    last_us: int
    earlier_rows: int

    @property
    def n_users(self) -> tuple[int, ...]:
        """Users by bucket."""
        return tuple(np.bincount(self.bucket, minlength=len(self.buckets)).tolist())


def count(source: Source) -> Counts:
    """The sums of an experiment.

    Raises:
        TableError: a table cannot be used, or more than `MAX_REJECTED_SHARE` of the rows are faulty.
        ConfigError: there is no such experiment, or several and none is chosen, or nothing is left of it.
    """
    log = _open_log(source.impressions, source)
    name = _name_of(log, source)
    start_us = source.start_us if source.start_us is not None else _first_us(log, name, source)
    rows = log.with_columns(_fate(log, name, start_us, source).alias(_FATE))
    fates = _fates(rows, source.impressions)
    _refuse_faulty(fates, source.impressions)
    refuse_duplicates(rows.filter(pl.col(_FATE) == COUNTED), source.impressions)
    sums = _sums(rows.filter(pl.col(_FATE) == COUNTED), source, [C.USER_ID, C.BUCKET])
    past, past_fates = _before(rows, source, name, start_us)
    return _counts(name, sums, past, fates, past_fates)


def columns_of(file: Path) -> list[str]:
    """The columns of a log of impressions that guards can be made of.

    Raises:
        TableError: there is no such file, or it is no parquet.
    """
    if not file.is_file():
        raise TableError(f"There is no table {file}.", "Export the feed's log as the README's section on tables says.")
    try:
        types = pl.scan_parquet(file).collect_schema()
    except (pl.exceptions.PolarsError, OSError) as error:
        raise unreadable(file, error) from error
    return [name for name, dtype in types.items() if GUARD.accepts(dtype) and name not in IMPRESSIONS.required]


def _open_log(file: Path, source: Source) -> pl.LazyFrame:
    """The log beside what is known of its videos."""
    wanted = {C.BUCKET: IMPRESSIONS.optional[C.BUCKET], C.EXPERIMENT: IMPRESSIONS.optional[C.EXPERIMENT]}
    log = scan_log(file, {**wanted, **dict.fromkeys(source.extra, GUARD)})
    videos = load_table(source.videos, VIDEOS).frame
    length = known_duration(pl.col(C.DURATION_S)) if C.DURATION_S in videos.columns else pl.lit(0.0)
    known = videos.lazy().select(C.VIDEO_ID, length.alias(_LENGTH), pl.lit(True).alias(_KNOWN_VIDEO))
    names = log.collect_schema().names()
    texts = [
        pl.col(name).cast(pl.String).replace("", None) if name in names else pl.lit(None, pl.String).alias(name)
        for name in wanted
    ]
    return log.with_columns(texts).join(known, on=C.VIDEO_ID, how="left")


def _name_of(log: pl.LazyFrame, source: Source) -> str:
    """The experiment to count; "" where the log names none and has buckets."""
    marked = log.filter(pl.col(C.BUCKET).is_not_null())
    found = collected(marked.select(C.EXPERIMENT).unique(), source.impressions)[C.EXPERIMENT]
    names = found.drop_nulls().sort().to_list()
    if not len(found):
        raise TableError(
            f"No row of {source.impressions} has a bucket, so there is no experiment in it.",
            "Serve with [experiment] in lookreel.toml, then export the log again: lookreel events export",
        )
    if source.experiment is not None and source.experiment not in names:
        known = f"It has {', '.join(names)}." if names else "It names none: leave --experiment out."
        raise ConfigError(f"{source.impressions} has no experiment {source.experiment}.", known)
    if source.experiment is None and len(names) > 1:
        raise ConfigError(
            f"{source.impressions} has {len(names)} experiments: {', '.join(names)}.",
            f"Choose one, such as --experiment {names[0]}.",
        )
    return source.experiment or (names[0] if names else "")


def _is_of(name: str) -> pl.Expr:
    """Whether a row is of the experiment called *name*; of a log that names none, each row is."""
    return (pl.col(C.EXPERIMENT) == name).fill_null(False) if name else pl.lit(True)


def _first_us(log: pl.LazyFrame, name: str, source: Source) -> int:
    marked = log.filter(_is_of(name) & pl.col(C.BUCKET).is_not_null())
    first = collected(marked.select(pl.col(C.SHOWN_AT).to_physical().min()), source.impressions).item()
    return int(first or 0)


def _fate(log: pl.LazyFrame, name: str, start_us: int, source: Source) -> pl.Expr:
    """What becomes of each row."""
    time, of_it = pl.col(C.SHOWN_AT).to_physical(), _is_of(name)
    faults = {f.reason: f.found({}).fill_null(False) for f in IMPRESSIONS.faults if not f.needs}
    early = time < start_us
    reasons = {
        **faults,
        FUTURE: time > _present(log, source),
        EARLY: early & of_it & pl.col(C.BUCKET).is_not_null(),
        BEFORE: early,
        OTHER: ~of_it,
        LATE: time >= source.end_us if source.end_us is not None else pl.lit(False),
        NO_BUCKET: pl.col(C.BUCKET).is_null(),
        UNKNOWN_VIDEO: pl.col(_KNOWN_VIDEO).is_null(),
    }
    found = [pl.when(condition).then(pl.lit(reason)) for reason, condition in reasons.items()]
    return pl.coalesce(*found, pl.lit(COUNTED))


def _present(log: pl.LazyFrame, source: Source) -> int:
    """The present, or the end of time for a log that lies ahead of it as a whole: made up, as the sample shop's is."""
    first = collected(log.select(pl.col(C.SHOWN_AT).to_physical().min()), source.impressions).item()
    return source.now_us if first is None or first <= source.now_us else 2**63 - 1


def _fates(rows: pl.LazyFrame, file: Path) -> pl.DataFrame:
    """How many rows have each fate, by bucket, and when they were shown."""
    time = pl.col(C.SHOWN_AT).to_physical()
    return collected(
        rows.group_by(_FATE, C.BUCKET).agg(pl.len().alias("rows"), time.min().alias("first"), time.max().alias("last")),
        file,
    )


def _refuse_faulty(fates: pl.DataFrame, file: Path) -> None:
    faults = fates.filter(~pl.col(_FATE).is_in([COUNTED, BEFORE, *EXPECTED]))
    n_rows = int(fates["rows"].sum())
    if faults["rows"].sum() > MAX_REJECTED_SHARE * n_rows:
        reason, rows = faults.group_by(_FATE).agg(pl.col("rows").sum()).sort("rows").row(-1)
        raise TableError(
            f"{file}: {faults['rows'].sum()} of {n_rows} rows cannot be used, {rows} because they are {reason}."
            if reason in (FUTURE, NO_BUCKET, UNKNOWN_VIDEO)
            else f"{file}: {faults['rows'].sum()} of {n_rows} rows cannot be used, {rows} because {reason}.",
            f"Mend the export: up to {MAX_REJECTED_SHARE:.0%} are set aside, more are refused.",
        )


def _sums(rows: pl.LazyFrame, source: Source, by: Sequence[str]) -> pl.DataFrame:
    """The sums of `metrics.SUMS` and of the extra columns by user."""
    reached, length = pl.col(C.REACHED), pl.col(_LENGTH)
    known, watch = reached & (length > 0), pl.col(C.WATCH_TIME_S).fill_null(0.0)
    half = known & (watch >= WATCHED_SHARE * length)
    made = {
        m.FEEDS: pl.col(C.FEED_ID).n_unique(),
        m.STARTS: reached.sum(),
        m.KNOWN: known.sum(),
        m.WATCHED_25: (known & (watch >= QUARTER * length)).sum(),
        m.WATCHED_50: half.sum(),
        m.WATCH_S: watch.filter(reached).sum(),
        m.SKIPS: (reached & (watch < m.SKIP_S) & ~half).sum(),
        m.LENGTH_S: length.filter(known).sum(),
        **{name: pl.col(name).filter(reached).sum() for name in source.extra if name in rows.collect_schema().names()},
    }
    asked = [value.cast(pl.Float64).alias(name) for name, value in made.items()]
    return collected(rows.group_by(by).agg(asked), source.impressions)


def _before(rows: pl.LazyFrame, source: Source, name: str, start_us: int) -> tuple[pl.DataFrame | None, pl.DataFrame]:
    """The sums of the time before by user, and the fates of a separate log of it."""
    nothing = pl.DataFrame(schema={_FATE: pl.String, C.BUCKET: pl.String, "rows": pl.UInt32})
    if source.before is None:
        past = _sums(rows.filter(pl.col(_FATE) == BEFORE), source, [C.USER_ID])
        return (past if source.start_us is not None else None), nothing
    log = _open_log(source.before, source)
    fate = _fate(log, name, start_us, source)
    # From the start on, a row of another log is none of the experiment, whatever bucket it has.
    marked = log.with_columns(
        pl.when(fate.is_in([OTHER, LATE, NO_BUCKET, UNKNOWN_VIDEO, COUNTED])).then(pl.lit(PAST_START)).otherwise(fate)
        .alias(_FATE)
    )  # fmt: skip
    fates = _fates(marked, source.before)
    _refuse_faulty(fates, source.before)
    return _sums(marked.filter(pl.col(_FATE) == BEFORE), source, [C.USER_ID]), fates


def _counts(
    name: str, sums: pl.DataFrame, past: pl.DataFrame | None, fates: pl.DataFrame, past_fates: pl.DataFrame
) -> Counts:
    counted = fates.filter(pl.col(_FATE) == COUNTED)
    if sums.is_empty():
        raise ConfigError(
            f"No row of the experiment {name} is left to count.", "Check --start and --end, and the videos' table."
        )
    crossed = sums.group_by(C.USER_ID).len().filter(pl.col("len") > 1)
    kept = sums.join(crossed, on=C.USER_ID, how="anti").sort(C.BUCKET, C.USER_ID)
    if kept.is_empty():
        raise ConfigError(
            f"Every user of the experiment {name} ({len(crossed):,}) is in several buckets, so none is left to count.",
            "Assign buckets by user, not by feed or request, and see that user_id is not one value for all.",
        )
    buckets = tuple(sums[C.BUCKET].unique().sort().to_list())
    columns = [column for column in sums.columns if column not in (C.USER_ID, C.BUCKET)]
    before, was_there = _aligned(kept, past, columns)
    unlengthed = kept.group_by(C.BUCKET).agg((pl.col(m.STARTS) - pl.col(m.KNOWN)).sum())
    return Counts(
        name,
        buckets,
        kept[C.BUCKET].replace_strict(list(buckets), list(range(len(buckets))), return_dtype=pl.Int64).to_numpy(),
        {column: kept[column].to_numpy() for column in columns},
        before,
        was_there,
        int(fates["rows"].sum()),
        _left_out([fates, past_fates]),
        crossed.height,
        {bucket: int(rows) for bucket, rows in unlengthed.sort(C.BUCKET).rows()},
        int(counted["first"].min()),  # type: ignore[arg-type]
        int(counted["last"].max()),  # type: ignore[arg-type]
        int(fates.filter(pl.col(_FATE) == BEFORE)["rows"].sum()),
    )


def _aligned(
    kept: pl.DataFrame, past: pl.DataFrame | None, columns: Sequence[str]
) -> tuple[Mapping[str, Floats] | None, np.ndarray]:
    """The sums of the time before in the order of *kept*, 0 for who was not there, and who was."""
    if past is None or past.is_empty():
        return None, np.zeros(kept.height, np.bool_)
    there = past.with_columns(pl.lit(True).alias(_PLACE))
    joined = kept.select(C.USER_ID).join(there, on=C.USER_ID, how="left", maintain_order="left")
    present = [column for column in columns if column in past.columns]
    before = {column: joined[column].fill_null(0.0).to_numpy() for column in present}
    return before, joined[_PLACE].fill_null(False).to_numpy()


def _left_out(fates: Sequence[pl.DataFrame]) -> tuple[LeftOut, ...]:
    rows = pl.concat([one.select(_FATE, C.BUCKET, "rows") for one in fates]).filter(
        ~pl.col(_FATE).is_in([COUNTED, BEFORE])
    )
    by_reason: dict[str, dict[str, int]] = {}
    for reason, bucket, n in rows.sort(_FATE, C.BUCKET).iter_rows():
        of_reason = by_reason.setdefault(reason, {})
        of_reason[bucket or ""] = of_reason.get(bucket or "", 0) + n
    return tuple(LeftOut(reason, sum(of.values()), of) for reason, of in by_reason.items())
