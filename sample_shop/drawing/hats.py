"""Patterns for hats."""

import math
from collections.abc import Callable
from random import Random

from sample_shop.drawing.curves import (
    Outline,
    bend,
    box,
    ellipse,
    mirrored,
)
from sample_shop.drawing.sketch import Cloth, Sketch, between, outline_of


def hat(rng: Random, style: str, worn: bool) -> Sketch:
    """A cap, beanie, bucket hat or brimmed hat; the head's widest line is y = 0, half a unit to either side."""
    return _HATS[rng.choice(_HAT_CHOICES[style])](rng)


def _dome(half: float, height: float, base: float, square: float = 1.0) -> Outline:
    """A crown from left to right over the top; *square* above 1 makes it boxier."""
    points = []
    for i in range(21):
        angle = math.pi * (1 - i / 20)
        x, y = math.cos(angle), math.sin(angle)
        points.append((half * math.copysign(abs(x) ** (1 / square), x), base - height * y ** (1 / square)))
    return points


def _cap(rng: Random) -> Sketch:
    half, height, reach = 0.52, between(rng, 0.5, 0.6), between(rng, 0.45, 0.62)
    sketch = Sketch(block_y=-0.16)
    brim = bend((0.08, 0.0), (half + reach * 0.9, -0.1), (half + reach, 0.16), 8)
    brim += bend((half + reach, 0.16), (half + reach * 0.4, 0.1), (0.0, 0.1), 8)
    sketch.piece(_dome(half, height, 0.06, 1.1))
    for x in (-0.2, 0.2):
        sketch.line(*bend((0.0, 0.06 - height), (x * 1.7, -height * 0.5), (x * 1.5, 0.05), 6))
        sketch.fold((x * 0.4, -height * 0.8), (x * 1.3, 0.0), depth=0.45, width=0.1)
    sketch.piece(box(-half, -0.04, half, 0.06), Cloth.TRIM)
    sketch.piece(brim, Cloth.TRIM)
    sketch.fold((0.15, 0.0), (half, 0.0), depth=-0.6, width=0.06)
    sketch.piece(ellipse((0.0, 0.05 - height), 0.05, 0.03), Cloth.TRIM)
    return sketch


def _beanie(rng: Random) -> Sketch:
    half, height, cuff = between(rng, 0.48, 0.54), between(rng, 0.6, 0.8), between(rng, 0.2, 0.28)
    sketch = Sketch(block_y=-0.22)
    sketch.piece(_dome(half * 0.96, height, 0.0))
    for i in range(-3, 4):
        sketch.line(*bend((i * 0.04, 0.02 - height), (i * half / 3.2, -height * 0.7), (i * half / 3.7, 0.0), 5))
    sketch.piece(
        mirrored([*bend((0.0, -0.14), (half, -0.16), (half, -0.12), 3), (half, cuff - 0.12), (0.0, cuff - 0.1)]),
        Cloth.TRIM,
    )
    sketch.fold((-half, -0.15), (half, -0.15), depth=-0.6, width=0.06)
    for i in range(-5, 6):
        sketch.line((i * half / 5.5, -0.13), (i * half / 5.5, cuff - 0.11), width=0.01)
    if rng.random() < 0.5:
        sketch.piece(ellipse((0.0, -height - 0.04), 0.14, 0.13), Cloth.TRIM)
    return sketch


def _bucket(rng: Random) -> Sketch:
    brim, height, drop = between(rng, 0.72, 0.85), between(rng, 0.42, 0.5), between(rng, 0.24, 0.32)
    sketch = Sketch(block_y=-0.02)
    crown = [(0.0, -height), *bend((0.3, -height), (0.4, -height), (0.43, -height + 0.1), 5), (0.5, 0.0), (0.0, 0.06)]
    sketch.piece(mirrored(crown))
    edge = bend((brim, drop), (0.0, drop + 0.2), (-brim, drop))
    sketch.piece(outline_of(bend((-0.5, -0.02), (0.0, 0.08), (0.5, -0.02)), edge))
    sketch.piece([*edge, *((x * 0.95, y - 0.07) for x, y in reversed(edge))], Cloth.TRIM)
    sketch.line(*bend((-0.6, 0.12), (0.0, 0.24), (0.6, 0.12)), width=0.01)
    sketch.fold((-0.5, 0.02), (0.0, 0.08), (0.5, 0.02), depth=-0.6, width=0.06)
    sketch.fold((-0.2, -height), (-0.24, 0.0), depth=0.5, width=0.12)
    return sketch


def _brimmed(rng: Random) -> Sketch:
    brim, height = between(rng, 0.9, 1.15), between(rng, 0.48, 0.6)
    sketch = Sketch(block_y=-0.12)
    sketch.piece(ellipse((0.0, 0.04), brim, 0.2))
    outer = bend((brim, 0.05), (0.0, 0.44), (-brim, 0.05))
    sketch.piece([*outer, *((x * 0.96, y - 0.05) for x, y in reversed(outer))], Cloth.TRIM)
    dent = between(rng, 0.02, 0.1)
    top = bend((-0.34, -height), (0.0, -height + dent * 2), (0.34, -height), 6)
    sketch.piece(
        outline_of(
            [(-0.5, 0.05), (-0.47, -0.2)],
            top,
            [(0.47, -0.2), (0.5, 0.05)],
            bend((0.5, 0.05), (0.0, 0.17), (-0.5, 0.05), 6),
        )
    )
    ribbon = bend((-0.5, 0.05), (0.0, 0.17), (0.5, 0.05), 8)
    sketch.piece([*ribbon, *((x * 0.97, y - 0.14) for x, y in reversed(ribbon))], Cloth.TRIM)
    sketch.fold((-0.5, 0.14), (0.0, 0.22), (0.5, 0.14), depth=-0.6, width=0.07)
    sketch.fold((-0.2, -height), (-0.22, -0.1), depth=0.4, width=0.1)
    return sketch


_HATS: dict[str, Callable[[Random], Sketch]] = {"cap": _cap, "beanie": _beanie, "bucket": _bucket, "brimmed": _brimmed}


_HAT_CHOICES = {
    "casual": ("cap", "beanie", "bucket", "brimmed"),
    "elegant": ("brimmed", "brimmed", "brimmed", "bucket"),
    "sporty": ("cap", "cap", "beanie"),
    "street": ("bucket", "bucket", "beanie", "cap"),
}
