"""The space that the vectors of a training make for the videos of a snapshot. `run_vectors` reads and writes them."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from retrieval.ids import IdMap
from retrieval.index import AUTO, build_index
from retrieval.index.protocol import Half, VectorIndex
from retrieval.run_vectors import ABOUT_FILE as ABOUT_FILE
from retrieval.run_vectors import Floats
from retrieval.run_vectors import RunVectors as RunVectors
from retrieval.run_vectors import load_user_vectors as load_user_vectors
from retrieval.run_vectors import open_vectors as open_vectors
from retrieval.run_vectors import save_vectors as save_vectors


class GivenUsers(NamedTuple):
    """The vectors `(n, dim)` of users, and true `(n,)` where it is the default, since nobody knows the user."""

    vectors: Floats
    unknown: NDArray[np.bool_]


@dataclass(frozen=True)
class GivenSpace:
    """The vectors of a training by the rows of a snapshot's videos.

    *video_vectors* `(n_videos, dim)` fp16, zeros where *has* `(n_videos,)` is false: those videos have none and may not
    be recommended by it. *user_vectors* `(n_users, dim)` stand in the order of *users*; *index*, of *index_kind*, is
    over the videos. *default*, *trained_before_us*, *about* and *fingerprint* are the run's.
    """

    video_vectors: Half
    has: NDArray[np.bool_]
    users: IdMap
    user_vectors: Floats
    default: Floats
    index: VectorIndex = field(repr=False)
    fingerprint: str
    trained_before_us: int
    about: Mapping[str, Any]
    index_kind: str = AUTO

    @classmethod
    def of(cls, run: RunVectors, video_ids: Sequence[str], index_kind: str = AUTO) -> "GivenSpace":
        """The space of a run for the videos *video_ids*, which need not be those it was trained with."""
        videos, has = videos_of(run, video_ids)
        return cls(
            videos, has, IdMap(run.user_ids), run.users, run.default, build_index(index_kind, videos),
            run.fingerprint, run.trained_before_us, run.about, index_kind,
        )  # fmt: skip

    @property
    def dim(self) -> int:
        return len(self.default)

    def of_users(self, user_ids: Sequence[str], forgotten: Collection[str] = ()) -> GivenUsers:
        """The vectors of these users; the default for those that the training did not know, or are *forgotten*."""
        rows = self.users.rows(user_ids)
        if forgotten:
            rows[[user in forgotten for user in user_ids]] = -1
        known = rows >= 0
        vectors = np.tile(np.asarray(self.default, np.float32), (len(rows), 1))
        vectors[known] = self.user_vectors[rows[known]]
        return GivenUsers(vectors, ~known)


def videos_of(run: RunVectors, video_ids: Sequence[str]) -> tuple[Half, NDArray[np.bool_]]:
    """The vectors of these videos in fp16 `(n, dim)`, and which of them `(n,)` the run has; zeros for the others."""
    rows = IdMap(run.video_ids).rows(video_ids)
    videos = run.videos[np.maximum(rows, 0)].astype(np.float16)
    videos[rows < 0] = 0
    return videos, rows >= 0
