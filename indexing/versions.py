"""Writes versions of a snapshot: objects first, then the version's manifest, then the pointer, each on disk at once.

A publisher that is killed leaves the version that was live, and at most objects that no version names; the next one
removes them.
"""

import fcntl
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
from retrieval.folders import MANIFEST, refuse_existing, sha256_of
from retrieval.snapshot_files import (
    FORMAT,
    OBJECTS,
    SNAPSHOT,
    VERSIONS,
    SnapshotManifest,
    live_version,
    manifest_path,
    object_path,
    read_manifest,
    version_names,
    version_of,
)
from retrieval.stacked import Rows

logger = logging.getLogger(__name__)
LOCK = "publish.lock"
PARTIAL = ".partial"
ROWS_AT_ONCE = 8192  # of a frame array of 8 × 512: 64 MB


@dataclass(frozen=True)
class Keep:
    """Which versions outlive a publication: the live one, the newest *versions*, and the last of each of *days* days.

    One a day, not all of them: a sync that publishes every half minute would keep three thousand a day.
    """

    versions: int = 5
    days: int = 7


class Publisher:
    """Writes into the snapshot at *folder*, which it alone does; *live* is the version that is served, if any."""

    def __init__(self, folder: Path, live: SnapshotManifest | None) -> None:
        self.folder = folder
        self.live = live

    def require_live(self) -> SnapshotManifest:
        """The live version; what opens as a snapshot has one."""
        if self.live is None:
            raise SnapshotError(f"{self.folder} holds no version.", "Build one: lookreel index build --help")
        return self.live

    def save(self, name: str, content: pl.DataFrame | Rows) -> str:
        """Write a table or an array as an object, called *name* in manifests, and return its checksum."""
        draft = self.folder / OBJECTS / f"{Path(name).name}{PARTIAL}"
        if isinstance(content, pl.DataFrame):
            content.write_parquet(draft)
        else:
            _save_rows(draft, content)
        checksum = sha256_of(draft)
        _flush(draft)
        draft.replace(object_path(self.folder, name, checksum))
        return checksum

    def publish(self, content: Mapping[str, Any], keep: Keep) -> str:
        """Make a version of *content* live, remove what is no longer kept, and return the version."""
        name, now = version_of(content), datetime.now(UTC)
        if not self.live or self.live.version != name:
            _flush(self.folder / OBJECTS)
            kept = readable(self.folder)
            number = 1 + max((one.number for one in kept), default=0)
            about = {"number": number, "parent": self.live.version if self.live else "", "created": now.isoformat()}
            _write_json(
                manifest_path(self.folder, name),
                {"version": name, "format": FORMAT, "lookreel": version("lookreel"), **about, **content},
            )
            self.point_to(name)
        prune(self.folder, keep, now)
        return name

    def point_to(self, name: str) -> None:
        """Make the version *name*, which is there, the live one."""
        _write_json(self.folder / MANIFEST, {"kind": SNAPSHOT, "format": FORMAT, "version": name})
        self.live = read_manifest(self.folder)


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
        live_version(folder)
    with (folder / LOCK).open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)  # the kernel gives it back, however this process ends
        except BlockingIOError:
            raise SnapshotError(
                f"Another process is publishing into {folder}.", "Try again when it has ended."
            ) from None
        yield Publisher(folder, _live_or_none(folder) if new else read_manifest(folder))


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
    if OBJECTS in names and names <= {OBJECTS, VERSIONS, LOCK, MANIFEST}:
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
    """The version that was live before *live*, or else the newest older one."""
    older = sorted((one for one in kept if one.number < live.number), key=lambda one: one.number)
    if live.parent in {one.version for one in kept}:
        return live.parent
    if not older:
        raise SnapshotError(f"{folder} keeps no version before {live.version}.", "Name one with --to.")
    return older[-1].version


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
    versions, live = readable(folder), live_version(folder)
    stay = retained(versions, live, keep, now)
    for file in (folder / VERSIONS).iterdir():
        if file.suffix != ".json" or file.stem not in stay:
            file.unlink()
    named = {object_path(folder, *one).name for kept in versions if kept.version in stay for one in kept.objects()}
    for file in (folder / OBJECTS).iterdir():
        if file.name not in named:
            file.unlink()


def readable(folder: Path) -> list[SnapshotManifest]:
    """The manifests of all versions kept; a damaged one is left out, since nothing can be opened with it."""
    found = []
    for name in version_names(folder):
        try:
            found.append(read_manifest(folder, name))
        except SnapshotError as error:
            logger.warning("%s", error)
    return found


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
