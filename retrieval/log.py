"""What was known of the shop's users at a time: events in the catalogue, videos seen, popularity."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import numpy as np
import polars as pl
from numpy.typing import NDArray

from retrieval.ids import IdMap
from retrieval.ragged import Ints, Ragged, group, offsets_of, spans
from retrieval.tables import Columns as C

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
DEFAULT_EVENT_WEIGHTS: Mapping[str, float] = {
    "shown": 0.0, "view": 1.0, "click": 1.0, "wishlist": 1.0, "add_to_cart": 1.0, "purchase": 1.0,
    "return": 0.0, "unwish": 0.0,
}  # fmt: skip


def full_weights(weights: Mapping[str, float]) -> dict[str, float]:
    """*weights* of event kinds, the others at their default."""
    return {**DEFAULT_EVENT_WEIGHTS, **weights}


WATCHED_SHARE = 0.5  # a video counts as watched from half of its length on


def to_us(moment: datetime) -> int:
    """Microseconds since 1970 of a moment.

    Raises:
        ValueError: the moment has no time zone.

    >>> to_us(datetime(1970, 1, 1, 0, 0, 1, tzinfo=UTC))
    1000000
    """
    if moment.tzinfo is None:
        raise ValueError(f"{moment} has no time zone; for UTC write datetime(…, tzinfo=UTC)")
    return (moment - EPOCH) // timedelta(microseconds=1)


def from_us(time_us: int) -> datetime:
    """The UTC moment *time_us* microseconds after 1970 began."""
    return EPOCH + timedelta(microseconds=time_us)


@dataclass(frozen=True)
class Events:
    """Catalogue events of a batch of users, oldest first, user after user.

    *product_rows*, *times_us*, *weights* `(n_events,)`; *offsets* `(n_users + 1,)` says whose they are. *weights* are
    those of the events' kinds.
    """

    product_rows: Ints
    times_us: Ints
    weights: NDArray[np.float64]
    offsets: Ints

    @property
    def lengths(self) -> Ints:
        return np.diff(self.offsets)

    def of_user(self, user: int) -> "Events":
        """The events of one user of the batch."""
        own = slice(self.offsets[user], self.offsets[user + 1])
        n_events = int(self.offsets[user + 1] - self.offsets[user])
        return Events(self.product_rows[own], self.times_us[own], self.weights[own], np.array([0, n_events]))


def make_events(product_rows: Sequence[int], times_us: Sequence[int], weights: Sequence[float] | None = None) -> Events:
    """The events of one user, given in any order."""
    order = np.argsort(np.asarray(times_us, np.int64), kind="stable")
    weight = np.ones(len(order)) if weights is None else np.asarray(weights, np.float64)
    rows = np.asarray(product_rows, np.int64)
    times = np.asarray(times_us, np.int64)
    return Events(rows[order], times[order], weight[order], np.array([0, len(order)]))


@dataclass(frozen=True)
class Statistics:
    """What is popular, counted before *as_of_us*.

    *video_popularity* `(n_videos,)`. *product_popularity* `(1 + n_markets, n_products)`: row 0 counts all, row i + 1
    the market markets[i].
    """

    as_of_us: int
    video_popularity: NDArray[np.float32]
    product_popularity: NDArray[np.float32]
    markets: tuple[str, ...]


@dataclass(frozen=True)
class Log:
    """A shop's log by row numbers: catalogue events and impressions of videos, each by user and then time.

    Everything it tells of a time is made of events strictly before it. *end_us* is just after the last event: the time
    at which all of the log is known. *unknown_products* `(n_users,)` counts the events of products that have no row.
    """

    users: IdMap
    user_markets: tuple[str | None, ...]
    end_us: int
    unknown_products: Ints
    _events: Events
    _event_markets: Ints
    _markets: tuple[str, ...]
    _prior_popularity: NDArray[np.float32]
    _video_products: Ragged
    _impressions: "_Impressions"

    def events(self, user_rows: Ints, at_us: int | Ints, limit: int = 100) -> Events:
        """The last *limit* weighted events of each user before *at_us*; an unknown user (−1) has none.

        Args:
            user_rows: a user may stand there several times, each time for another moment.
            at_us: one time for all, or `(len(user_rows),)` for each.
        """
        e = self._events
        owners, positions = _rows_of(user_rows, e.offsets)
        known = (e.times_us[positions] < _each(at_us, owners)) & (e.weights[positions] > 0)
        owners, positions = owners[known], positions[known]
        counts = np.bincount(owners, minlength=len(user_rows))
        lengths = np.minimum(counts, limit)
        taken = positions[spans(offsets_of(counts)[1:] - lengths, lengths)]
        return Events(e.product_rows[taken], e.times_us[taken], e.weights[taken], offsets_of(lengths))

    def seen(self, user_rows: Ints, at_us: int | Ints) -> Ragged:
        """The videos that each user reached before *at_us*, each once; arguments as of `events`."""
        i = self._impressions
        owners, positions = _rows_of(user_rows, i.offsets)
        known = (i.times_us[positions] < _each(at_us, owners)) & i.reached[positions]
        n_videos = len(self._video_products)
        keys = np.unique(owners[known] * n_videos + i.video_rows[positions[known]])
        return group(keys // max(n_videos, 1), keys % max(n_videos, 1), len(user_rows))

    def statistics(self, at_us: int, without_users: Ints | None = None) -> Statistics:
        """Popularity counted before *at_us*, *without_users* where these are to be judged by it."""
        hidden = np.zeros(len(self.users), bool)
        hidden[without_users if without_users is not None else []] = True
        products = self._product_popularity(at_us, hidden)
        return Statistics(at_us, self._video_popularity(at_us, hidden, products[0]), products, self._markets)

    def _product_popularity(self, at_us: int, hidden: NDArray[np.bool_]) -> NDArray[np.float32]:
        """Counts of weighted events, overall and by market.

        Where nothing was counted the table's own popularity stands for all, and all stands for a market.
        """
        n_products, e = len(self._prior_popularity), self._events
        owners = np.repeat(np.arange(len(e.lengths)), e.lengths)
        counted = (e.times_us < at_us) & (e.weights > 0) & ~hidden[owners]
        rows, markets = e.product_rows[counted], self._event_markets[counted]
        counts = np.bincount(rows, minlength=n_products)
        overall = counts if counts.any() else self._prior_popularity
        cells = (markets * n_products + rows)[markets >= 0]
        by_market = np.bincount(cells, minlength=len(self._markets) * n_products).reshape(-1, n_products)
        told = np.where(by_market.any(axis=1, keepdims=True), by_market, overall)
        return np.vstack([overall[None], told]).astype(np.float32)

    def _video_popularity(
        self, at_us: int, hidden: NDArray[np.bool_], product_popularity: NDArray[np.float32]
    ) -> NDArray[np.float32]:
        """How often each video was watched by half; before any watch, how popular its products are."""
        i = self._impressions
        owners = np.repeat(np.arange(len(i.offsets) - 1), np.diff(i.offsets))
        watched = i.video_rows[(i.times_us < at_us) & i.watched & ~hidden[owners]]
        n_videos = len(self._video_products)
        if len(watched):
            return np.bincount(watched, minlength=n_videos).astype(np.float32)
        owners = np.repeat(np.arange(n_videos), self._video_products.lengths)
        weights = product_popularity[self._video_products.values]
        return np.bincount(owners, weights=weights, minlength=n_videos).astype(np.float32)


@dataclass(frozen=True)
class _Impressions:
    """Delivered videos by user and then time; *watched* is false where a length is not known to compare with."""

    video_rows: Ints
    times_us: Ints
    reached: NDArray[np.bool_]
    watched: NDArray[np.bool_]
    offsets: Ints


def _rows_of(user_rows: Ints, offsets: Ints) -> tuple[Ints, Ints]:
    """The positions of everything of these users, and which of them (from 0) each belongs to."""
    known = np.maximum(user_rows, 0)
    lengths = np.where(user_rows >= 0, offsets[known + 1] - offsets[known], 0)
    return np.repeat(np.arange(len(user_rows)), lengths), spans(offsets[known], lengths)


def _each(at_us: int | Ints, owners: Ints) -> int | Ints:
    """The time that holds for each of what belongs to *owners*."""
    return at_us[owners] if isinstance(at_us, np.ndarray) else at_us


def make_log(
    interactions: pl.DataFrame,
    impressions: pl.DataFrame | None,
    users: pl.DataFrame | None,
    *,
    videos: pl.DataFrame,
    products: pl.DataFrame,
    event_weights: Mapping[str, float] = DEFAULT_EVENT_WEIGHTS,
) -> Log:
    """Return the log of a shop's tables over the rows of *videos* and *products*; other items' events are left out."""
    user_ids = IdMap(_all_users(interactions, impressions, users))
    markets = tuple(sorted(set(_column(interactions, C.MARKET).drop_nulls().to_list())))
    events = _by_user(interactions, user_ids, C.OCCURRED_AT).with_columns(
        item=_rows(interactions[C.PRODUCT_ID], products[C.PRODUCT_ID].to_list()),
        weight=interactions[C.EVENT].replace_strict(full_weights(event_weights), return_dtype=pl.Float64),
        market=_rows(_column(interactions, C.MARKET).cast(pl.String), list(markets)),
    )
    end_us = max(
        [_end_us(interactions[C.OCCURRED_AT])] + ([] if impressions is None else [_end_us(impressions[C.SHOWN_AT])])
    )
    unknown = np.bincount(events.filter(pl.col("item") < 0)["user"].to_numpy(), minlength=len(user_ids))
    events, offsets = _sorted_known(events, len(user_ids))
    return Log(
        user_ids,
        _markets_of_users(user_ids, users),
        end_us,
        unknown,
        Events(events["item"].to_numpy(), events["time"].to_numpy(), events["weight"].to_numpy(), offsets),
        events["market"].to_numpy(),
        markets,
        _column(products, C.POPULARITY, 0.0).fill_null(0.0).cast(pl.Float32).to_numpy(),
        products_of_videos(videos, IdMap(products[C.PRODUCT_ID].to_list())),
        _impressions_of(impressions, user_ids, videos),
    )


def _all_users(*tables: pl.DataFrame | None) -> list[str]:
    series = [table[C.USER_ID] for table in tables if table is not None]
    return pl.concat(series).unique(maintain_order=True).to_list()


def _column(frame: pl.DataFrame, name: str, default: float | None = None) -> pl.Series:
    return frame.get_column(name, default=pl.repeat(default, frame.height, eager=True).alias(name))


def _rows(ids: pl.Series, known: list[str]) -> pl.Series:
    """The row of each id among *known*, −1 for the others."""
    if not known:
        return pl.repeat(-1, len(ids), dtype=pl.Int64, eager=True)
    return ids.replace_strict(known, np.arange(len(known)), default=-1, return_dtype=pl.Int64)


def _by_user(table: pl.DataFrame, user_ids: IdMap, time: str) -> pl.DataFrame:
    """Columns user (a row) and time (microseconds)."""
    return pl.DataFrame(
        {"user": _rows(table[C.USER_ID], list(user_ids.ids)), "time": table[time].dt.timestamp("us").alias("time")}
    )


def _end_us(times: pl.Series) -> int:
    return int(times.dt.timestamp("us").to_numpy().max()) + 1


def _sorted_known(table: pl.DataFrame, n_users: int) -> tuple[pl.DataFrame, Ints]:
    """The rows of known items by user and time, and where each user's begin."""
    known = table.filter(pl.col("item") >= 0).sort("user", "time", maintain_order=True)
    return known, offsets_of(np.bincount(known["user"].to_numpy(), minlength=n_users))


def _markets_of_users(user_ids: IdMap, users: pl.DataFrame | None) -> tuple[str | None, ...]:
    if users is None or C.MARKET not in users.columns:
        return (None,) * len(user_ids)
    market_of = dict(zip(users[C.USER_ID], users[C.MARKET], strict=True))
    return tuple(market_of.get(user_id) for user_id in user_ids.ids)


def products_of_videos(videos: pl.DataFrame, product_ids: IdMap) -> Ragged:
    """The rows of the products of each video; those that *product_ids* lacks are left out."""
    if C.PRODUCT_IDS not in videos.columns:
        return Ragged(np.empty(0, np.int64), np.zeros(videos.height + 1, np.int64))
    lists = videos[C.PRODUCT_IDS].fill_null([])
    rows = product_ids.rows(lists.explode(empty_as_null=False).to_list())
    owners = np.repeat(np.arange(videos.height), lists.list.len().to_numpy())
    return group(owners[rows >= 0], rows[rows >= 0], videos.height)


def _impressions_of(impressions: pl.DataFrame | None, user_ids: IdMap, videos: pl.DataFrame) -> _Impressions:
    """The impressions of videos that the shop still has."""
    if impressions is None:
        nothing, never = np.empty(0, np.int64), np.empty(0, bool)
        return _Impressions(nothing, nothing, never, never, np.zeros(len(user_ids) + 1, np.int64))
    video = _rows(impressions[C.VIDEO_ID], videos[C.VIDEO_ID].to_list())
    lengths = _column(videos, C.DURATION_S).cast(pl.Float64).fill_null(np.nan).to_numpy()[video.to_numpy()]
    watch = impressions[C.WATCH_TIME_S].cast(pl.Float64).fill_null(np.nan).to_numpy()
    reached = impressions[C.REACHED].fill_null(False)
    table = _by_user(impressions, user_ids, C.SHOWN_AT).with_columns(
        item=video, reached=reached, watched=pl.Series(reached.to_numpy() & (watch >= WATCHED_SHARE * lengths))
    )
    known, offsets = _sorted_known(table, len(user_ids))
    item, time, was_reached, watched = (known[name].to_numpy() for name in ("item", "time", "reached", "watched"))
    return _Impressions(item, time, was_reached, watched, offsets)
