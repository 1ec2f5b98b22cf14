"""Watches as a table: from the event store, and from the parquet that old ones were moved to."""

from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from typing import Any

import polars as pl

from retrieval.schemas import Columns as C
from serving.archive import open_archive
from serving.events.protocol import EventStore, Watch

FLAGS = (C.LIKED, C.COMMENTED, C.FOLLOWED, C.SHARED)
PREFIX, PARQUET = "watches-", ".parquet"
WATCH_SCHEMA: dict[str, Any] = {
    C.EVENT_ID: pl.String, C.USER_ID: pl.String, C.VIDEO_ID: pl.String, C.FEED_ID: pl.String,
    C.WATCH_TIME_S: pl.Float64, C.OCCURRED_AT: pl.Datetime("us", "UTC"), **dict.fromkeys(FLAGS, pl.Boolean),
}  # fmt: skip
_BATCH = 100_000


def watch_frame(watches: Sequence[Watch]) -> pl.DataFrame:
    """One row for each watch, with the columns of `WATCH_SCHEMA`; a flag that the client did not tell is false."""
    columns = {
        C.EVENT_ID: [watch.event_id for watch in watches],
        C.USER_ID: [watch.user_id for watch in watches],
        C.VIDEO_ID: [watch.video_id for watch in watches],
        C.FEED_ID: [watch.feed_id for watch in watches],
        C.WATCH_TIME_S: [watch.watch_time_s for watch in watches],
        C.OCCURRED_AT: [watch.occurred_us for watch in watches],
        **{flag: [bool(watch.flags.get(flag)) for watch in watches] for flag in FLAGS},
    }
    whole = WATCH_SCHEMA | {C.OCCURRED_AT: pl.Int64}
    times = pl.from_epoch(C.OCCURRED_AT, time_unit="us").dt.replace_time_zone("UTC")
    return pl.DataFrame(columns, schema=whole).with_columns(times)


def read_watches(places: Sequence[str], store: EventStore | None, from_us: int, to_us: int) -> pl.LazyFrame:
    """The watches of [from_us, to_us), each event once, from the store and from parquet in *places*.

    The store is read first: what is compacted meanwhile is then found twice rather than not at all.

    Raises:
        StoreDownError: the store cannot be reached.
    """
    kept = [] if store is None else list(_frames(store.watches(from_us, to_us)))
    archived = [frame for place in places for frame in _archived(place, from_us, to_us)]
    frames = [pl.DataFrame(schema=WATCH_SCHEMA), *kept, *archived]
    return pl.concat([frame.lazy() for frame in frames]).unique(C.EVENT_ID, keep="any")


def _frames(watches: Iterable[Watch]) -> Iterator[pl.DataFrame]:
    """Tables of a batch each: objects of the store take much more memory than rows."""
    rest = iter(watches)
    while batch := list(islice(rest, _BATCH)):
        yield watch_frame(batch)


def _archived(place: str, from_us: int, to_us: int) -> Iterator[pl.DataFrame]:
    archive = open_archive(place)
    occurred = pl.col(C.OCCURRED_AT).dt.timestamp("us")
    for name in archive.names():
        if name.startswith(PREFIX) and name.endswith(PARQUET):
            yield archive.read_parquet(name).filter((occurred >= from_us) & (occurred < to_us))
