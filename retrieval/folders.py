"""Folders that are either whole or absent: built beside their place and renamed into it."""

import hashlib
import json
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from retrieval.errors import UserFacingError

MANIFEST = "manifest.json"


@contextmanager
def building(target: Path, *, replaces: str = "") -> Iterator[Path]:
    """Yield an empty folder that becomes *target* when the block ends well, and vanishes when it does not.

    Args:
        replaces: the kind of artefact that may stand there already, as its manifest says; none by default.

    Raises:
        UserFacingError: *target* holds something else.
    """
    refuse_existing(target, replaces=replaces)
    target.parent.mkdir(parents=True, exist_ok=True)
    draft = target.with_name(f".{target.name}.{os.getpid()}.partial")
    shutil.rmtree(draft, ignore_errors=True)
    draft.mkdir()
    try:
        yield draft
        refuse_existing(target, replaces=replaces)  # another job may have finished in the meantime
        _put_in_place(draft, target)
    finally:
        shutil.rmtree(draft, ignore_errors=True)


def refuse_existing(target: Path, *, replaces: str = "") -> None:
    """Raise when *target* holds something that may not be replaced: said before the work, not after it.

    Only an artefact of the same kind is ever replaced, so that a slip in a path costs nobody their tables.
    """
    if target.is_file():
        raise UserFacingError(f"{target} is a file, not a folder.", "Name another place with --out.")
    if not target.exists() or not any(target.iterdir()):
        return
    if not replaces:
        raise UserFacingError(f"{target} exists already.", "Name another place, or replace it with --overwrite.")
    if kind_of(target) != replaces:
        raise UserFacingError(
            f"{target} holds something else than {replaces}, which is never replaced.", "Name another place with --out."
        )


def kind_of(folder: Path) -> str:
    """The kind of artefact that a folder's manifest names; empty where there is none to read."""
    try:
        manifest = json.loads((folder / MANIFEST).read_text())
    except (OSError, ValueError):
        return ""
    return str(manifest.get("kind", "")) if isinstance(manifest, dict) else ""


def _put_in_place(draft: Path, target: Path) -> None:
    old = target.with_name(f".{target.name}.{os.getpid()}.old")
    if target.exists():
        target.rename(old)
    try:
        draft.rename(target)
    except OSError:
        if old.exists():
            old.rename(target)
        raise
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


@contextmanager
def locked(file: Path, taken: UserFacingError) -> Iterator[None]:
    """Hold *file* for one process, or raise *taken*. The kernel gives it back, however the process ends."""
    import fcntl

    with file.open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise taken from None
        yield


def sha256_of(path: Path) -> str:
    """The SHA-256 of a file, in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
