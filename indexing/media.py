"""One item's file to pictures: what worker processes do. Torch is not imported here, so that they start fast."""

import errno
import hashlib
import io
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps

from indexing.allowed import NOWHERE, Allowed
from indexing.decode.protocol import FrameReader, UnreadableMediaError
from indexing.decode.pyav import PyAvReader
from indexing.limits import DEFAULT_LIMITS, Limits, in_words
from indexing.remote import fetched, state_of
from retrieval.folders import sha256_of

JPEG_QUALITY = 85
# Pillow opens some 40 formats, among them EPS, for which it starts Ghostscript, which runs what is in the file.
PHOTO_FORMATS = ("JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF", "AVIF", "JPEG2000", "ICO", "PPM")


@dataclass(frozen=True)
class Picture:
    """A frame or photo: *pixels* `(height, width, 3)` uint8 RGB, as a JPEG, and a frame's time in seconds.

    *pixels* are those of the JPEG, or what a task's preparation made of them.
    """

    pixels: NDArray[np.uint8]
    jpeg: bytes
    uri: str
    time_s: float | None = None


@dataclass(frozen=True)
class ReadItem:
    """What could be read of one item. *failures* are (uri, reason)."""

    content_hash: str
    pictures: tuple[Picture, ...]
    failures: tuple[tuple[str, str], ...] = ()
    duration_s: float | None = None
    width: int | None = None
    height: int | None = None
    partial: bool = False


class Prepares(Protocol):
    """Turns a picture into what an encoder takes, in the worker: it travels with each task, so it is small."""

    def prepare(self, pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """The picture `(height, width, 3)` as `(size, size, 3)`, both uint8 RGB."""
        ...


class Task(Protocol):
    """An item to read. All but `signature` may raise anything that a file can make a library raise."""

    @property
    def uri(self) -> str:
        """What a reason that concerns the whole item names."""
        ...

    def read(self) -> ReadItem:
        """The pictures of the item."""
        ...

    def content_hash(self) -> str:
        """The `ReadItem.content_hash` of the item, without decoding it; remote files are fetched for it."""
        ...

    def signature(self) -> str:
        """What changes when the files or the text do, without reading them; empty for a video of unknown state."""
        ...


@dataclass(frozen=True)
class VideoTask:
    """A video to read: *n_frames* frames with a longer side of *long_side* pixels at most.

    Pixels are given as *preparation* makes them, JPEGs always show the full frame.
    """

    uri: str
    n_frames: int
    long_side: int
    preparation: Prepares | None = None
    reader: FrameReader = field(default_factory=PyAvReader)
    limits: Limits = DEFAULT_LIMITS
    allowed: Allowed = NOWHERE

    def read(self) -> ReadItem:
        """The frames of the video.

        Raises:
            UnreadableMediaError: there are none.
        """
        with opened(self.uri, self.allowed, self.limits) as path:
            video = self.reader.within(self.limits.pixels).read(path, self.n_frames, self.long_side)
            pictures = tuple(_picture(f.pixels, self.uri, self.preparation, f.time_s) for f in video.frames)
            return ReadItem(sha256_of(path), pictures, (), video.duration_s, video.width, video.height, video.partial)

    def content_hash(self) -> str:
        """See `Task.content_hash`."""
        with opened(self.uri, self.allowed, self.limits) as path:
            return sha256_of(path)

    def signature(self) -> str:
        """See `Task.signature`."""
        return source_of(self.uri, self.allowed)


@dataclass(frozen=True)
class PhotosTask:
    """The photos of a product to read; *text* takes part in the content's hash."""

    uris: tuple[str, ...]
    text: str
    long_side: int
    preparation: Prepares | None = None
    limits: Limits = DEFAULT_LIMITS
    allowed: Allowed = NOWHERE

    @property
    def uri(self) -> str:
        """All uris, for a reason that concerns the whole product."""
        return " ".join(self.uris)

    def read(self) -> ReadItem:
        """The photos that can be read, and the reasons for the others."""
        digest, pictures, failures = hashlib.sha256(self.text.encode()), [], []
        for uri in self.uris:
            try:
                content = self._bytes_of(uri)
                digest.update(content)
                pixels = photo_pixels(content, self.long_side, self.limits.pixels)
                pictures.append(_picture(pixels, uri, self.preparation))
            except Exception as error:  # one odd photo costs itself, not its product
                failures.append((uri, self.limits.too_hungry if is_out_of_memory(error) else reason_of(error)))
        return ReadItem(digest.hexdigest(), tuple(pictures), tuple(failures))

    def content_hash(self) -> str:
        """See `Task.content_hash`."""
        digest = hashlib.sha256(self.text.encode())
        for uri in self.uris:
            with suppress(Exception):  # as in `read`
                digest.update(self._bytes_of(uri))
        return digest.hexdigest()

    def signature(self) -> str:
        """See `Task.signature`."""
        sources = [source_of(uri, self.allowed) for uri in self.uris]
        return hashlib.sha256("\0".join([self.text, *sources]).encode()).hexdigest()[:16]

    def _bytes_of(self, uri: str) -> bytes:
        with opened(uri, self.allowed, self.limits) as path:
            return path.read_bytes()


def read_task(task: Task) -> ReadItem:
    """What a worker runs: whatever a file makes a library raise is a reason for the quarantine, never the job's end.

    Raises:
        MemoryError: a worker that met its limit has its own words for it.
    """
    try:
        return task.read()
    except Exception as error:  # the one border to untrusted files: decoders raise nearly anything
        if is_out_of_memory(error):
            raise MemoryError from error
        return unread(task, reason_of(error))


def unread(task: Task, reason: str) -> ReadItem:
    """The item of a task that gave nothing."""
    return ReadItem("", (), ((task.uri, reason),))


def hash_task(task: Task) -> str:
    """The content hash of a task, empty where it cannot be had: then reading it says why."""
    try:
        return task.content_hash()
    except Exception:  # as in read_task, which tells the reason
        return ""


def signature_of(task: Task) -> str:
    """`Task.signature` as workers run it."""
    return task.signature()


def reason_of(error: Exception) -> str:
    """Ours and the system's are in words that need no name of a class."""
    known = isinstance(error, UnreadableMediaError | OSError) and str(error)
    return known or in_words(error)


def is_out_of_memory(error: BaseException | None) -> bool:
    """Libraries say so in their own words, and ours are raised from theirs."""
    while error is not None:
        if isinstance(error, MemoryError) or getattr(error, "errno", None) == errno.ENOMEM:
            return True
        error = error.__cause__
    return False


@contextmanager
def opened(uri: str, allowed: Allowed, limits: Limits) -> Iterator[Path]:
    """Yield the file of *uri*; a remote one is fetched, and gone afterwards.

    Raises:
        UnreadableMediaError: it is absent, empty, too large or not allowed.
    """
    local = uri.removeprefix("file://")
    if "://" not in local:
        yield local_file(local)
        return
    with fetched(uri, allowed, limits.download_mb) as path:
        yield path


def local_file(uri: str) -> Path:
    """The file of *uri*.

    Raises:
        UnreadableMediaError: it is absent or empty.
    """
    path = Path(uri.removeprefix("file://"))
    if not path.is_file():
        raise UnreadableMediaError("there is no such file")
    if path.stat().st_size == 0:
        raise UnreadableMediaError("the file is empty (0 bytes)")
    return path


def source_of(uri: str, allowed: Allowed = NOWHERE) -> str:
    """What changes when the file of *uri* does: size and time of a local one, what a server tells of a remote one.

    Empty where it is absent or nobody tells. It never raises: reading such a file gives the reason.
    """
    local = uri.removeprefix("file://")
    try:
        if "://" in local:
            return state_of(uri, allowed)
        about = os.stat(local)
    except Exception:  # a file system of any kind may answer
        return ""
    return f"{about.st_size}:{about.st_mtime_ns}" if stat.S_ISREG(about.st_mode) else ""


def _picture(pixels: NDArray[np.uint8], uri: str, preparation: Prepares | None, time_s: float | None = None) -> Picture:
    return Picture(preparation.prepare(pixels) if preparation else pixels, to_jpeg(pixels), uri, time_s)


def photo_pixels(content: bytes, long_side: int, max_pixels: int = Limits.pixels) -> NDArray[np.uint8]:
    """An upright RGB photo `(height, width, 3)`, scaled to *long_side* at most.

    Raises:
        UnreadableMediaError: these bytes are no image, or too large a one.
    """
    try:
        with Image.open(io.BytesIO(content), formats=_photo_formats()) as photo:
            if photo.width * photo.height > max_pixels:
                raise UnreadableMediaError(f"the picture has {photo.width} × {photo.height} pixels")
            photo.draft("RGB", (2 * long_side, 2 * long_side))
            upright = _flattened(ImageOps.exif_transpose(photo))
            upright.thumbnail((long_side, long_side), Image.Resampling.BICUBIC)
            return np.asarray(upright)
    except Image.DecompressionBombError as error:
        raise UnreadableMediaError("the picture is too large") from error
    except (OSError, ValueError, SyntaxError) as error:
        raise UnreadableMediaError("the file is not a picture that can be read") from error


@cache
def _photo_formats() -> tuple[str, ...]:
    """Those that this Pillow knows: older ones have no AVIF."""
    Image.init()
    return tuple(name for name in PHOTO_FORMATS if name in Image.OPEN)


def _flattened(photo: Image.Image) -> Image.Image:
    """RGB, transparency over white as shops show it."""
    if photo.mode in ("I", "I;16", "I;16B", "I;16L"):  # 16 bits, which convert() would clip to white
        return Image.fromarray((np.asarray(photo).astype(np.uint32) >> 8).astype(np.uint8)).convert("RGB")
    if photo.mode == "F":
        raise UnreadableMediaError("its pixels are floating-point numbers")
    if not photo.has_transparency_data:
        return photo.convert("RGB")
    layered = photo.convert("RGBA")
    return Image.alpha_composite(Image.new("RGBA", layered.size, "white"), layered).convert("RGB")


def to_jpeg(pixels: NDArray[np.uint8]) -> bytes:
    """The picture `(height, width, 3)` as a JPEG."""
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "JPEG", quality=JPEG_QUALITY)
    return buffer.getvalue()
