"""The WeChat Big Data Challenge in its original files: `user_action.csv` and `feed_info.csv`.

Of the actions these columns are read: userid, feedid, date_, play, like, comment, follow, forward and favorite. Of the
videos: feedid, authorid, videoplayseconds, bgm_song_id and manual_tag_list.

- Time is a **day number** only. All rows of a user's day share one time, so they are not in each other's histories,
  and the log can be split by days but not within one.
- `play` is in milliseconds, `videoplayseconds` in seconds. A duration of 0 is not known. Watch times above the
  duration are replays and are kept. `stay` counts the time on the page, so it is not watch time.
- Feedback is like, comment, follow, forward and favorite. read_comment and click_avatar are looks, not approval.
- A (user, video) pair that occurs again is another row. Every row was on the screen, so every row is kept.
- Of a video's tags that people gave (manual_tag_list) the first one counts; the machine's tags are not read.
"""

from pathlib import Path

import polars as pl

from labelcraft.adapters.raw import (
    COMMENTED,
    CREATOR,
    DURATION_S,
    FAVORITED,
    FIRST_NUMBER,
    FOLLOWED,
    LIKED,
    MUSIC,
    ORDER,
    SHARED,
    TAG,
    TIME_US,
    USER,
    VIDEO,
    WATCH_S,
    RawLog,
    flag,
    known_duration,
    scan_text,
    seconds_of_ms,
    usable,
    whole_us,
)

KINDS = {LIKED: "like", COMMENTED: "comment", FOLLOWED: "follow", SHARED: "forward", FAVORITED: "favorite"}
DAY_US = 86_400_000_000


def scan_wechat(path: Path) -> RawLog:
    """The actions of a folder, or of the file *path* with `feed_info.csv` beside it."""
    file = path / "user_action.csv" if path.is_dir() else path
    rows = usable(_rows(file), file)
    videos = rows.select(VIDEO).unique().join(_videos(file.with_name("feed_info.csv")), on=VIDEO, how="left")
    return RawLog(rows, videos.with_columns(pl.col(DURATION_S).fill_null(0.0)), tuple(KINDS), (CREATOR, TAG, MUSIC))


def _rows(file: Path) -> pl.LazyFrame:
    numbers = dict.fromkeys(("date_", "play", *KINDS.values()), pl.Float64)
    return scan_text([file], {"userid": pl.String, "feedid": pl.String, **numbers}).select(
        pl.col("userid").alias(USER),
        pl.col("feedid").alias(VIDEO),
        whole_us(pl.col("date_"), DAY_US).alias(TIME_US),
        ORDER,
        seconds_of_ms("play").alias(WATCH_S),
        *(flag(column).alias(kind) for kind, column in KINDS.items()),
    )


def _videos(file: Path) -> pl.LazyFrame:
    texts = dict.fromkeys(("feedid", "authorid", "bgm_song_id", "manual_tag_list"), pl.String)
    return (
        scan_text([file], {**texts, "videoplayseconds": pl.Float64})
        .select(
            pl.col("feedid").alias(VIDEO),
            known_duration(pl.col("videoplayseconds")).alias(DURATION_S),
            pl.col("authorid").alias(CREATOR),
            pl.col("manual_tag_list").str.extract(FIRST_NUMBER).alias(TAG),
            pl.col("bgm_song_id").alias(MUSIC),
        )
        .unique(VIDEO, keep="any")
    )
