"""Vectors of a training written by hand: small numbers that ids decide, and plain numpy that ranks by them."""

import numpy as np

from retrieval.conventional import RunVectors, save_vectors
from retrieval.log import to_us
from tests.stores import START

DIM = 4
TRAINED_US = to_us(START)


def given_vector(item_id):
    """`(DIM,)` quarters between −4 and 4, which fp16 holds exactly."""
    return np.random.default_rng([7, *item_id.encode()]).integers(-16, 17, DIM).astype(np.float32) / 4


def run_of(video_ids, user_ids, trained_before_us=TRAINED_US, salt=""):
    """The vectors of these videos and users; another *salt* is another training."""
    videos, users = (
        np.array([given_vector(salt + one) for one in ids], np.float32).reshape(-1, DIM)
        for ids in (video_ids, user_ids)
    )
    about = {"label": "watched", "loss": "bce"}
    return RunVectors(list(video_ids), videos, list(user_ids), users, users.mean(axis=0), trained_before_us, about)


def write_run(folder, video_ids, user_ids, **how):
    """A run's folder with only its vectors."""
    folder.mkdir(parents=True)
    save_vectors(folder, run_of(video_ids, user_ids, **how))
    return folder


def best_given(video_ids, user, k, salt=""):
    """The *k* of these videos nearest to a vector, equal ones in their order."""
    scores = np.array([given_vector(salt + video) @ user for video in video_ids])
    return [video_ids[row] for row in np.argsort(-scores, kind="stable")[:k]]
