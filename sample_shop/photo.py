"""Product photos: a garment before a studio backdrop, with a soft drop shadow."""

from functools import lru_cache
from random import Random

import numpy as np
from PIL import Image, ImageFilter

from sample_shop.drawing.flat_lay import draw_garment
from sample_shop.drawing.sketch import between
from sample_shop.fabric import Rgb, mix
from sample_shop.vocabulary import Garment

PALE: tuple[Rgb, ...] = (
    (250, 250, 249),
    (243, 243, 244),
    (228, 229, 232),
    (246, 240, 231),
    (240, 230, 222),
    (232, 236, 238),
)
DEEP: tuple[Rgb, ...] = ((70, 74, 82), (92, 84, 78), (58, 70, 74), (104, 106, 110))
DEEP_SHARE = 0.1


def product_photo(garment: Garment, seed: int, width: int = 480, height: int = 640) -> Image.Image:
    """One photo of the garment in RGB; *seed* draws backdrop, light, size and angle."""
    rng = Random(f"photo {seed}")
    photo = backdrop(rng, width, height)
    side = round(min(width, height / 1.15) * between(rng, 0.84, 0.98))
    cut_out = draw_garment(garment, side).rotate(between(rng, -5, 5), Image.Resampling.BILINEAR)
    left = (width - side) // 2 + round(width * between(rng, -0.03, 0.03))
    top = (height - side) // 2 + round(height * between(rng, -0.04, 0.04))
    drop_shadow(photo, cut_out, (left, top), between(rng, 0.16, 0.32))
    photo.paste(cut_out, (left, top), cut_out)
    return photo


def backdrop(rng: Random, width: int, height: int) -> Image.Image:
    """A studio backdrop: near-white, pale or, for a tenth, deeper, with light falling from one side."""
    base = rng.choice(DEEP if rng.random() < DEEP_SHARE else PALE)
    lit, dim = mix(base, (255, 255, 255), between(rng, 0.1, 0.5)), mix(base, (120, 116, 112), between(rng, 0.02, 0.14))
    light = _gradient(rng.randrange(4)).resize((width, height), Image.Resampling.BILINEAR)
    return Image.composite(Image.new("RGB", (width, height), lit), Image.new("RGB", (width, height), dim), light)


@lru_cache
def _gradient(turn: int) -> Image.Image:
    """A 256 px ramp from dark to light, turned by quarter turns; the last one is round."""
    ramp = np.arange(256)
    if turn == 3:
        x, y = np.meshgrid(np.linspace(-1, 1, 256), np.linspace(-1, 1, 256))
        return Image.fromarray((255 * np.clip(1 - (x**2 + y**2) / 2, 0, 1)).astype(np.uint8))
    square = np.broadcast_to(ramp, (256, 256)).astype(np.uint8)
    return Image.fromarray(np.rot90(square, turn).copy())


def drop_shadow(photo: Image.Image, cut_out: Image.Image, corner: tuple[int, int], strength: float) -> None:
    """Darken *photo* softly, below and to the right of where *cut_out* will be pasted."""
    offset = max(1, round(cut_out.width * 0.018))
    small = cut_out.getchannel("A").reduce(4 if cut_out.width >= 160 else 2)
    blurred = small.filter(ImageFilter.BoxBlur(max(1.0, small.width * 0.018))).point(
        lambda value: int(value * strength)
    )
    shadow = blurred.resize(cut_out.size, Image.Resampling.BILINEAR)
    photo.paste((38, 34, 36), (corner[0] + offset, corner[1] + offset * 2), shadow)
