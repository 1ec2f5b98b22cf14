"""Patterns for bags."""

from collections.abc import Callable
from random import Random

from sample_shop.drawing.curves import Outline, bend, box, ellipse, flip, mirrored, spline
from sample_shop.drawing.sketch import Cloth, Sketch, between


def bag(rng: Random, style: str, worn: bool) -> Sketch:
    """A tote, handbag, backpack or clutch; the handle's top is at y = 0."""
    return _BAGS[rng.choice(_BAG_CHOICES[style])](rng)


def _tote(rng: Random) -> Sketch:
    half, height = between(rng, 0.58, 0.7), between(rng, 1.1, 1.4)
    top, rise = 0.62, 0.62
    sketch = Sketch(block_y=top + height * 0.68)
    _strap(sketch, half * 0.5, top, rise, 0.075)
    body = spline((half * 0.96, top), (half, top + height * 0.9)) + bend(
        (half, top + height * 0.9), (half * 0.98, top + height), (0.0, top + height), 6
    )
    sketch.piece(mirrored([(0.0, top), *body]))
    sketch.piece(box(-half * 0.96, top, half * 0.96, top + 0.12), Cloth.TRIM)
    _strap_front(sketch, half * 0.5, top)
    sketch.fold((-half * 0.5, top + 0.1), (-half * 0.2, top + height), depth=-0.5, width=0.1)
    sketch.fold((half * 0.4, top + 0.1), (half * 0.3, top + height), depth=0.5, width=0.12)
    return sketch


def _handbag(rng: Random) -> Sketch:
    half, height, rise = between(rng, 0.72, 0.9), between(rng, 0.72, 0.95), between(rng, 0.45, 0.7)
    top = rise
    sketch = Sketch(block_y=top + height * 0.66)
    _strap(sketch, half * 0.45, top + 0.04, rise, 0.07)
    side = bend((half * 0.78, top), (half * 0.86, top + height * 0.4), (half, top + height * 0.9), 6)
    sketch.piece(mirrored([(0.0, top), *side, (half * 0.93, top + height), (0.0, top + height)]))
    flap = bend((half * 0.8, top - 0.02), (half * 0.95, top + height * 0.5), (half * 0.3, top + height * 0.52), 8)
    sketch.piece(mirrored([(0.0, top - 0.02), *flap, (0.0, top + height * 0.56)]))
    _flap_edge(sketch, flap, top + height * 0.56)
    sketch.piece(box(-0.09, top + height * 0.45, 0.09, top + height * 0.62), Cloth.METAL)
    sketch.piece(box(-half * 0.95, top + height * 0.93, half * 0.95, top + height), Cloth.TRIM)
    sketch.fold((-half * 0.6, top + 0.1), (-half * 0.7, top + height), depth=0.5, width=0.12)
    return sketch


def _flap_edge(sketch: Sketch, flap: Outline, bottom: float) -> None:
    sketch.line(*flap, (0.0, bottom), *flip(flap), width=0.05, cloth=Cloth.TRIM)
    sketch.fold(*[(x, y + 0.05) for x, y in flap], (0.0, bottom + 0.05), *flip(flap), depth=-0.5, width=0.06)


def _backpack(rng: Random) -> Sketch:
    half, height = between(rng, 0.6, 0.7), between(rng, 1.35, 1.55)
    top = 0.22
    sketch = Sketch(block_y=top + height * 0.68)
    sketch.line(*ellipse((0.0, top + 0.02), 0.16, 0.2, 180, 360), width=0.07, cloth=Cloth.TRIM)
    sketch.pair(
        [
            *bend((half * 0.9, top + 0.25), (half * 1.35, top + height * 0.6), (half * 0.95, top + height * 0.95), 8),
            (half * 0.8, top + 0.5),
        ],
        Cloth.TRIM,
    )
    side = bend((half * 0.35, top), (half, top), (half, top + 0.5), 8) + bend(
        (half, top + height * 0.9), (half, top + height), (half * 0.8, top + height), 6
    )
    sketch.piece(mirrored([(0.0, top), *side, (0.0, top + height)]))
    sketch.line(
        *bend((-half * 0.9, top + 0.5), (0.0, top - 0.1), (half * 0.9, top + 0.5), 8), width=0.04, cloth=Cloth.METAL
    )
    pocket = top + height * 0.5
    sketch.piece(
        mirrored(
            [
                (0.0, pocket),
                *bend((half * 0.6, pocket), (half * 0.8, pocket), (half * 0.8, pocket + 0.15), 4),
                (half * 0.8, top + height * 0.95),
                (0.0, top + height * 0.95),
            ]
        )
    )
    sketch.piece(box(-half * 0.8, pocket, half * 0.8, pocket + 0.1), Cloth.TRIM)
    sketch.line((0.1, pocket + 0.05), (0.1, pocket + 0.2), width=0.04, cloth=Cloth.METAL)
    return sketch


def _clutch(rng: Random) -> Sketch:
    half, height = between(rng, 0.85, 0.95), between(rng, 0.62, 0.75)
    top = between(rng, 0.75, 0.95)
    sketch = Sketch(block_y=top + height * 0.66)
    sketch.line(*bend((-half * 0.9, top), (0.0, -top * 0.9), (half * 0.9, top), 14), width=0.04, cloth=Cloth.TRIM)
    sketch.piece(
        mirrored(
            [
                (0.0, top),
                (half * 0.97, top),
                *bend((half, top + height * 0.85), (half, top + height), (half * 0.9, top + height), 4),
                (0.0, top + height),
            ]
        )
    )
    sketch.piece(
        [
            (-half, top - 0.02),
            (half, top - 0.02),
            (half * 0.9, top + 0.2),
            (0.0, top + height * 0.6),
            (-half * 0.9, top + 0.2),
        ]
    )
    sketch.line(
        (-half * 0.9, top + 0.2), (0.0, top + height * 0.6), (half * 0.9, top + 0.2), width=0.055, cloth=Cloth.TRIM
    )
    sketch.piece(ellipse((0.0, top + height * 0.56), 0.07, 0.07), Cloth.METAL)
    return sketch


def _strap(sketch: Sketch, half: float, base: float, rise: float, width: float) -> None:
    """A handle's loop above the bag, over a darker one behind it."""
    sketch.line(*ellipse((0.0, base), half * 0.9, rise * 0.86, 180, 360), width=width, cloth=Cloth.INSIDE)
    sketch.line(*ellipse((0.0, base), half, rise - width / 2, 180, 360), width=width, cloth=Cloth.TRIM)


def _strap_front(sketch: Sketch, half: float, top: float) -> None:
    sketch.line_pair((half, top - 0.02), (half, top + 0.26), width=0.075, cloth=Cloth.TRIM)


_BAGS: dict[str, Callable[[Random], Sketch]] = {
    "tote": _tote,
    "handbag": _handbag,
    "backpack": _backpack,
    "clutch": _clutch,
}


_BAG_CHOICES = {
    "casual": ("tote", "handbag", "backpack"),
    "elegant": ("handbag", "clutch", "clutch"),
    "sporty": ("backpack", "backpack", "tote"),
    "street": ("tote", "backpack", "clutch"),
}
