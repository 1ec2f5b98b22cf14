"""The pictures that a judge sees: product photos beside the tables, and the stored frames of videos.

What they hold is known by a digest; digests are kept with the state of the files they are of, so that a later run reads
only what changed since.
"""

import os
import stat
import tempfile
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Protocol

import polars as pl

from judge.task import frames_digest
from retrieval.folders import writing

MAX_PHOTO_BYTES = 64 * 1024 * 1024
DIGESTS = "digests.parquet"
_SCHEMA = {"what": pl.String, "signature": pl.String, "digest": pl.String}


@dataclass(frozen=True)
class VideoFrames:
    """The stored *frames* of one video, encoded pictures, and when each was, in seconds."""

    video_id: str
    frames: tuple[bytes, ...]
    times_s: tuple[float, ...]

    def spread(self, m: int) -> "VideoFrames":
        """At most *m* of the frames, from the middles of m equal parts of them.

        >>> VideoFrames("v", (b"a", b"b", b"c", b"d"), (0.0, 1.0, 2.0, 3.0)).spread(2).times_s
        (1.0, 3.0)
        """
        n = len(self.frames)
        places = range(n) if m >= n else [(2 * i + 1) * n // (2 * m) for i in range(m)]
        return VideoFrames(self.video_id, tuple(self.frames[i] for i in places), tuple(self.times_s[i] for i in places))


class Frames(Protocol):
    """Where the frames of videos are kept."""

    def signatures(self, video_ids: Collection[str]) -> Mapping[str, str]:
        """What changes when a video's stored frames do, without reading them; videos without frames are left out."""
        ...

    def iter_frames(self, video_ids: Collection[str]) -> Iterator[VideoFrames]:
        """All stored frames of each of these videos, in any order of the videos, read as they are asked for."""
        ...


@dataclass(frozen=True)
class Photos:
    """Photos under one folder, as the uris of its tables name them. Nothing outside it is read, and no URL fetched."""

    folder: Path

    def signature(self, uri: str) -> str:
        """What changes when the file does; empty where there is none."""
        try:
            state = os.stat(self.folder / uri) if _is_local(uri) else None
        except (OSError, ValueError):
            return ""
        return "" if state is None else f"{state.st_mtime_ns}-{state.st_size}-{state.st_ino}"

    def read(self, uri: str) -> bytes | None:
        """The photo; None where no file of a photo's size is there, or it lies elsewhere than in the folder."""
        if not _is_local(uri):
            return None
        try:
            path = (self.folder / uri).resolve(strict=True)
            state = path.stat()
            readable = stat.S_ISREG(state.st_mode) and 0 < state.st_size <= MAX_PHOTO_BYTES
            inside = path.is_relative_to(self.folder.resolve(strict=True))
            return path.read_bytes() if readable and inside else None
        except (OSError, ValueError, RuntimeError):  # a null byte in the name, a ring of links
            return None


def _is_local(uri: str) -> bool:
    return bool(uri) and "://" not in uri


class Digests:
    """Digests of pictures that were read before, each with the signature of what it was read from."""

    def __init__(self, known: dict[str, tuple[str, str]]) -> None:
        self._known = known
        self._changed = False

    def get(self, what: str, signature: str) -> str | None:
        """The digest of *what*, if it was read from a file with this signature."""
        known = self._known.get(what)
        return known[1] if known and known[0] == signature else None

    def put(self, what: str, signature: str, digest: str) -> None:
        self._known[what] = (signature, digest)
        self._changed = True

    def save(self, folder: Path) -> None:
        """Write them to *folder*, if there is anything new."""
        if not self._changed:
            return
        rows = [(what, *told) for what, told in self._known.items()]
        with writing(folder / DIGESTS) as draft:
            pl.DataFrame(rows, schema=_SCHEMA, orient="row").write_parquet(draft)
        self._changed = False


def load_digests(folder: Path) -> Digests:
    """The digests kept in *folder*; none where the file is absent or damaged: they are only a shortcut."""
    try:
        table = pl.read_parquet(folder / DIGESTS).select(*_SCHEMA)
    except (OSError, pl.exceptions.PolarsError):
        return Digests({})
    return Digests({what: (signature, digest) for what, signature, digest in table.iter_rows()})


class Spool:
    """The frames of the videos that a run needs, one after another in a file without a name: read in any order.

    A store keeps them in shards of hundreds, so reading each user's ten videos there would read all shards every time.
    """

    def __init__(self, file: IO[bytes], places: dict[str, tuple[tuple[int, ...], int, tuple[float, ...]]]) -> None:
        self._file, self._places = file, places

    def read(self, video_id: str) -> VideoFrames:
        """The frames of one video; none where none are stored."""
        if video_id not in self._places:
            return VideoFrames(video_id, (), ())
        lengths, start, times_s = self._places[video_id]
        self._file.seek(start)
        return VideoFrames(video_id, tuple(self._file.read(length) for length in lengths), times_s)


@contextmanager
def spooled(frames: Frames | None, video_ids: Collection[str], m: int, folder: Path) -> Iterator[Spool]:
    """Yield the spool of at most *m* frames of each of these videos, on the disk of *folder*; it vanishes after."""
    with tempfile.TemporaryFile(dir=folder) as file:
        places, start = {}, 0
        for video in frames.iter_frames(video_ids) if frames and video_ids else ():
            chosen = video.spread(m)
            places[video.video_id] = (tuple(map(len, chosen.frames)), start, chosen.times_s)
            start += sum(file.write(frame) for frame in chosen.frames)
        yield Spool(file, places)


def digest_frames(frames: Frames, video_ids: Collection[str], m: int, digests: Digests) -> dict[str, str]:
    """The digest of *m* frames of each video; those without stored frames are left out."""
    signatures = frames.signatures(video_ids)
    found = {}
    for video_id, signature in signatures.items():
        known = digests.get(f"frames:{m}:{video_id}", signature)
        if known is not None:
            found[video_id] = known
    new = [video_id for video_id in signatures if video_id not in found]
    found |= dict.fromkeys(new, "")
    for video in frames.iter_frames(new):
        chosen = video.spread(m)
        found[video.video_id] = frames_digest(chosen.frames, chosen.times_s)
    for video_id in new:
        digests.put(f"frames:{m}:{video_id}", signatures[video_id], found[video_id])
    return {video_id: digest for video_id, digest in found.items() if digest}
