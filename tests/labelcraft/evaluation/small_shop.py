"""A small shop with a snapshot by hand: six videos, forty users, feeds that show the newest first."""

from datetime import timedelta
from pathlib import Path

import numpy as np
import polars as pl

from indexing.publish import build_snapshot
from retrieval.conventional import RunVectors, save_vectors
from retrieval.log import to_us
from retrieval.tables import Columns as C
from tests.labelcraft.evaluation.logs import SPLIT_HOURS, VIDEO_IDS, slot, write_log
from tests.shop import at
from tests.stores import HandStore

PRODUCTS = ["p0", "p1", "p2"]
USERS = [f"u{n:02}" for n in range(40)]
NEW_USERS = [f"x{n}" for n in range(6)]
NEWEST_FIRST = [f"v{row}" for row in (5, 4, 3, 2)]
FIRST_FEED, LAST_FEED = 10, 140


def build(root: Path) -> Path:
    """Write tables, stores and snapshot below *root*."""
    tables = root / "shop"
    tables.mkdir()
    pl.DataFrame({C.PRODUCT_ID: PRODUCTS, C.TITLE: PRODUCTS}).write_parquet(tables / "products.parquet")
    videos = {
        C.VIDEO_ID: VIDEO_IDS, C.URI: VIDEO_IDS, C.PUBLISHED_AT: [at(row) for row in range(6)],
        C.DURATION_S: [10.0, 8.0, 12.0, 10.0, 9.0, 11.0], C.PRODUCT_IDS: [[PRODUCTS[row % 3]] for row in range(6)],
    }  # fmt: skip
    pl.DataFrame(videos).cast({C.PUBLISHED_AT: pl.Datetime("us", "UTC")}).write_parquet(tables / "videos.parquet")
    write_interactions(tables)
    write_log(tables, feeds())
    HandStore("videos", root / "videos").write(dict.fromkeys(VIDEO_IDS, 0))
    HandStore("products", root / "products").write(dict.fromkeys(PRODUCTS, 0))
    build_snapshot(root / "videos", root / "products", tables, root / "snapshot")
    return root


def write_interactions(tables, last=150.0):
    """Every user touches a product early on, and u00 another one at *last*."""
    rows = [(user, PRODUCTS[n % 3], "view", at(n / 10)) for n, user in enumerate(USERS)]
    rows.append(("u00", "p2", "view", at(last)))
    frame = pl.DataFrame(rows, schema=[C.USER_ID, C.PRODUCT_ID, C.EVENT, C.OCCURRED_AT], orient="row")
    frame.cast({C.OCCURRED_AT: pl.Datetime("us", "UTC")}).write_parquet(tables / "interactions.parquet")


def feeds():
    """Five feeds a user, of which the last two come after the split, and one after it of each new user."""
    rng = np.random.default_rng(1)
    slots = []
    for n, user in enumerate(USERS):
        for feed, hours in enumerate(np.linspace(FIRST_FEED + n / 10, LAST_FEED - n / 10, 5)):
            depth = int(rng.integers(1, 5))
            slots += [
                slot(
                    f"{user}-{feed}", place, video, hours=float(hours), user=user, reached=place <= depth,
                    watch_s=8.0 if rng.random() < 0.4 else 1.0, selection_propensity=1.0,
                )
                for place, video in enumerate(NEWEST_FIRST, start=1)
            ]  # fmt: skip
    for user in NEW_USERS:
        slots += [
            slot(f"{user}-0", place, video, hours=120.0, user=user, watch_s=8.0 * place, selection_propensity=1.0)
            for place, video in enumerate(NEWEST_FIRST, start=1)
        ]
    return slots


def write_run(folder, trained_before_us=None, **about):
    folder.mkdir()
    rng = np.random.default_rng(0)
    save_vectors(
        folder,
        RunVectors(
            VIDEO_IDS[:5], rng.normal(size=(5, 2)).astype(np.float32), USERS[:20],
            rng.normal(size=(20, 2)).astype(np.float32), np.zeros(2, np.float32),
            trained_before_us or to_us(at(SPLIT_HOURS)), about,
        ),
    )  # fmt: skip
    return folder


SPLIT = (at(0) + timedelta(hours=SPLIT_HOURS)).isoformat()
