"""Which instants of a video to look at, and how far off a frame may be."""

import numpy as np
from numpy.typing import NDArray


def sample_times(duration_s: float, n_frames: int) -> NDArray[np.float64]:
    """The middles of *n_frames* equal parts of a video, (i + ½)·T/m, in seconds from its first frame.

    >>> sample_times(8.0, 4).tolist()
    [1.0, 3.0, 5.0, 7.0]
    """
    if duration_s < 0 or n_frames < 1:
        raise ValueError(f"cannot take {n_frames} frames of {duration_s} s")
    return (np.arange(n_frames) + 0.5) * duration_s / n_frames


def nearest_tolerance(duration_s: float, n_frames: int) -> float:
    """The seconds by which a frame may miss its instant where the nearest will do, T/(4m): it stays well in its part.

    >>> nearest_tolerance(8.0, 4)
    0.5
    """
    return duration_s / (4 * n_frames)
