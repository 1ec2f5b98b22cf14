"""Logs by name and path as `Dataset`: a shop's impressions, KuaiRand, KuaiRec and the WeChat challenge.

Each reader in `adapters` says which columns it reads and what its data's oddities mean. They are read block by block:
what stays in memory is 40 bytes a row (user, video, time, watch time, duration), one for each kind of feedback, and
the videos.
"""

import logging
from collections.abc import Callable
from pathlib import Path

import numpy as np
import polars as pl

from labelcraft.adapters.impressions import scan_impressions
from labelcraft.adapters.kuairand import scan_kuairand, scan_kuairand_random
from labelcraft.adapters.kuairec import scan_kuairec
from labelcraft.adapters.raw import DURATION_S, ORDER, TIME_US, USER, VIDEO, WATCH_S, RawLog, collected
from labelcraft.adapters.wechat import scan_wechat
from labelcraft.dataset import NEW, Codes, Dataset, Field, Items, Log
from labelcraft.feedback import Feedback
from retrieval.errors import ConfigError, TableError

logger = logging.getLogger(__name__)

READERS: dict[str, Callable[[Path], RawLog]] = {
    "impressions": scan_impressions,
    "kuairand": scan_kuairand,
    "kuairand-random": scan_kuairand_random,
    "kuairec": scan_kuairec,
    "wechat": scan_wechat,
}
VIDEO_FIELD, DURATION_FIELD = "video", "duration"


def load_dataset(name: str, path: Path) -> Dataset:
    """Return the data set *name* of the folder or file *path*; nothing is fitted on it yet.

    Its codes are raw levels: every video, whole second and level has its own, a missing one is `NEW`. `splits` fits
    what training may know.

    Raises:
        ConfigError: no data set has that name.
        TableError: a file or column is missing, or holds what it must not.
    """
    if name not in READERS:
        raise ConfigError(f"There is no data set {name}.", f"Known ones: {', '.join(READERS)}.")
    if not path.exists():
        raise TableError(f"There is no {path} to read as {name}.", "Check the path of the data set.")
    return dataset_of(READERS[name](path), path)


def dataset_of(raw: RawLog, path: Path) -> Dataset:
    """*raw* read from *path*: rows as numbers in the order of user, time and place, videos as codes."""
    users = collected(raw.rows.select(pl.col(USER).unique()), path)[USER].sort()
    videos = collected(raw.videos, path).sort(VIDEO)
    numbers = (_number(USER, users), _number(VIDEO, videos[VIDEO]))
    rows = collected(raw.rows.select(*numbers, TIME_US, ORDER, WATCH_S, *raw.kinds), path)
    if rows.is_empty():
        raise TableError(f"{path} has no row that was watched.", "Export it again with the slots that were reached.")
    items = _items(videos, raw.fields)
    log = _log(rows.sort(USER, TIME_US, ORDER), users, items, raw.kinds)
    logger.info("%s: %d rows of %d users and %d videos", path, len(log), len(users), len(items.ids))
    return Dataset(log, items)


def _number(column: str, sorted_ids: pl.Series) -> pl.Expr:
    """The place of each id among *sorted_ids*, from 1: four bytes in place of a text."""
    return pl.col(column).cast(pl.Enum(sorted_ids)).to_physical().cast(pl.UInt32) + 1


def _log(rows: pl.DataFrame, users: pl.Series, items: Items, kinds: tuple[str, ...]) -> Log:
    item = rows[VIDEO].cast(pl.Int64).to_numpy()
    explicit = np.empty((len(rows), len(kinds)), np.bool_)
    for column, kind in enumerate(kinds):
        explicit[:, column] = rows[kind].to_numpy()
    return Log(
        user_ids=np.asarray(users.to_list(), np.str_),
        user=rows[USER].cast(pl.Int64).to_numpy(),
        item=item,
        time_us=rows[TIME_US].to_numpy(),
        feedback=Feedback(rows[WATCH_S].to_numpy(), items.duration_s[item], explicit, kinds),
    )


def _items(videos: pl.DataFrame, fields: tuple[str, ...]) -> Items:
    seconds = pl.when(pl.col(DURATION_S) > 0).then(pl.col(DURATION_S).round())
    levels = [(VIDEO_FIELD, pl.col(VIDEO)), (DURATION_FIELD, seconds), *((name, pl.col(name)) for name in fields)]
    columns = [_raw_codes(videos, values) for _, values in levels]
    return Items(
        ids=np.asarray(videos[VIDEO].to_list(), np.str_),
        fields=tuple(Field(name, int(codes.max()) + 1) for (name, _), codes in zip(levels, columns, strict=True)),
        codes=np.column_stack(columns),
        duration_s=np.concatenate([[0.0], videos[DURATION_S].to_numpy()]),
    )


def _raw_codes(videos: pl.DataFrame, values: pl.Expr) -> Codes:
    """A code for each distinct level from 2 on, `NEW` for a missing one, and padding's 0 before them."""
    ranks = (values.rank("dense").cast(pl.Int32) + NEW).fill_null(NEW)
    return np.concatenate([[0], videos.select(ranks).to_series().to_numpy()]).astype(np.int32)
