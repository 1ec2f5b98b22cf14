"""Recommendations for users of a log: one with reasons, or all of them into a table."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime

import numpy as np
import polars as pl
from numpy.typing import NDArray

from retrieval.errors import ConfigError
from retrieval.feed import Feed
from retrieval.log import Log, from_us, make_log, to_us
from retrieval.ranking import rank_lists
from retrieval.snapshot import Snapshot, require_count
from retrieval.systems import Audience, SystemConfig, SystemKind
from retrieval.tables import Columns as C
from retrieval.tables import Tables
from retrieval.where import Where

USERS_AT_ONCE = 512


def log_of(snapshot: Snapshot, tables: Tables, config: SystemConfig) -> Log:
    """The log of *tables* by the rows of *snapshot*, events weighted as *config* says."""
    return make_log(
        tables.interactions, tables.impressions, tables.users,
        videos=snapshot.videos, products=snapshot.products, event_weights=config.event_weights,
    )  # fmt: skip


def audience_of(log: Log, user_rows: NDArray[np.int64], at_us: int, config: SystemConfig) -> Audience:
    """The users in *user_rows* as they were known at *at_us*."""
    return Audience(
        [log.users.ids[row] for row in user_rows],
        log.events(user_rows, at_us, config.max_events),
        log.seen(user_rows, at_us),
        at_us,
        [log.user_markets[row] for row in user_rows],
    )


def refuse_later_training(snapshot: Snapshot, config: SystemConfig, at_us: int) -> None:
    """Refuse to ask in the past what was learned since: such an answer would know the future.

    Raises:
        ConfigError: the vectors of a conventional system were trained on what came after *at_us*.
    """
    given = snapshot.conventional
    if config.kind is SystemKind.CONVENTIONAL and given and given.trained_before_us > at_us:
        raise ConfigError(
            f"The snapshot's conventional vectors were trained on what came before {from_us(given.trained_before_us)}, "
            f"later than the time of asking, {from_us(at_us)}.",
            "Ask at a later time, or publish a run that was trained on what came before.",
        )


def recommend_user(
    snapshot: Snapshot, log: Log, user_id: str, k: int, name: str, config: SystemConfig, at_us: int, where: Where
) -> Feed:
    """The feed of one user, with reasons; a user nobody knows gets the global vector's."""
    statistics = log.statistics(at_us)
    refuse_later_training(snapshot, config, at_us)
    row = log.users.row(user_id)
    if row is None:
        audience = Audience(
            [user_id], log.events(np.array([-1]), at_us), log.seen(np.array([-1]), at_us), at_us, [None]
        )
    else:
        audience = audience_of(log, np.array([row]), at_us, config)
    (feed,) = snapshot.feeds(audience, k, config, where=where, statistics=statistics, name=name)
    return feed if row is None else replace(feed, unknown_products=int(log.unknown_products[row]))


def recommend_all(
    snapshot: Snapshot,
    log: Log,
    k: int,
    name: str,
    config: SystemConfig,
    at_us: int,
    where: Where,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> pl.DataFrame:
    """The rows of `recommendations.parquet` for every user of the log, in batches."""
    k = min(require_count(k), max(1, len(snapshot.video_ids)))
    statistics = log.statistics(at_us)
    eligible = snapshot.eligible(at_us, config.where + where)
    system = snapshot.system(config, at_us, statistics)
    refuse_later_training(snapshot, config, at_us)
    video_ids = snapshot.videos[C.VIDEO_ID]
    parts = []
    for rows in _batches(len(log.users)):
        audience = audience_of(log, rows, at_us, config)
        found = rank_lists(snapshot, system, audience, k, config, eligible).neighbours
        user, place = np.nonzero(found.rows >= 0)
        parts.append(
            pl.DataFrame(
                {
                    C.USER_ID: pl.Series(audience.user_ids)[user],
                    C.VIDEO_ID: video_ids[found.rows[user, place]],
                    C.RANK: place + 1,
                    C.SCORE: found.scores[user, place],
                }
            )
        )
        progress(int(rows[-1]) + 1, len(log.users))
    table = pl.concat(parts).with_columns(
        pl.lit(name).alias(C.SYSTEM),
        pl.lit(from_us(at_us)).cast(pl.Datetime("us", "UTC")).alias(C.RECOMMENDED_AT),
        pl.lit(snapshot.version).alias(C.SNAPSHOT),
    )
    return table.select(C.SYSTEM, C.USER_ID, C.VIDEO_ID, C.RANK, C.SCORE, C.RECOMMENDED_AT, C.SNAPSHOT)


def _batches(n_users: int) -> Iterator[NDArray[np.int64]]:
    for start in range(0, n_users, USERS_AT_ONCE):
        yield np.arange(start, min(start + USERS_AT_ONCE, n_users))


def parse_at(text: str | None) -> int | None:
    """Microseconds since 1970 of a time as written on a command line; without a zone it is UTC.

    Raises:
        ConfigError: it is not a time.

    >>> parse_at("1970-01-01T00:01"), parse_at(None)
    (60000000, None)
    """
    if text is None:
        return None
    try:
        moment = datetime.fromisoformat(text)
    except ValueError as error:
        raise ConfigError(f"{text!r} is not a time.", "Write it as in --at 2026-01-31T12:00.") from error
    return to_us(moment if moment.tzinfo else moment.replace(tzinfo=UTC))
