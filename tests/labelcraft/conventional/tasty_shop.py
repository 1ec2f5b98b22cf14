"""A shop of two tastes: who touched products of one kind watches videos of that kind, and leaves the others."""

from datetime import UTC, datetime, timedelta

import numpy as np
import polars as pl

from retrieval.tables import Columns as C

START = datetime(2026, 1, 1, tzinfo=UTC)
SPLIT = "2026-01-06"  # five days of the feed lie before it, one after
N_USERS, N_VIDEOS, DAYS = 40, 16, 6
KINDS = ("a", "b")


def at(days):
    return START + timedelta(days=days)


def write_shop(folder, *, watch_of_last_day=None):
    """Users u00 to u39 and videos v00 to v15, even ones of kind a; v16 (kind a) and v17 (b) come after the split.

    The user "stranger" watches and touched nothing. *watch_of_last_day* replaces what is watched after the split.
    """
    folder.mkdir(parents=True, exist_ok=True)
    products = [f"p-{kind}{n}" for kind in KINDS for n in range(3)]
    pl.DataFrame({C.PRODUCT_ID: products, C.TITLE: products, C.CATEGORY: [p[2] for p in products]}).write_parquet(
        folder / "products.parquet"
    )
    _videos(N_VIDEOS + 2).write_parquet(folder / "videos.parquet")
    _interactions().write_parquet(folder / "interactions.parquet")
    _impressions(watch_of_last_day).write_parquet(folder / "impressions.parquet")
    return folder


def _videos(n):
    kinds = [KINDS[v % 2] for v in range(n)]
    return pl.DataFrame(
        {
            C.VIDEO_ID: [f"v{v:02d}" for v in range(n)],
            C.URI: ["x.mp4"] * n,
            C.PUBLISHED_AT: [at(0) if v < N_VIDEOS else at(5.5) for v in range(n)],
            C.DURATION_S: [8.0 + v // 2 % 5 for v in range(n)],
            C.PRODUCT_IDS: [[f"p-{kind}{v % 3}"] for v, kind in enumerate(kinds)],
            C.CREATOR_ID: [f"creator-{kind}" for kind in kinds],
        },
        schema_overrides={C.PUBLISHED_AT: pl.Datetime("us", "UTC")},
    )


def _interactions():
    rows = [(f"u{u:02d}", f"p-{KINDS[u % 2]}{n}", "view", at(0.1 + n / 10)) for u in range(N_USERS) for n in range(3)]
    rows.append(("u00", "p-b0", "view", at(5.9)))  # after the split: nobody may know it
    names = [C.USER_ID, C.PRODUCT_ID, C.EVENT, C.OCCURRED_AT]
    return pl.DataFrame(rows, names, orient="row").with_columns(pl.col(C.OCCURRED_AT).cast(pl.Datetime("us", "UTC")))


def _impressions(watch_of_last_day):
    rng = np.random.default_rng(0)
    users = [*(f"u{u:02d}" for u in range(N_USERS)), "stranger"]
    rows = []
    for day in range(DAYS):
        for number, user in enumerate(users):
            for place, video in enumerate(rng.permutation(N_VIDEOS)[:4]):
                likes = (number % 2 == video % 2) != (rng.random() < 0.1)
                watch_s = 7.0 if likes else 1.0
                late = watch_of_last_day is not None and day == DAYS - 1
                reached = place < 3
                rows.append(
                    (f"f-{day}-{user}", user, f"v{video:02d}", place + 1, at(day + 0.5 + number / 100), reached,
                     (watch_of_last_day if late else watch_s) if reached else None)
                )  # fmt: skip
    names = [C.FEED_ID, C.USER_ID, C.VIDEO_ID, C.POSITION, C.SHOWN_AT, C.REACHED, C.WATCH_TIME_S]
    return pl.DataFrame(rows, names, orient="row").with_columns(pl.col(C.SHOWN_AT).cast(pl.Datetime("us", "UTC")))
