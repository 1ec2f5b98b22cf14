"""Colours and cloth: the shade a garment has, what contrasts with it, and its printed pattern."""

import colorsys
from dataclasses import dataclass
from random import Random

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from sample_shop.drawing.sketch import between
from sample_shop.vocabulary import COLOURS, Garment

Rgb = tuple[int, int, int]
Range = tuple[float, float]

# Hue, saturation and value that each colour word covers; kept apart so that a person never hesitates between two.
SHADES: dict[str, tuple[Range, Range, Range]] = {
    "red": ((-0.02, 0.01), (0.78, 0.95), (0.66, 0.9)),
    "orange": ((0.06, 0.088), (0.8, 0.98), (0.9, 1.0)),
    "yellow": ((0.135, 0.16), (0.62, 0.92), (0.9, 1.0)),
    "green": ((0.27, 0.41), (0.45, 0.85), (0.34, 0.72)),
    "blue": ((0.565, 0.65), (0.6, 0.92), (0.42, 0.9)),
    "purple": ((0.745, 0.795), (0.42, 0.75), (0.4, 0.75)),
    "pink": ((0.9, 0.955), (0.28, 0.55), (0.93, 1.0)),
    "brown": ((0.045, 0.085), (0.5, 0.75), (0.3, 0.48)),
    "black": ((0.0, 1.0), (0.0, 0.2), (0.06, 0.14)),
    "white": ((0.0, 1.0), (0.0, 0.03), (0.95, 1.0)),
    "grey": ((0.0, 1.0), (0.0, 0.06), (0.42, 0.66)),
    "beige": ((0.09, 0.125), (0.18, 0.32), (0.82, 0.92)),
}
LIGHT: Rgb = (246, 244, 238)
INK: Rgb = (30, 32, 42)


@dataclass(frozen=True)
class Palette:
    """The colours of one garment: its *main* shade, the *contrast* of its finish, the *second* of its pattern."""

    main: Rgb
    contrast: Rgb
    second: Rgb


def anchor(colour: str) -> Rgb:
    """The middle of the range that a colour word covers.

    >>> anchor("white")
    (248, 244, 244)
    """
    hue, saturation, value = (sum(limits) / 2 for limits in SHADES[colour])
    return _rgb(0.0 if colour in ("white", "grey", "black") else hue, saturation, value)


def colour_distances(pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
    """`(n, 12)` distances of `(n, 3)` pixels from the anchors of all `COLOURS`, as people see them."""
    anchors = opponent(np.array([anchor(colour) for colour in COLOURS], np.uint8))
    distances: NDArray[np.float32] = np.linalg.norm(opponent(pixels)[:, None] - anchors[None], axis=2)
    return distances


def nearest_colours(pixels: NDArray[np.uint8]) -> NDArray[np.intp]:
    """For `(n, 3)` pixels, the rows in `COLOURS` of the nearest anchors."""
    rows: NDArray[np.intp] = np.argmin(colour_distances(pixels), axis=1)
    return rows


def opponent(pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
    """`(n, 3)` pixels as CIE Lab, where distances match what people see better than in RGB."""
    linear = (pixels.astype(np.float32) / 255) ** 2.2
    to_xyz = np.array([[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]], np.float32)
    xyz = np.cbrt(linear @ to_xyz.T / np.array([0.9505, 1.0, 1.089], np.float32) + 1e-4)  # (n, 3)
    return np.stack([116 * xyz[:, 1] - 16, 500 * (xyz[:, 0] - xyz[:, 1]), 200 * (xyz[:, 1] - xyz[:, 2])], axis=1)


def palette(garment: Garment) -> Palette:
    """The garment's exact colours, drawn from its cut."""
    rng = Random(f"shade {garment.colour} {garment.cut}")
    limits = SHADES[garment.colour]
    main = _rgb(*(between(rng, *limit) for limit in limits))
    second = _second_colour(main, rng)
    return Palette(main=main, contrast=INK if luminance(main) > 0.5 else LIGHT, second=second)


def _second_colour(main: Rgb, rng: Random) -> Rgb:
    """The print's colour: light on dark cloth, dark or a deeper shade on light cloth."""
    if luminance(main) < 0.45:
        return LIGHT
    if luminance(main) < 0.72:
        return LIGHT if rng.random() < 0.65 else INK
    return INK if rng.random() < 0.6 else shade(main, 0.45)


def luminance(colour: Rgb) -> float:
    """Perceived brightness from 0 to 1."""
    return (0.299 * colour[0] + 0.587 * colour[1] + 0.114 * colour[2]) / 255


def shade(colour: Rgb, factor: float) -> Rgb:
    """The colour darkened (*factor* below 1) or lightened, within 0 to 255."""
    red, green, blue = (max(0, min(255, round(channel * factor))) for channel in colour)
    return red, green, blue


def mix(first: Rgb, second: Rgb, part: float) -> Rgb:
    """The colour *part* of the way from *first* to *second*."""
    red, green, blue = (round(a + (b - a) * part) for a, b in zip(first, second, strict=True))
    return red, green, blue


def _rgb(hue: float, saturation: float, value: float) -> Rgb:
    red, green, blue = (int(255 * channel) for channel in colorsys.hsv_to_rgb(hue % 1, saturation, value))
    return red, green, blue


def draw_pattern(canvas: Image.Image, garment: Garment, colours: Palette, unit: float) -> None:
    """Print the garment's pattern over a canvas already filled with its main colour; *unit* is its width in pixels."""
    rng = Random(f"pattern {garment.cut}")
    step = unit * between(rng, 0.085, 0.13)
    step = max(step, 3.0)  # finer prints would only shimmer
    if garment.pattern != "plain":
        _PRINTS[garment.pattern](ImageDraw.Draw(canvas), canvas.size, step, colours, rng)


def _stripes(draw: ImageDraw.ImageDraw, size: tuple[int, int], step: float, colours: Palette, rng: Random) -> None:
    width = step * between(rng, 0.24, 0.38)
    vertical = rng.random() < 0.4
    for i in range(int(size[0 if vertical else 1] / step) + 1):
        start, end = i * step, i * step + width
        draw.rectangle((start, 0, end, size[1]) if vertical else (0, start, size[0], end), fill=colours.second)


def _dots(draw: ImageDraw.ImageDraw, size: tuple[int, int], step: float, colours: Palette, rng: Random) -> None:
    radius = step * between(rng, 0.2, 0.27)
    for row in range(int(size[1] / step * 1.25) + 1):
        y = row * step * 0.8
        for column in range(int(size[0] / step) + 2):
            x = column * step - (row % 2) * step / 2
            draw.ellipse((x - radius, y - radius, x + radius, y + radius), fill=colours.second)


def _checks(draw: ImageDraw.ImageDraw, size: tuple[int, int], step: float, colours: Palette, rng: Random) -> None:
    step *= 1.25
    width = step * between(rng, 0.25, 0.36)
    half = mix(colours.main, colours.second, 0.45)
    starts_x = [i * step for i in range(int(size[0] / step) + 1)]
    starts_y = [i * step for i in range(int(size[1] / step) + 1)]
    for x in starts_x:
        draw.rectangle((x, 0, x + width, size[1]), fill=half)
    for y in starts_y:
        draw.rectangle((0, y, size[0], y + width), fill=half)
    for x in starts_x:
        for y in starts_y:
            draw.rectangle((x, y, x + width, y + width), fill=colours.second)


_PRINTS = {"striped": _stripes, "dotted": _dots, "checked": _checks}
