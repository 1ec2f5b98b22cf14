"""Patterns for shoes."""

from collections.abc import Callable
from random import Random

from sample_shop.drawing.curves import bend, spline
from sample_shop.drawing.sketch import Cloth, Sketch, between, outline_of


def shoe(rng: Random, style: str, worn: bool) -> Sketch:
    """A sneaker, boot, pump or loafer seen from the side, toe to the right, standing on y = 0."""
    return _SHOES[rng.choice(_SHOE_CHOICES[style])](rng).raised(between(rng, 1.2, 1.45))


def _sneaker(rng: Random) -> Sketch:
    high = rng.random() < 0.35
    top = between(rng, -0.95, -0.8) if high else between(rng, -0.6, -0.52)
    heel = spline((-0.86, -0.14), (-0.9, -0.35), (-0.84, top))
    tongue = [(-0.5, top + 0.06), (-0.34, top - 0.07), (-0.2, top + 0.02)]
    front = spline((-0.2, top + 0.02), (0.2, -0.4), (0.62, -0.3), (0.9, -0.2), (0.96, -0.12))
    sketch = Sketch(block_y=-0.3)
    sketch.piece(outline_of(heel, tongue, front))
    toe = spline((0.5, -0.12), (0.52, -0.26), (0.64, -0.3))
    sketch.piece(outline_of(toe, front[13:]), Cloth.TRIM)
    sketch.piece([(-0.88, -0.12), (-0.89, -0.42), (-0.6, -0.36), (-0.56, -0.12)], Cloth.TRIM)
    sole = spline((0.98, -0.14), (1.02, -0.05), (0.94, 0.0), (-0.88, 0.0), (-0.94, -0.08), (-0.9, -0.17), steps=4)
    sketch.piece(sole, Cloth.RUBBER)
    sketch.line((-0.88, -0.06), (0.98, -0.06), width=0.025, cloth=Cloth.TRIM)
    for i in range(4 if high else 3):
        part = i / (3 if high else 2)
        x, y = -0.22 + 0.42 * part, top + 0.12 + (-0.46 - top) * part
        sketch.line((x - 0.13, y + 0.12), (x + 0.04, y - 0.02), width=0.045, cloth=Cloth.RUBBER)
    sketch.line(*bend((-0.5, -0.14), (-0.1, -0.2), (0.1, -0.42), 6), width=0.05, cloth=Cloth.CONTRAST)
    sketch.fold((0.3, -0.3), (0.45, -0.15), depth=-0.4, width=0.05)
    return sketch


def _boot(rng: Random) -> Sketch:
    shaft = between(rng, -1.5, -1.05)
    sketch = Sketch(block_y=-0.38)
    front = spline((-0.08, shaft), (-0.06, -0.6), (0.25, -0.38), (0.72, -0.3), (0.86, -0.12))
    back = spline((-0.78, -0.12), (-0.74, -0.45), (-0.68, -0.7), (-0.72, shaft))
    sketch.piece(outline_of(back, front))
    sketch.piece([(-0.73, shaft), (-0.07, shaft), (-0.07, shaft + 0.13), (-0.72, shaft + 0.13)], Cloth.TRIM)
    sketch.piece([(-0.8, -0.13), (0.9, -0.13), (0.9, -0.04), (-0.3, -0.04), (-0.34, 0.05), (-0.8, 0.05)], Cloth.DARK)
    sketch.line((-0.79, -0.15), (0.87, -0.15), width=0.05, cloth=Cloth.TRIM)
    for i in range(5):
        y = shaft + 0.25 + (-0.5 - shaft - 0.25) * i / 4
        sketch.line((-0.2, y), (-0.06 + 0.12 * max(0.0, i - 3), y + 0.03), width=0.03, cloth=Cloth.DARK)
    sketch.fold((-0.7, -0.62), (-0.1, -0.55), depth=-0.5, width=0.08)
    sketch.fold((-0.45, shaft), (-0.42, -0.4), depth=0.5, width=0.12)
    return sketch


def _pump(rng: Random) -> Sketch:
    lift = between(rng, 0.45, 0.62)
    sketch = Sketch(block_y=-0.16)
    upper = spline(
        (-0.82, -lift - 0.06), (-0.8, -lift - 0.3), (-0.68, -lift - 0.32), (-0.4, -lift + 0.06), (0.1, -0.22)
    )
    upper += spline((0.1, -0.22), (0.45, -0.34), (0.75, -0.22), (0.98, -0.03))
    lower = spline((0.98, 0.0), (0.4, -0.02), (-0.1, -lift * 0.45), (-0.5, -lift), (-0.82, -lift - 0.06))
    sketch.piece([(-0.82, -lift - 0.08), (-0.58, -lift - 0.04), (-0.7, 0.0), (-0.8, 0.0)], Cloth.TRIM)
    sketch.piece(outline_of(upper, lower))
    sketch.line(*((x, y - 0.02) for x, y in lower), width=0.05, cloth=Cloth.TRIM)
    sketch.line(*((x, y + 0.02) for x, y in upper[6:25]), width=0.05, cloth=Cloth.TRIM)
    sketch.fold((0.35, -0.28), (0.7, -0.2), depth=0.6, width=0.08)
    return sketch


def _loafer(rng: Random) -> Sketch:
    top = between(rng, -0.55, -0.46)
    upper = spline(
        (-0.86, -0.12), (-0.88, -0.34), (-0.8, top), (-0.62, top + 0.04), (-0.2, top + 0.14), (0.0, top - 0.02)
    )
    upper += spline((0.0, top - 0.02), (0.45, -0.36), (0.82, -0.24), (0.94, -0.12))
    sketch = Sketch(block_y=-0.26)
    sketch.piece(upper)
    sketch.line(*((x, y + 0.02) for x, y in upper[10:32]), width=0.05, cloth=Cloth.TRIM)
    sketch.piece([(0.0, top), (0.2, top + 0.06), (0.1, -0.16), (-0.14, -0.2)], Cloth.TRIM)
    sketch.line(*bend((0.2, -0.2), (0.4, -0.42), (0.8, -0.22), 6))
    sketch.piece(
        [(-0.88, -0.13), (0.98, -0.13), (0.96, -0.03), (-0.42, -0.03), (-0.44, 0.03), (-0.88, 0.03)], Cloth.DARK
    )
    sketch.line((-0.86, -0.14), (0.95, -0.14), width=0.05, cloth=Cloth.TRIM)
    return sketch


_SHOES: dict[str, Callable[[Random], Sketch]] = {"sneaker": _sneaker, "boot": _boot, "pump": _pump, "loafer": _loafer}


_SHOE_CHOICES = {
    "casual": ("sneaker", "sneaker", "loafer", "boot"),
    "elegant": ("pump", "pump", "loafer", "boot"),
    "sporty": ("sneaker",),
    "street": ("sneaker", "sneaker", "boot"),
}
