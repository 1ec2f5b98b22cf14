"""What users left on the videos they reached, as columns: the input of every label."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]
Rows = NDArray[np.int64] | NDArray[np.bool_] | slice


@dataclass(frozen=True)
class Feedback:
    """One row for each reached impression; slots that were not reached have no feedback and no row.

    *watch_s* and *duration_s* `(n,)` are seconds, at least 0, a duration of 0 meaning that it is not known; a watch
    time above the duration is a replay. *explicit* `(n, n_kinds)` is true where the user gave that kind of positive
    feedback; *kinds* names its columns.
    """

    watch_s: Floats
    duration_s: Floats
    explicit: Bools
    kinds: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.watch_s)

    def __getitem__(self, rows: Rows) -> "Feedback":
        return Feedback(self.watch_s[rows], self.duration_s[rows], self.explicit[rows], self.kinds)

    @property
    def engaged(self) -> Bools:
        """Whether any explicit feedback was given, `(n,)`: δ(Σ y_e) of LabelCraft's eq. 9."""
        return np.asarray(self.explicit.any(axis=1))
