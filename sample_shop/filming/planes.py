"""Pictures in the encoder's own colour planes, and moving parts cut to be pasted into them.

Frames made of planes need no conversion: cropping them costs a third of cropping RGB and converting every frame.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image

# Even, so that the half-size colour planes split at the same places; with a swing of 10 pixels, the 14 strips of a
# figure step by less than a pixel. Half as many rows would cost 0.1 ms more a frame and look the same.
STRIP_ROWS = 32
Corner = tuple[int, int]
Bytes = NDArray[np.uint8]

# Full range to video range (ITU-R BT.601): 16..235 for luma, 16..240 for colour differences.
_LUMA_RANGE = [round(16 + v * 219 / 255) for v in range(256)]
_CHROMA_RANGE = [round(128 + (v - 128) * 224 / 255) for v in range(256)]


@dataclass(frozen=True)
class Planes:
    """A YCbCr 4:2:0 picture of video range: *luma* of full size, *blue* and *red* difference of half size."""

    luma: Image.Image
    blue: Image.Image
    red: Image.Image

    def crop(self, left: int, top: int, width: int, height: int) -> "Planes":
        """A copy of a part; odd corners move colour by half a pixel of its own, which nobody sees."""
        box = (left, top, left + width, top + height)
        half = (left // 2, top // 2, left // 2 + width // 2, top // 2 + height // 2)
        return Planes(self.luma.crop(box), self.blue.crop(half), self.red.crop(half))

    def paste(self, strip: "Strip", left: int, top: int) -> None:
        """Put a strip into this picture, in place."""
        half = (left // 2, top // 2)
        self.luma.paste(strip.planes.luma, (left, top), strip.luma_mask)
        self.blue.paste(strip.planes.blue, half, strip.chroma_mask)
        self.red.paste(strip.planes.red, half, strip.chroma_mask)

    def resampled(self, box: tuple[float, float, float, float], width: int, height: int) -> "Planes":
        """The part in *box*, scaled. Colour takes the nearest pixel: half the cost, and eyes follow luma."""
        half = (box[0] / 2, box[1] / 2, box[2] / 2, box[3] / 2)
        small = (width // 2, height // 2)
        return Planes(
            self.luma.resize((width, height), Image.Resampling.BILINEAR, box),
            self.blue.resize(small, Image.Resampling.NEAREST, half),
            self.red.resize(small, Image.Resampling.NEAREST, half),
        )


@dataclass(frozen=True)
class Strip:
    """A band of a moving part, *top* pixels below the part's own top, with its masks for luma and colour."""

    top: int
    planes: Planes
    luma_mask: Image.Image
    chroma_mask: Image.Image


def split_planes(picture: Image.Image) -> Planes:
    """The planes of an RGB or RGBA picture of even size."""
    luma, blue, red = picture.convert("RGB").convert("YCbCr").split()
    return Planes(luma.point(_LUMA_RANGE), blue.reduce(2).point(_CHROMA_RANGE), red.reduce(2).point(_CHROMA_RANGE))


def to_rgb(planes: Planes, light: int = 0) -> Bytes:
    """The picture in RGB, `(height, width, 3)`, *light* added to its luma: what a decoder makes of it (BT.601)."""
    size = planes.luma.size
    luma = np.clip((np.asarray(planes.luma, np.float32) + light - 16) * (255 / 219), 0, 255)
    blue, red = (
        np.clip((np.asarray(part.resize(size), np.float32) - 128) * (255 / 224) + 128, 0, 255)
        for part in (planes.blue, planes.red)
    )
    full = np.stack([luma, blue, red], axis=-1).round().astype(np.uint8)
    return np.asarray(Image.fromarray(full, mode="YCbCr").convert("RGB"))


def cut_strips(sprite: Image.Image, stage: Image.Image, corner: Corner) -> tuple[Strip, ...]:
    """The sprite cut into bands that can shift against each other, so that it bends without being redrawn.

    The *stage* at *corner* lies under its soft edges: nothing dark creeps in when colour is halved.
    """
    whole = stage.crop((*corner, corner[0] + sprite.width, corner[1] + sprite.height))
    mask = sprite.getchannel("A")
    whole.paste(sprite, mask=mask)
    planes, small_mask = split_planes(whole), mask.reduce(2)
    return tuple(_strip(planes, mask, small_mask, top) for top in range(0, sprite.height, STRIP_ROWS))


def _strip(planes: Planes, mask: Image.Image, small_mask: Image.Image, top: int) -> Strip:
    rows = min(STRIP_ROWS, mask.height - top)
    band = (0, top, mask.width, top + rows)
    half = (0, top // 2, small_mask.width, (top + rows) // 2)
    return Strip(top, planes.crop(0, top, mask.width, rows), mask.crop(band), small_mask.crop(half))
