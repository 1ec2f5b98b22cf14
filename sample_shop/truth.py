"""The truth that no real log has, as tables: what would have been watched, and how positions hide it.

`truth.parquet` has (user_id, video_id, day) with interest, p_watch50_if_examined and label_if_examined, by the formulas
of `watching`: every pair of shopper and video on the last day, which is what a recommender is asked at the end of the
log, and every delivered slot on the day it was shown. `truth_positions.parquet` has examination_propensity by position.
Days count from 0, the first of the window.
"""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import polars as pl

from retrieval.tables import Columns as C
from sample_shop.arrays import Ints
from sample_shop.catalogue import video_id
from sample_shop.feed import MOST_SLOTS, Log, World, outcomes
from sample_shop.frames import named, user_id
from sample_shop.relevance import Item
from sample_shop.vocabulary import Garment
from sample_shop.watching import Dials, examination_probability

DAY = "day"
INTEREST = "interest"
P_WATCH50 = "p_watch50_if_examined"
LABEL = "label_if_examined"
_BLOCK_PAIRS = 500_000


def iter_truth(seed: int, world: World, dials: Dials, log: Log) -> Iterator[pl.DataFrame]:
    """The table truth in blocks of shoppers, in the order of shopper, day and video."""
    n_users, n_videos = len(world.shoppers), len(world.catalogue.videos)
    by_user = np.argsort(log.user, kind="stable")
    starts = np.searchsorted(log.user[by_user], np.arange(n_users + 1))
    step = max(1, _BLOCK_PAIRS // n_videos)
    for first in range(0, n_users, step):
        last = min(first + step, n_users)
        rows = by_user[starts[first] : starts[last]]
        yield _block(seed, world, dials, np.arange(first, last), (log.user[rows], log.video[rows], log.day[rows]))


def load_items(folder: Path) -> dict[str, Item]:
    """What a built shop's products truly are, by product_id: the arguments of `relevance.grade`."""
    rows = pl.read_parquet(folder / "truth_products.parquet").iter_rows(named=True)
    return {
        row[C.PRODUCT_ID]: Item(
            Garment(row["kind"], row["colour"], row["pattern"], row["style"], row["finish"], row["cut"]), row["brand"]
        )
        for row in rows
    }


def truth_size(world: World, log: Log) -> int:
    """How many rows the table truth has."""
    n_pairs = len(world.shoppers) * len(world.catalogue.videos)
    return n_pairs + int((log.day < world.catalogue.days - 1).sum())


def positions_frame(dials: Dials) -> pl.DataFrame:
    """The table truth_positions."""
    position = np.arange(1, MOST_SLOTS + 1)
    return pl.DataFrame({C.POSITION: position, C.EXAMINATION_PROPENSITY: examination_probability(position, dials)})


def _block(seed: int, world: World, dials: Dials, users: Ints, shown: tuple[Ints, Ints, Ints]) -> pl.DataFrame:
    n_videos, last_day = len(world.catalogue.videos), world.catalogue.days - 1
    earlier = shown[2] < last_day  # the last day's slots are among the pairs already
    user = np.concatenate([np.repeat(users, n_videos), shown[0][earlier]])
    video = np.concatenate([np.tile(np.arange(n_videos), len(users)), shown[1][earlier]])
    day = np.concatenate([np.full(len(users) * n_videos, last_day), shown[2][earlier]])
    order = np.lexsort((video, day, user))
    user, video, day = user[order], video[order], day[order]
    truth = outcomes(seed, world, dials, user, video, day)
    return pl.DataFrame(
        {
            C.USER_ID: named([user_id(row) for row in range(int(users[-1]) + 1)], user),
            C.VIDEO_ID: named([video_id(row) for row in range(n_videos)], video),
            DAY: day,
            INTEREST: truth.interest,
            P_WATCH50: truth.p_watch50,
            LABEL: truth.label,
        }
    )
