"""Random pictures of garments to train the small CLIP on: one garment, a few side by side, or a person wearing some.

A picture is drawn in an aspect between 9:16 and about square and squashed to a square, as preprocessing squashes
photos and frames.
"""

from collections.abc import Callable
from dataclasses import dataclass
from random import Random

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFilter

from sample_shop.captions import ALL_KINDS
from sample_shop.drawing.figure import draw_figure, grey_basics
from sample_shop.drawing.flat_lay import draw_garment
from sample_shop.drawing.sketch import between
from sample_shop.fabric import Rgb, mix, shade
from sample_shop.photo import backdrop, drop_shadow
from sample_shop.vocabulary import COLOURS, FINISHES, PATTERNS, STYLES, Garment

PLAIN_SHARE = 0.45
TOPS, BOTTOMS, EXTRAS = (
    ("t-shirt", "shirt", "longsleeve", "jacket"),
    ("trousers", "skirt", "shorts"),
    ("hat", "shoe", "bag"),
)


@dataclass(frozen=True)
class Scene:
    """A picture `(size, size, 3)` of *garments*; *basics* also show in it, but no caption names them."""

    pixels: NDArray[np.uint8]
    garments: tuple[Garment, ...]
    basics: tuple[Garment, ...] = ()


def random_garment(rng: Random, kinds: tuple[str, ...] = ALL_KINDS) -> Garment:
    """A garment with every attribute drawn at random."""
    pattern = "plain" if rng.random() < PLAIN_SHARE else rng.choice(PATTERNS[1:])
    return Garment(
        rng.choice(kinds), rng.choice(COLOURS), pattern, rng.choice(STYLES), rng.choice(FINISHES), rng.randrange(10**6)
    )


def draw_scene(rng: Random, size: int) -> Scene:
    """One random picture, *size* pixels square after squashing."""
    aspect = rng.choice((9 / 16, 0.75, 0.75, 1.0, between(rng, 0.5, 1.1)))
    base = size * 1.3
    canvas = _background(rng, round(base * aspect**0.5), round(base / aspect**0.5))
    compose = rng.choices((_single, _side_by_side, _person), (0.68, 0.11, 0.21))[0]
    garments, basics = compose(canvas, rng)
    canvas = _blemished(canvas, rng).resize((size, size), Image.Resampling.BICUBIC)
    return Scene(np.asarray(canvas), garments, basics)


Composition = tuple[tuple[Garment, ...], tuple[Garment, ...]]


def _single(canvas: Image.Image, rng: Random) -> Composition:
    garment = random_garment(rng)
    part = between(rng, 0.8, 1.05) if rng.random() < 0.5 else between(rng, 0.32, 1.0)
    turn = between(rng, -6, 6) if rng.random() < 0.7 else between(rng, -25, 25)
    _place(canvas, garment, rng, part, turn, _loose_centre(part, rng))
    return (garment,), ()


def _loose_centre(part: float, rng: Random) -> tuple[float, float]:
    """Where to put a garment that takes *part* of the width: anywhere, or a little beyond the border."""
    slack = max(0.04, 0.56 - part / 2)
    return 0.5 + between(rng, -slack, slack), 0.5 + between(rng, -slack, slack) * 0.9


def _side_by_side(canvas: Image.Image, rng: Random) -> Composition:
    count = rng.choice((2, 2, 3))
    garments = tuple(random_garment(rng) for _ in range(count))
    upright = canvas.height > canvas.width * 1.2
    for i, garment in enumerate(garments):
        along = (i + 0.5) / count + between(rng, -0.03, 0.03)
        across = 0.5 + between(rng, -0.08, 0.08)
        part = between(rng, 0.8, 1.05) / count * (min(count, canvas.height / canvas.width) if upright else 1.0)
        _place(
            canvas, garment, rng, min(part, 0.8), between(rng, -8, 8), (across, along) if upright else (along, across)
        )
    return garments, ()


def _place(
    canvas: Image.Image, garment: Garment, rng: Random, part: float, turn: float, centre: tuple[float, float]
) -> None:
    """Draw a garment *part* of the canvas wide around *centre*, mostly with a shadow."""
    side = max(16, round(canvas.width * part))
    cut_out = draw_garment(garment, side).rotate(turn, Image.Resampling.BILINEAR)
    corner = round(canvas.width * centre[0] - side / 2), round(canvas.height * centre[1] - side / 2)
    if rng.random() < 0.7:
        drop_shadow(canvas, cut_out, corner, between(rng, 0.1, 0.4))
    canvas.paste(cut_out, corner, cut_out)


def _person(canvas: Image.Image, rng: Random) -> Composition:
    garments = _outfit(rng)
    figure = draw_figure(garments, round(canvas.height * between(rng, 0.7, 1.25)), rng.randrange(10**6))
    left = (canvas.width - figure.width) // 2 + round(canvas.width * between(rng, -0.2, 0.2))
    top = (canvas.height - figure.height) // 2 + round(canvas.height * between(rng, -0.06, 0.06))
    canvas.paste(figure, (left, top), figure)
    return garments, tuple(grey_basics(garments))


def _outfit(rng: Random) -> tuple[Garment, ...]:
    """Two to four garments that one person can wear."""
    if rng.random() < 0.25:
        worn = [random_garment(rng, ("dress",))]
    else:
        worn = [random_garment(rng, TOPS), random_garment(rng, BOTTOMS)]
    extras = rng.sample(EXTRAS, rng.choice((0, 1, 1, 2)) if len(worn) == 2 else rng.choice((1, 2)))
    return (*worn, *(random_garment(rng, (kind,)) for kind in extras))


def _blemished(canvas: Image.Image, rng: Random) -> Image.Image:
    """Now and then a little blur or sensor noise."""
    if rng.random() < 0.2:
        canvas = canvas.filter(ImageFilter.BoxBlur(between(rng, 0.3, 0.9)))
    if rng.random() < 0.3:
        noise = Image.effect_noise(canvas.size, between(rng, 8, 60)).convert("RGB")
        canvas = Image.blend(canvas, noise, between(rng, 0.03, 0.12))
    return canvas


def _background(rng: Random, width: int, height: int) -> Image.Image:
    paint = rng.choices((backdrop, _room, _planks, _clutter, _wash, _grain), (0.4, 0.2, 0.08, 0.17, 0.09, 0.06))[0]
    return paint(rng, width, height)


def any_colour(rng: Random) -> Rgb:
    """Any colour, muted ones more often than loud ones."""
    grey = between(rng, 20, 250)
    loud = rng.random() ** 2
    red, green, blue = (int(grey + (between(rng, 0, 255) - grey) * loud) for _ in range(3))
    return red, green, blue


def _room(rng: Random, width: int, height: int) -> Image.Image:
    """A wall, a floor, and a few things that stand or hang there."""
    wall = mix(any_colour(rng), (235, 230, 222), between(rng, 0.0, 0.6))
    room = Image.new("RGB", (width, height), wall)
    draw = ImageDraw.Draw(room)
    floor_y = height * between(rng, 0.62, 0.9)
    draw.rectangle((0, floor_y, width, height), fill=mix(any_colour(rng), (120, 90, 60), between(rng, 0.1, 0.7)))
    draw.line((0, floor_y, width, floor_y), fill=shade(wall, 0.7), width=max(1, height // 60))
    for _ in range(rng.randint(0, 4)):
        x, y = between(rng, -0.1, 0.9) * width, between(rng, 0.0, 0.7) * height
        right, bottom = x + between(rng, 0.1, 0.4) * width, y + between(rng, 0.1, 0.35) * height
        draw.rectangle((x, y, right, bottom), fill=any_colour(rng), outline=shade(wall, 0.6))
    return room.filter(ImageFilter.BoxBlur(1)) if rng.random() < 0.5 else room


def _planks(rng: Random, width: int, height: int) -> Image.Image:
    base = any_colour(rng)
    floor = Image.new("RGB", (width, height), base)
    draw = ImageDraw.Draw(floor)
    count, upright = rng.randint(3, 9), rng.random() < 0.5
    for i in range(count):
        span = (
            (i * width / count, (i + 1) * width / count) if upright else (i * height / count, (i + 1) * height / count)
        )
        plank = (span[0], 0, span[1], height) if upright else (0, span[0], width, span[1])
        draw.rectangle(plank, fill=shade(base, between(rng, 0.82, 1.15)))
    return floor


def _clutter(rng: Random, width: int, height: int) -> Image.Image:
    heap = Image.new("RGB", (width, height), any_colour(rng))
    draw = ImageDraw.Draw(heap)
    for _ in range(rng.randint(3, 14)):
        x, y = between(rng, -0.2, 1.0) * width, between(rng, -0.2, 1.0) * height
        box = (x, y, x + between(rng, 0.05, 0.6) * width, y + between(rng, 0.05, 0.5) * height)
        form: Callable[..., None] = draw.rectangle if rng.random() < 0.6 else draw.ellipse
        form(box, fill=any_colour(rng))
    return heap


def _wash(rng: Random, width: int, height: int) -> Image.Image:
    """One colour running into another."""
    ramp = Image.linear_gradient("L").rotate(rng.choice((0, 90, 180, 270))).resize((width, height))
    first, second = (Image.new("RGB", (width, height), any_colour(rng)) for _ in range(2))
    return Image.composite(first, second, ramp)


def _grain(rng: Random, width: int, height: int) -> Image.Image:
    """A coarse, mottled ground."""
    grain = Image.effect_noise((max(4, width // 4), max(4, height // 4)), between(rng, 20, 60)).resize((width, height))
    return Image.blend(grain.convert("RGB"), Image.new("RGB", (width, height), any_colour(rng)), between(rng, 0.3, 0.8))
