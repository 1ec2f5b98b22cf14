"""KuaiRec in its original files: `big_matrix.csv` or `small_matrix.csv`, and `item_categories.csv`.

Of a matrix these columns are read: user_id, video_id, play_duration, video_duration and timestamp. Of the categories:
video_id and feat.

- KuaiRec has **no explicit feedback**: its kinds are none, so every row's `explicit` is empty and nobody is engaged.
  Labels and objectives made of explicit feedback (EF, NEG) have nothing to work on here.
- Milliseconds become seconds. A duration of 0 is not known. Watch times above the duration are replays and are kept;
  watch_ratio is not read, being the quotient of two columns that are.
- Times are `timestamp` (seconds); `time` and `date` are China's and order nothing here. Rows without one (about 4 % of
  the small matrix) cannot be put before or after others and are set aside, with a count.
- A (user, video) pair that occurs again is another row.
- A folder means its big matrix, the feed's own log. The small one is nearly fully observed: nobody's feed chose it.
  Give its file to read it. Of a video's categories the first one counts.
- `item_daily_features.csv` is not read: it counts whole days, so it knows what comes after a row.
"""

from pathlib import Path

import polars as pl

from labelcraft.adapters.raw import (
    DURATION_S,
    FIRST_NUMBER,
    ORDER,
    TAG,
    TIME_US,
    USER,
    VIDEO,
    WATCH_S,
    RawLog,
    durations_of,
    known_duration,
    scan_text,
    seconds_of_ms,
    usable,
    whole_us,
)
from retrieval.errors import TableError

_COLUMNS = {
    "user_id": pl.String,
    "video_id": pl.String,
    **dict.fromkeys(("play_duration", "video_duration", "timestamp"), pl.Float64),
}


def scan_kuairec(path: Path) -> RawLog:
    """The big matrix of a folder (or its `data`), or the matrix that *path* names."""
    file = _matrix(path)
    rows = usable(_rows(file), file)
    videos = durations_of(rows).join(_categories(file.with_name("item_categories.csv")), on=VIDEO, how="left")
    return RawLog(rows, videos, (), (TAG,))


def _matrix(path: Path) -> Path:
    if not path.is_dir():
        return path
    for folder in (path, path / "data"):
        if (folder / "big_matrix.csv").is_file():
            return folder / "big_matrix.csv"
    raise TableError(
        f"{path} holds no big_matrix.csv, nor does a folder data in it.",
        "Give the unpacked folder of KuaiRec, or the file of a matrix.",
    )


def _rows(file: Path) -> pl.LazyFrame:
    return scan_text([file], _COLUMNS).select(
        pl.col("user_id").alias(USER),
        pl.col("video_id").alias(VIDEO),
        whole_us(pl.col("timestamp"), 1_000_000).alias(TIME_US),
        ORDER,
        seconds_of_ms("play_duration").alias(WATCH_S),
        known_duration(seconds_of_ms("video_duration")).alias(DURATION_S),
    )


def _categories(file: Path) -> pl.LazyFrame:
    scan = scan_text([file], {"video_id": pl.String, "feat": pl.String})
    tag = pl.col("feat").str.extract(FIRST_NUMBER).alias(TAG)
    return scan.select(pl.col("video_id").alias(VIDEO), tag).unique(VIDEO, keep="any")
