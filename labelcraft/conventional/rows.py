"""The rows of a training: reached impressions before the split, as numbers."""

import logging
from dataclasses import dataclass, replace
from pathlib import Path
from typing import NamedTuple

import numpy as np
import polars as pl

from labelcraft.adapters.impressions import scan_impressions, scan_log
from labelcraft.adapters.raw import ORDER, TIME_US, USER, VIDEO, WATCH_S, collected
from labelcraft.conventional.features import Videos, videos_of
from labelcraft.dataset import Ints
from labelcraft.feedback import Bools, Feedback, Floats
from retrieval.errors import TableError
from retrieval.log import from_us
from retrieval.tables import VIDEOS, load_catalogue, load_table
from retrieval.tables import Columns as C

logger = logging.getLogger(__name__)
_USER_ROW, _VIDEO_ROW, _UNKNOWN = "user_row", "video_row", "unknown_user"


@dataclass(frozen=True)
class Rows:
    """Reached impressions, one each.

    *user* `(n,)` counts from 1 in the order of the given vectors, 0 for a user without one; *video* `(n,)` is a row of
    the catalogue, *position* `(n,)` the slot, *time_us* `(n,)` when the feed was shown.
    """

    user: Ints
    video: Ints
    position: Ints
    time_us: Ints
    feedback: Feedback

    def __len__(self) -> int:
        return len(self.user)

    def __getitem__(self, rows: Ints | Bools) -> "Rows":
        return replace(
            self, user=self.user[rows], video=self.video[rows], position=self.position[rows],
            time_us=self.time_us[rows], feedback=self.feedback[rows],
        )  # fmt: skip


class Loaded(NamedTuple):
    """*rows*, and how many users of them have no vector."""

    rows: Rows
    unknown_users: int


def load_videos(folder: Path) -> Videos:
    """The videos of a shop's folder with all that the tower reads of them."""
    if (folder / "products.parquet").is_file():
        catalogue = load_catalogue(folder)
        return videos_of(catalogue.videos, catalogue.products)
    return videos_of(load_table(folder / "videos.parquet", VIDEOS).frame, None)


def load_rows(folder: Path, videos: Videos, user_ids: list[str], before_us: int) -> Loaded:
    """The reached impressions of *folder* before *before_us*, by time; of the others nothing is in memory.

    Raises:
        TableError: there is none.
    """
    raw = scan_impressions(folder)
    users = pl.LazyFrame({USER: user_ids, _USER_ROW: np.arange(1, len(user_ids) + 1)})
    rows_of_videos = pl.LazyFrame({VIDEO: videos.ids, _VIDEO_ROW: np.arange(len(videos))})
    known = (
        raw.rows.filter(pl.col(TIME_US) < before_us)
        .join(users, on=USER, how="left")
        .join(rows_of_videos, on=VIDEO)
        .sort(TIME_US, USER, ORDER)
        .select(
            pl.col(_USER_ROW).fill_null(0),
            _VIDEO_ROW,
            ORDER,
            TIME_US,
            WATCH_S,
            *raw.kinds,
            pl.when(pl.col(_USER_ROW).is_null()).then(USER).alias(_UNKNOWN),
        )
    )
    table = collected(known, folder / "impressions.parquet")
    if table.is_empty():
        raise TableError(
            f"No video was reached before {from_us(before_us).isoformat()}.", "Choose a later time, or a longer log."
        )
    video = table[_VIDEO_ROW].to_numpy()
    explicit = table.select(raw.kinds).to_numpy().astype(np.bool_).reshape(len(table), len(raw.kinds))
    feedback = Feedback(table[WATCH_S].to_numpy(), videos.duration_s[video], explicit, raw.kinds)
    rows = Rows(table[_USER_ROW].to_numpy(), video, table[ORDER].to_numpy(), table[TIME_US].to_numpy(), feedback)
    return Loaded(rows, table[_UNKNOWN].drop_nulls().n_unique())


def reach_by_position(folder: Path, before_us: int) -> Floats:
    """The share of the slots delivered at each position before *before_us* that were reached, `(longest,)`.

    A position that no feed has takes the share of the one before it.
    """
    file = folder / "impressions.parquet"
    shown = scan_log(file, {}).filter(pl.col(C.SHOWN_AT).dt.timestamp("us") < before_us, pl.col(C.POSITION) > 0)
    counted = collected(shown.group_by(C.POSITION).agg(pl.col(C.REACHED).mean()), file)
    shares = np.full(int(counted[C.POSITION].max() or 1), np.nan)  # type: ignore[arg-type]  # a whole number
    shares[counted[C.POSITION].to_numpy() - 1] = counted[C.REACHED].to_numpy()
    return pl.Series(shares).fill_nan(None).forward_fill().fill_null(1.0).to_numpy()
