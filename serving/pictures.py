"""Uploaded pictures: read within bounds, whatever they claim to be."""

import io
import warnings
from typing import TYPE_CHECKING

from retrieval.errors import import_extra
from serving.errors import ApiError, not_allowed
from serving.media import IMAGES

if TYPE_CHECKING:
    from PIL.Image import Image


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
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)  # the limit below is ours
            image = Image.open(io.BytesIO(content), formats=[IMAGES[media_type]])
        if image.width * image.height > pixel_limit:
            message = f"The picture has more than {pixel_limit} pixels."
            raise ApiError(413, "picture_too_large", message, "Send a smaller one.")
        return ImageOps.exif_transpose(image).convert("RGB")
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError):  # what Pillow raises for broken files
        raise broken from None
