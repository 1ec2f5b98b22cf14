"""Patterns for dresses."""

from dataclasses import replace
from random import Random

from sample_shop.drawing.bodice import Bodice, Sleeve, back_of_neck, draft_bodice, draw_sleeves, neckline
from sample_shop.drawing.curves import Outline, band_towards, bend, box, flip, lerp, spline
from sample_shop.drawing.sketch import Cloth, Sketch, between, outline_of


def dress(rng: Random, style: str, worn: bool) -> Sketch:
    """A bodice with a narrow waist over a skirt: strappy, sleeved or shirt-like."""
    waist_y = between(rng, 0.78, 0.95)
    length = between(rng, 1.75, 2.25) * (1.12 if style == "elegant" else 1.0)
    flare = between(rng, 0.42, 0.78) * (0.85 if style in ("elegant", "sporty") else 1.0)
    bodice = replace(
        draft_bodice(rng, "elegant", worn, neck_depth=between(rng, 0.16, 0.34)),
        chest=between(rng, 0.34, 0.39), waist=between(rng, 0.24, 0.31), hem=flare, length=length,
    )  # fmt: skip
    sketch = Sketch(block_y=length - (length - 0.1) * 0.33)
    strappy = rng.random() < 0.4
    if not strappy:
        long = rng.random() < 0.35
        sleeve = Sleeve(between(rng, 0.95, 1.15), 0.13, 0.09, 0.06) if long else Sleeve(0.3, 0.14, 0.15, 0.05)
        draw_sleeves(sketch, bodice, sleeve, style)
    hem = _dress_body(sketch, bodice, waist_y, strappy, worn)
    sketch.piece(band_towards(hem, (0.0, waist_y - 0.5), 0.045), Cloth.TRIM)
    _waist(sketch, bodice, waist_y, rng)
    _skirt_folds(sketch, bodice.waist, waist_y, flare, length, rng)
    return sketch


def _dress_body(sketch: Sketch, bodice: Bodice, waist_y: float, strappy: bool, worn: bool) -> Outline:
    """Draw bodice and skirt as one piece and return the hem, left to right."""
    side = spline(
        (bodice.chest, 0.42),
        (bodice.waist, waist_y),
        (
            lerp((bodice.waist, waist_y), (bodice.hem, bodice.length), 0.45)[0] * 1.08,
            waist_y + (bodice.length - waist_y) * 0.45,
        ),
        (bodice.hem, bodice.length),
    )
    hem = bend(side[-1], (0.0, bodice.length + 0.16), flip(side[-1:])[0])
    if strappy:
        neck = bend((-bodice.chest * 0.8, 0.22), (0.0, 0.42), (bodice.chest * 0.8, 0.22))
        sketch.line_pair((bodice.chest * 0.72, 0.25), (bodice.neck, -0.06), width=0.045, cloth=Cloth.TRIM)
        top: Outline = [(bodice.chest * 0.9, 0.3)]
    else:
        neck = neckline(bodice, False)
        top = bend((bodice.shoulder * 0.93, 0.1), (bodice.chest * 0.93, 0.2), (bodice.chest, 0.42), 5)
        if not worn:
            sketch.piece(back_of_neck(bodice, False), Cloth.INSIDE)
    sketch.piece(outline_of(neck, top, side, hem, flip(side), flip(top)))
    sketch.piece([*neck, *reversed([(x * 1.02, y + 0.055) for x, y in neck])], Cloth.TRIM)
    return hem[::-1]


def _waist(sketch: Sketch, bodice: Bodice, waist_y: float, rng: Random) -> None:
    """A seam at the waist, or a belt."""
    half = bodice.waist + 0.01
    if rng.random() < 0.4:
        sketch.piece(box(-half, waist_y - 0.04, half, waist_y + 0.05), Cloth.TRIM)
    sketch.line((-half, waist_y), (0.0, waist_y + 0.02), (half, waist_y), width=0.018)
    sketch.fold((-half, waist_y + 0.04), (half, waist_y + 0.04), depth=-0.5, width=0.06)


def _skirt_folds(sketch: Sketch, waist: float, waist_y: float, hem: float, hem_y: float, rng: Random) -> None:
    """Long soft folds that fan out from the waist to the hem."""
    for i in range(7):
        part = (i - 3) / 3.4 + between(rng, -0.08, 0.08)
        start = (part * waist * 0.8, waist_y + between(rng, 0.05, 0.4))
        sketch.fold(start, (part * hem * 0.92, hem_y), depth=0.5 if i % 2 else -0.65, width=0.07)
