"""The users' space as the tower sees it: given vectors, centred, of unit spread, and a 1 for the videos' own appeal."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Singles = NDArray[np.float32]


@dataclass(frozen=True)
class UserSpace:
    """*users* `(n_users + 1, dim + 1)`: row 0 is the mean of all, for those of whom nothing is known.

    The given vectors are moved by −*mean* and divided by *spread*, the same for all coordinates: distances keep their
    proportions, and training meets numbers near 1 whatever made them. The mean itself becomes zeros, so that a user
    nobody knows is ranked by the videos' appeal, which the last coordinate, a 1, lets through. A dot product is then
    the logit itself.
    """

    users: Singles
    mean: Singles
    spread: float

    @classmethod
    def of(cls, vectors: Singles) -> "UserSpace":
        """The space of given *vectors* `(n_users, dim)`; they are never trained."""
        mean = vectors.mean(axis=0, dtype=np.float64)
        moved = vectors - mean
        spread = float(np.sqrt((moved**2).mean())) or 1.0
        users = np.zeros((len(vectors) + 1, vectors.shape[1] + 1), np.float32)
        users[1:, :-1] = moved / spread
        users[:, -1] = 1.0
        return cls(users, mean.astype(np.float32), spread)
