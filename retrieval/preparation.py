"""How a picture is brought to a model's size: what worker processes do without the model or torch."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Preparation:
    """Resize to *size* (height, width) pixels with bicubic antialiasing.

    With *crop* the shorter side is brought to size and the middle is kept, as CLIP does; else the picture is squeezed.
    """

    size: tuple[int, int]
    crop: bool

    def prepare(self, pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """The picture `(h, w, 3)` as `(height, width, 3)`, bit-equal to torchvision's transforms on a PIL image.

        >>> Preparation((2, 2), crop=True).prepare(np.zeros((8, 4, 3), np.uint8)).shape
        (2, 2, 3)
        """
        from PIL import Image  # here, since the extra `embed` brings it, and feeds are served without that

        image = Image.fromarray(pixels)
        if not self.crop:
            return np.array(image.resize(self.size[::-1], Image.Resampling.BICUBIC))
        image = image.resize(_shorter_side_to(min(self.size), image.size), Image.Resampling.BICUBIC)
        return _middle(np.array(image), self.size)


def _shorter_side_to(side: int, size: tuple[int, int]) -> tuple[int, int]:
    width, height = size
    if width <= height:
        return side, int(side * height / width)
    return int(side * width / height), side


def _middle(pixels: NDArray[np.uint8], size: tuple[int, int]) -> NDArray[np.uint8]:
    top, left = (round((have - want) / 2.0) for have, want in zip(pixels.shape[:2], size, strict=True))
    return np.ascontiguousarray(pixels[top : top + size[0], left : left + size[1]])
