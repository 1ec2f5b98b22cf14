"""KuaiRand in its original files (1K, 27K and Pure), and the published subset of 27K with an explicit like or hate.

Of `log_*.csv` these columns are read: user_id, video_id, time_ms, play_time_ms, duration_ms, is_like, is_comment,
is_follow, is_forward and is_rand. Of `video_features_basic_*.csv`: video_id, author_id, music_id and tag.

- Times are `time_ms`. `date` and `hourmin` are the date in China and a rounded hour: they order nothing here.
- Milliseconds become seconds. A duration of 0 is not known. Watch times above the duration are replays and are kept.
- A (user, video) pair that occurs again is another row: the same video was shown again.
- Feedback is like, comment, follow and forward. is_hate is the opposite of approval, is_click and long_view are
  derived from watch time, and profile and comment stays are not given on purpose: none of them counts.
- Every row was on the screen, so every row is kept; a watch time of 0 is one.
- `is_rand` tells rows whose video was drawn at random in place of the feed's own choice. `kuairand` leaves them out,
  `kuairand-random` reads nothing else: an unbiased check, never mixed with what a policy chose.
- Of a video's tags the first one counts. `video_features_statistic_*.csv` is never read: it counts a whole month, so
  it knows what comes after training.
- Video numbers differ between 1K, 27K and Pure: features are taken from the same edition only.
- `feed_27k_liked_or_hated.tsv` has `label` in place of is_like and is_hate (1 like, 0 hate), no is_rand (all of it is
  the feed's own choice) and no table of videos. Only rows with a like or a hate are in it: its rates are not a feed's.
"""

import logging
import re
from pathlib import Path

import polars as pl

from labelcraft.adapters.raw import (
    COMMENTED,
    CREATOR,
    DURATION_S,
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
    collected,
    durations_of,
    flag,
    known_duration,
    scan_text,
    seconds_of_ms,
    usable,
    whole_us,
)
from retrieval.errors import TableError

logger = logging.getLogger(__name__)

KINDS = (LIKED, COMMENTED, FOLLOWED, SHARED)
IS_RAND = "is_rand"
FIELDS = (CREATOR, TAG, MUSIC)
EDITION = re.compile(r"(1k|27k|pure)", re.IGNORECASE)
_NUMBERS = ("time_ms", "play_time_ms", "duration_ms", "is_comment", "is_follow", "is_forward")
_IDS = {"user_id": pl.String, "video_id": pl.String}


def scan_kuairand(path: Path) -> RawLog:
    """The rows that the feed itself chose: of all `log_*.csv` of a folder (or its `data`), or of one file."""
    return _scan(path, random=False)


def scan_kuairand_random(path: Path) -> RawLog:
    """The rows whose video was drawn at random."""
    return _scan(path, random=True)


def _scan(path: Path, *, random: bool) -> RawLog:
    files = _log_files(path)
    rows = usable(_rows(files), path).filter(pl.col(IS_RAND) == random).drop(IS_RAND)
    if collected(rows.head(1), path).is_empty():
        other, wanted = ("kuairand", "drawn at random") if random else ("kuairand-random", "chosen by the feed")
        raise TableError(f"{path} has no row whose video was {wanted}.", f"Read it as {other}, or give another file.")
    videos = durations_of(rows)
    features = _features_file(files[0])
    if features is None:
        return RawLog(rows, videos, KINDS, ())
    return RawLog(rows, videos.join(_features(features), on=VIDEO, how="left"), KINDS, FIELDS)


def _log_files(path: Path) -> list[Path]:
    """The logs that *path* names; `is_rand` in the rows, not the file's name, says what they are."""
    if not path.is_dir():
        return [path]
    files = sorted(path.glob("log_*.csv")) or sorted((path / "data").glob("log_*.csv"))
    if not files:
        raise TableError(
            f"{path} holds no log_*.csv, nor does a folder data in it.",
            "Give the unpacked folder of KuaiRand-1K, -27K or -Pure, or one log file.",
        )
    return files


def _rows(files: list[Path]) -> pl.LazyFrame:
    if files[0].suffix == ".tsv":
        scan, liked, is_rand = _numbers(files, ("label",), "\t"), flag("label"), pl.lit(False)
    else:
        scan, liked, is_rand = _numbers(files, ("is_like", IS_RAND), ","), flag("is_like"), flag(IS_RAND)
    return scan.select(
        is_rand.alias(IS_RAND),
        pl.col("user_id").alias(USER),
        pl.col("video_id").alias(VIDEO),
        whole_us(pl.col("time_ms"), 1000).alias(TIME_US),
        ORDER,
        seconds_of_ms("play_time_ms").alias(WATCH_S),
        known_duration(seconds_of_ms("duration_ms")).alias(DURATION_S),
        liked.alias(LIKED),
        flag("is_comment").alias(COMMENTED),
        flag("is_follow").alias(FOLLOWED),
        flag("is_forward").alias(SHARED),
    )


def _numbers(files: list[Path], more: tuple[str, ...], separator: str) -> pl.LazyFrame:
    return scan_text(files, {**_IDS, **dict.fromkeys((*_NUMBERS, *more), pl.Float64)}, separator)


def _features_file(log: Path) -> Path | None:
    """The table of videos beside *log*, of the same edition."""
    edition = EDITION.search(log.stem)
    file = log.with_name(f"video_features_basic_{edition[1].lower()}.csv") if edition else None
    if file is not None and file.is_file():
        return file
    logger.info("%s: no table of videos of its edition beside it, so videos have no creator, tag or music", log)
    return None


def _features(file: Path) -> pl.LazyFrame:
    scan = scan_text([file], dict.fromkeys(("video_id", "author_id", "tag", "music_id"), pl.String))
    return scan.select(
        pl.col("video_id").alias(VIDEO),
        pl.col("author_id").alias(CREATOR),
        pl.col("tag").str.extract(FIRST_NUMBER).alias(TAG),
        pl.col("music_id").alias(MUSIC),
    ).unique(VIDEO, keep="any")
