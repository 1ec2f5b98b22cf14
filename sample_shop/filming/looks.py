"""How a creator's clips look: places, colours, light, camera hand and favourite shots, all drawn from one seed."""

import colorsys
from dataclasses import dataclass
from enum import StrEnum

import numpy as np

from sample_shop.fabric import Rgb
from sample_shop.filming.places import Backdrop, Place
from sample_shop.vocabulary import Creator

Span = tuple[float, float]


class ShotKind(StrEnum):
    """How a shot shows garments."""

    WORN = "worn"
    LAID = "laid"
    HUNG = "hung"
    CLOSE = "close"


@dataclass(frozen=True)
class Look:
    """What all clips of one creator share.

    *person* numbers who wears the garments, before *walls*; *rails* are where they hang, *tables* where they lie.
    *warmth* tints the light, -1 (blue) to 1 (amber); *exposure* multiplies it, and within a shot it drifts by up to
    *drift* of a middle grey. *shake_px* is how far a hand moves the camera. *favour* weighs each kind of shot.
    """

    person: int
    walls: tuple[Backdrop, ...]
    rails: tuple[Backdrop, ...]
    tables: tuple[Backdrop, ...]
    warmth: float
    exposure: float
    drift: float
    shake_px: float
    favour: dict[ShotKind, float]


@dataclass(frozen=True)
class _Manner:
    """The choices a style leaves to its creators, as spans to draw from. *hues* are in turns of the colour wheel."""

    walls: tuple[Place, ...]
    rails: tuple[Place, ...]
    tables: tuple[Place, ...]
    hues: Span
    saturation: Span
    value: Span
    grounds: tuple[Rgb, ...]
    warmth: Span
    exposure: Span
    shake_px: Span


_MANNERS = {
    "elegant": _Manner(
        walls=(Place.PAPER, Place.ROOM, Place.PAPER, Place.BOKEH),
        rails=(Place.PAPER, Place.ROOM),
        tables=(Place.MARBLE, Place.LINEN),
        hues=(0.92, 1.2),
        saturation=(0.04, 0.16),
        value=(0.78, 0.9),
        grounds=((196, 178, 158), (150, 122, 100), (176, 170, 166)),
        warmth=(0.0, 0.5),
        exposure=(0.98, 1.06),
        shake_px=(0.4, 1.2),
    ),
    "street": _Manner(
        walls=(Place.STREET, Place.BRICK, Place.BOKEH),
        rails=(Place.BRICK, Place.PAPER),
        tables=(Place.CONCRETE, Place.WOOD),
        hues=(0.55, 1.06),
        saturation=(0.1, 0.3),
        value=(0.46, 0.64),
        grounds=((92, 92, 98), (108, 100, 94), (84, 90, 100)),
        warmth=(-0.9, 0.1),
        exposure=(0.94, 1.0),
        shake_px=(2.0, 4.0),
    ),
    "sporty": _Manner(
        walls=(Place.PARK, Place.PAPER, Place.STREET, Place.TILES),
        rails=(Place.PAPER, Place.TILES),
        tables=(Place.GRASS, Place.WOOD, Place.CONCRETE),
        hues=(0.3, 0.6),
        saturation=(0.16, 0.36),
        value=(0.82, 0.92),
        grounds=((196, 198, 196), (176, 182, 176), (204, 190, 164)),
        warmth=(-0.3, 0.4),
        exposure=(1.02, 1.1),
        shake_px=(1.4, 3.2),
    ),
    "casual": _Manner(
        walls=(Place.ROOM, Place.TILES, Place.BRICK, Place.ROOM),
        rails=(Place.ROOM, Place.TILES, Place.BRICK),
        tables=(Place.WOOD, Place.LINEN, Place.WOOD),
        hues=(0.02, 0.62),
        saturation=(0.12, 0.32),
        value=(0.72, 0.86),
        grounds=((168, 128, 92), (142, 104, 76), (188, 152, 116)),
        warmth=(0.2, 0.9),
        exposure=(0.96, 1.04),
        shake_px=(0.8, 2.4),
    ),
}

# What a surface is made of bounds its colour: the creator's own hue only tints it.
_MATERIALS: dict[Place, tuple[Rgb, ...]] = {
    Place.BRICK: ((168, 112, 92), (186, 170, 156), (128, 96, 90)),
    Place.WOOD: ((188, 146, 106), (158, 118, 88), (212, 186, 156), (222, 214, 202)),
    Place.MARBLE: ((226, 222, 217), (206, 204, 206), (222, 208, 198)),
    Place.CONCRETE: ((150, 150, 152), (124, 122, 124), (168, 160, 152)),
    Place.GRASS: ((126, 148, 98), (138, 158, 108), (112, 138, 100)),
    Place.LINEN: ((222, 212, 200), (206, 212, 214), (216, 200, 194)),
    Place.PARK: ((156, 194, 220), (178, 206, 222), (206, 206, 206)),  # the sky
}

_LAWNS = ((142, 172, 104), (126, 160, 108), (160, 178, 116))


def draw_look(creator: Creator) -> Look:
    """The creator's look; the same seed and style always give the same one."""
    manner = _MANNERS[creator.style]
    rng = np.random.default_rng(creator.seed)
    favour = rng.dirichlet([2.4, 1.6, 1.2, 1.2]) + 0.1
    hue = rng.uniform(*manner.hues)
    return Look(
        person=int(rng.integers(1000)),
        walls=_draw_places(manner, manner.walls, hue, rng),
        rails=_draw_places(manner, manner.rails, hue, rng),
        tables=_draw_places(manner, manner.tables, hue, rng),
        warmth=rng.uniform(*manner.warmth),
        exposure=rng.uniform(*manner.exposure),
        drift=rng.uniform(0.02, 0.07),
        shake_px=rng.uniform(*manner.shake_px),
        favour=dict(zip(ShotKind, favour.tolist(), strict=True)),
    )


def _draw_places(
    manner: _Manner, places: tuple[Place, ...], hue: float, rng: np.random.Generator
) -> tuple[Backdrop, ...]:
    """Two of the *places*, in the creator's colours: enough for cuts to show, few enough to be recognised."""
    chosen = rng.permutation(len(places))[:2]
    return tuple(_draw_place(manner, places[i], hue, rng) for i in chosen)


def _draw_place(manner: _Manner, place: Place, hue: float, rng: np.random.Generator) -> Backdrop:
    own = _colour(hue + rng.uniform(-0.03, 0.03), rng.uniform(*manner.saturation), rng.uniform(*manner.value))
    stock = _MATERIALS.get(place, (own,))
    grounds = _LAWNS if place is Place.PARK else manner.grounds
    return Backdrop(
        place=place,
        base=stock[rng.integers(len(stock))],
        ground=grounds[rng.integers(len(grounds))],
        accent=_colour(hue + rng.uniform(0.25, 0.6), 0.36, 0.62),
        seed=int(rng.integers(2**32)),
    )


def _colour(hue: float, saturation: float, value: float) -> Rgb:
    red, green, blue = colorsys.hsv_to_rgb(hue % 1.0, saturation, value)
    return round(red * 255), round(green * 255), round(blue * 255)
