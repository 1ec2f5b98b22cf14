"""Logs of a few feeds, written by hand."""

from datetime import timedelta
from pathlib import Path

import numpy as np
import polars as pl

from labelcraft.evaluation.counted import Odd
from labelcraft.evaluation.feeds import Videos, open_feeds
from labelcraft.evaluation.split_time import Split
from retrieval.ids import IdMap
from retrieval.log import to_us
from retrieval.tables import Columns as C
from tests.shop import at

SPLIT_HOURS = 100.0
N_VIDEOS = 6
VIDEO_IDS = [f"v{row}" for row in range(N_VIDEOS)]


def slot(feed, position, video, hours=110.0, user="ann", watch_s=8.0, reached=True, **more):
    """One impression of a video of ten seconds; watched to 8 s it is a positive."""
    return {
        C.FEED_ID: feed, C.USER_ID: user, C.VIDEO_ID: video, C.POSITION: position, C.SHOWN_AT: at(hours),
        C.REACHED: reached, C.WATCH_TIME_S: watch_s if reached else None, C.EXAMINATION_PROPENSITY: 1.0 / position,
    } | more  # fmt: skip


def write_log(folder: Path, slots) -> Path:
    file = folder / "impressions.parquet"
    frame = pl.DataFrame(slots, infer_schema_length=None)
    frame.cast({C.SHOWN_AT: pl.Datetime("us", "UTC")}).write_parquet(file)
    return file


def videos(snapshot=VIDEO_IDS, catalogue=VIDEO_IDS, duration_s=10.0):
    n = len(snapshot)
    return Videos(
        IdMap(list(snapshot)), np.full(n, duration_s), np.full(n, to_us(at(0)), np.int64), pl.Series(list(catalogue))
    )


def split(ahead=0):
    return Split(to_us(at(SPLIT_HOURS)), to_us(at(SPLIT_HOURS) + timedelta(days=2)), ahead)


def opened(folder, slots, **more):
    return open_feeds(write_log(folder, slots), more.pop("split", split()), more.pop("videos", videos()), **more)


def read(log):
    """All parts, and their counts together."""
    parts = list(log.parts())
    counts = {odd: sum(part.counts.get(odd, 0) for part in parts) + log.counts.get(odd, 0) for odd in Odd}
    return parts, counts


def feeds_of(log):
    """By feed_id: its videos' rows in logged order."""
    return {
        feed: part.videos[part.offsets[n] : part.offsets[n + 1]].tolist()
        for part in log.parts()
        for n, feed in enumerate(part.feed_ids)
    }
