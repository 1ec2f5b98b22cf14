"""How each kind of file forgets users. A file is rewritten beside its place and renamed, so it is always whole."""

import glob
import shutil
import uuid
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatch
from io import BytesIO
from pathlib import Path
from typing import Protocol

from retrieval.errors import UserFacingError
from retrieval.folders import MANIFEST, writing
from retrieval.run_vectors import ABOUT_FILE, drop_users
from serving.archive import Archive, open_archive, write_whole
from serving.closed_files import DRAFTS, alone_in, ask_to_close, if_closed, served_files, sweep_drafts
from serving.compaction import FOREIGN_AGE_S
from serving.erasure import Forgotten, keeps_line, mentions
from serving.parquet_rows import copy_kept, count_gone, row_masks
from serving.places import Kind

PATIENCE_S = 10.0  # a writer looks whether it is asked to let go of its file each time it flushes
PICTURES = frozenset((".png", ".jpg", ".jpeg", ".webp", ".gif", ".pdf", ".mp4"))
PARQUET, JSONL = ".parquet", ".jsonl"
_LOG_PREFIXES = ("served-", "watches-")


@dataclass(frozen=True)
class Order:
    """Whom to forget; *dry_run* only counts. *in_snapshot* is how a snapshot forgets: its publisher's own code."""

    who: Forgotten
    now_us: int
    dry_run: bool = False
    in_snapshot: "ForgetInSnapshot | None" = None

    def goes(self, user_ids: Sequence[str]) -> list[bool]:
        """Of each user whether they are to be forgotten."""
        gone = self.who.among(user_ids)
        return [user in gone for user in user_ids]


class InSnapshot(Protocol):
    """What went out of a snapshot."""

    @property
    def versions(self) -> int: ...
    @property
    def vectors(self) -> int: ...


ForgetInSnapshot = Callable[[Path, Callable[[Sequence[str]], Sequence[bool]], bool], InSnapshot]
"""Takes users' vectors out of the snapshot at a path; the last argument says only to count."""


@dataclass(frozen=True)
class Erased:
    """What went: *rows* out of *files*, or whole *files*. *left_open* are files that a server still appends to."""

    files: int = 0
    rows: int = 0
    left_open: int = 0

    def __add__(self, other: "Erased") -> "Erased":
        return Erased(self.files + other.files, self.rows + other.rows, self.left_open + other.left_open)


def total(parts: Iterable[Erased]) -> Erased:
    """The sum of what went."""
    return sum(parts, Erased())


def erase_table(path: str, order: Order) -> Erased:
    """Rewrite a parquet file with a user_id column without the rows of who was forgotten, a row group at a time."""
    file = Path(path)
    if not file.is_file():
        return Erased()
    _sweep(file, order.now_us)
    masks = row_masks(file, order.who)
    gone = count_gone(masks)
    if gone and not order.dry_run:
        with writing(file) as draft:
            draft.touch(0o600)
            copy_kept(file, masks, draft)
            shutil.copymode(file, draft)
    return Erased(int(gone > 0), gone)


def erase_log(uri: str, order: Order) -> Erased:
    """Rewrite a folder or URL of the served log and of old watches, JSONL and parquet.

    Lines are taken only out of files that nobody appends to: a line that is appended while its file is rewritten would
    be lost. Servers of this host are asked to go on in another file; those of other hosts do so at midnight, UTC.
    """
    archive = open_archive(uri)
    folder = archive.folder
    if folder is None:
        return total(_erase_remote(archive, name, order) for name in archive.names() if _is_log_table(name))
    if not folder.is_dir():
        return Erased()
    with alone_in(folder):
        sweep_drafts(folder, order.now_us, age_s=0.0)
        tables = [file for file in sorted(folder.iterdir()) if _is_log_table(file.name)]
        return _erase_served(folder, order) + total(erase_table(str(file), order) for file in tables)


def erase_lines(folder: str, order: Order) -> Erased:
    """Rewrite the JSONL files of a folder that their writers replace as a whole, without the lines of who goes."""
    if not Path(folder).is_dir():
        return Erased()
    sweep_drafts(Path(folder), order.now_us)
    return total(_erase_from(file, order) for file in sorted(Path(folder).glob(f"*{JSONL}")))


def erase_tree(folder: str, order: Order) -> Erased:
    """Rewrite the tables and JSONL files of a folder; other texts that name who goes are removed, and pictures beside.

    Pictures cannot be searched, so they go with the text that they belong to.
    """
    sweep_drafts(Path(folder), order.now_us, pattern=f"**/{DRAFTS}")
    files = [file for file in _files_under(Path(folder)) if not fnmatch(file.name, DRAFTS)]
    rows = total(erase_table(str(file), order) for file in files if file.suffix == PARQUET)
    lines = total(_erase_from(file, order) for file in files if file.suffix == JSONL)
    rest = [file for file in files if file.suffix not in (PARQUET, JSONL)]
    named = {file for file in rest if _names_in(file, order.who)}
    beside = {file for file in rest if file.suffix.lower() in PICTURES and any(file.parent == n.parent for n in named)}
    for file in [] if order.dry_run else sorted(named | beside, key=_pictures_first):
        file.unlink(missing_ok=True)
    return rows + lines + Erased(files=len(named | beside))


def erase_report(path: str, order: Order) -> Erased:
    """Remove a report, a folder or a file, as a whole if anything in it names who goes: it can be made again.

    Raises:
        UserFacingError: the path is a folder that this command works in.
    """
    report = Path(path)
    _finish_removing(report)
    if not report.exists() or not any(_names_in(file, order.who) for file in _files_under(report)):
        return Erased()
    if report.resolve() in (Path.cwd(), *Path.cwd().parents):
        raise UserFacingError(f"{path} is where this command runs, not a report.", "Name the report's own folder.")
    if not order.dry_run:
        _remove_whole(report)
    return Erased(files=1)


def erase_run(folder: str, order: Order) -> Erased:
    """Take the vectors of who was forgotten out of the run of a conventional training."""
    if not (Path(folder) / ABOUT_FILE).is_file():
        return Erased()
    gone = drop_users(Path(folder), order.goes, dry_run=order.dry_run)
    return Erased(int(gone > 0), gone)


def erase_snapshot(folder: str, order: Order) -> Erased:
    """Take the vectors of who was forgotten out of every version of a snapshot."""
    if not (Path(folder) / MANIFEST).is_file():
        return Erased()
    if order.in_snapshot is None:
        raise ValueError(f"{folder} is a snapshot, and nothing was given that could take users out of it")
    done = order.in_snapshot(Path(folder), order.goes, order.dry_run)
    return Erased(done.versions, done.vectors)


def _erase_served(folder: Path, order: Order) -> Erased:
    named = [file for file in served_files(folder) if _gone_lines(file, order.who)]
    if order.dry_run:
        return total(_erase_from(file, order) for file in named)
    ask_to_close(named, PATIENCE_S)
    return total(_erase_closed(file, order) for file in named)


def _erase_closed(file: Path, order: Order) -> Erased:
    with if_closed(file, order.now_us, FOREIGN_AGE_S) as closed:
        return _erase_from(file, order) if closed else Erased(left_open=1)


def _erase_from(file: Path, order: Order) -> Erased:
    """Rewrite a JSONL file, or remove it where no line stays."""
    gone = _gone_lines(file, order.who)
    if gone and not order.dry_run:
        kept = [line for number, line in enumerate(_lines(file)) if number not in gone]
        if kept:
            write_whole(file, b"".join(kept))
        else:
            file.unlink()
    return Erased(int(bool(gone)), len(gone))


def _gone_lines(file: Path, who: Forgotten) -> set[int]:
    """The numbers of the lines that must go, from 0."""
    lines = enumerate(_lines(file))
    return {number for number, line in lines if not keeps_line(line.decode("utf-8", "replace"), who)}


def _lines(file: Path) -> list[bytes]:
    return file.read_bytes().splitlines(keepends=True)


def _erase_remote(archive: Archive, name: str, order: Order) -> Erased:
    content = archive.read(name)
    masks = row_masks(BytesIO(content), order.who)
    gone = count_gone(masks)
    if gone and not order.dry_run:
        rewritten = BytesIO()
        copy_kept(BytesIO(content), masks, rewritten)
        archive.write(name, rewritten.getvalue())
    return Erased(int(gone > 0), gone)


def _is_log_table(name: str) -> bool:
    return name.startswith(_LOG_PREFIXES) and name.endswith(PARQUET)


def _files_under(path: Path) -> list[Path]:
    """The file itself, or all files of a folder."""
    return sorted(file for file in ([path] if path.is_file() else path.rglob("*")) if file.is_file())


def _names_in(file: Path, who: Forgotten) -> bool:
    """Whether a file's name or content names somebody who goes."""
    if mentions(file.name, who):
        return True
    if file.suffix.lower() in PICTURES:
        return False
    if file.suffix == PARQUET:
        return count_gone(row_masks(file, who)) > 0
    return mentions(file.read_bytes().decode("utf-8", "replace"), who)


def _pictures_first(file: Path) -> tuple[bool, Path]:
    """The text goes last: it is what tells a repeat of a killed run that the pictures beside it have to go."""
    return file.suffix.lower() not in PICTURES, file


def _remove_whole(path: Path) -> None:
    if path.is_file():
        path.unlink()
        return
    going = path.with_name(f".{path.name}.{uuid.uuid4().hex}.erasing")
    path.rename(going)  # so that nobody meets half a report
    shutil.rmtree(going)


def _finish_removing(path: Path) -> None:
    """Remove what is left of a report whose removal was interrupted."""
    for going in path.parent.glob(f".{glob.escape(path.name)}.*.erasing"):
        shutil.rmtree(going)


def _sweep(file: Path, now_us: int) -> None:
    """Remove the drafts of *file* whose writers were killed."""
    sweep_drafts(file.parent, now_us, pattern=f".{glob.escape(file.name)}.*.partial")


ERASERS: Mapping[Kind, Callable[[str, Order], Erased]] = {
    Kind.LOG: erase_log,
    Kind.LINES: erase_lines,
    Kind.TABLE: erase_table,
    Kind.TREE: erase_tree,
    Kind.REPORT: erase_report,
    Kind.RUN: erase_run,
    Kind.SNAPSHOT: erase_snapshot,
}
