"""Where a store lives: a local folder or any fsspec URL. Files appear whole or not at all."""

import contextlib
import hashlib
import os
import re
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, Protocol

from retrieval.errors import MissingExtraError, StoreError, UserFacingError
from retrieval.folders import locked

LOCK = ".lock"
DRAFT = r"\..+\.[0-9a-f]{32}\.partial"
LOCAL = ("file://", "local://")


class Place(Protocol):
    """A folder of files that are written once and read often."""

    def read(self, name: str) -> bytes:
        """The content of a file; FileNotFoundError where there is none."""
        ...

    def write(self, name: str, content: bytes) -> None:
        """Write a file so that it is either whole or absent, whatever happens meanwhile."""
        ...

    def open(self, name: str) -> "Path | BinaryIO":
        """What a parquet reader opens: a path, or a file object of a remote file."""
        ...

    def names(self) -> list[str]:
        """The files that are there, sorted."""
        ...

    def remove(self, name: str) -> None:
        """Remove a file, if it is there."""
        ...


@dataclass(frozen=True)
class LocalPlace:
    """A folder on this machine: files are written under a temporary name, flushed and renamed."""

    folder: Path

    def __str__(self) -> str:
        return str(self.folder)

    def read(self, name: str) -> bytes:
        """See `Place.read`."""
        return (self.folder / name).read_bytes()

    def write(self, name: str, content: bytes) -> None:
        """See `Place.write`."""
        self.folder.mkdir(parents=True, exist_ok=True)
        draft = self.folder / f".{name}.{uuid.uuid4().hex}.partial"  # nodes of a cluster may share process ids
        try:
            with draft.open("wb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            draft.replace(self.folder / name)
        finally:
            draft.unlink(missing_ok=True)

    def open(self, name: str) -> Path:
        """See `Place.open`."""
        return self.folder / name

    def names(self) -> list[str]:
        """See `Place.names`."""
        if self.folder.is_file():
            raise UserFacingError(f"{self.folder} is a file, not a folder.", "Name another place with --out.")
        if not self.folder.is_dir():
            return []
        return sorted(file.name for file in self.folder.iterdir() if not file.name.startswith("."))

    def remove(self, name: str) -> None:
        """See `Place.remove`."""
        (self.folder / name).unlink(missing_ok=True)


@dataclass(frozen=True)
class RemotePlace:
    """A prefix of an object store or another file system of fsspec, where one upload is atomic."""

    uri: str
    root: str
    fs: Any

    def __str__(self) -> str:
        return self.uri

    def read(self, name: str) -> bytes:
        """See `Place.read`."""
        content: bytes = self.fs.cat_file(f"{self.root}/{name}")
        return content

    def write(self, name: str, content: bytes) -> None:
        """See `Place.write`."""
        self.fs.makedirs(self.root, exist_ok=True)
        self.fs.pipe_file(f"{self.root}/{name}", content)

    def open(self, name: str) -> BinaryIO:
        """See `Place.open`."""
        file: BinaryIO = self.fs.open(f"{self.root}/{name}", "rb")
        return file

    def names(self) -> list[str]:
        """See `Place.names`."""
        self.fs.invalidate_cache(self.root)
        try:
            return sorted(path.rpartition("/")[2] for path in self.fs.ls(self.root, detail=False))
        except FileNotFoundError:
            return []

    def remove(self, name: str) -> None:
        """See `Place.remove`."""
        with contextlib.suppress(FileNotFoundError):
            self.fs.rm_file(f"{self.root}/{name}")


def open_place(uri: str | Path) -> Place:
    """The folder that a local path or an fsspec URL names.

    Raises:
        StoreError: no such protocol.
        MissingExtraError: the package that speaks this protocol is not installed.
    """
    text = str(uri)
    if "://" not in text or text.startswith(LOCAL):
        return LocalPlace(Path(text.partition("://")[2] or text))
    import fsspec

    try:
        fs, root = fsspec.core.url_to_fs(text)
    except ImportError as error:
        raise MissingExtraError(f"{text} needs a package that is not installed: {error}.", "Install it.") from error
    except ValueError as error:
        raise StoreError(f"{text} cannot be opened: {error}.", "Name a folder or a URL that fsspec knows.") from error
    return RemotePlace(text, root.rstrip("/"), fs)


def sha256_at(place: Place, name: str) -> str:
    """The SHA-256 of a file, in hexadecimal, without holding it in memory; empty where there is no such file."""
    try:
        opened = place.open(name)
        with opened.open("rb") if isinstance(opened, Path) else opened as file:
            return hashlib.file_digest(file, "sha256").hexdigest()  # type: ignore[arg-type]  # fsspec files are such
    except FileNotFoundError:
        return ""


@contextmanager
def alone(place: Place) -> Iterator[None]:
    """Hold a local folder for one writer; object stores have no such lock.

    Raises:
        UserFacingError: somebody else holds it.
    """
    if not isinstance(place, LocalPlace):
        yield
        return
    place.folder.mkdir(parents=True, exist_ok=True)
    taken = UserFacingError(
        f"Another job is writing to {place}.", "Wait until it ends, or name another place with --out."
    )
    with locked(place.folder / LOCK, taken):
        for draft in place.folder.glob(".*.partial"):
            if re.fullmatch(DRAFT, draft.name):  # of a writer that was killed
                draft.unlink()
        yield
