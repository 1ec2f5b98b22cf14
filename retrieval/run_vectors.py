"""Vectors that a training gave to videos and users: the files of a run, and their check.

A run's folder holds, beside what its training needs, `vectors.json` (what they are, and checksums),
`video_vectors.parquet` (video_id, vector) and `user_vectors.parquet` (user_id, vector).
"""

import json
import re
import secrets
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import polars as pl
from numpy.typing import NDArray

from retrieval.errors import ModelError, TableError
from retrieval.folders import sha256_of, writing
from retrieval.log import from_us, to_us
from retrieval.tables import Columns as C

Floats = NDArray[np.float32]
KIND = "conventional"  # of the vectors, of the space that they make, and of the system that ranks by it
FORMAT = 1
ABOUT_FILE = "vectors.json"
VIDEO_FILE, USER_FILE = "video_vectors.parquet", "user_vectors.parquet"
FILE_NAME = "(video|user)_vectors(-[0-9a-f]{12})?[.]parquet"  # where users were taken out their file has another name
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
    _write_about(folder, about)


def open_vectors(folder: Path) -> RunVectors:
    """The vectors that a run's *folder* holds.

    Raises:
        ModelError: there are none, or they are damaged or of another format.
    """
    said = _read_about(folder)
    try:
        video_file, user_file = _verified_files(folder, said["checksums"])
        videos, users = load_vectors(video_file, C.VIDEO_ID), load_vectors(user_file, C.USER_ID, may_be_empty=True)
        default = np.array(said["default"], np.float32)
        of_users = users.vectors if users.ids else np.empty((0, len(default)), np.float32)
        opened = RunVectors(
            videos.ids, videos.vectors, users.ids, of_users, default,
            to_us(datetime.fromisoformat(said["trained_before"])), said["about"],
            sha256_of(folder / ABOUT_FILE)[:16],
        )  # fmt: skip
        _require_sound(opened)
    except (OSError, KeyError, TypeError, ValueError, AttributeError, TableError) as error:
        raise ModelError(f"The vectors in {folder} are damaged: {str(error).splitlines()[0]}.", AGAIN) from error
    return opened


def _verified_files(folder: Path, checksums: Mapping[str, str]) -> tuple[Path, Path]:
    """The files of the videos' and of the users' vectors; a name that is neither is never made part of a path."""
    named = {match[1]: match[0] for match in (re.fullmatch(FILE_NAME, name) for name in checksums) if match}
    if len(checksums) != 2 or len(named) != 2:
        raise ValueError(f"it names {', '.join(checksums)}, not a file of videos and one of users")
    for name, checksum in checksums.items():
        if sha256_of(folder / name) != checksum:
            raise ValueError(f"{name} differs from what {ABOUT_FILE} says")
    return folder / named["video"], folder / named["user"]


def drop_users(folder: Path, goes: Callable[[Sequence[str]], Sequence[bool]], *, dry_run: bool = False) -> int:
    """Take the vectors of users out of a run's *folder*, and return of how many.

    A new file comes first, then what names it, and then the old one goes: the folder opens at any instant, and who was
    killed does it again. Its fingerprint is another one afterwards.

    Args:
        goes: says of each id whether it goes.
        dry_run: only count.

    Raises:
        ModelError: the folder holds no vectors, or they are damaged.
    """
    run, said = open_vectors(folder), _read_about(folder)
    stay = ~np.asarray(goes(run.user_ids), bool)
    gone = int((~stay).sum())
    if gone and not dry_run:
        new = folder / USER_FILE.replace(".", f"-{secrets.token_hex(6)}.")
        _save_table(new, C.USER_ID, [run.user_ids[row] for row in np.flatnonzero(stay)], run.users[stay])
        videos = {name: checksum for name, checksum in said["checksums"].items() if name.startswith("video")}
        _write_about(folder, {**said, "checksums": {**videos, new.name: sha256_of(new)}})
    if not dry_run:
        _drop_unnamed(folder)
    return gone


def _drop_unnamed(folder: Path) -> None:
    """Remove vectors that are of no use any more, be it that somebody was killed who wrote them."""
    named = _read_about(folder)["checksums"]
    for file in folder.iterdir():
        if re.fullmatch(FILE_NAME, file.name) and file.name not in named:
            file.unlink()


def _write_about(folder: Path, about: Mapping[str, Any]) -> None:
    with writing(folder / ABOUT_FILE) as draft:
        draft.write_text(json.dumps(about, indent=2) + "\n")


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


def load_vectors(file: Path, key: str, *, may_be_empty: bool = False) -> IdsAndVectors:
    """A table of ids in the column *key* and vectors of one length, in the file's order.

    Args:
        may_be_empty: a table without rows is one of no vectors.

    Raises:
        TableError: naming the file, and the column or row that is wrong.
    """
    table = _read_table(file, key)
    if table.is_empty() and may_be_empty:
        return IdsAndVectors([], np.empty((0, 0), np.float32))
    ids, vectors = table[key], table[VECTOR]
    lists = vectors.arr.to_list() if isinstance(vectors.dtype, pl.Array) else vectors
    lengths = lists.list.len().fill_null(0)
    dim = int(lengths[0]) if len(lengths) else 0
    if dim == 0 or (lengths != dim).any():
        if not len(lengths):
            raise _wrong(file, "it has no rows")
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
        if array.shape != (len(ids), vectors.dim):
            raise ValueError(f"{what} are {array.shape} for {len(ids)} ids and {vectors.dim} dimensions")
        if len(set(ids)) != len(ids):
            raise ValueError(f"an id of the {what} stands twice")
    for what, array in (("videos", vectors.videos), ("users", vectors.users), ("default", vectors.default)):
        if not (np.abs(array) <= LARGEST).all():
            raise ValueError(f"{what} hold a number that is not finite or above {LARGEST:.0f}")
