"""Vectors that a training gave to videos and users: the files of a run, their check, and the space they make.

A run's folder holds, beside what its training needs, `vectors.json` (what they are, and checksums),
`video_vectors.parquet` (video_id, vector) and `user_vectors.parquet` (user_id, vector).
"""

import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import polars as pl
from numpy.typing import NDArray

from retrieval.errors import ModelError, TableError
from retrieval.folders import sha256_of
from retrieval.ids import IdMap
from retrieval.index import AUTO, build_index
from retrieval.index.protocol import Half, VectorIndex
from retrieval.log import from_us, to_us
from retrieval.tables import Columns as C

Floats = NDArray[np.float32]
KIND = "conventional"  # of the vectors, of the space that they make, and of the system that ranks by it
FORMAT = 1
ABOUT_FILE = "vectors.json"
VIDEO_FILE, USER_FILE = "video_vectors.parquet", "user_vectors.parquet"
VECTOR = "vector"
LARGEST = float(np.finfo(np.float16).max)  # videos are searched in fp16
AGAIN = "Train it again: lookreel train conventional --help"


class IdsAndVectors(NamedTuple):
    """Ids, each once, and the vector `(len(ids), dim)` of each, finite float32."""

    ids: list[str]
    vectors: Floats


@dataclass(frozen=True)
class RunVectors:
    """What one training gave: *videos* `(n_videos, dim)`, *users* `(n_users, dim)`, float32; dot products rank.

    *default* `(dim,)` is for users that nobody knows. Everything was learned from before *trained_before_us*. *about*
    says how, in what JSON can hold: the label, the loss, and `scale` and `bias` where σ(scale · dot + bias) is a
    probability. *fingerprint* is that of the saved files, empty before they are.
    """

    video_ids: list[str]
    videos: Floats
    user_ids: list[str]
    users: Floats
    default: Floats
    trained_before_us: int
    about: Mapping[str, Any]
    fingerprint: str = ""

    @property
    def dim(self) -> int:
        return len(self.default)


def save_vectors(folder: Path, vectors: RunVectors) -> None:
    """Write *vectors* into *folder*, which is there: the draft of a run's.

    Raises:
        ValueError: the arrays do not fit each other, an id stands twice, or a number is not finite or too large.
    """
    _require_sound(vectors)
    _save_table(folder / VIDEO_FILE, C.VIDEO_ID, vectors.video_ids, vectors.videos)
    _save_table(folder / USER_FILE, C.USER_ID, vectors.user_ids, vectors.users)
    about = {
        "kind": KIND,
        "format": FORMAT,
        "dim": vectors.dim,
        "trained_before": from_us(vectors.trained_before_us).isoformat(),
        "default": [float(x) for x in vectors.default],
        "about": dict(vectors.about),
        "checksums": {name: sha256_of(folder / name) for name in (VIDEO_FILE, USER_FILE)},
    }
    (folder / ABOUT_FILE).write_text(json.dumps(about, indent=2) + "\n")


def open_vectors(folder: Path) -> RunVectors:
    """The vectors that a run's *folder* holds.

    Raises:
        ModelError: there are none, or they are damaged or of another format.
    """
    said = _read_about(folder)
    try:
        for name, checksum in said["checksums"].items():
            if sha256_of(folder / name) != checksum:
                raise ValueError(f"{name} differs from what {ABOUT_FILE} says")
        videos, users = load_vectors(folder / VIDEO_FILE, C.VIDEO_ID), load_vectors(folder / USER_FILE, C.USER_ID)
        opened = RunVectors(
            videos.ids, videos.vectors, users.ids, users.vectors, np.array(said["default"], np.float32),
            to_us(datetime.fromisoformat(said["trained_before"])), said["about"],
            sha256_of(folder / ABOUT_FILE)[:16],
        )  # fmt: skip
        _require_sound(opened)
    except (OSError, KeyError, TypeError, ValueError, AttributeError, TableError) as error:
        raise ModelError(f"The vectors in {folder} are damaged: {str(error).splitlines()[0]}.", AGAIN) from error
    return opened


def _read_about(folder: Path) -> dict[str, Any]:
    file = folder / ABOUT_FILE
    if not file.is_file():
        raise ModelError(f"{folder} holds no vectors of a training: it has no {ABOUT_FILE}.", AGAIN)
    try:
        said = dict(json.loads(file.read_text()))
    except (OSError, ValueError, TypeError) as error:
        raise ModelError(f"{file} is damaged: {error}.", AGAIN) from error
    if (said.get("kind"), said.get("format")) != (KIND, FORMAT):
        found = f"{said.get('kind')} of format {said.get('format')}"
        raise ModelError(f"{file} is {found}, not {KIND} of format {FORMAT}.", AGAIN)
    return said


def load_user_vectors(file: Path) -> IdsAndVectors:
    """The users' vectors of `user_vectors.parquet`, in the file's order.

    Raises:
        TableError: naming the file, and the column or row that is wrong.
    """
    return load_vectors(file, C.USER_ID)


def load_vectors(file: Path, key: str) -> IdsAndVectors:
    """A table of ids in the column *key* and vectors of one length, in the file's order.

    Raises:
        TableError: naming the file, and the column or row that is wrong.
    """
    table = _read_table(file, key)
    ids, vectors = table[key], table[VECTOR]
    lists = vectors.arr.to_list() if isinstance(vectors.dtype, pl.Array) else vectors
    lengths = lists.list.len().fill_null(0)
    dim = int(lengths[0]) if len(lengths) else 0
    if dim == 0 or (lengths != dim).any():
        row = int((lengths != dim).arg_true()[0]) if dim else 0
        raise _wrong(file, f"row {row} ({key} {ids[row]}) has a vector of {lengths[row]} numbers, row 0 one of {dim}")
    if ids.is_null().any() or ids.is_duplicated().any():
        row = int((ids.is_null() | ids.is_duplicated()).arg_true()[0])
        raise _wrong(file, f"row {row}: {key} {ids[row]} is null or stands twice")
    array = _as_array(lists, dim)
    if not np.isfinite(array).all():
        row = int(np.flatnonzero(~np.isfinite(array).all(axis=1))[0])
        raise _wrong(file, f"row {row} ({key} {ids[row]}) has a vector with a null or a number that is not finite")
    return IdsAndVectors(ids.to_list(), array)


def _read_table(file: Path, key: str) -> pl.DataFrame:
    if not file.is_file():
        raise TableError(f"There is no table {file}.", "Make one: lookreel users embed --help")
    try:
        table = pl.read_parquet(file)
    except (pl.exceptions.PolarsError, OSError) as error:
        raise TableError(f"{file} cannot be read as parquet: {error}.", "Write it again as a parquet file.") from error
    if missing := {key, VECTOR} - set(table.columns):
        raise _wrong(file, f"it has no column {min(missing)}; it has {', '.join(table.columns)}")
    dtype = table.schema[VECTOR]
    inner = dtype.inner if isinstance(dtype, pl.List | pl.Array) else None
    if table.schema[key] != pl.String or inner not in (pl.Float32, pl.Float64):
        raise _wrong(file, f"{key} is {table.schema[key]} and {VECTOR} {table.schema[VECTOR]}")
    if table.is_empty():
        raise _wrong(file, "it has no rows")
    return table


def _as_array(lists: pl.Series, dim: int) -> Floats:
    """`(n, dim)`, NaN for nulls."""
    flat = lists.explode(empty_as_null=False).cast(pl.Float32).fill_null(float("nan"))
    return flat.to_numpy().reshape(-1, dim)


def _wrong(file: Path, what: str) -> TableError:
    return TableError(
        f"{file}: {what}.", f"Write one row for each id, with {VECTOR} a list of finite floats of one length."
    )


def _save_table(file: Path, key: str, ids: Sequence[str], vectors: Floats) -> None:
    flat = pl.Series(np.ascontiguousarray(vectors, np.float32).ravel())
    lists = flat.reshape((len(ids), vectors.shape[1])) if len(ids) else pl.Series([], dtype=pl.List(pl.Float32))
    table = pl.DataFrame({key: pl.Series(ids, dtype=pl.String), VECTOR: lists.cast(pl.List(pl.Float32))})
    table.write_parquet(file, compression="zstd", statistics=False)


def _require_sound(vectors: RunVectors) -> None:
    """Refuse arrays that do not fit: one place for what is saved and what is opened.

    Raises:
        ValueError: naming what is wrong.
    """
    for what, ids, array in (("videos", vectors.video_ids, vectors.videos), ("users", vectors.user_ids, vectors.users)):
        if array.shape != (len(ids), vectors.dim) or not len(ids):
            raise ValueError(f"{what} are {array.shape} for {len(ids)} ids and {vectors.dim} dimensions")
        if len(set(ids)) != len(ids):
            raise ValueError(f"an id of the {what} stands twice")
    for what, array in (("videos", vectors.videos), ("users", vectors.users), ("default", vectors.default)):
        if not (np.abs(array) <= LARGEST).all():
            raise ValueError(f"{what} hold a number that is not finite or above {LARGEST:.0f}")


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
        unknown = rows < 0
        vectors = np.array(self.user_vectors[np.maximum(rows, 0)], np.float32)
        vectors[unknown] = self.default
        return GivenUsers(vectors, unknown)


def videos_of(run: RunVectors, video_ids: Sequence[str]) -> tuple[Half, NDArray[np.bool_]]:
    """The vectors of these videos in fp16 `(n, dim)`, and which of them `(n,)` the run has; zeros for the others."""
    rows = IdMap(run.video_ids).rows(video_ids)
    videos = run.videos[np.maximum(rows, 0)].astype(np.float16)
    videos[rows < 0] = 0
    return videos, rows >= 0
