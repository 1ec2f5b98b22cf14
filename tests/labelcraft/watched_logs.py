"""A log in which some videos are watched longer by everyone, for trainings that end in seconds."""

import numpy as np
import polars as pl

from labelcraft.splits import DAY_US, Split, SplitOptions, split_dataset
from retrieval.tables import Columns as C
from tests.labelcraft.small_logs import Seen, make_dataset

N_USERS, A_DAY, DAYS = 16, 12, 5
OPTIONS = SplitOptions(days=(3, 1, 1), min_count=1)


def rows(seed: int = 0) -> list[Seen]:
    """Twelve rows a user a day; video i of 30 is watched about i seconds, and liked the more often the longer."""
    rng = np.random.default_rng(seed)
    drawn = [
        (user, day, video) for user in range(N_USERS) for day in range(DAYS) for video in rng.integers(30, size=A_DAY)
    ]
    return [
        Seen(f"u{u:02d}", f"v{v:02d}", day + 0.02 * (i % A_DAY), float(v + rng.random()), bool(rng.random() < v / 40))
        for i, (u, day, v) in enumerate(drawn)
    ]


def split(seed: int = 0) -> Split:
    """Three days to train on, one to validate and one to test; durations of 10 to 39 seconds."""
    durations = {f"v{v:02d}": 10.0 + (7 * v) % 30 for v in range(30)}
    return split_dataset(make_dataset(*rows(seed), durations=durations), OPTIONS)


def write_shop(folder) -> None:
    """The same log as a shop's tables."""
    folder.mkdir(parents=True, exist_ok=True)
    seen = rows()
    times = pl.Series([round(row.day * DAY_US) for row in seen]).cast(pl.Datetime("us", "UTC"))
    frame = pl.DataFrame(
        {
            C.FEED_ID: [f"f{i}" for i in range(len(seen))],
            C.USER_ID: [row.user for row in seen],
            C.VIDEO_ID: [row.video for row in seen],
            C.POSITION: [1] * len(seen),
            C.SHOWN_AT: times,
            C.REACHED: [True] * len(seen),
            C.WATCH_TIME_S: [row.watch_s for row in seen],
            C.LIKED: [row.liked for row in seen],
        }
    )
    frame.write_parquet(folder / "impressions.parquet")
    ids = [f"v{v:02d}" for v in range(30)]
    published = pl.Series([0] * 30).cast(pl.Datetime("us", "UTC"))
    durations = [10.0 + (7 * v) % 30 for v in range(30)]
    videos = {C.VIDEO_ID: ids, C.URI: ids, C.PUBLISHED_AT: published, C.DURATION_S: durations}
    pl.DataFrame(videos).write_parquet(folder / "videos.parquet")
