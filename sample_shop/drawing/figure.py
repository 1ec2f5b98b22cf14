"""Draws a person wearing garments: a softly shaded figure, dressed layer by layer."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from random import Random

from PIL import Image, ImageDraw

from sample_shop.drawing.curves import Outline, Point, bend, ellipse, flip, mirrored, spline
from sample_shop.drawing.painting import Frame, paint
from sample_shop.drawing.patterns import sketch_garment
from sample_shop.drawing.sketch import between
from sample_shop.fabric import Rgb, mix, shade
from sample_shop.vocabulary import Garment

ASPECT = 0.5  # width over height of the canvas
TOP_Y, SOLE_Y = -1.12, 3.38
SKINS: tuple[Rgb, ...] = (
    (250, 216, 190), (238, 196, 160), (214, 162, 120), (176, 122, 84), (132, 88, 60), (98, 66, 48),
)  # fmt: skip
HAIRS: tuple[Rgb, ...] = ((34, 26, 22), (66, 42, 28), (112, 72, 40), (196, 156, 92), (150, 70, 36), (120, 118, 118))
HEAD: Point = (0.0, -0.47)
HEAD_RX, HEAD_RY = 0.215, 0.285
# Where each kind goes, from the skin outwards; a dress covers what a top and a bottom would.
LAYERS = ("trousers", "shorts", "skirt", "t-shirt", "shirt", "longsleeve", "dress", "jacket", "shoe", "hat", "bag")
TOPS, BOTTOMS = ("t-shirt", "shirt", "longsleeve", "jacket"), ("trousers", "shorts", "skirt")


@dataclass(frozen=True)
class Body:
    """One person's look and stance. *spread* is the arms' angle from hanging, *tilt* the head's in degrees."""

    skin: Rgb
    hair: Rgb
    long_hair: bool
    width: float
    spread: float
    stance: float
    tilt: float
    mirror: bool


def draw_figure(garments: tuple[Garment, ...], size: int, pose: int) -> Image.Image:
    """A person wearing *garments*: RGBA, *size* pixels high and half as wide, deterministic in its arguments.

    What the garments leave bare is filled with grey basics; *pose* draws the person and the stance.
    """
    body = _body(Random(f"pose {pose}"))
    frame = _frame(size, body)
    figure = _draw_body(body, frame)
    dressed = [*garments, *grey_basics(garments)]
    for garment in sorted(dressed, key=lambda worn: LAYERS.index(worn.kind)):
        for layer in _worn(garment, body, frame):
            figure.alpha_composite(layer)
    return figure


def _body(rng: Random) -> Body:
    return Body(
        skin=rng.choice(SKINS),
        hair=rng.choice(HAIRS),
        long_hair=rng.random() < 0.5,
        width=between(rng, 0.94, 1.06),
        spread=between(rng, 0.12, 0.24),
        stance=between(rng, 0.17, 0.25),
        tilt=between(rng, -5, 5),
        mirror=rng.random() < 0.5,
    )


def _frame(size: int, body: Body) -> Frame:
    scale = size / (SOLE_Y - TOP_Y)
    return Frame((round(size * ASPECT), size), scale, (size * ASPECT / 2, -TOP_Y * scale), body.mirror)


def grey_basics(garments: tuple[Garment, ...]) -> list[Garment]:
    """The grey garments that cover what *garments* leave bare."""
    kinds = {garment.kind for garment in garments}
    basics = []
    if not kinds & {*TOPS, "dress"}:
        basics.append(Garment("t-shirt", "grey", cut=1))
    if not kinds & {*BOTTOMS, "dress"}:
        basics.append(Garment("trousers", "grey", cut=2))
    if "shoe" not in kinds:
        basics.append(Garment("shoe", "grey", style="sporty", cut=3))
    return basics


def _worn(garment: Garment, body: Body, frame: Frame) -> list[Image.Image]:
    """One image for each time the garment shows: shoes come in pairs."""
    sketch = sketch_garment(garment, worn=True)
    match garment.kind:
        case "shoe":
            feet = [(body.stance + 0.04, False), (-body.stance - 0.04, True)]
            return [paint(sketch, garment, _placed(frame, (x, SOLE_Y - 0.05), 0.24, left)) for x, left in feet]
        case "hat":
            return [paint(sketch, garment, _placed(frame, (HEAD[0], HEAD[1] - 0.1), 0.49, False))]
        case "bag":
            return [paint(sketch, garment, _placed(frame, (_hand(body)[0], _hand(body)[1] - 0.03), 0.38, False))]
        case _:
            return [paint(sketch, garment, frame)]


def _placed(frame: Frame, origin: Point, size: float, mirror: bool) -> Frame:
    """A frame whose origin is a point of the body, *size* body units to the unit."""
    (x, y) = frame.pixels([origin])[0]
    return Frame(frame.size, frame.scale * size, (x, y), frame.mirror != mirror)


def _hand(body: Body) -> Point:
    return 0.4 + math.sin(body.spread) * 1.32, 0.14 + math.cos(body.spread) * 1.32


def _draw_body(body: Body, frame: Frame) -> Image.Image:
    """Skin, hair and face, antialiased by drawing at three times the size."""
    large = frame.zoomed(3)
    figure = Image.new("RGBA", large.size, (*body.skin, 0))
    draw = ImageDraw.Draw(figure)

    def fill(outline: Outline, colour: Rgb) -> None:
        draw.polygon(large.pixels(outline), fill=(*colour, 255))

    if body.long_hair:
        fill(_long_hair(), shade(body.hair, 0.85))
    for limb in _limbs(body):
        fill(limb, shade(body.skin, 0.95))
    fill(_trunk(), body.skin)
    fill(mirrored([(0.0, -0.3), (0.1, -0.3), (0.1, -0.02), (0.2, 0.1), (0.0, 0.16)]), shade(body.skin, 0.9))
    fill(ellipse(HEAD, HEAD_RX, HEAD_RY), body.skin)
    fill(_hair_cap(), body.hair)
    _face(fill, body)
    return figure.reduce(3)


def _limbs(body: Body) -> list[Outline]:
    """Two arms and two legs."""
    hand = _hand(body)
    arm = spline((0.36, 0.05), (0.5, 0.14), (0.53 + body.spread * 0.4, 0.7), (hand[0] + 0.05, hand[1]))
    arm += spline((hand[0] + 0.03, hand[1] + 0.13), (hand[0] - 0.05, hand[1] + 0.1), (hand[0] - 0.06, hand[1] - 0.1))
    arm += spline((0.42 + body.spread * 0.35, 0.75), (0.36, 0.4))
    x = body.stance
    leg = spline((0.36, 1.3), (0.34, 1.7), (x + 0.1, 2.35), (x + 0.11, 2.7), (x + 0.06, 3.2), (x + 0.08, 3.34))
    leg += spline((x - 0.08, 3.34), (x - 0.06, 3.2), (x - 0.1, 2.7), (x - 0.09, 2.35), (0.02, 1.6), (0.0, 1.3))
    return [arm, flip(arm), leg, flip(leg)]


def _trunk() -> Outline:
    return mirrored(
        [*spline((0.0, 0.02), (0.28, 0.05), (0.42, 0.12), (0.36, 0.5), (0.28, 0.92), (0.36, 1.35)), (0.0, 1.6)]
    )


def _long_hair() -> Outline:
    return mirrored(spline((0.0, -0.82), (0.24, -0.66), (0.3, -0.3), (0.3, 0.1), (0.22, 0.24), (0.0, 0.2)))


def _hair_cap() -> Outline:
    fringe = spline((0.23, -0.42), (0.17, -0.58), (0.02, -0.66), (-0.16, -0.56), (-0.23, -0.42))
    return [*ellipse((0.0, -0.5), 0.24, 0.3, 185, 355), *fringe]


def _face(fill: Callable[[Outline, Rgb], None], body: Body) -> None:
    lip = mix(body.skin, (170, 60, 60), 0.5)
    for x in (-0.085, 0.085):
        fill(ellipse((x, -0.46), 0.022, 0.026), (40, 32, 30))
        fill([*bend((x - 0.045, -0.53), (x, -0.57), (x + 0.045, -0.53), 4), (x, -0.54)], shade(body.hair, 0.8))
    fill(
        [*bend((-0.06, -0.31), (0.0, -0.28), (0.06, -0.31), 5), *bend((0.06, -0.31), (0.0, -0.24), (-0.06, -0.31), 5)],
        lip,
    )
    fill([(0.0, -0.44), (0.025, -0.37), (-0.01, -0.37)], shade(body.skin, 0.86))
