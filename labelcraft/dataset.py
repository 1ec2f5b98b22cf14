"""A feed's log as numbers: what labels are fitted on, and what recommenders are trained and evaluated on. Pure."""

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from labelcraft.feedback import Bools, Feedback

Ints = NDArray[np.int64]
Codes = NDArray[np.int32]
NONE, NEW = 0, 1  # of every field: padding, and a level that training never saw
HISTORY_LENGTH = 100
ALL = slice(None)


@dataclass(frozen=True)
class Field:
    """A categorical field of videos. Its codes are 0 to *n_levels* − 1, of which 0 is padding and 1 is new."""

    name: str
    n_levels: int


@dataclass(frozen=True)
class Items:
    """The videos: *ids* `(n_items,)`, and *codes* `(n_items + 1, n_fields)`, of which row 0 is padding.

    A video's number is its row of *codes*, so it counts from 1. The first field is the video itself, the second its
    duration bucket. *duration_s* `(n_items + 1,)` is 0 where it is not known.
    """

    ids: NDArray[np.str_]
    fields: tuple[Field, ...]
    codes: Codes
    duration_s: NDArray[np.float64]


@dataclass(frozen=True)
class Log:
    """Reached impressions in the order of user, time and position; one row each.

    *user* `(n,)` counts from 1, in the order of *user_ids*; *item* `(n,)` is the video's number; *time_us* `(n,)` is
    when the feed was shown. *user_codes* `(n_users + 1,)` is the row of the users' embedding, 0 for users that
    training never saw; None while nothing was fitted, when every user has a row of their own.
    """

    user_ids: NDArray[np.str_]
    user: Ints
    item: Ints
    time_us: Ints
    feedback: Feedback
    user_codes: Ints | None = None

    def __len__(self) -> int:
        return len(self.user)

    def __getitem__(self, rows: Ints | Bools | slice) -> "Log":
        return replace(
            self,
            user=self.user[rows],
            item=self.item[rows],
            time_us=self.time_us[rows],
            feedback=self.feedback[rows],
        )

    def user_code(self, rows: Ints) -> Ints:
        """The row of the users' embedding for each of *rows*, `(n_rows,)`."""
        return self.user[rows] if self.user_codes is None else self.user_codes[self.user[rows]]


@dataclass(frozen=True)
class Dataset:
    """A log and the videos it is about."""

    log: Log
    items: Items


@dataclass(frozen=True)
class Histories:
    """What each row's user had watched before it, newest last, without copying it for each row.

    Row i's history is *items*[*start*[i] : *end*[i]]: videos of the same user shown strictly earlier.
    """

    items: Ints
    start: Ints
    end: Ints

    def __getitem__(self, rows: Ints | Bools | slice) -> "Histories":
        return Histories(self.items, self.start[rows], self.end[rows])

    def lengths(self, rows: Ints | slice = ALL) -> Ints:
        """How many videos the user of each of *rows* had watched before it, `(n_rows,)`."""
        return self.end[rows] - self.start[rows]

    def window(self, rows: Ints, length: int = HISTORY_LENGTH) -> Ints:
        """The last *length* videos before each of *rows*, `(n_rows, length)`, newest first, 0 beyond.

        >>> Histories(np.array([7, 8, 9]), np.array([0, 0]), np.array([0, 2])).window(np.array([0, 1]), 3).tolist()
        [[0, 0, 0], [8, 7, 0]]
        """
        back = np.arange(length)
        if not len(self.items):
            return np.zeros((len(rows), length), np.int64)
        # Clipped, gathered and blanked in place: half the time of a selection between two arrays.
        window = np.take(self.items, self.end[rows][:, None] - 1 - back, mode="clip")
        window *= back < self.lengths(rows)[:, None]
        return window


def histories_of(log: Log, kept: Bools | None = None) -> Histories:
    """The history of each row of *log*: its user's rows shown strictly earlier, of which only the *kept* `(n,)` count.

    Rows of one feed share a time, so none of them is in another's history.
    """
    kept = np.ones(len(log), np.bool_) if kept is None else kept
    n_kept = np.concatenate([[0], np.cumsum(kept)])  # before each row
    starts = np.flatnonzero(np.diff(log.user, prepend=-1) != 0)
    new_time = (np.diff(log.user, prepend=-1) != 0) | (np.diff(log.time_us, prepend=-1) != 0)
    first_of_user = np.repeat(starts, np.diff([*starts, len(log)]))
    first_of_time = np.maximum.accumulate(np.where(new_time, np.arange(len(log)), 0))
    return Histories(log.item[kept], n_kept[first_of_user], n_kept[first_of_time])
