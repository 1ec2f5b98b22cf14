"""Encoded pictures, opened; what cannot be read as one counts as missing."""

import io
from collections.abc import Sequence

from PIL import Image

from judge.task import ShownVideo


def frames_per_second(times_s: Sequence[float]) -> float:
    """How many of the frames a second has; 1 where there is one frame, or no time between them.

    >>> frames_per_second([0.5, 1.0, 1.5]), frames_per_second([3.0])
    (2.0, 1.0)
    """
    span = times_s[-1] - times_s[0]
    return (len(times_s) - 1) / span if span > 0 else 1.0


def open_picture(encoded: bytes | None) -> Image.Image | None:
    """The opened picture; None where there is none, or what there is cannot be read as one."""
    try:
        return None if encoded is None else Image.open(io.BytesIO(encoded)).convert("RGB")
    except (OSError, ValueError, Image.DecompressionBombError):
        return None


def open_frames(video: ShownVideo) -> list[Image.Image]:
    """The opened frames; none at all where one cannot be read: the others would stand at the wrong times."""
    opened = [open_picture(frame) for frame in video.frames]
    readable = [picture for picture in opened if picture is not None]
    return readable if len(readable) == len(opened) else []
