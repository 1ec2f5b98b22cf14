"""The conventional space of a version: put in from a run, carried over to the next rows, cut where videos go."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from indexing.versions import Publisher
from retrieval.conventional import RunVectors, open_vectors, videos_of
from retrieval.errors import ConfigError
from retrieval.given_files import given_name, load_mapped
from retrieval.snapshot_files import CONVENTIONAL_SPACE, OF_CONVENTIONAL, F, SnapshotManifest, object_path
from retrieval.stacked import Rows
from retrieval.tables import Columns as C

Ints = NDArray[np.int64]


@dataclass(frozen=True)
class SpaceSummary:
    """How many videos of a version have a vector of the training *fingerprint*, how many lack one, and its users."""

    fingerprint: str
    videos_with: int
    videos_without: int
    n_users: int


@dataclass(frozen=True)
class Given:
    """What a version binds of its conventional space: *about* in its manifest, and *files* by checksum."""

    about: Mapping[str, Any]
    files: Mapping[str, str]
    summary: SpaceSummary

    def bound_in(self, content: Mapping[str, Any]) -> dict[str, Any]:
        """What a version binds, with this space."""
        spaces = {**content["spaces"], CONVENTIONAL_SPACE: dict(self.about)}
        return {**content, "spaces": spaces, "files": {**content["files"], **self.files}}


def parse_spaces(texts: Sequence[str]) -> RunVectors | None:
    """The vectors that `--space conventional=RUN` names, if it was given.

    Raises:
        ConfigError: it is not of that form, or given twice.
        ModelError: the run holds no vectors, or they are damaged.
    """
    if not texts:
        return None
    name, equals, folder = texts[0].partition("=")
    if len(texts) > 1 or name != CONVENTIONAL_SPACE or not equals or not folder:
        raise ConfigError(
            f"--space {' --space '.join(texts)} is not one space and its run.",
            f"Write --space {CONVENTIONAL_SPACE}=RUN, RUN being the folder of lookreel train conventional.",
        )
    return open_vectors(Path(folder))


def from_run(publisher: Publisher, run: RunVectors, video_ids: Sequence[str]) -> Given:
    """The space of a run for these videos, its files written."""
    videos, has = videos_of(run, video_ids)
    about = {
        "fingerprint": run.fingerprint,
        "dim": run.dim,
        "users": "given",
        "trained_before_us": run.trained_before_us,
        "about": dict(run.about),
    }
    contents: dict[str, pl.DataFrame | Rows] = {
        F.VIDEO_VECTORS: videos,
        F.HAS_VECTOR: has,
        F.USERS: pl.DataFrame({C.USER_ID: run.user_ids}),
        F.USER_VECTORS: run.users,
        F.DEFAULT_VECTOR: run.default,
    }
    return _given(about, _saved(publisher, contents), has, len(run.user_ids))


def carried(publisher: Publisher, live: SnapshotManifest, old_rows: Ints) -> Given | None:
    """The space of the version *live* by the rows of the next one; None where it has none.

    Videos that are new have no vector yet: they are counted, and the system does not show them. Users stay as they are.

    Args:
        old_rows: `(n_videos,)`, rows of *live*, −1 for new videos.
    """
    if CONVENTIONAL_SPACE not in live.spaces:
        return None
    videos, has = (_array(publisher.folder, live, name) for name in (F.VIDEO_VECTORS, F.HAS_VECTOR))
    stays = old_rows >= 0
    kept = np.maximum(old_rows, 0)
    next_videos = np.where(stays[:, None], videos[kept], np.float16(0))
    return _replaced(publisher, live, next_videos, has[kept] & stays)


def cut(publisher: Publisher, version: SnapshotManifest, stay: NDArray[np.bool_]) -> dict[str, str]:
    """The files of a version's space by name, without the rows of the videos that do not *stay* `(n_videos,)`."""
    if CONVENTIONAL_SPACE not in version.spaces:
        return {}
    videos, has = (_array(publisher.folder, version, name) for name in (F.VIDEO_VECTORS, F.HAS_VECTOR))
    return dict(_replaced(publisher, version, videos[stay], has[stay]).files)


def differs(folder: Path, live: SnapshotManifest, run: RunVectors, video_ids: Sequence[str]) -> bool:
    """Whether the vectors of *run* are others than those that *live* holds of the same videos.

    A run that was published before is the same, be it that users were taken out of it since.
    """
    said = live.spaces.get(CONVENTIONAL_SPACE, {})
    if said.get("fingerprint") != run.fingerprint:
        return True
    return not np.array_equal(_array(folder, live, F.HAS_VECTOR), videos_of(run, video_ids)[1])


def summary_of(folder: Path, live: SnapshotManifest) -> SpaceSummary | None:
    """What the version *live* holds of the space; None where it has none."""
    if CONVENTIONAL_SPACE not in live.spaces:
        return None
    has, users = (_array(folder, live, name) for name in (F.HAS_VECTOR, F.USER_VECTORS))
    return _summary(live.spaces[CONVENTIONAL_SPACE], has, len(users))


def _replaced(
    publisher: Publisher, version: SnapshotManifest, videos: NDArray[np.float16], has: NDArray[np.bool_]
) -> Given:
    """The space of a version with other rows of videos."""
    kept = {name: version.files[name] for name in OF_CONVENTIONAL}
    files = {**kept, **_saved(publisher, {F.VIDEO_VECTORS: videos, F.HAS_VECTOR: has})}
    n_users = len(_array(publisher.folder, version, F.USER_VECTORS))
    return _given(version.spaces[CONVENTIONAL_SPACE], files, has, n_users)


def _given(about: Mapping[str, Any], files: Mapping[str, str], has: NDArray[np.bool_], n_users: int) -> Given:
    return Given(about, files, _summary(about, has, n_users))


def _summary(about: Mapping[str, Any], has: NDArray[np.bool_], n_users: int) -> SpaceSummary:
    return SpaceSummary(str(about["fingerprint"]), int(has.sum()), int((~has).sum()), n_users)


def _saved(publisher: Publisher, contents: Mapping[str, pl.DataFrame | Rows]) -> dict[str, str]:
    return {given_name(name): publisher.save(given_name(name), content) for name, content in contents.items()}


def _array(folder: Path, version: SnapshotManifest, name: str) -> Any:
    named = given_name(name)
    return load_mapped(object_path(folder, named, version.files[named]))
