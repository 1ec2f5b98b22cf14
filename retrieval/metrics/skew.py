"""How unevenly exposure falls on items."""

import numpy as np
from numpy.typing import NDArray


def gini(counts: NDArray[np.number]) -> float:
    """The Gini coefficient of *counts* `(n,)`, at least 0: 0 where all are equal, towards 1 where one has everything.

    G = Σ_i (2 i − n − 1) x_(i) / (n Σ x), x_(i) the i-th smallest; 0 where there is nothing.

    >>> gini(np.array([1, 1, 1, 1])), gini(np.array([0, 0, 0, 4]))
    (0.0, 0.75)
    """
    values = np.sort(np.asarray(counts, np.float64))
    n, total = len(values), values.sum()
    if not total:
        return 0.0
    return float((2 * np.arange(1, n + 1) - n - 1) @ values / (n * total))
