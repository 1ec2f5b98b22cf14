"""Folders of logs on this machine or at any fsspec URL. What is written there is whole or absent."""

import contextlib
import os
import uuid
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Any

import polars as pl

from retrieval.errors import MissingExtraError, UserFacingError

_HIDDEN = "."  # drafts of writers that were killed begin with it


class ArchiveError(UserFacingError):
    """A folder or URL of logs cannot be opened."""


@dataclass(frozen=True)
class Archive:
    """A folder of files. *uri* is what the user wrote, *root* the path within the file system *fs* of fsspec."""

    uri: str
    root: str
    fs: Any

    def __str__(self) -> str:
        return self.uri

    @property
    def folder(self) -> Path | None:
        """The folder, where it is one of this machine."""
        protocols = self.fs.protocol if isinstance(self.fs.protocol, tuple) else (self.fs.protocol,)
        return Path(self.root) if "file" in protocols else None

    def names(self) -> list[str]:
        """The files that are there, sorted; none where there is no folder."""
        self.fs.invalidate_cache(self.root)
        try:
            found = self.fs.ls(self.root, detail=False)
        except (FileNotFoundError, NotADirectoryError):
            return []
        names = (str(path).rstrip("/").rpartition("/")[2] for path in found)
        return sorted(name for name in names if not name.startswith(_HIDDEN))

    def read(self, name: str) -> bytes:
        """The content of a file.

        Raises:
            FileNotFoundError: there is none of that name.
        """
        content: bytes = self.fs.cat_file(f"{self.root}/{name}")
        return content

    def read_parquet(self, name: str) -> pl.DataFrame:
        """The table of a file.

        Raises:
            FileNotFoundError: there is none of that name.
        """
        return pl.read_parquet(BytesIO(self.read(name)))

    def write_parquet(self, name: str, table: pl.DataFrame) -> None:
        """Write a table; see `write`."""
        content = BytesIO()
        table.write_parquet(content)
        self.write(name, content.getvalue())

    def write(self, name: str, content: bytes) -> None:
        """Write a file over what has the name. It is whole or as before, whatever happens meanwhile."""
        if self.folder is None:
            self.fs.makedirs(self.root, exist_ok=True)
            self.fs.pipe_file(f"{self.root}/{name}", content)  # one upload is atomic
            return
        self.folder.mkdir(parents=True, exist_ok=True)
        write_whole(self.folder / name, content)

    def remove(self, name: str) -> None:
        """Remove a file, if it is there."""
        with contextlib.suppress(FileNotFoundError):
            self.fs.rm_file(f"{self.root}/{name}")


def open_archive(uri: str | Path) -> Archive:
    """The folder that a path or an fsspec URL names; it need not exist.

    Raises:
        ArchiveError: no such protocol.
        MissingExtraError: the package that speaks this protocol is not installed.
    """
    import fsspec

    text = str(uri)
    try:
        fs, root = fsspec.core.url_to_fs(text)
    except ImportError as error:
        raise MissingExtraError(f"{text} needs a package that is not installed: {error}.", "Install it.") from error
    except ValueError as error:
        raise ArchiveError(f"{text} cannot be opened: {error}.", "Name a folder or a URL that fsspec knows.") from error
    return Archive(text, str(root).rstrip("/"), fs)


def require_folder(uri: str | Path) -> None:
    """Raise where a folder of this machine is not there: a slip in a path should not look like an empty log.

    Raises:
        ArchiveError: there is no such folder.
    """
    folder = open_archive(uri).folder
    if folder is not None and not folder.is_dir():
        raise ArchiveError(f"There is no folder {uri}.", "Mend the path; the API makes it with the first feed.")


def write_whole(path: Path, content: bytes) -> None:
    """Write a file beside its place, readable by its owner only, and rename it there once it is on the disk."""
    draft = path.with_name(f".{path.name}.{uuid.uuid4().hex}.partial")
    try:
        with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        draft.replace(path)
        sync_folder(path.parent)
    finally:
        draft.unlink(missing_ok=True)


def sync_folder(folder: Path) -> None:
    """Wait until what was renamed in a folder is on the disk: only then may what it replaces be removed."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
