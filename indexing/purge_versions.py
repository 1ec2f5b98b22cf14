"""Takes videos out of every version that a snapshot keeps: under new names, with the same numbers, order and parents.

Objects come first, then the manifests, then the pointer, and last what is named no more goes. A purge that is killed
leaves a snapshot that opens. The next one takes a version of the same number that is clean for what became of another.
"""

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from indexing.arrange import renumbered
from indexing.columns import S
from indexing.given import cut
from indexing.state import VIDEOS
from indexing.versions import Publisher, kept_in, remove_others
from retrieval.errors import SnapshotError
from retrieval.snapshot_files import (
    F,
    SegmentFiles,
    SnapshotManifest,
    object_path,
    read_pointer,
    verify_objects,
    version_of,
)
from retrieval.stacked import Placement, Stacked
from retrieval.tables import Columns as C
from retrieval.version_files import load_array, load_placements

BY_VIDEO = (F.VIDEO_ITEMS, F.POSTERS, F.VIDEO_VECTORS, F.FRAME_VECTORS, F.FRAME_TIMES)
"""Files of a segment, in whichever space, that have a row for each of its videos."""
Stay = NDArray[np.bool_]


@dataclass(frozen=True)
class HeldByVersions:
    """What the versions of a snapshot hold of some videos: rows of their tables, and rows of segments, dead ones too.

    *ids* are those that any of them knows; *names* are the versions that hold one.
    """

    ids: frozenset[str]
    names: tuple[str, ...]
    rows: int
    vectors: int

    @property
    def any(self) -> bool:
        return bool(self.names)


def held_by_versions(folder: Path, ids: Collection[str]) -> HeldByVersions:
    """What the snapshot at *folder* holds of the videos *ids*; all that would be written anew is checked.

    Raises:
        SnapshotError: a version cannot be read, is damaged, or would hold no video any more.
    """
    known: set[str] = set()
    kept, names, rows = kept_versions(folder), [], 0
    all_segments = {_key(segment): segment for one in kept for segment in one.segments}
    segments = {key: _held_rows(folder, segment, ids) for key, segment in all_segments.items()}
    for one in kept:
        table = _held_ids(folder, one, ids)
        of_segments = {video for segment in one.segments for video in segments[_key(segment)]}
        named = of_segments.union(table, _unused_ids(folder, one, ids))
        if named:
            _require_others(folder, one, table)
            names.append(one.version)
        rows, known = rows + len(table), known | named
    return HeldByVersions(frozenset(known), tuple(names), rows, sum(map(len, segments.values())))


def kept_versions(folder: Path) -> Sequence[SnapshotManifest]:
    """The versions, by number.

    Raises:
        SnapshotError: one could not be read, though it may be another time.
    """
    kept = kept_in(folder)
    if kept.unread:
        raise next(error for error in kept.failed.values() if isinstance(error.__cause__, OSError))
    return sorted(kept.read, key=lambda one: one.number)


def _key(segment: SegmentFiles) -> tuple[tuple[str, str], ...]:
    return tuple(sorted(segment.files.items()))


def _is_one_of(ids: Collection[str], column: str = C.VIDEO_ID) -> pl.Expr:
    return pl.col(column).is_in(list(ids))


def _read(folder: Path, files: Mapping[str, str], name: str) -> pl.DataFrame:
    verify_objects(folder, [(name, files[name])])
    return pl.read_parquet(object_path(folder, name, files[name]))


def _held_rows(folder: Path, segment: SegmentFiles, ids: Collection[str]) -> list[str]:
    """Which of the videos *ids* a segment holds, living or not, once for each of its rows."""
    found: list[str] = _read(folder, segment.files, F.VIDEO_ITEMS).filter(_is_one_of(ids))[C.VIDEO_ID].to_list()
    if found:
        verify_objects(folder, list(segment.files.items()))
    return found


def _held_ids(folder: Path, version: SnapshotManifest, ids: Collection[str]) -> list[str]:
    found: list[str] = _read(folder, version.files, F.VIDEOS).filter(_is_one_of(ids))[C.VIDEO_ID].to_list()
    return found


def _unused_ids(folder: Path, version: SnapshotManifest, ids: Collection[str]) -> list[str]:
    found: list[str] = _read(folder, version.files, F.UNUSED).filter(_is_unused(ids))[S.ITEM_ID].to_list()
    return found


def _is_unused(ids: Collection[str]) -> pl.Expr:
    """Products have ids of their own, which may be the same."""
    return (pl.col("kind") == VIDEOS.name) & _is_one_of(ids, S.ITEM_ID)


def _require_others(folder: Path, version: SnapshotManifest, going: Sequence[str]) -> None:
    """Raise where nothing else is left; all else that is to be written anew is compared with its checksums."""
    verify_objects(folder, list(version.files.items()))
    if len(going) == pl.read_parquet(object_path(folder, F.VIDEOS, version.files[F.VIDEOS])).height:
        raise SnapshotError(
            f"The version {version.version} of {folder} would hold no video any more.",
            "Publish others first, and keep no such version: lookreel index update --keep-versions 1 --keep-days 0",
        )


def purge_versions(publisher: Publisher, held: HeldByVersions, gone_shards: Collection[str]) -> dict[str, str]:
    """Take out of every version what *held* names; return the new name of each that has one.

    Args:
        gone_shards: of the store of videos, written anew: an update reads those that took their place.
    """
    return rewrite_versions(publisher, held.names, _Writer(publisher, held.ids, frozenset(gone_shards)).content)


def rewrite_versions(
    publisher: Publisher, names: Collection[str], content_of: Callable[[SnapshotManifest], dict[str, Any]]
) -> dict[str, str]:
    """Put other versions in the place of those called *names*; return the new name of each.

    Args:
        content_of: what the version that takes one's place binds, its files written.
    """
    folder = publisher.folder
    kept = kept_versions(folder)
    contents = {one.version: one.content for one in kept if one.version not in names}
    clean = {one.number: one.version for one in kept if one.version not in names}
    renamed = {}
    for one in (one for one in kept if one.version in names):
        content = contents[clean[one.number]] if one.number in clean else content_of(one)
        renamed[one.version] = version_of(content)
        contents[version_of(content)] = content
    for version in _renumbered_versions(kept, renamed, contents):
        publisher.record(version.content, version.number, version.parent, version.created)
    _point(publisher, renamed)
    remove_others(folder, [one for one in kept_versions(folder) if one.version in contents])
    return renamed


def _renumbered_versions(
    kept: Sequence[SnapshotManifest], renamed: Mapping[str, str], contents: Mapping[str, Mapping[str, Any]]
) -> Iterator[SnapshotManifest]:
    """The manifests to write: of new versions, and of those whose parent has a new name.

    Versions that differed in nothing else are one now, in the place of the last of them.
    """
    for name, content in contents.items():
        was = [one for one in reversed(kept) if renamed.get(one.version, one.version) == name]
        parents = [renamed.get(one.parent, one.parent) for one in was]
        parent = next((parent for parent in parents if parent != name), "")
        became = replace(was[0], version=name, content=content, parent=parent)
        if became not in kept:
            yield became


def _point(publisher: Publisher, renamed: Mapping[str, str]) -> None:
    """Let the pointer name what the live version, and the one before it, have become."""
    pointer = read_pointer(publisher.folder)
    live, before = (renamed.get(name, name) for name in (pointer.version, pointer.before))
    if (live, before) != (pointer.version, pointer.before):
        publisher.point_to(live, "" if before == live else before)


class _Writer:
    """Writes versions without the videos *ids*; a segment that several share is written once."""

    def __init__(self, publisher: Publisher, ids: Collection[str], gone_shards: frozenset[str]) -> None:
        self._publisher, self._folder = publisher, publisher.folder
        self._ids, self._gone_shards = ids, gone_shards
        self._written: dict[tuple[tuple[str, str], ...], tuple[SegmentFiles, Stay]] = {}

    def content(self, version: SnapshotManifest) -> dict[str, Any]:
        """What the version binds without the videos, its files written."""
        segments = [self._segment(one) for one in version.segments]
        used = [number for number, (one, _) in enumerate(segments) if one.n_videos + one.n_products]
        videos = self._table(version.files, F.VIDEOS)
        stay = ~videos.select(_is_one_of(self._ids)).to_series().to_numpy()
        places, products = load_placements(self._folder, version)
        moved = _moved(places[np.flatnonzero(stay)], [stay for _, stay in segments])
        return {
            **version.content,
            "segments": [asdict(segments[number][0]) for number in used],
            "files": {
                **version.files,
                **self._files(version, videos, stay),
                F.VIDEO_PLACEMENT: self._publisher.save(F.VIDEO_PLACEMENT, renumbered(moved, used).as_array()),
                F.PRODUCT_PLACEMENT: self._publisher.save(F.PRODUCT_PLACEMENT, renumbered(products, used).as_array()),
            },
            "stores": {**version.content["stores"], VIDEOS.name: self._store(version)},
        }

    def _files(self, version: SnapshotManifest, videos: pl.DataFrame, stay: Stay) -> dict[str, str]:
        unused = self._table(version.files, F.UNUSED)
        popularity = load_array(self._folder, version, F.VIDEO_POPULARITY)
        return {
            F.VIDEOS: self._publisher.save(F.VIDEOS, videos.filter(stay)),
            F.UNUSED: self._publisher.save(F.UNUSED, unused.filter(~_is_unused(self._ids))),
            F.VIDEO_POPULARITY: self._publisher.save(F.VIDEO_POPULARITY, popularity[stay]),
            **cut(self._publisher, version, stay),
        }

    def _store(self, version: SnapshotManifest) -> dict[str, Any]:
        store = version.content["stores"][VIDEOS.name]
        return {**store, "shards": [one for one in store["shards"] if one not in self._gone_shards]}

    def _segment(self, segment: SegmentFiles) -> tuple[SegmentFiles, Stay]:
        """The segment without the videos, itself where it holds none, and which of its rows stay."""
        if _key(segment) not in self._written:
            items = self._table(segment.files, F.VIDEO_ITEMS)
            stay = ~items.select(_is_one_of(self._ids)).to_series().to_numpy()
            self._written[_key(segment)] = (segment if stay.all() else self._cut(segment, stay), stay)
        return self._written[_key(segment)]

    def _cut(self, segment: SegmentFiles, stay: Stay) -> SegmentFiles:
        names = [name for name in segment.files if name.rpartition("/")[2] in BY_VIDEO]
        files = {name: self._publisher.save(name, self._rows(segment.files, name, stay)) for name in names}
        return SegmentFiles(int(stay.sum()), segment.n_products, {**segment.files, **files})

    def _rows(self, files: Mapping[str, str], name: str, stay: Stay) -> pl.DataFrame | Stacked:
        if name.endswith(".parquet"):
            return self._table(files, name).filter(stay)
        local = np.flatnonzero(stay).astype(np.int32)
        array = np.load(object_path(self._folder, name, files[name]), mmap_mode="r")
        return Stacked([np.asarray(array)], Placement(np.zeros_like(local), local))

    def _table(self, files: Mapping[str, str], name: str) -> pl.DataFrame:
        return pl.read_parquet(object_path(self._folder, name, files[name]))


def _moved(places: Placement, stays: Sequence[Stay]) -> Placement:
    """The same rows after those that do not stay have left their segments."""
    local = places.local.copy()
    for number, stay in enumerate(stays):
        rows = places.in_segment(number)
        local[rows] = (np.cumsum(stay) - 1)[places.local[rows]]
    return Placement(places.segment, local)
