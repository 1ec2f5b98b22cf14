"""The messages of a chat with their pictures in them, as an OpenAI-compatible server takes them."""

import base64
import io
import warnings
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from judge.task import ShownVideo
from retrieval.errors import import_extra

QUALITY = 90
PIXELS_PER_TOKEN = 28 * 28  # of Qwen2.5-VL


class FramesStyle(StrEnum):
    """How the frames of a video are sent.

    As images, which every server takes that takes images, after a text that says when in the video each was. Or as one
    video of JPEGs, vLLM's `video_url` of `video/jpeg`: the model then reads them with the positions of a video. vLLM
    is not told when such frames were, and before its pull request 47736 (July 2026) it took a wrong rate for them
    without a word, so that they stood at other times than with the judge `qwen:`: use a server from after that.
    """

    IMAGES = "images"
    VIDEO = "video"


@dataclass(frozen=True)
class Picture:
    """A JPEG within the pixel budget."""

    jpeg: bytes
    width: int
    height: int

    @property
    def base64(self) -> str:
        return base64.b64encode(self.jpeg).decode()

    @property
    def n_tokens(self) -> int:
        """About how many tokens a model takes for it."""
        return -(-self.width // 28) * -(-self.height // 28) + 2

    @property
    def part(self) -> dict[str, Any]:
        """The picture as a part of a message."""
        return {"type": "image_url", "image_url": {"url": f"data:image/jpeg;base64,{self.base64}"}}


def fit_picture(data: bytes | None, max_pixels: int) -> Picture | None:
    """The picture as a JPEG of at most so many pixels, upright, its proportions kept; None where it is not readable.

    A smaller one keeps its size. What is transparent becomes white, as in a shop.
    """
    if data is None:
        return None
    image_module = import_extra("PIL.Image", extra="judge")
    image_ops = import_extra("PIL.ImageOps", extra="judge")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", image_module.DecompressionBombWarning)
            image = image_ops.exif_transpose(image_module.open(io.BytesIO(data)))
            image = _on_white(image, image_module)
    except (
        OSError,
        ValueError,
        SyntaxError,
        image_module.DecompressionBombError,
        image_module.DecompressionBombWarning,
    ):
        return None
    ratio = min(1.0, (max_pixels / (image.width * image.height)) ** 0.5)
    size = (max(1, int(image.width * ratio)), max(1, int(image.height * ratio)))
    if size != image.size:
        image = image.resize(size, image_module.Resampling.LANCZOS)
    out = io.BytesIO()
    image.save(out, "JPEG", quality=QUALITY)
    return Picture(out.getvalue(), *size)


def _on_white(image: Any, image_module: Any) -> Any:
    if image.mode == "RGB":
        image.load()
        return image
    if "A" not in image.getbands() and "transparency" not in image.info:
        return image.convert("RGB")
    whole = image.convert("RGBA")
    return image_module.alpha_composite(image_module.new("RGBA", whole.size, "white"), whole).convert("RGB")


def fit_frames(video: ShownVideo, max_pixels: int) -> tuple[tuple[Picture, ...], tuple[float, ...]]:
    """The readable frames of a video, and when each was."""
    pairs = [
        (fit_picture(frame, max_pixels), time_s) for frame, time_s in zip(video.frames, video.times_s, strict=True)
    ]
    kept = [(picture, time_s) for picture, time_s in pairs if picture is not None]
    return tuple(picture for picture, _ in kept), tuple(time_s for _, time_s in kept)


def frame_parts(frames: Sequence[Picture], times_s: Sequence[float], style: FramesStyle) -> list[dict[str, Any]]:
    """The frames of one video as parts of a message, after a text that says what they are."""
    times = ", ".join(f"{time_s:.1f}" for time_s in times_s)
    many = f"{len(frames)} frames" if len(frames) > 1 else "1 frame"
    text = {"type": "text", "text": f"({many} of one video, at {times} s) "}
    match style:
        case FramesStyle.IMAGES:
            return [text, *(frame.part for frame in frames)]
        case FramesStyle.VIDEO:
            url = "data:video/jpeg;base64," + ",".join(frame.base64 for frame in frames)
            return [text, {"type": "video_url", "video_url": {"url": url}}]


def fill_in(
    pieces: Iterable[dict[str, Any]], photos: Iterable[Picture], video: Iterable[dict[str, Any]] = ()
) -> list[dict[str, Any]]:
    """The pieces of a prompt as parts of a message: an image is the next photo, a video its parts; texts are joined."""
    parts: list[dict[str, Any]] = []
    left = iter(photos)
    for piece in pieces:
        match piece["type"]:
            case "image":
                parts.append(next(left).part)
            case "video":
                parts += video
            case _:
                parts.append(piece)
    return _join_texts(parts)


def _join_texts(parts: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
    joined: list[dict[str, Any]] = []
    for part in parts:
        if joined and part["type"] == joined[-1]["type"] == "text":
            joined[-1] = {"type": "text", "text": joined[-1]["text"] + part["text"]}
        else:
            joined.append(part)
    return joined
