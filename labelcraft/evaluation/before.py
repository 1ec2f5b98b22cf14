"""What the feed showed before the split, video by video: popularity, and how long videos were watched."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl

from labelcraft.adapters.impressions import scan_log
from labelcraft.adapters.raw import collected
from labelcraft.evaluation.feeds import Floats, Videos
from retrieval.log import WATCHED_SHARE
from retrieval.ragged import Ints
from retrieval.tables import Columns as C

_ROW, _DURATION = "row", "duration"


@dataclass(frozen=True)
class Before:
    """Counts by the snapshot's rows `(n_videos,)`, of what was shown strictly before the split.

    *watched* by half; *watch_s* is the sum over reached slots; *together* is the popularity by co-occurrence,
    Σ_{u ∋ i} (|I_u| − 1) over the sets I_u of videos that a user watched.
    """

    shown: Ints
    reached: Ints
    watched: Ints
    watch_s: Floats
    together: Ints


def count_before(file: Path, split_us: int, videos: Videos) -> Before:
    """The counts of a log of impressions, streamed; videos that the snapshot lacks do not count."""
    table = pl.LazyFrame(
        {C.VIDEO_ID: list(videos.ids.ids), _ROW: np.arange(len(videos.ids)), _DURATION: videos.duration_s},
        schema={C.VIDEO_ID: pl.String, _ROW: pl.Int64, _DURATION: pl.Float64},
    )
    earlier = pl.col(C.SHOWN_AT).dt.timestamp("us") < split_us
    rows = scan_log(file, {}).filter(earlier).join(table, on=C.VIDEO_ID, how="inner")
    reached = pl.col(C.REACHED).fill_null(False)
    # A comparison with NaN is true in polars: a video of unknown length would count as watched.
    half = (pl.col(C.WATCH_TIME_S) >= WATCHED_SHARE * pl.col(_DURATION)) & pl.col(_DURATION).is_not_nan()
    watched = reached & half.fill_null(False)
    watch_s = pl.when(reached & (pl.col(C.WATCH_TIME_S) >= 0)).then(pl.col(C.WATCH_TIME_S)).otherwise(0.0)
    by_video = collected(
        rows.group_by(_ROW).agg(pl.len().alias("shown"), reached.sum(), watched.sum().alias("watched"), watch_s.sum()),
        file,
    )
    n = len(videos.ids)
    shown, was_reached, was_watched = (
        _placed(by_video, name, n).astype(np.int64) for name in ("shown", C.REACHED, "watched")
    )
    seconds = _placed(by_video, C.WATCH_TIME_S, n)
    return Before(shown, was_reached, was_watched, seconds, _together(rows.filter(watched), file, n))


def _together(watched: pl.LazyFrame, file: Path, n_videos: int) -> Ints:
    pairs = watched.select(C.USER_ID, _ROW).drop_nulls().unique()
    others = pairs.group_by(C.USER_ID).agg((pl.len().cast(pl.Int64) - 1).alias("others"))
    by_video = pairs.join(others, on=C.USER_ID).group_by(_ROW).agg(pl.col("others").sum())
    return _placed(collected(by_video, file), "others", n_videos).astype(np.int64)


def _placed(by_video: pl.DataFrame, column: str, n_videos: int) -> Floats:
    """A column by row, 0 for the videos it lacks."""
    placed = np.zeros(n_videos)
    placed[by_video[_ROW].to_numpy()] = by_video[column].to_numpy()
    return placed
