"""A snapshot's folder: the pointer to its live version, the versions' manifests, and the objects that they share.

- `manifest.json`: which version is live; replaced in one step.
- `versions/<version>.json`: what a version binds, by checksum.
- `objects/<checksum>.<kind>`: tables and arrays, never changed; versions share them.
"""

import hashlib
import json
import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from retrieval.errors import SnapshotError
from retrieval.folders import MANIFEST as MANIFEST
from retrieval.folders import sha256_of

FORMAT = 2
SNAPSHOT = "snapshot"
VERSIONS = "versions"
OBJECTS = "objects"
CLIP_SPACE = "clip"
CONVENTIONAL_SPACE = "conventional"
AGAIN = "Build the snapshot again."


class SnapshotFiles:
    """What the files of a version hold, and those of each of its segments."""

    VIDEOS = "videos.parquet"
    PRODUCTS = "products.parquet"
    REJECTED = "rejected.parquet"
    UNUSED = "unused.parquet"
    VIDEO_POPULARITY = "video_popularity.npy"
    PRODUCT_POPULARITY = "product_popularity.npy"
    VIDEO_PLACEMENT = "video_placement.npy"
    PRODUCT_PLACEMENT = "product_placement.npy"

    VIDEO_ITEMS = "video_items.parquet"
    PRODUCT_ITEMS = "product_items.parquet"
    POSTERS = "posters.parquet"
    VIDEO_VECTORS = "video_vectors.npy"
    FRAME_VECTORS = "frame_vectors.npy"
    FRAME_TIMES = "frame_times.npy"
    PRODUCT_VECTORS = "product_vectors.npy"

    HAS_VECTOR = "has_vector.npy"
    USERS = "users.parquet"
    USER_VECTORS = "user_vectors.npy"
    DEFAULT_VECTOR = "default_vector.npy"

    @staticmethod
    def of_space(space: str, name: str) -> str:
        return f"spaces/{space}/{name}"


F = SnapshotFiles
OF_VERSION = frozenset((F.VIDEOS, F.PRODUCTS, F.REJECTED, F.UNUSED, F.VIDEO_POPULARITY, F.PRODUCT_POPULARITY)) | {
    F.VIDEO_PLACEMENT,
    F.PRODUCT_PLACEMENT,
}
OF_SEGMENT = frozenset((F.VIDEO_ITEMS, F.PRODUCT_ITEMS, F.POSTERS))
OF_SPACE = frozenset((F.VIDEO_VECTORS, F.FRAME_VECTORS, F.FRAME_TIMES, F.PRODUCT_VECTORS))
OF_CONVENTIONAL = frozenset(
    F.of_space(CONVENTIONAL_SPACE, name)
    for name in (F.VIDEO_VECTORS, F.HAS_VECTOR, F.USERS, F.USER_VECTORS, F.DEFAULT_VECTOR)
)
"""Files of the version itself, not of its segments: rows of videos are those of the version's own table."""


@dataclass(frozen=True)
class SegmentFiles:
    """What a manifest says of one segment: its rows, living or not, and its *files* by checksum."""

    n_videos: int
    n_products: int
    files: Mapping[str, str]


@dataclass(frozen=True)
class SnapshotManifest:
    """One version. *content* is all that its name binds: the other fields down to *files* are read from it.

    *as_of* is the time that its statistics count to. *number* counts publications, *parent* was live before the first
    of this one; publishing the same again changes neither.
    """

    version: str
    content: Mapping[str, Any]
    as_of: datetime
    markets: tuple[str, ...]
    spaces: Mapping[str, Mapping[str, Any]]
    segments: tuple[SegmentFiles, ...]
    files: Mapping[str, str]
    number: int
    parent: str
    created: datetime

    def objects(self) -> Iterator[tuple[str, str]]:
        """What each file holds, and its checksum: those of the version, then those of its segments."""
        for files in (self.files, *(segment.files for segment in self.segments)):
            yield from files.items()

    def lengths(self) -> tuple[list[int], list[int]]:
        """How many videos, and how many products, each segment holds."""
        return [s.n_videos for s in self.segments], [s.n_products for s in self.segments]


def version_of(content: Mapping[str, Any]) -> str:
    """The version of a snapshot: twelve hexadecimal digits of everything that its manifest binds.

    Args:
        content: as_of, markets, spaces, segments, files and stores.
    """
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()[:12]


def object_path(path: Path, name: str, checksum: str) -> Path:
    """Where the snapshot at *path* keeps the file that is called *name* in a manifest."""
    return path / OBJECTS / f"{checksum}{Path(name).suffix}"


def manifest_path(path: Path, version: str) -> Path:
    """Where the snapshot at *path* keeps the manifest of a version."""
    return path / VERSIONS / f"{version}.json"


@dataclass(frozen=True)
class Pointer:
    """What the folder's own manifest says: the *version* that is live.

    *before* was live when it was published, "" after a rollback; *newest* is the highest number that was ever live, 0
    where that was not written down.
    """

    version: str
    before: str = ""
    newest: int = 0


def live_version(path: Path) -> str:
    """The version of the snapshot at *path* that is served; see `read_pointer`."""
    return read_pointer(path).version


def read_pointer(path: Path) -> Pointer:
    """Which version of the snapshot at *path* is served.

    Raises:
        SnapshotError: *path* is no snapshot, or one of another format.
    """
    file = path / MANIFEST
    if not file.is_file():
        raise SnapshotError(
            f"{path} is not a snapshot: it has no {MANIFEST}.", "Build one: lookreel index build --help"
        )
    try:
        pointer = json.loads(file.read_text())
        if pointer.get("kind") != SNAPSHOT or pointer["format"] != FORMAT:
            raise SnapshotError(
                f"{path} is {pointer.get('kind')} of format {pointer.get('format')}, not a snapshot of format "
                f"{FORMAT}.",
                AGAIN,
            )
        before = str(pointer.get("before", ""))
        return Pointer(_require_hex(pointer["version"], 12), before, int(pointer.get("newest", 0)))
    except OSError as error:
        raise SnapshotError(f"{file} cannot be read: {error}.", "Try again.") from error
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise SnapshotError(f"{file} is damaged: {error}.", AGAIN) from error


def version_names(path: Path) -> list[str]:
    """The versions that the snapshot at *path* keeps, in no order."""
    return [file.stem for file in (path / VERSIONS).glob("*.json") if re.fullmatch("[0-9a-f]{12}", file.stem)]


def read_manifest(path: Path, version: str | None = None) -> SnapshotManifest:
    """Read and check the manifest of a version of the snapshot at *path*, by default of the live one.

    Raises:
        SnapshotError: there is none, or it is damaged or of another format; its cause is an OSError where it only could
            not be read.
    """
    name = version or live_version(path)
    if not re.fullmatch("[0-9a-f]{12}", name) or not manifest_path(path, name).is_file():
        raise SnapshotError(
            f"The snapshot {path} holds no version {name}.", "See those that it keeps: lookreel index info"
        )
    try:
        fields = json.loads(manifest_path(path, name).read_text())
        if fields["version"] != name or fields["format"] != FORMAT:
            raise ValueError(f"it is version {fields['version']} of format {fields['format']}")
        return manifest_of(fields)
    except OSError as error:
        raise SnapshotError(f"{manifest_path(path, name)} cannot be read: {error}.", "Try again.") from error
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise SnapshotError(f"{manifest_path(path, name)} is damaged: {error}.", AGAIN) from error


def manifest_of(fields: Mapping[str, Any]) -> SnapshotManifest:
    """The manifest of these fields, if its version is that of its content and every file is named that we shall read.

    Raises:
        KeyError, TypeError, ValueError: it is not.
    """
    content = {name: fields[name] for name in ("as_of", "markets", "spaces", "segments", "files", "stores")}
    if fields["version"] != version_of(content):
        raise ValueError("its version is not that of its content")
    embedded = {CLIP_SPACE, *fields["spaces"]} - {CONVENTIONAL_SPACE}
    of_spaces = {F.of_space(space, name) for space in embedded for name in OF_SPACE}
    segments = tuple(SegmentFiles(**segment) for segment in fields["segments"])
    if not segments:
        raise ValueError("it names no segment")
    _require_named(fields["files"], OF_VERSION | (OF_CONVENTIONAL if CONVENTIONAL_SPACE in fields["spaces"] else set()))
    for segment in segments:
        _require_named(segment.files, OF_SEGMENT | of_spaces)
    return SnapshotManifest(
        fields["version"], content, datetime.fromisoformat(fields["as_of"]), tuple(fields["markets"]),
        fields["spaces"], segments, fields["files"],
        int(fields["number"]), str(fields["parent"]), datetime.fromisoformat(fields["created"]),
    )  # fmt: skip


def _require_named(files: Mapping[str, str], needed: Collection[str]) -> None:
    if missing := set(needed) - set(files):
        raise ValueError(f"it does not name {min(missing)}")
    for checksum in files.values():
        _require_hex(checksum, 64)


def _require_hex(text: str, length: int) -> str:
    """*text*, if it can be a checksum: nothing else is ever made part of a path."""
    if not re.fullmatch(f"[0-9a-f]{{{length}}}", text):
        raise ValueError(f"{text!r} is no checksum of {length} digits")
    return text


def verify_objects(path: Path, objects: Sequence[tuple[str, str]], known: Collection[str] = ()) -> None:
    """Compare files of the snapshot at *path* with their checksums, but for those *known* to be right.

    Args:
        objects: what each file holds, and its checksum.

    Raises:
        SnapshotError: one is missing or differs.
    """
    for name, checksum in objects:
        if checksum not in known and _checksum(object_path(path, name, checksum)) != checksum:
            raise SnapshotError(
                f"{object_path(path, name, checksum)} ({name}) is missing or differs from the manifest.", AGAIN
            )


def _checksum(file: Path) -> str:
    try:
        return sha256_of(file)
    except FileNotFoundError:
        return ""
