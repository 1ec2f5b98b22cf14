"""Patterns for what is worn from the waist down: trousers, shorts and skirt."""

from random import Random

from sample_shop.drawing.curves import Point, band_towards, bend, box, cut_beyond, flip, lerp, mirrored, spline
from sample_shop.drawing.sketch import Cloth, Sketch, between, outline_of

WAIST_Y = 0.95
CROTCH_Y = 1.55
KNEE_Y = 2.3
ANKLE_Y = 3.12


def trousers(rng: Random, style: str, worn: bool) -> Sketch:
    """Long trousers: jeans, slacks or joggers, by style."""
    width = {"casual": 0.165, "elegant": 0.15, "sporty": 0.14, "street": 0.215}[style] * between(rng, 0.85, 1.2)
    sketch = _legs(rng, ANKLE_Y + between(rng, -0.15, 0.05), width, style, worn)
    sketch.block_y = 2.35
    if style == "elegant":
        sketch.line_pair((0.2, 1.2), (0.24, 3.0), width=0.012)
    _knee_folds(sketch, width, rng)
    return sketch


def shorts(rng: Random, style: str, worn: bool) -> Sketch:
    """Trousers that end above the knee."""
    width = between(rng, 0.2, 0.25) * (1.12 if style == "street" else 1.0)
    bottom = between(rng, 1.85, 2.15) + (0.1 if style == "street" else 0.0)
    sketch = _legs(rng, bottom, width, style, worn)
    sketch.block_y = bottom - (bottom - WAIST_Y) * 0.33
    return sketch


def skirt(rng: Random, style: str, worn: bool) -> Sketch:
    """A pencil, flared or pleated skirt."""
    waist = between(rng, 0.27, 0.33)
    bottom = between(rng, 1.7, 2.35) + (0.25 if style == "elegant" else 0.0)
    variant = rng.choice(_SKIRT_CHOICES[style])
    hem = waist + {"pencil": 0.06, "flared": between(rng, 0.25, 0.5), "pleated": between(rng, 0.2, 0.4)}[variant]
    middle = (lerp((waist, 0.0), (hem, 0.0), 0.45)[0] + (0.1 if variant == "pencil" else 0.05), 1.35)
    side = spline((waist, WAIST_Y), middle, (hem, bottom))
    edge = bend((hem, bottom), (0.0, bottom + hem * 0.28), (-hem, bottom))
    sketch = Sketch(block_y=bottom - (bottom - WAIST_Y) * 0.3)
    sketch.piece(outline_of(side, edge, flip(side)))
    sketch.piece(band_towards(edge, (0.0, WAIST_Y - 0.6), 0.055), Cloth.TRIM)
    _waistband(sketch, waist, rng, buttoned=variant == "pencil")
    if style == "sporty":
        _skirt_stripes(sketch, side)
    _skirt_drape(sketch, variant, waist, hem, bottom, rng)
    return sketch


_SKIRT_CHOICES = {
    "casual": ("pencil", "flared", "flared", "pleated"),
    "elegant": ("pencil", "flared", "pleated"),
    "sporty": ("pleated", "pleated", "flared"),
    "street": ("pencil", "flared", "pleated"),
}


def _legs(rng: Random, bottom: float, half_leg: float, style: str, worn: bool) -> Sketch:
    """Waist, seat and two legs, each *half_leg* wide to either side of its middle."""
    waist = between(rng, 0.29, 0.34)
    hip = max(waist + 0.07, half_leg * 1.75 + 0.03)
    lean = between(rng, 0.0, 0.04) if worn else between(rng, 0.03, 0.14)
    reach = (bottom - CROTCH_Y) / (ANKLE_Y - CROTCH_Y)
    outer = (hip + lean * reach + half_leg * 0.1, bottom)
    inner = (outer[0] - half_leg * 2, bottom + 0.02)
    side = spline((waist, WAIST_Y), (hip, 1.32), lerp((hip, 1.32), outer, 0.55), outer)
    inseam = spline(inner, lerp(inner, (0.02, CROTCH_Y), 0.6), (0.0, CROTCH_Y))
    leg = outline_of([(0.0, WAIST_Y)], side, [(inner[0], inner[1])], inseam)
    sketch = Sketch()
    sketch.piece(mirrored(leg))
    below = cut_beyond(leg, (0.0, bottom - 0.075), (0.0, 1.0))
    sketch.pair([point for point in below if point[0] > 0.005], Cloth.TRIM)
    if style == "sporty":
        _leg_stripes(sketch, side)
    _waistband(sketch, waist, rng, buttoned=style != "sporty")
    _fly_and_pockets(sketch, waist, hip)
    return sketch


def _waistband(sketch: Sketch, waist: float, rng: Random, buttoned: bool) -> None:
    height = between(rng, 0.07, 0.1)
    top = bend((-waist, WAIST_Y), (0.0, WAIST_Y + 0.03), (waist, WAIST_Y), 6)
    sketch.piece([*top, *((x * 1.03, y + height) for x, y in reversed(top))], Cloth.TRIM)
    if buttoned:
        sketch.button((0.0, WAIST_Y + 0.015 + height / 2), 0.024)
        for x in (-0.6, 0.6):
            sketch.piece(box(x * waist - 0.014, WAIST_Y, x * waist + 0.014, WAIST_Y + height + 0.02), Cloth.MAIN)
    else:
        sketch.line_pair((0.03, WAIST_Y + height), (0.05, WAIST_Y + 0.3), width=0.02, cloth=Cloth.TRIM)


def _fly_and_pockets(sketch: Sketch, waist: float, hip: float) -> None:
    sketch.line((0.0, WAIST_Y + 0.09), (0.0, CROTCH_Y), width=0.014)
    sketch.line(*bend((0.07, WAIST_Y + 0.09), (0.08, 1.32), (0.0, 1.4), 5), width=0.01)
    sketch.line_pair(*bend((waist * 0.55, WAIST_Y + 0.09), (waist * 0.65, 1.2), (hip * 0.97, 1.23), 5), width=0.016)
    sketch.fold((0.0, CROTCH_Y), (0.0, 1.3), depth=-0.4, width=0.05)
    for height in (-0.06, -0.16):
        sketch.fold_pair((0.02, CROTCH_Y), (hip * 0.8, CROTCH_Y + height), depth=-0.45, width=0.04)


def _leg_stripes(sketch: Sketch, side: list[Point]) -> None:
    for inset in (0.035, 0.08):
        sketch.line_pair(*((x - inset, y) for x, y in side[2:]), width=0.024, cloth=Cloth.CONTRAST)


def _skirt_stripes(sketch: Sketch, side: list[Point]) -> None:
    for inset in (0.04, 0.085):
        sketch.line_pair(*((x - inset, y) for x, y in side[1:]), width=0.024, cloth=Cloth.CONTRAST)


def _knee_folds(sketch: Sketch, half_leg: float, rng: Random) -> None:
    for y, depth in ((KNEE_Y - 0.1, -0.4), (KNEE_Y, 0.4), (KNEE_Y + 0.1, -0.5), (ANKLE_Y - 0.25, -0.4)):
        tilt = between(rng, -0.08, 0.08)
        sketch.fold_pair((0.12, y + tilt), (0.12 + half_leg * 1.8, y - tilt), depth=depth, width=0.05)
    sketch.fold_pair((0.22, 1.7), (0.26, 2.9), depth=0.4, width=half_leg * 0.6)


def _skirt_drape(sketch: Sketch, variant: str, waist: float, hem: float, bottom: float, rng: Random) -> None:
    top = WAIST_Y + 0.1
    if variant == "pleated":
        for i in range(-4, 5):
            part = i / 4.6
            sketch.line((part * waist, top), (part * hem, bottom + hem * 0.13 * (1 - part * part)), width=0.014)
            sketch.fold((part * waist + 0.02, top), (part * hem + 0.03, bottom), depth=-0.6, width=0.05)
    elif variant == "flared":
        for i in range(6):
            part = (i - 2.5) / 3 + between(rng, -0.06, 0.06)
            start = (part * waist * 0.8, top + between(rng, 0.05, 0.3))
            sketch.fold(start, (part * hem * 0.94, bottom + 0.05), depth=0.5 if i % 2 else -0.65, width=0.06)
    else:
        sketch.line((hem * 0.4, bottom - 0.35), (hem * 0.42, bottom + hem * 0.1), width=0.018)
        sketch.fold_pair((0.05, 1.3), (waist, 1.15), depth=-0.4, width=0.05)
