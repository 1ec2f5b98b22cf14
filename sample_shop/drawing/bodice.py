"""What everything worn on the torso is built from: torso, sleeves, necklines, collars, plackets."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from random import Random

from sample_shop.drawing.curves import (
    Outline,
    Point,
    bend,
    box,
    cut_beyond,
    flip,
    lerp,
    spline,
)
from sample_shop.drawing.sketch import Cloth, Sketch, between, outline_of

# Width and length of the torso by style, relative to a regular cut.
FIT = {"casual": (1.0, 1.0), "elegant": (0.9, 1.06), "sporty": (0.97, 0.98), "street": (1.2, 1.1)}


@dataclass(frozen=True)
class Bodice:
    """Measures of a torso piece in body units; *spread* is the angle of the sleeves from hanging, in radians."""

    neck: float
    neck_depth: float
    shoulder: float
    chest: float
    waist: float
    hem: float
    length: float
    hem_drop: float
    spread: float


@dataclass(frozen=True)
class Sleeve:
    """Measures of a sleeve in body units; *cuff* and *top* are half widths."""

    length: float
    top: float
    cuff: float
    band: float


def draft_bodice(rng: Random, style: str, worn: bool, neck_depth: float) -> Bodice:
    width, length = FIT[style]
    width *= between(rng, 0.94, 1.08)
    chest = 0.42 * width
    return Bodice(
        neck=between(rng, 0.16, 0.2),
        neck_depth=neck_depth,
        shoulder=0.47 * math.sqrt(width),
        chest=chest,
        waist=chest * between(rng, 0.9, 0.99),
        hem=chest * between(rng, 0.96, 1.05),
        length=between(rng, 1.12, 1.32) * length,
        hem_drop=0.02,
        spread=between(rng, 0.1, 0.22) if worn else between(rng, 0.38, 0.72),
    )


def neckline(bodice: Bodice, v_neck: bool, lower: float = 0.0) -> Outline:
    """The front neckline from left to right, *lower* units further down and out."""
    left, right = (-bodice.neck - lower * 0.7, lower * 0.25), (bodice.neck + lower * 0.7, lower * 0.25)
    if v_neck:
        return [left, (0.0, bodice.neck_depth * 1.4 + lower * 1.3), right]
    return bend(left, (0.0, 2 * bodice.neck_depth + lower * 1.6), right)


def back_of_neck(bodice: Bodice, v_neck: bool) -> Outline:
    back = bend((bodice.neck, 0.0), (0.0, 0.1), (-bodice.neck, 0.0), 6)
    return [*neckline(bodice, v_neck), *back]


def draw_torso(sketch: Sketch, bodice: Bodice, v_neck: bool, worn: bool, hem_band: float = 0.07) -> None:
    side = spline((bodice.chest, 0.42), (bodice.waist, 0.8), (bodice.hem, bodice.length - bodice.hem_drop * 0.4))
    hem = bend(side[-1], (0.0, bodice.length + bodice.hem_drop * 2), flip(side[-1:])[0])
    shoulder = bend((bodice.shoulder, 0.12), (bodice.chest * 0.93, 0.2), (bodice.chest, 0.42), 5)
    outline = outline_of(neckline(bodice, v_neck), shoulder, side, hem, flip(side), flip(shoulder))
    if not worn:
        sketch.piece(back_of_neck(bodice, v_neck), Cloth.INSIDE)
    sketch.piece(outline)
    sketch.piece([*hem, *((x, y - hem_band) for x, y in reversed(hem))], Cloth.TRIM)
    sketch.line_pair(*shoulder)
    sketch.fold_pair(*shoulder, depth=-0.5, width=0.05)
    sketch.block_y = bodice.length * 0.66


def draw_torso_folds(sketch: Sketch, bodice: Bodice, rng: Random) -> None:
    for side in (-1, 1):
        armpit = (side * bodice.chest * 0.95, 0.45)
        for _ in range(2):
            end = (side * between(rng, 0.05, 0.25), between(rng, 0.5, 0.8))
            sketch.fold(armpit, end, depth=between(rng, -0.5, 0.3), width=0.04)
        start = (side * bodice.waist * between(rng, 0.6, 1), between(rng, 0.7, bodice.length))
        sketch.fold(start, (side * 0.06, start[1] + between(rng, 0.05, 0.2)), depth=-0.4, width=0.06)
    x = between(rng, -0.2, 0.2)
    sketch.fold((x, 0.55), (x + between(rng, -0.1, 0.1), bodice.length), depth=0.35, width=0.12)


def draw_neck_band(sketch: Sketch, bodice: Bodice, v_neck: bool) -> None:
    upper, lower = neckline(bodice, v_neck), neckline(bodice, v_neck, 0.06)
    sketch.piece([*upper, *reversed(lower)], Cloth.TRIM)


def draw_sleeves(sketch: Sketch, bodice: Bodice, sleeve: Sleeve, style: str) -> None:
    """Both sleeves with their cuffs, side stripes on sporty ones."""
    along = (math.sin(bodice.spread), math.cos(bodice.spread))
    across = (along[1], -along[0])
    start = (bodice.shoulder - sleeve.top * 0.75, 0.14)
    end = _step(start, along, sleeve.length)
    outer = _step(end, across, sleeve.cuff)
    inner = _step(end, across, -sleeve.cuff)
    top = spline(
        (bodice.neck + 0.1, 0.03), (bodice.shoulder, 0.11), lerp((bodice.shoulder + 0.05, 0.25), outer, 0.5), outer
    )
    armpit = (bodice.chest - 0.04, 0.5)
    outline = outline_of(top, bend(inner, lerp(inner, armpit, 0.5), armpit, 4), [(bodice.neck, 0.3)])
    sketch.pair(outline)
    sketch.pair(cut_beyond(outline, _step(start, along, sleeve.length - sleeve.band), along), Cloth.TRIM)
    if style == "sporty":
        _sleeve_stripes(sketch, top, across)
    if sleeve.length > 0.8:
        _elbow_folds(sketch, start, along, across, sleeve)


def _step(start: Point, direction: Point, distance: float) -> Point:
    return start[0] + direction[0] * distance, start[1] + direction[1] * distance


def _sleeve_stripes(sketch: Sketch, top: Sequence[Point], across: Point) -> None:
    """Two contrasting stripes that follow the sleeve's upper edge from the shoulder on."""
    for inset in (0.05, 0.1):
        sketch.line_pair(*(_step(point, across, -inset) for point in top[6:-1]), width=0.024, cloth=Cloth.CONTRAST)


def _elbow_folds(sketch: Sketch, start: Point, along: Point, across: Point, sleeve: Sleeve) -> None:
    for part, depth in ((0.45, -0.5), (0.53, 0.35), (0.6, -0.45), (0.82, -0.4)):
        centre = _step(start, along, sleeve.length * part)
        sketch.fold_pair(_step(centre, across, 0.1), _step(centre, across, -0.09), depth=depth, width=0.035)


def draw_placket(sketch: Sketch, top: float, bottom: float) -> None:
    """A button strip down the front."""
    sketch.line_pair((0.045, top), (0.045, bottom))
    for i in range(6):
        sketch.button((0.0, top + 0.06 + (bottom - top - 0.12) * i / 5.3))


def draw_collar(sketch: Sketch, bodice: Bodice, size: float = 1.0) -> None:
    leaf = [(0.0, 0.17), (bodice.neck * 0.6, 0.02), (bodice.neck, -0.06), (bodice.neck + 0.08 * size, 0.05)]
    leaf.append((bodice.neck * 0.75 + 0.05 * size, 0.27 * size))
    sketch.piece([*bend((-bodice.neck, -0.05), (0.0, -0.11), (bodice.neck, -0.05), 6), (0.0, 0.17)], Cloth.INSIDE)
    sketch.pair(leaf, Cloth.TRIM)
    sketch.fold_pair(*leaf[3:], leaf[0], depth=-0.6, width=0.03)


def draw_pocket(sketch: Sketch, left: float, top: float, size: float) -> None:
    sketch.piece(
        [*box(left, top, left + size, top + size)[:3], (left + size / 2, top + size * 1.2), (left, top + size)]
    )
    sketch.line((left, top + 0.04), (left + size, top + 0.04))
