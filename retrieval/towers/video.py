"""The video tower: the mean of the CLIP vectors of uniformly sampled frames."""

import numpy as np
from numpy.typing import NDArray

from retrieval.half import floats


def video_vector(frames: NDArray[np.floating], *, unit: bool = False) -> NDArray[np.float32]:
    """The mean of a video's frame vectors, e_v = (1/m) Σ_j E(frame_j) (Zalando 2025, section 3.1).

    The mean is not brought back to length 1 by default, as in the paper: a video whose frames disagree is nearer to
    nothing. *unit* does so.

    Args:
        frames: `(m, dim)`, unit rows, m at least 1.

    >>> video_vector(np.array([[1.0, 0.0], [0.0, 1.0]])).tolist()
    [0.5, 0.5]
    """
    mean = np.asarray(frames, np.float32).mean(axis=0)
    return mean / np.linalg.norm(mean) if unit else mean  # type: ignore[no-any-return]


def best_moments(
    users: NDArray[np.floating], frames: NDArray[np.floating], times_s: NDArray[np.floating]
) -> NDArray[np.float64]:
    """The time of the frame of each video that matches best.

    Args:
        users: `(n_videos, dim)`, the vector each video is matched with.
        frames: `(n_videos, m, dim)`; missing frames have a NaN time.
        times_s: `(n_videos, m)`, seconds.

    >>> best_moments(np.array([[1.0, 0.0]]), np.array([[[0.0, 1.0], [1.0, 0.0]]]), np.array([[0.5, 1.5]])).tolist()
    [1.5]
    """
    scores = np.matmul(floats(frames), np.asarray(users, np.float32)[:, :, None])[:, :, 0]
    best = np.where(np.isnan(times_s), -np.inf, scores).argmax(axis=1)
    return np.take_along_axis(np.asarray(times_s, np.float64), best[:, None], axis=1)[:, 0]
