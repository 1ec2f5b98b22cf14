"""Writes versions of a snapshot: objects first, then the version's manifest, then the pointer, each on disk at once.

A publisher that is killed leaves the version that was live, and at most objects that no version names or a version that
never was live; the next one removes them. Only where no pointer is there to read it keeps what it cannot tell apart.
"""

import errno
import json
import logging
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from retrieval.errors import SnapshotError
from retrieval.folders import MANIFEST, locked, refuse_existing, sha256_of
from retrieval.snapshot_files import (
    FORMAT,
    OBJECTS,
    SNAPSHOT,
    VERSIONS,
    F,
    Pointer,
    SnapshotManifest,
    manifest_of,
    manifest_path,
    object_path,
    read_manifest,
    read_pointer,
    version_names,
    version_of,
)
from retrieval.stacked import Rows

logger = logging.getLogger(__name__)
LOCK = "publish.lock"
PARTIAL = ".partial"
POINTER_DRAFT = f".{MANIFEST}{PARTIAL}"
ROWS_AT_ONCE = 8192  # of a frame array of 8 × 512: 64 MB
ROW_GROUPS = {F.POSTERS: 32}  # a poster is read with its group: half a millisecond where each has 20 kB


@dataclass(frozen=True)
class Keep:
    """Which versions outlive a publication: the live one, the newest *versions*, and the last of each of *days* days.

    One a day, not all of them: a sync that publishes every half minute would keep three thousand a day.
    """

    versions: int = 5
    days: int = 7


class Publisher:
    """Writes into the snapshot at *folder*, which it alone does; *live* is the version that is served, if any.

    *newest* is the highest number that was ever live.
    """

    def __init__(self, folder: Path, live: SnapshotManifest | None, newest: int) -> None:
        self.folder = folder
        self.live = live
        self.newest = newest

    def require_live(self) -> SnapshotManifest:
        """The live version; what opens as a snapshot has one."""
        if self.live is None:
            raise SnapshotError(f"{self.folder} holds no version.", "Build one: lookreel index build --help")
        return self.live

    def save(self, name: str, content: pl.DataFrame | Rows) -> str:
        """Write a table or an array as an object, called *name* in manifests, and return its checksum."""
        draft = self.folder / OBJECTS / f"{Path(name).name}{PARTIAL}"
        try:
            if isinstance(content, pl.DataFrame):
                _save_table(draft, content, ROW_GROUPS.get(name))
            else:
                _save_rows(draft, content)
            checksum = sha256_of(draft)
            _flush(draft)
            draft.replace(object_path(self.folder, name, checksum))
        finally:
            draft.unlink(missing_ok=True)
        return checksum

    def publish(self, content: Mapping[str, Any], keep: Keep) -> str:
        """Make a version of *content* live, remove what is no longer kept, and return the version.

        One that is kept already is not written again: its number and parent are the place that a rollback goes by.
        """
        name, now = version_of(content), datetime.now(UTC)
        before = self.live.version if self.live else ""
        if before != name:
            if name not in {one.version for one in readable(self.folder)}:
                self.record(content, 1 + self.newest, before, now)
            self.point_to(name, before)
        prune(self.folder, keep, now)
        return name

    def preview(self, content: Mapping[str, Any]) -> SnapshotManifest:
        """What the manifest of *content*, whose objects are there, would say: to open it before it is published."""
        about = {"number": 1 + self.newest, "parent": "", "created": datetime.now(UTC).isoformat()}
        return manifest_of({"version": version_of(content), **about, **content})

    def discard(self) -> None:
        """Remove the objects that no version names: what was written for one that is not to be published."""
        kept = kept_in(self.folder)
        if not kept.failed:  # what one that cannot be read needs is not known
            remove_others(self.folder, kept.read)

    def record(self, content: Mapping[str, Any], number: int, parent: str, created: datetime) -> str:
        """Write the manifest of a version of *content*, whose objects are there, and return the version."""
        name = version_of(content)
        _flush(self.folder / OBJECTS)
        about = {"number": number, "parent": parent, "created": created.isoformat()}
        _write_json(
            manifest_path(self.folder, name),
            {"version": name, "format": FORMAT, "lookreel": version("lookreel"), **about, **content},
        )
        return name

    def point_to(self, name: str, before: str = "") -> None:
        """Make the version *name*, which is there, the live one; *before* was live until it was published."""
        target = read_manifest(self.folder, name)
        self.newest = max(self.newest, target.number)
        about = {"version": name, "before": before, "newest": self.newest}
        _write_json(self.folder / MANIFEST, {"kind": SNAPSHOT, "format": FORMAT, **about})
        self.live = target


@contextmanager
def publishing(folder: Path, *, new: bool = False) -> Iterator[Publisher]:
    """Yield the only publisher into the snapshot at *folder*.

    Args:
        new: a snapshot is begun where there is none.

    Raises:
        SnapshotError: it is not a snapshot, or somebody else is publishing into it.
        UserFacingError: *folder* holds something else.
    """
    if new:
        refuse_foreign(folder)
        for name in (OBJECTS, VERSIONS):
            (folder / name).mkdir(parents=True, exist_ok=True)
    else:
        read_pointer(folder)
    taken = SnapshotError(f"Another process is publishing into {folder}.", "Try again when it has ended.")
    with locked(folder / LOCK, taken):
        live = _live_or_none(folder) if new else read_manifest(folder)
        yield Publisher(folder, live, _drop_never_live(folder))


def _drop_never_live(folder: Path) -> int:
    """Remove the versions that a killed publisher wrote but never pointed to; return the highest number ever live.

    Where the pointer does not tell which those are, any of them may have been live: all stay.
    """
    kept = readable(folder)
    newest = _pointer_or_none(folder).newest or max((one.number for one in kept), default=0)
    for one in kept:
        if one.number > newest:
            manifest_path(folder, one.version).unlink()
    return newest


def _pointer_or_none(folder: Path) -> Pointer:
    """The pointer, one that names nothing where it is damaged or absent."""
    try:
        return read_pointer(folder)
    except SnapshotError:
        return Pointer("")


def _live_or_none(folder: Path) -> SnapshotManifest | None:
    """The live version, none where it is damaged too: who builds anew needs it no more."""
    try:
        return read_manifest(folder)
    except SnapshotError:
        return None


def refuse_foreign(folder: Path) -> None:
    """Raise when *folder* holds something else than a snapshot, be it one that is damaged or was never published.

    Raises:
        UserFacingError: it does; nothing in it is touched.
    """
    names = {file.name for file in folder.iterdir()} if folder.is_dir() else set()
    if OBJECTS in names and names <= {OBJECTS, VERSIONS, LOCK, MANIFEST, POINTER_DRAFT}:
        return
    refuse_existing(folder, replaces=SNAPSHOT)


def rollback_snapshot(folder: Path, to: str | None = None) -> str:
    """Make an earlier version live again, by default the one that was live before, and return it.

    Raises:
        SnapshotError: there is no such version, or a file of it is missing.
    """
    with publishing(folder) as publisher:
        target = read_manifest(folder, to or _before(publisher.require_live(), readable(folder), folder))
        for name, checksum in target.objects():
            if not object_path(folder, name, checksum).is_file():
                raise SnapshotError(
                    f"{object_path(folder, name, checksum)} ({name}) is missing.", "Roll back to another version."
                )
        publisher.point_to(target.version)
        return target.version


def _before(live: SnapshotManifest, kept: Sequence[SnapshotManifest], folder: Path) -> str:
    """The version that was live before *live*: never another, which might be the one that was rolled back from.

    After a publication the pointer names it. After a rollback it is the parent, if that is older: one that was
    published again and again is parent and child of the same version, and rollbacks would alternate for ever.
    """
    before = read_pointer(folder).before
    older = {one.version for one in kept if one.number < live.number or one.version == before}
    target = before or live.parent
    if target not in older:
        raise SnapshotError(
            f"{folder} keeps no version before {live.version}, or not the one that was live before it.",
            "Choose one of lookreel index info and name it: lookreel index rollback --to VERSION",
        )
    return target


def retained(versions: Sequence[SnapshotManifest], live: str, keep: Keep, now: datetime) -> set[str]:
    """The versions that stay, as `Keep` says."""
    newest_first = sorted(versions, key=lambda one: one.number, reverse=True)
    last_of_day = {one.created.date(): one for one in reversed(newest_first)}
    young = [one for day, one in last_of_day.items() if now.date() - day < timedelta(days=keep.days)]
    return {live} | {one.version for one in [*newest_first[: keep.versions], *young]}


def prune(folder: Path, keep: Keep, now: datetime) -> None:
    """Remove the versions that are not `retained`, and then what no version names; call it as the only publisher.

    Who has an old version open keeps reading it: its files are mapped, and go when the last reader does.
    """
    pointer, kept = read_pointer(folder), kept_in(folder)
    if kept.unread or pointer.version not in {one.version for one in kept.read}:
        logger.warning("%s is not pruned: a version could not be read, so what it needs is not known", folder)
        return
    stay = retained(kept.read, pointer.version, keep, now)
    if keep.versions > 1:
        stay.add(pointer.before)  # an old version that was published again has an old number
    remove_others(folder, [one for one in kept.read if one.version in stay])


def remove_others(folder: Path, staying: Sequence[SnapshotManifest]) -> None:
    """Remove all versions but those *staying*, what only they named, and what a killed publisher left behind."""
    (folder / POINTER_DRAFT).unlink(missing_ok=True)
    stay = {one.version for one in staying}
    for file in (folder / VERSIONS).iterdir():
        if file.suffix != ".json" or file.stem not in stay:
            file.unlink()
    named = {object_path(folder, *one).name for version in staying for one in version.objects()}
    for file in (folder / OBJECTS).iterdir():
        if file.name not in named:
            file.unlink()


@dataclass(frozen=True)
class Kept:
    """The versions in a snapshot's folder: the manifests that were *read*, and why each of the others *failed*."""

    read: tuple[SnapshotManifest, ...]
    failed: Mapping[str, SnapshotError]

    @property
    def unread(self) -> bool:
        """Whether one failed that is perhaps not damaged: it may be read another time."""
        return any(isinstance(error.__cause__, OSError) for error in self.failed.values())


def kept_in(folder: Path) -> Kept:
    """The versions in *folder*, without those that are pruned while we look."""
    read, failed = [], {}
    for name in version_names(folder):
        try:
            read.append(read_manifest(folder, name))
        except SnapshotError as error:
            if manifest_path(folder, name).exists():
                failed[name] = error
    return Kept(tuple(read), failed)


def readable(folder: Path) -> Sequence[SnapshotManifest]:
    """The manifests of all versions kept; a damaged one is left out, since nothing can be opened with it."""
    kept = kept_in(folder)
    for error in kept.failed.values():
        logger.warning("%s", error)
    return kept.read


def _save_table(file: Path, table: pl.DataFrame, row_group_size: int | None) -> None:
    try:
        table.write_parquet(file, row_group_size=row_group_size)
    except pl.exceptions.ComputeError as error:  # how polars tells of a full disk; callers expect an OSError
        raise OSError(errno.EIO, str(error), str(file)) from error


def _save_rows(file: Path, rows: Rows) -> None:
    """Write an array, block by block: stacked rows need not fit into memory."""
    with file.open("wb") as out:
        header = {"descr": np.lib.format.dtype_to_descr(rows.dtype), "fortran_order": False, "shape": rows.shape}
        np.lib.format.write_array_header_1_0(out, header)
        for start in range(0, len(rows), ROWS_AT_ONCE):
            out.write(np.ascontiguousarray(rows[start : start + ROWS_AT_ONCE]).data)


def _write_json(file: Path, fields: Mapping[str, Any]) -> None:
    """Replace *file* so that it is the old one or the new one, even after a power cut."""
    draft = file.with_name(f".{file.name}{PARTIAL}")
    try:
        draft.write_text(json.dumps(fields, indent=1))
        _flush(draft)
        draft.replace(file)
    finally:
        draft.unlink(missing_ok=True)
    _flush(file.parent)


def _flush(path: Path) -> None:
    """Wait until a file, or a folder's list of names, is on disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
