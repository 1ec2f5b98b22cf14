"""Folders that are either whole or absent: built beside their place and renamed into it."""

import hashlib
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from retrieval.errors import UserFacingError


@contextmanager
def building(target: Path, *, overwrite: bool = False) -> Iterator[Path]:
    """Yield an empty folder that becomes *target* when the block ends well, and vanishes when it does not.

    Raises:
        UserFacingError: *target* exists, is not empty, and *overwrite* is false.
    """
    refuse_existing(target, overwrite=overwrite)
    target.parent.mkdir(parents=True, exist_ok=True)
    draft = target.with_name(f".{target.name}.{os.getpid()}.partial")
    shutil.rmtree(draft, ignore_errors=True)
    draft.mkdir()
    try:
        yield draft
        _put_in_place(draft, target)
    finally:
        shutil.rmtree(draft, ignore_errors=True)


def refuse_existing(target: Path, *, overwrite: bool) -> None:
    """Raise when *target* holds something that may not be replaced: said before the work, not after it."""
    if target.is_file():
        raise UserFacingError(f"{target} is a file, not a folder.", "Name another place with --out.")
    if not overwrite and target.exists() and any(target.iterdir()):
        raise UserFacingError(f"{target} exists already.", "Name another place, or replace it with --overwrite.")


def _put_in_place(draft: Path, target: Path) -> None:
    old = target.with_name(f".{target.name}.{os.getpid()}.old")
    if target.exists():
        target.rename(old)
    draft.rename(target)
    shutil.rmtree(old, ignore_errors=True)


@contextmanager
def writing(target: Path) -> Iterator[Path]:
    """Yield a temporary path beside *target*, renamed to it when the block ends well."""
    target.parent.mkdir(parents=True, exist_ok=True)
    draft = target.with_name(f".{target.name}.{os.getpid()}.partial")
    try:
        yield draft
        draft.replace(target)
    finally:
        draft.unlink(missing_ok=True)


def sha256_of(path: Path) -> str:
    """The SHA-256 of a file, in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
