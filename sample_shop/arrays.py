"""The array types of this package, and draws that depend on nothing but their keys.

A draw made from (seed, user, video, day) is the same whichever policy delivers the video, in whatever order: that is
what lets one world answer "what would this user have watched", and two policies be compared on the same luck.
"""

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Bools = NDArray[np.bool_]
Keys = NDArray[np.uint64]

_MASK = 0xFFFFFFFFFFFFFFFF
_GOLDEN = 0x9E3779B97F4A7C15


def sigmoid(x: Floats) -> Floats:
    """1 / (1 + e^−x), without overflow.

    >>> sigmoid(np.array([0.0, -800.0, 800.0])).tolist()
    [0.5, 0.0, 1.0]
    """
    return 0.5 * (1.0 + np.tanh(0.5 * x))


def keys_of(seed: int, *parts: Ints) -> Keys:
    """One 64-bit key per row, mixed from the seed and the row's integers (splitmix64 after each of them)."""
    key = _mix(np.full(np.shape(parts[0]), (seed * _GOLDEN + 1) & _MASK, dtype=np.uint64))
    for part in parts:
        key = _mix(key ^ part.astype(np.uint64))
    return key


def uniforms(keys: Keys, stream: int) -> Floats:
    """One uniform in (0, 1) per key; every *stream* gives independent ones."""
    mixed = _mix(keys + np.uint64((stream + 1) * _GOLDEN & _MASK))
    return ((mixed >> np.uint64(11)).astype(np.float64) + 0.5) * 2.0**-53


def _mix(key: Keys) -> Keys:
    key = key + np.uint64(_GOLDEN)
    key = (key ^ (key >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    key = (key ^ (key >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return key ^ (key >> np.uint64(31))
