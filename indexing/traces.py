"""Where files name videos: parquet by their columns of ids, JSON anywhere in it. For what must be gone for good."""

import json
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl

from indexing.columns import S
from indexing.places import Place
from indexing.store import read_parquet
from retrieval.errors import UserFacingError
from retrieval.folders import writing
from retrieval.tables import VIDEOS
from retrieval.tables import Columns as C

KIND = "kind"


@dataclass(frozen=True)
class Traces:
    """How many rows of each file name one of the videos, and which; *files* is how many were looked at."""

    files: int
    found: dict[str, int]
    videos: tuple[str, ...] = ()

    @property
    def rows(self) -> int:
        return sum(self.found.values())


def traces_in(place: Place, ids: Collection[str]) -> Traces:
    """The traces of the videos *ids* in all files of a folder."""
    counts = {f"{place}/{name}": _count(place, name, ids) for name in place.names()}
    return Traces(len(counts), {name: count for name, count in counts.items() if count})


def _count(place: Place, name: str, ids: Collection[str]) -> int:
    if name.endswith(".parquet"):
        columns = _id_columns(place, name)
        return _naming(read_parquet(place, name, columns), ids).height if columns else 0
    if name.endswith(".json"):
        return sum(text in ids for text in _texts(json.loads(place.read(name))))
    return 0


def _id_columns(place: Place, name: str) -> list[str]:
    opened = place.open(name)
    if isinstance(opened, Path):
        columns = pl.read_parquet_schema(opened)
    else:
        with opened:
            columns = pl.read_parquet_schema(opened)
    named = [column for column in (C.VIDEO_ID, S.ITEM_ID) if column in columns]
    return [*named, KIND] if named and KIND in columns else named


def _naming(table: pl.DataFrame, ids: Collection[str]) -> pl.DataFrame:
    """The rows that name one of the videos; where a table is of several kinds, products may have the same ids."""
    of_videos = table.filter(pl.col(KIND) == VIDEOS.name) if KIND in table.columns else table
    columns = [column for column in table.columns if column != KIND]
    return of_videos.filter(pl.any_horizontal(pl.col(columns).cast(pl.String).is_in(list(ids))).fill_null(False))


def _texts(value: Any) -> Iterator[str]:
    """All texts in a value read from JSON."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict | list):
        for inner in value.values() if isinstance(value, dict) else value:
            yield from _texts(inner)


def traces_in_judgments(folders: Collection[Path], ids: Collection[str]) -> Traces:
    """The rows that judge one of the videos *ids*, in the parquet and JSON lines below *folders*.

    Raises:
        UserFacingError: a file cannot be read.
    """
    files = list(_judgment_files(folders))
    judged = {str(file): _judged(file, ids) for file in files}
    counts = {name: len(videos) for name, videos in judged.items() if videos}
    return Traces(len(files), counts, tuple(sorted({video for videos in judged.values() for video in videos})))


def purge_judgments(traces: Traces, ids: Collection[str]) -> None:
    """Write the files of *traces* without the rows that judge one of the videos *ids*."""
    for name in traces.found:
        _FORMATS[Path(name).suffix].purge(Path(name), ids)


def _judgment_files(folders: Collection[Path]) -> Iterator[Path]:
    for folder in folders:
        yield from sorted(file for file in folder.rglob("*") if file.suffix in _FORMATS and file.is_file())


def _judged(file: Path, ids: Collection[str]) -> list[str]:
    """Which of the videos *ids* a file judges, once for each of its rows."""
    try:
        return [video for video in _FORMATS[file.suffix].judged(file) if video in ids]
    except (pl.exceptions.PolarsError, OSError) as error:
        raise UserFacingError(f"{file} cannot be read: {error}.", "Mend it, or move it elsewhere.") from error


def _judged_in_table(file: Path) -> list[str]:
    if C.VIDEO_ID not in pl.read_parquet_schema(file):
        return []
    videos: list[str] = pl.read_parquet(file, columns=[C.VIDEO_ID])[C.VIDEO_ID].cast(pl.String).to_list()
    return videos


def _purge_table(file: Path, ids: Collection[str]) -> None:
    judged = pl.col(C.VIDEO_ID).cast(pl.String).is_in(list(ids)).fill_null(False)
    with writing(file) as draft:
        pl.read_parquet(file).filter(~judged).write_parquet(draft)


def _judged_in_lines(file: Path) -> list[str]:
    return [_video_of(line) for line in file.read_bytes().splitlines()]


def _purge_lines(file: Path, ids: Collection[str]) -> None:
    lines = file.read_bytes().splitlines(keepends=True)
    with writing(file) as draft:
        draft.write_bytes(b"".join(line for line in lines if _video_of(line) not in ids))


def _video_of(line: bytes) -> str:
    """The video that a line judges; empty where it is not such an object of JSON, for instance one cut short."""
    try:
        judged = json.loads(line)
    except ValueError:
        return ""
    return str(judged.get(C.VIDEO_ID, "")) if isinstance(judged, dict) else ""


@dataclass(frozen=True)
class _Format:
    """How files of judgments are read, a video for each row, and rid of some."""

    judged: Callable[[Path], list[str]]
    purge: Callable[[Path, Collection[str]], None]


_FORMATS = {".parquet": _Format(_judged_in_table, _purge_table), ".jsonl": _Format(_judged_in_lines, _purge_lines)}
