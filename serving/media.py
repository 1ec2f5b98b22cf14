"""Files of videos and photos: found through the snapshot's ids alone, and only below the media's folder."""

import mimetypes
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import SplitResult, unquote, urlsplit

from serving.errors import ApiError, not_found

KINDS = ("video/", "image/")


@dataclass(frozen=True)
class MediaFile:
    """A file that may be sent."""

    path: Path
    media_type: str


@dataclass(frozen=True)
class Elsewhere:
    """An address where the client finds it; we fetch nothing for it."""

    url: str


def find_media(uri: str, root: Path | None, allowed: tuple[str, ...]) -> MediaFile | Elsewhere:
    """What a uri of the catalogue stands for.

    Args:
        root: relative uris start here; nothing outside is found, links included.
        allowed: addresses below which clients may be sent, such as https://cdn.example/clips.

    Raises:
        ApiError: 404, for every reason alike: the client learns nothing of our folders.
    """
    missing = not_found("The file of this item is not here.")
    if "://" in uri:
        if not _is_allowed(uri, allowed):
            raise missing
        return Elsewhere(uri)
    media_type = mimetypes.guess_type(uri)[0] or ""
    if root is None or not media_type.startswith(KINDS) or "\0" in uri:
        raise missing
    try:
        path = (root / uri).resolve(strict=True)
        inside = path.is_relative_to(root.resolve(strict=True)) and path.is_file()
    except (OSError, RuntimeError):  # a loop of links
        raise missing from None
    if not inside:
        raise missing
    return MediaFile(path, media_type)


def _is_allowed(uri: str, allowed: tuple[str, ...]) -> bool:
    """Scheme, host and port must agree, and the path must begin with the folder's.

    >>> _is_allowed("https://cdn.example/clips/a.mp4", ("https://cdn.example/clips",))
    True
    >>> _is_allowed("https://cdn.example.evil/clips/a.mp4", ("https://cdn.example/clips",))
    False
    """
    asked = _split(uri)
    # Browsers read %2e%2e and backslashes as what they stand for.
    if asked.scheme not in ("http", "https") or ".." in unquote(asked.path).replace("\\", "/").split("/"):
        return False
    places = [_split(place) for place in allowed]
    return any(
        (asked.scheme, asked.netloc) == (place.scheme, place.netloc)
        and f"{asked.path}/".startswith(f"{place.path.rstrip('/')}/")
        for place in places
    )


def _split(uri: str) -> SplitResult:
    """The parts of an address, all empty where it is none."""
    try:
        return urlsplit(uri)
    except ValueError:
        return SplitResult("", "", "", "", "")


def require_image(kind: str) -> str:
    """The media type of an uploaded picture.

    Raises:
        ApiError: 415, it is none that we read.
    """
    media_type = kind.partition(";")[0].strip().lower()
    if media_type not in IMAGES:
        raise ApiError(415, "unsupported_media", "The body is no picture.", f"Send one of {', '.join(IMAGES)}.")
    return media_type


IMAGES = {"image/jpeg": "JPEG", "image/png": "PNG", "image/webp": "WEBP"}
