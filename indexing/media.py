"""One item's file to pictures: what worker processes do. Torch is not imported here, so that they start fast."""

import hashlib
import io
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps

from indexing.decode.protocol import FrameReader, UnreadableMediaError
from indexing.decode.pyav import PyAvReader
from retrieval.folders import sha256_of

JPEG_QUALITY = 85
MAX_PHOTO_PIXELS = 100_000_000


@dataclass(frozen=True)
class Picture:
    """A frame or photo: *pixels* `(height, width, 3)` uint8 RGB, the same as a JPEG, and a frame's time in seconds."""

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


@dataclass(frozen=True)
class VideoTask:
    """A video to read: *n_frames* frames with a longer side of *long_side* pixels at most."""

    uri: str
    n_frames: int
    long_side: int

    def read(self, reader: FrameReader | None = None) -> ReadItem:
        """The frames of the video, or the reason why there are none."""
        try:
            path = local_file(self.uri)
            video = (reader or PyAvReader()).read(path, self.n_frames, self.long_side)
        except (UnreadableMediaError, OSError) as error:
            return ReadItem("", (), ((self.uri, str(error)),))
        pictures = tuple(Picture(f.pixels, to_jpeg(f.pixels), self.uri, f.time_s) for f in video.frames)
        return ReadItem(sha256_of(path), pictures, (), video.duration_s, video.width, video.height, video.partial)


@dataclass(frozen=True)
class PhotosTask:
    """The photos of a product to read; *text* takes part in the content's hash."""

    uris: tuple[str, ...]
    text: str
    long_side: int

    @property
    def uri(self) -> str:
        """All uris, for a reason that concerns the whole product."""
        return " ".join(self.uris)

    def read(self) -> ReadItem:
        """The photos that can be read, and the reasons for the others."""
        digest, pictures, failures = hashlib.sha256(self.text.encode()), [], []
        for uri in self.uris:
            try:
                content = local_file(uri).read_bytes()
                pixels = photo_pixels(content, self.long_side)
            except Exception as error:  # one odd photo costs itself, not its product
                failures.append((uri, str(error) or type(error).__name__))
                continue
            digest.update(content)
            pictures.append(Picture(pixels, to_jpeg(pixels), uri))
        return ReadItem(digest.hexdigest(), tuple(pictures), tuple(failures))


def read_task(task: VideoTask | PhotosTask) -> ReadItem:
    """What a worker runs: whatever a file makes a library raise is a reason for the quarantine, never the job's end."""
    try:
        return task.read()
    except Exception as error:  # the one border to untrusted files: decoders raise nearly anything
        return ReadItem("", (), ((task.uri, f"{type(error).__name__}: {error}"),))


def local_file(uri: str) -> Path:
    """The file of *uri*.

    Raises:
        UnreadableMediaError: it is remote, absent or empty.
    """
    uri = uri.removeprefix("file://")
    if "://" in uri:
        raise UnreadableMediaError("remote media are not fetched; copy the file here and name its path")
    path = Path(uri)
    if not path.is_file():
        raise UnreadableMediaError("there is no such file")
    if path.stat().st_size == 0:
        raise UnreadableMediaError("the file is empty (0 bytes)")
    return path


def photo_pixels(content: bytes, long_side: int) -> NDArray[np.uint8]:
    """An upright RGB photo `(height, width, 3)`, scaled to *long_side* at most.

    Raises:
        UnreadableMediaError: these bytes are no image, or too large a one.
    """
    try:
        with Image.open(io.BytesIO(content)) as photo:
            if photo.width * photo.height > MAX_PHOTO_PIXELS:
                raise UnreadableMediaError(f"the picture has {photo.width} × {photo.height} pixels")
            photo.draft("RGB", (2 * long_side, 2 * long_side))
            upright = _flattened(ImageOps.exif_transpose(photo))
            upright.thumbnail((long_side, long_side), Image.Resampling.BICUBIC)
            return np.asarray(upright)
    except Image.DecompressionBombError as error:
        raise UnreadableMediaError("the picture is too large") from error
    except (OSError, ValueError, SyntaxError) as error:
        raise UnreadableMediaError("the file is not a picture that can be read") from error


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
