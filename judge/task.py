"""What a judge is asked: one shopper's products, and the videos to grade for them."""

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property

HISTORY = 12  # products, as in the paper


@dataclass(frozen=True)
class ShownProduct:
    """A product of the history: its *title* and *photo*, an encoded picture; None where it has none."""

    product_id: str
    title: str
    photo: bytes | None

    @property
    def content(self) -> str:
        """Twelve hexadecimal digits of all that the judge sees of it."""
        return content_of(self.title, photo_digest(self.photo))


@dataclass(frozen=True)
class ShownVideo:
    """A video to grade: its stored *frames*, encoded pictures, and when in the video each was, in seconds.

    Where it is *still*, it is a product instead, and its one frame the photo.
    """

    video_id: str
    title: str
    frames: tuple[bytes, ...]
    times_s: tuple[float, ...]
    still: bool = False

    @cached_property
    def content(self) -> str:
        """Twelve hexadecimal digits of all that the judge sees of it."""
        if self.still:
            return still_content(self.title, photo_digest(self.frames[0] if self.frames else None))
        return content_of(self.title, frames_digest(self.frames, self.times_s))


@dataclass(frozen=True)
class Task:
    """One shopper: the *history*, at most `HISTORY` products, the most recent first, and the *videos* to grade.

    With a *query* there is no history: the videos, or products, are graded for what was searched for.
    """

    user_id: str
    history: tuple[ShownProduct, ...]
    videos: tuple[ShownVideo, ...]
    query: str | None = None

    @cached_property
    def content(self) -> str:
        """Twelve hexadecimal digits of all that the judge sees of the history, in its order, or of the query."""
        if self.query is not None:
            return query_content(self.query)
        return history_content(product.content for product in self.history)


def photo_digest(photo: bytes | None) -> str:
    """What stands for a photo in `content_of`; empty where there is none."""
    return "" if photo is None else _digest([photo])


def frames_digest(frames: Sequence[bytes], times_s: Sequence[float]) -> str:
    """What stands for a video's frames in `content_of`; empty where there are none."""
    return _digest([*frames, repr(tuple(times_s)).encode()]) if frames else ""


def content_of(title: str, pictures: str) -> str:
    """The content of a product or video, of its title and the digest of its pictures: these need not be at hand."""
    return _digest([title.encode(), pictures.encode()])


def still_content(title: str, photo: str) -> str:
    """The content of a product that is graded, of its title and the digest of its photo; never that of a video."""
    return _digest([b"still", title.encode(), photo.encode()])


def query_content(query: str) -> str:
    """The content of a query, which stands in the place of a history's."""
    return _digest([b"query", query.encode()])


def history_content(products: Iterable[str]) -> str:
    """The content of a history, of that of its products in their order."""
    return _digest([content.encode() for content in products])


def _digest(parts: Sequence[bytes]) -> str:
    digest = hashlib.sha256()
    for part in parts:
        digest.update(len(part).to_bytes(8, "big") + part)
    return digest.hexdigest()[:12]
