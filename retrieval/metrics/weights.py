"""What inverse probabilities do to the size of a sample."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Weights:
    """Counts, sums and the largest of weights, which add up over the parts of a log; *clipped* counts those cut."""

    n: int = 0
    total: float = 0.0
    squares: float = 0.0
    largest: float = 0.0
    clipped: int = 0

    @staticmethod
    def of(weights: NDArray[np.float64], ceiling: float = np.inf) -> "Weights":
        """Those of *weights* `(n,)`, at least 0, of which the ones above *ceiling* are cut.

        >>> Weights.of(np.array([1.0, 2.0])).effective_sample_size
        1.8
        """
        return Weights(
            len(weights),
            float(weights.sum()),
            float(weights @ weights),
            float(weights.max(initial=0.0)),
            int((weights > ceiling).sum()),
        )

    def __add__(self, other: "Weights") -> "Weights":
        return Weights(
            self.n + other.n,
            self.total + other.total,
            self.squares + other.squares,
            max(self.largest, other.largest),
            self.clipped + other.clipped,
        )

    @property
    def effective_sample_size(self) -> float:
        """(Σ w)² / Σ w²: so many equally weighted rows would tell as much; NaN where all weights are 0."""
        return self.total**2 / self.squares if self.squares else float("nan")

    @property
    def share_clipped(self) -> float:
        return self.clipped / self.n if self.n else float("nan")
