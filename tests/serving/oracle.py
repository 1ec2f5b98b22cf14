"""What a feed over a shop of `site.py` must answer, worked out in plain numpy from the vectors' definition."""

import numpy as np

from tests.stores import FRAMES, vector_of

HOUR_US = 3_600_000_000
WEEK_US = 7 * 24 * HOUR_US


def product_vector(product_id):
    """Photo and text agree, so that the fused vector is their direction; it is stored in fp16."""
    vector = vector_of(product_id, 0)[0].astype(np.float64)
    return (vector / np.linalg.norm(vector)).astype(np.float16).astype(np.float64)


def video_vector(video_id):
    return vector_of(video_id, 0)[0].astype(np.float64)


def weights_of(ages_us, half_life_us=WEEK_US):
    return np.array([0.5 ** (age / half_life_us) for age in ages_us])


def user_vector(products, weights):
    return sum(w * product_vector(p) for w, p in zip(weights, products, strict=True)) / sum(weights)


def scores_of(user, videos):
    return {video: float(user @ video_vector(video)) for video in videos}


def best(scores, k):
    """The *k* best scores, best first."""
    return sorted(scores.values(), reverse=True)[:k]


def moment_of(user, video_id):
    """The time of the frame that is nearest: frame i stands at i seconds."""
    frames = vector_of(video_id, 0, FRAMES + 1)[1:].astype(np.float64)
    return float(np.argmax(frames @ user))
