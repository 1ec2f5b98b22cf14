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
    """Microseconds since 1970 of a moment with a time zone.

    >>> to_us(datetime(1970, 1, 1, 0, 0, 1, tzinfo=UTC))
    1000000
    """
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
    """A shop's log by row numbers: catalogue events sorted by user and time, and the impressions of videos.

    Everything it tells of a time is made of events strictly before it.
    """

    users: IdMap
    user_markets: tuple[str | None, ...]
    _owners: Ints
    _product_rows: Ints
    _times_us: Ints
    _weights: NDArray[np.float64]
    _event_markets: Ints
    _markets: tuple[str, ...]
    _prior_popularity: NDArray[np.float32]
    _video_products: Ragged
    _impressions: pl.DataFrame

    @property
    def end_us(self) -> int:
        """Just after the last event: the time at which all of the log is known."""
        shown = self._impressions["time"].to_numpy()
        return max(int(self._times_us.max(initial=0)), int(shown.max(initial=0))) + 1

    def events(self, user_rows: Ints, at_us: int, limit: int = 100) -> Events:
        """The last *limit* weighted events of each user before *at_us*; an unknown user (−1) has none."""
        known = (self._times_us < at_us) & (self._weights > 0)
        positions = np.flatnonzero(known)
        counts = np.bincount(self._owners[positions], minlength=len(self.users))
        ends = offsets_of(counts)[1:]
        lengths = np.where(user_rows >= 0, np.minimum(counts[user_rows], limit), 0) if len(counts) else 0 * user_rows
        taken = positions[spans(ends[user_rows] - lengths, lengths)] if len(counts) else positions[:0]
        return Events(self._product_rows[taken], self._times_us[taken], self._weights[taken], offsets_of(lengths))

    def seen(self, user_rows: Ints, at_us: int) -> Ragged:
        """The videos that each user reached before *at_us*."""
        before = self._impressions.filter((pl.col("time") < at_us) & pl.col(C.REACHED))
        per_user = group(before["user"].to_numpy(), before["video"].to_numpy(), len(self.users))
        lengths = np.where(user_rows >= 0, per_user.lengths[user_rows], 0)
        return Ragged(per_user.values[spans(per_user.offsets[user_rows], lengths)], offsets_of(lengths))

    def statistics(self, at_us: int, without_users: Ints | None = None) -> Statistics:
        """Popularity counted before *at_us*, *without_users* where these are to be judged by it."""
        hidden = np.zeros(len(self.users), bool)
        hidden[without_users if without_users is not None else []] = True
        products = self._product_popularity(at_us, hidden)
        return Statistics(at_us, self._video_popularity(at_us, hidden, products[0]), products, self._markets)

    def _product_popularity(self, at_us: int, hidden: NDArray[np.bool_]) -> NDArray[np.float32]:
        """Counts of weighted events, overall and by market; the table's own popularity where there are none."""
        n_products = len(self._prior_popularity)
        counted = (self._times_us < at_us) & (self._weights > 0) & ~hidden[self._owners]
        rows, markets = self._product_rows[counted], self._event_markets[counted]
        overall = np.bincount(rows, minlength=n_products)
        cells = (markets * n_products + rows)[markets >= 0]
        by_market = np.bincount(cells, minlength=len(self._markets) * n_products).reshape(-1, n_products)
        first = overall if overall.any() else self._prior_popularity
        return np.vstack([first[None], by_market]).astype(np.float32)

    def _video_popularity(
        self, at_us: int, hidden: NDArray[np.bool_], product_popularity: NDArray[np.float32]
    ) -> NDArray[np.float32]:
        """How often each video was watched by half; before any watch, how popular its products are."""
        before = self._impressions.filter((pl.col("time") < at_us) & pl.col("watched"))
        shown = before.filter(~pl.Series(hidden[before["user"].to_numpy()]))
        n_videos = len(self._video_products)
        if not shown.is_empty():
            return np.bincount(shown["video"].to_numpy(), minlength=n_videos).astype(np.float32)
        owners = np.repeat(np.arange(n_videos), self._video_products.lengths)
        weights = product_popularity[self._video_products.values]
        return np.bincount(owners, weights=weights, minlength=n_videos).astype(np.float32)


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
    product_ids, video_ids = IdMap(products[C.PRODUCT_ID].to_list()), IdMap(videos[C.VIDEO_ID].to_list())
    user_ids = IdMap(_all_users(interactions, impressions, users))
    known = interactions.filter(pl.col(C.PRODUCT_ID).is_in(products[C.PRODUCT_ID].implode()))
    events = known.with_columns(owner=pl.Series(user_ids.rows(known[C.USER_ID]))).sort(
        "owner", C.OCCURRED_AT, maintain_order=True
    )
    markets = tuple(sorted(set(_column(events, C.MARKET).drop_nulls().to_list())))
    return Log(
        user_ids,
        _markets_of_users(user_ids, users),
        events["owner"].to_numpy(),
        product_ids.rows(events[C.PRODUCT_ID]),
        _times(events[C.OCCURRED_AT]),
        events[C.EVENT].replace_strict(full_weights(event_weights), return_dtype=pl.Float64).to_numpy(),
        IdMap(markets).rows(_column(events, C.MARKET)),
        markets,
        _column(products, C.POPULARITY, 0.0).fill_null(0.0).cast(pl.Float32).to_numpy(),
        _products_of_videos(videos, product_ids),
        _impressions_by_row(impressions, user_ids, video_ids, videos),
    )


def _all_users(*tables: pl.DataFrame | None) -> list[str]:
    series = [table[C.USER_ID] for table in tables if table is not None]
    return pl.concat(series).unique(maintain_order=True).to_list()


def _column(frame: pl.DataFrame, name: str, default: float | None = None) -> pl.Series:
    return frame.get_column(name, default=pl.repeat(default, frame.height, eager=True).alias(name))


def _times(column: pl.Series) -> Ints:
    return column.dt.timestamp("us").to_numpy()


def _markets_of_users(user_ids: IdMap, users: pl.DataFrame | None) -> tuple[str | None, ...]:
    if users is None or C.MARKET not in users.columns:
        return (None,) * len(user_ids)
    market_of = dict(zip(users[C.USER_ID], users[C.MARKET], strict=True))
    return tuple(market_of.get(user_id) for user_id in user_ids.ids)


def _products_of_videos(videos: pl.DataFrame, product_ids: IdMap) -> Ragged:
    if C.PRODUCT_IDS not in videos.columns:
        return Ragged(np.empty(0, np.int64), np.zeros(videos.height + 1, np.int64))
    lists = videos[C.PRODUCT_IDS].fill_null([])
    rows = product_ids.rows(lists.explode(empty_as_null=False).to_list())
    owners = np.repeat(np.arange(videos.height), lists.list.len().to_numpy())
    return group(owners[rows >= 0], rows[rows >= 0], videos.height)


def _impressions_by_row(
    impressions: pl.DataFrame | None, user_ids: IdMap, video_ids: IdMap, videos: pl.DataFrame
) -> pl.DataFrame:
    """Columns user, video (rows), time (microseconds), reached and watched; only of videos that the shop still has."""
    if impressions is None:
        kinds = {"user": pl.Int64, "video": pl.Int64, "time": pl.Int64, C.REACHED: pl.Boolean, "watched": pl.Boolean}
        return pl.DataFrame(schema=kinds)
    rows = video_ids.rows(impressions[C.VIDEO_ID])
    durations = _column(videos, C.DURATION_S).cast(pl.Float64).fill_null(0.0).to_numpy()[rows]
    watch = impressions[C.WATCH_TIME_S].fill_null(0.0).to_numpy()
    reached = impressions[C.REACHED].fill_null(False)
    by_row = pl.DataFrame(
        {
            "user": user_ids.rows(impressions[C.USER_ID]),
            "video": rows,
            "time": _times(impressions[C.SHOWN_AT]),
            C.REACHED: reached,
            "watched": reached.to_numpy() & (watch >= WATCHED_SHARE * durations),
        }
    )
    return by_row.filter(pl.col("video") >= 0)
