"""Fills an event store from a shop's tables, so that the API knows at once what the log knows."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain, islice
from pathlib import Path
from typing import Any

import polars as pl

from retrieval.tables import Columns as C
from retrieval.tables import load_tables
from serving.events.ids import event_id_of, watch_id_of
from serving.events.protocol import Event, EventStore, Limits, ProductEvent, Watch

BATCH = 1000  # events of one put
_FLAGS = (C.LIKED, C.COMMENTED, C.FOLLOWED, C.SHARED)


@dataclass(frozen=True)
class ImportCounts:
    """What an import did.

    *n_events* product events and *n_watches* watches were given to the store, of which *n_new* it had not known;
    *n_older* events were left out, since a user's newest are kept; *n_rejected* rows of the tables cannot be used.
    """

    n_events: int
    n_watches: int
    n_new: int
    n_markets: int
    n_older: int
    n_rejected: int


def import_tables(
    store: EventStore, folder: Path, now_us: int, progress: Callable[[int, int], None], limits: Limits = Limits()
) -> ImportCounts:
    """Give a shop's interactions, reached videos and markets to *store*; what it knows already changes nothing.

    Args:
        progress: called with how many events are done, and of how many.
        limits: those of the store.

    Raises:
        TableError: a table cannot be used.
        StoreDownError: the store stopped answering; run it again.
    """
    tables = load_tables(folder)
    newest, reached = newest_events(tables.interactions, limits.history), reached_slots(tables.impressions)
    markets = _markets(tables.users)
    for batch in _batches(iter(markets.items())):
        store.put_markets(dict(batch))
    total, done, n_new = newest.height + reached.height, 0, 0
    for events in _batches(chain(_product_events(newest), _watches(reached))):
        n_new += sum(store.put(events, now_us))
        done += len(events)
        progress(done, total)
    n_older = tables.interactions.height - newest.height
    return ImportCounts(newest.height, reached.height, n_new, len(markets), n_older, tables.rejected.height)


def newest_events(interactions: pl.DataFrame, history: int) -> pl.DataFrame:
    """The newest *history* rows of each user, and those as old as the last of them: the store decides between ties.

    Returns:
        user_id, product_id, event, occurred_at in microseconds, and event_id, null where the table has none.
    """
    event_id = pl.col(C.EVENT_ID) if C.EVENT_ID in interactions.columns else pl.lit(None, pl.String).alias(C.EVENT_ID)
    age_rank = pl.col(C.OCCURRED_AT).rank("min", descending=True).over(C.USER_ID)
    return (
        interactions.filter(age_rank <= history)
        .select(C.USER_ID, C.PRODUCT_ID, C.EVENT, pl.col(C.OCCURRED_AT).dt.timestamp("us"), event_id)
        .sort(C.USER_ID, C.OCCURRED_AT, maintain_order=True)
    )


def reached_slots(impressions: pl.DataFrame | None) -> pl.DataFrame:
    """The slots that were reached: feed_id, position, user_id, video_id, watch_time_s, shown_at in µs, flags."""
    flags = [pl.col(flag) for flag in _FLAGS if impressions is not None and flag in impressions.columns]
    columns = [C.FEED_ID, C.POSITION, C.USER_ID, C.VIDEO_ID, C.WATCH_TIME_S]
    if impressions is None:
        return pl.DataFrame(schema=[*columns, C.SHOWN_AT])
    return impressions.filter(C.REACHED).select(*columns, pl.col(C.SHOWN_AT).dt.timestamp("us"), *flags)


def _product_events(newest: pl.DataFrame) -> Iterator[Event]:
    for user_id, product_id, event, occurred_us, event_id in newest.iter_rows():
        named = event_id or event_id_of(user_id, product_id, event, occurred_us)
        yield ProductEvent(named, user_id, product_id, event, occurred_us)


def _watches(reached: pl.DataFrame) -> Iterator[Event]:
    flags = reached.columns[6:]
    for feed_id, position, user_id, video_id, watch_time_s, shown_us, *values in reached.iter_rows():
        said = {flag: value for flag, value in zip(flags, values, strict=True) if value is not None}
        yield Watch(watch_id_of(feed_id, position), user_id, video_id, feed_id, watch_time_s, shown_us, said)


def _markets(users: pl.DataFrame | None) -> Mapping[str, str]:
    if users is None or C.MARKET not in users.columns:
        return {}
    return dict(users.select(C.USER_ID, C.MARKET).drop_nulls().iter_rows())


def _batches(values: Iterator[Any]) -> Iterator[Sequence[Any]]:
    while batch := list(islice(values, BATCH)):
        yield batch
