"""Patterns for tops: t-shirt, longsleeve and shirt."""

from dataclasses import replace
from random import Random

from sample_shop.drawing.bodice import (
    Bodice,
    Sleeve,
    draft_bodice,
    draw_collar,
    draw_neck_band,
    draw_placket,
    draw_pocket,
    draw_sleeves,
    draw_torso,
    draw_torso_folds,
)
from sample_shop.drawing.curves import Outline, box, ellipse, mirrored
from sample_shop.drawing.sketch import Cloth, Sketch, between


def t_shirt(rng: Random, style: str, worn: bool) -> Sketch:
    """A short-sleeved top with a round or V neck, now and then with a small print."""
    bodice = draft_bodice(rng, style, worn, neck_depth=between(rng, 0.14, 0.26))
    sleeve = Sleeve(between(rng, 0.34, 0.48), 0.17, between(rng, 0.14, 0.19), 0.06)
    v_neck = rng.random() < 0.3
    sketch = Sketch()
    draw_sleeves(sketch, bodice, sleeve, style)
    draw_torso(sketch, bodice, v_neck, worn)
    draw_neck_band(sketch, bodice, v_neck)
    draw_torso_folds(sketch, bodice, rng)
    if rng.random() < 0.25:
        _print(sketch, rng)
    return sketch


def longsleeve(rng: Random, style: str, worn: bool) -> Sketch:
    """A knitted top with long sleeves and ribbed cuffs; a hood in street style."""
    bodice = draft_bodice(rng, style, worn, neck_depth=between(rng, 0.11, 0.2))
    sleeve = Sleeve(between(rng, 1.08, 1.25), 0.17, between(rng, 0.085, 0.11), 0.1)
    sketch = Sketch()
    draw_sleeves(sketch, bodice, sleeve, style)
    draw_torso(sketch, bodice, False, worn, hem_band=0.09)
    if rng.random() < (0.6 if style == "street" else 0.1):
        _hood(sketch, bodice)
    else:
        draw_neck_band(sketch, bodice, False)
    draw_torso_folds(sketch, bodice, rng)
    return sketch


def shirt(rng: Random, style: str, worn: bool) -> Sketch:
    """A woven shirt with collar, placket and buttons, mostly long-sleeved, with a curved tail."""
    bodice = draft_bodice(rng, style, worn, neck_depth=0.17)
    bodice = replace(bodice, hem_drop=between(rng, 0.06, 0.16), length=bodice.length * 1.04)
    short = rng.random() < 0.25
    sleeve = (
        Sleeve(between(rng, 0.42, 0.52), 0.17, 0.16, 0.05) if short else Sleeve(between(rng, 1.1, 1.22), 0.16, 0.1, 0.1)
    )
    sketch = Sketch()
    draw_sleeves(sketch, bodice, sleeve, style)
    draw_torso(sketch, bodice, False, worn)
    draw_placket(sketch, 0.17, bodice.length + bodice.hem_drop * 0.9)
    draw_collar(sketch, bodice)
    if rng.random() < 0.5:
        draw_pocket(sketch, 0.1, 0.42, 0.18)
    draw_torso_folds(sketch, bodice, rng)
    return sketch


def _print(sketch: Sketch, rng: Random) -> None:
    """A small emblem on the chest."""
    y, size = between(rng, 0.38, 0.5), between(rng, 0.08, 0.15)
    shapes: list[Outline] = [
        ellipse((0.0, y), size, size),
        box(-size * 1.5, y - size * 0.5, size * 1.5, y + size * 0.5),
        [(0.0, y - size), (size, y + size), (-size, y + size)],
    ]
    sketch.piece(rng.choice(shapes), Cloth.CONTRAST, edge=False)


def _hood(sketch: Sketch, bodice: Bodice) -> None:
    rim = bodice.neck + 0.09
    sketch.piece(mirrored([(0.0, -0.2), (rim * 0.8, -0.16), (rim, 0.02), (rim * 0.6, 0.16), (0.0, 0.24)]))
    opening = [(0.0, -0.12), (rim * 0.55, -0.09), (rim * 0.66, 0.02), (0.0, 0.2)]
    sketch.piece(mirrored(opening), Cloth.INSIDE)
    sketch.line_pair((0.06, 0.2), (0.07, 0.42), width=0.022, cloth=Cloth.TRIM)
