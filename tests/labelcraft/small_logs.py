"""Logs written by hand or drawn at random: what the tests of splits, histories and batches stand on."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl

from labelcraft.adapters.raw import CREATOR, DURATION_S, LIKED, ORDER, TIME_US, USER, VIDEO, WATCH_S, RawLog
from labelcraft.dataset import Dataset
from labelcraft.datasets import dataset_of
from labelcraft.splits import DAY_US


@dataclass(frozen=True)
class Seen:
    """One row of a log: *day* may have a fraction; *watch_s* names the row where it is asked for again."""

    user: str
    video: str
    day: float
    watch_s: float = 1.0
    liked: bool = False


def make_dataset(
    *rows: Seen, durations: dict[str, float] | None = None, creators: dict[str, str] | None = None
) -> Dataset:
    """The rows as a reader would give them; videos last ten seconds and have no creator unless it is said."""
    videos = sorted({row.video for row in rows} | set(durations or {}))
    frame = pl.LazyFrame(
        {
            USER: [row.user for row in rows],
            VIDEO: [row.video for row in rows],
            TIME_US: [round(row.day * DAY_US) for row in rows],
            ORDER: list(range(len(rows))),
            WATCH_S: [float(row.watch_s) for row in rows],
            LIKED: [row.liked for row in rows],
        }
    )
    known = {
        VIDEO: videos,
        DURATION_S: [(durations or {}).get(video, 10.0) for video in videos],
        CREATOR: pl.Series([(creators or {}).get(video) for video in videos], dtype=pl.String),
    }
    return dataset_of(RawLog(frame, pl.LazyFrame(known), (LIKED,), (CREATOR,)), Path("rows.csv"))


def random_rows(seed: int, n: int = 300, days: int = 5) -> list[Seen]:
    """Rows of eight users and thirty videos on few distinct times, so that feeds share one; row i was watched i s."""
    rng = np.random.default_rng(seed)
    drawn = zip(rng.integers(8, size=n), rng.integers(30, size=n), rng.integers(days * 20, size=n) / 20, strict=True)
    return [Seen(f"u{user}", f"v{video}", float(day), float(i)) for i, (user, video, day) in enumerate(drawn)]
