"""What a judge is asked: one shopper's products, and the videos to grade for them."""

import hashlib
from dataclasses import dataclass
from functools import cached_property

HISTORY = 12  # products, as in the paper


@dataclass(frozen=True)
class ShownProduct:
    """A product of the history: its *title* and *photo*, an encoded picture; None where it has none."""

    product_id: str
    title: str
    photo: bytes | None


@dataclass(frozen=True)
class ShownVideo:
    """A video to grade: its stored *frames*, encoded pictures, and when in the video each was, in seconds."""

    video_id: str
    title: str
    frames: tuple[bytes, ...]
    times_s: tuple[float, ...]

    @cached_property
    def content(self) -> str:
        """Twelve hexadecimal digits of all that the judge sees of it."""
        return _digest([self.title.encode(), *self.frames, repr(self.times_s).encode()])


@dataclass(frozen=True)
class Task:
    """One shopper: the *history*, at most `HISTORY` products, the most recent first, and the *videos* to grade."""

    user_id: str
    history: tuple[ShownProduct, ...]
    videos: tuple[ShownVideo, ...]

    @cached_property
    def content(self) -> str:
        """Twelve hexadecimal digits of all that the judge sees of the history, in its order."""
        parts = [part for product in self.history for part in (product.title.encode(), product.photo or b"")]
        return _digest(parts)


def _digest(parts: list[bytes]) -> str:
    digest = hashlib.sha256()
    for part in parts:
        digest.update(len(part).to_bytes(8, "big") + part)
    return digest.hexdigest()[:12]
