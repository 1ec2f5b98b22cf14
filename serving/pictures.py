"""Uploaded pictures: read within bounds, whatever they claim to be."""

import io
import struct
import warnings
from typing import TYPE_CHECKING

from retrieval.errors import import_extra
from serving.errors import ApiError, not_allowed
from serving.media import IMAGES

if TYPE_CHECKING:
    from PIL.Image import Image

MAX_STRETCH = 50
"""Times that the longer side may be as long as the shorter, which encoders enlarge to their own, say 224 pixels."""


def read_picture(content: bytes, media_type: str, pixel_limit: int) -> "Image":
    """The RGB picture in *content*; its size is looked at before a pixel is decoded.

    Raises:
        ApiError: it is no picture of that type, or has more pixels than allowed.
        MissingExtraError: the extra `embed` is not installed.
    """
    import_extra("PIL", "embed")
    from PIL import Image, ImageOps

    broken = not_allowed(f"The body is no {media_type} that can be read.")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # Pillow warns of sizes, where the limit is ours, and of odd metadata
            image = Image.open(io.BytesIO(content), formats=[IMAGES[media_type]])
            _check_size(image.width, image.height, pixel_limit)
            return ImageOps.exif_transpose(image).convert("RGB")
    except (
        OSError, ValueError, SyntaxError, LookupError, TypeError, AttributeError, ArithmeticError, struct.error,
    ):  # fmt: skip
        raise broken from None  # all of these are what Pillow raises for broken files and their metadata
    except Image.DecompressionBombError:  # Pillow's own limit
        raise _too_large(pixel_limit) from None


def _check_size(width: int, height: int, pixel_limit: int) -> None:
    if width * height > pixel_limit:
        raise _too_large(pixel_limit)
    if max(width, height) > MAX_STRETCH * min(width, height):
        raise not_allowed(f"The picture is more than {MAX_STRETCH} times as long as wide.", "Cut out a part of it.")


def _too_large(pixel_limit: int) -> ApiError:
    message = f"The picture has more than {pixel_limit} pixels."
    return ApiError(413, "picture_too_large", message, "Send a smaller one.")
