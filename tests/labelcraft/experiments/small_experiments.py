"""Logs of an experiment small enough to count by hand."""

from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta

import polars as pl

from labelcraft.experiments.counts import Source
from retrieval.log import to_us
from retrieval.tables import Columns as C

DAY_0 = datetime(2025, 3, 1, tzinfo=UTC)
LENGTH_S = 20.0  # of every video whose length is known
VIDEOS = {"v1": LENGTH_S, "v2": LENGTH_S, "unlengthed": None}


@dataclass(frozen=True)
class Slot:
    """One delivered slot; *day* counts from DAY_0."""

    user: str
    bucket: str | None = "A"
    watch_s: float | None = 15.0
    day: float = 1.0
    video: str = "v1"
    experiment: str | None = "spring"
    feed: str = ""
    position: int = 1


def many(slot: Slot, n: int) -> list[Slot]:
    """The same slot in *n* feeds of its user."""
    return [replace(slot, feed=f"{slot.user}-{slot.day}-{i}") for i in range(n)]


def write(folder, slots, name="impressions.parquet", **columns):
    """A log of *slots*, those without a watch time not reached, and its videos; None as a column takes it out."""
    folder.mkdir(parents=True, exist_ok=True)
    table = {
        C.FEED_ID: [slot.feed or f"feed-{i}" for i, slot in enumerate(slots)],
        C.USER_ID: [slot.user for slot in slots],
        C.VIDEO_ID: [slot.video for slot in slots],
        C.POSITION: [slot.position for slot in slots],
        C.SHOWN_AT: pl.Series([DAY_0 + timedelta(days=slot.day) for slot in slots]).cast(pl.Datetime("us", "UTC")),
        C.REACHED: [slot.watch_s is not None for slot in slots],
        C.WATCH_TIME_S: pl.Series([slot.watch_s for slot in slots], dtype=pl.Float64),
        C.BUCKET: pl.Series([slot.bucket for slot in slots], dtype=pl.String),
        C.EXPERIMENT: pl.Series([slot.experiment for slot in slots], dtype=pl.String),
    } | columns
    pl.DataFrame({key: column for key, column in table.items() if column is not None}).write_parquet(folder / name)
    published = pl.Series([DAY_0] * len(VIDEOS)).cast(pl.Datetime("us", "UTC"))
    videos = {C.VIDEO_ID: list(VIDEOS), C.URI: list(VIDEOS), C.PUBLISHED_AT: published}
    videos[C.DURATION_S] = pl.Series(list(VIDEOS.values()), dtype=pl.Float64)
    pl.DataFrame(videos).write_parquet(folder / "videos.parquet")
    return source(folder, name)


def source(folder, name="impressions.parquet", **options):
    """What to count of such a log, asked ten days later."""
    given = {"experiment": None, "before": None, "start_us": None, "end_us": None, "now_us": at(10)} | options
    return Source(folder / name, folder / "videos.parquet", **given)


def at(day):
    """That day in microseconds."""
    return to_us(DAY_0 + timedelta(days=day))


def both_buckets(n=3):
    """Users a0, a1, … of A and b0, b1, … of B, with a slot each."""
    return [Slot(f"{bucket.lower()}{i}", bucket) for bucket in "AB" for i in range(n)]
