"""Patterns for outer garments."""

from collections.abc import Callable
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
from sample_shop.drawing.curves import mirrored
from sample_shop.drawing.sketch import Cloth, Sketch, between


def jacket(rng: Random, style: str, worn: bool) -> Sketch:
    """An outer garment: bomber, blazer, coat, puffer or denim jacket, by style."""
    bodice = draft_bodice(rng, style, worn, neck_depth=0.12)
    bodice = replace(bodice, chest=bodice.chest * 1.08, waist=bodice.waist * 1.12, hem=bodice.hem * 1.08)
    variant = _JACKETS[rng.choice(_JACKET_CHOICES[style])]
    return variant(rng, bodice, style, worn)


def _jacket_base(sketch: Sketch, bodice: Bodice, style: str, worn: bool, cuff: float, band: float) -> None:
    draw_sleeves(sketch, bodice, Sleeve(1.2, 0.2, cuff, band), style)
    draw_torso(sketch, bodice, False, worn, hem_band=band)


def _bomber(rng: Random, bodice: Bodice, style: str, worn: bool) -> Sketch:
    bodice = replace(bodice, length=bodice.length * 0.92, hem=bodice.chest * 0.92, waist=bodice.chest * 1.06)
    sketch = Sketch()
    _jacket_base(sketch, bodice, style, worn, 0.1, 0.12)
    draw_neck_band(sketch, bodice, False)
    sketch.line((0.0, 0.2), (0.0, bodice.length), width=0.035, cloth=Cloth.METAL)
    sketch.line_pair((0.2, 0.72), (0.3, 0.92), width=0.022)
    draw_torso_folds(sketch, bodice, rng)
    return sketch


def _puffer(rng: Random, bodice: Bodice, style: str, worn: bool) -> Sketch:
    bodice = replace(bodice, chest=bodice.chest * 1.08, waist=bodice.waist * 1.1, hem=bodice.hem * 1.05)
    sketch = Sketch()
    _jacket_base(sketch, bodice, style, worn, 0.14, 0.07)
    for i in range(5):
        y = 0.36 + (bodice.length - 0.45) * i / 4.6
        sketch.line((-bodice.chest * 0.97, y), (0.0, y + 0.03), (bodice.chest * 0.97, y), width=0.018)
        sketch.fold((-bodice.chest, y + 0.04), (bodice.chest, y + 0.04), depth=-0.5, width=0.05)
        sketch.fold((-bodice.chest, y + 0.12), (bodice.chest, y + 0.12), depth=0.6, width=0.05)
    rim = bodice.neck + 0.06
    sketch.piece(mirrored([(0.0, -0.1), (rim * 0.9, -0.12), (rim, 0.08), (0.0, 0.22)]), Cloth.TRIM)
    sketch.line((0.0, -0.08), (0.0, bodice.length), width=0.035, cloth=Cloth.METAL)
    return sketch


def _blazer(rng: Random, bodice: Bodice, style: str, worn: bool) -> Sketch:
    long = rng.random() < 0.4
    bodice = replace(bodice, length=bodice.length * (1.45 if long else 1.05), waist=bodice.waist * 0.92)
    sketch = Sketch()
    _jacket_base(sketch, bodice, style, worn, 0.12, 0.08)
    open_to = between(rng, 0.55, 0.75)
    sketch.piece([(-bodice.neck, 0.0), (0.0, -0.04), (bodice.neck, 0.0), (0.0, open_to)], Cloth.INSIDE)
    lapel = [(0.0, open_to), (bodice.neck * 0.55, 0.05), (bodice.neck, -0.05), (bodice.neck + 0.1, 0.1)]
    sketch.pair([*lapel, (bodice.neck + 0.06, 0.2), (bodice.neck + 0.14, 0.24)], Cloth.TRIM)
    sketch.line((0.0, open_to), (0.02, bodice.length), width=0.02)
    for i in range(3 if long else 2):
        sketch.button((0.05, open_to + 0.05 + 0.17 * i), 0.026)
    sketch.line_pair((0.16, open_to + 0.25), (0.33, open_to + 0.22), width=0.035)
    draw_torso_folds(sketch, bodice, rng)
    return sketch


def _denim(rng: Random, bodice: Bodice, style: str, worn: bool) -> Sketch:
    bodice = replace(bodice, length=bodice.length * 0.95)
    sketch = Sketch()
    _jacket_base(sketch, bodice, style, worn, 0.12, 0.09)
    draw_placket(sketch, 0.2, bodice.length)
    draw_collar(sketch, bodice, 1.15)
    for left in (-0.31, 0.11):
        draw_pocket(sketch, left, 0.4, 0.2)
    sketch.line_pair((0.12, 0.68), (0.16, bodice.length - 0.1))
    draw_torso_folds(sketch, bodice, rng)
    return sketch


JacketPattern = Callable[[Random, Bodice, str, bool], Sketch]


_JACKETS: dict[str, JacketPattern] = {"bomber": _bomber, "puffer": _puffer, "blazer": _blazer, "denim": _denim}


_JACKET_CHOICES = {
    "casual": ("denim", "denim", "bomber", "blazer", "puffer"),
    "elegant": ("blazer", "blazer", "blazer", "denim"),
    "sporty": ("bomber", "bomber", "puffer"),
    "street": ("puffer", "bomber", "denim", "blazer"),
}
