"""Sets for the shots: garments and figures placed before a backdrop, lit, split into the encoder's planes."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from PIL import Image

from sample_shop.filming.backdrop import draw_backdrop
from sample_shop.filming.looks import Look, ShotKind
from sample_shop.filming.places import FRAME_HEIGHT, FRAME_WIDTH, STAGE_HEIGHT, STAGE_WIDTH
from sample_shop.filming.planes import Planes, Strip, cut_strips, split_planes
from sample_shop.filming.props import (
    cast_shadow,
    draw_rail,
    even,
    fitted,
    hanging_group,
    lay,
    trimmed,
    with_floor_shadow,
)
from sample_shop.filming.shots import ACCESSORIES, Garments, Shot
from sample_shop.garments import draw_figure, draw_garment
from sample_shop.vocabulary import Garment

_GARMENT_SIZE = 384  # enough for all but close-ups, where the lens is soft anyway; 512 would take twice as long
_FIGURE_SIZE = 416  # the canvas; what is drawn on it is less high and enlarged a little, cheaper than drawing larger
_FIGURE_HEIGHT = 436  # 85 % of the frame
_FEET_Y = 548
_RAIL_Y = 122


@dataclass(frozen=True)
class Actor:
    """What moves before the stage: strips, *height* pixels in all. It bends above its feet or, if it *hangs*, below."""

    left: int
    top: int
    height: int
    strips: tuple[Strip, ...]
    hangs: bool


@dataclass(frozen=True)
class Scene:
    """One shot ready to be filmed: what stands still, and the actor, if one moves.

    The camera may travel *reach_x* and *reach_y* pixels either way from the middle without losing the garments.
    """

    stage: Planes
    reach_x: float
    reach_y: float
    actor: Actor | None = None


@dataclass(frozen=True)
class _Slot:
    """Where a laid garment goes, as shares of the frame: its centre and the most it may measure."""

    x: float
    y: float
    width: float
    height: float


_SLOTS = {
    1: (_Slot(0.5, 0.5, 0.88, 0.8),),
    2: (_Slot(0.41, 0.27, 0.76, 0.46), _Slot(0.59, 0.73, 0.76, 0.46)),
    3: (_Slot(0.32, 0.25, 0.58, 0.43), _Slot(0.69, 0.5, 0.54, 0.43), _Slot(0.32, 0.75, 0.58, 0.43)),
    4: (
        _Slot(0.29, 0.26, 0.54, 0.44),
        _Slot(0.73, 0.28, 0.5, 0.44),
        _Slot(0.28, 0.74, 0.52, 0.44),
        _Slot(0.73, 0.73, 0.5, 0.44),
    ),
}


def build_scene(shot: Shot, look: Look) -> Scene:
    """The set of one shot, lit as the creator lights."""
    return _BUILDERS[shot.kind](shot, look)


def _build_worn(shot: Shot, look: Look) -> Scene:
    figure = _figure(shot.garments, look.person)
    stage = with_floor_shadow(draw_backdrop(shot.backdrop), _FEET_Y, figure.width)
    return _with_actor(stage, look, figure, _FEET_Y - figure.height, hangs=False)


def _build_hung(shot: Shot, look: Look) -> Scene:
    group = hanging_group([_garment(garment) for garment in shot.garments])
    stage = draw_backdrop(shot.backdrop).copy()
    cast_shadow(stage, group, ((STAGE_WIDTH - group.width) // 2 + 10, _RAIL_Y + 8), 0.3)
    draw_rail(stage, _RAIL_Y)
    return _with_actor(stage, look, group, _RAIL_Y, hangs=True)


def _with_actor(stage: Image.Image, look: Look, sprite: Image.Image, top: int, hangs: bool) -> Scene:
    lit = _lit(stage, look)
    left = even((STAGE_WIDTH - sprite.width) / 2)
    actor = Actor(left, top, sprite.height, cut_strips(_lit(sprite, look), lit, (left, top)), hangs)
    return Scene(split_planes(lit), *_reach(sprite.width, FRAME_HEIGHT), actor)


def _build_laid(shot: Shot, look: Look) -> Scene:
    rng = np.random.default_rng(shot.seed)
    stage = draw_backdrop(shot.backdrop).copy()
    side = rng.choice((-1, 1))
    boxes = []
    for garment, slot in zip(shot.garments, _SLOTS[len(shot.garments)], strict=True):
        sprite = fitted(_garment(garment), slot.width * FRAME_WIDTH, slot.height * FRAME_HEIGHT)
        centre = STAGE_WIDTH / 2 + side * FRAME_WIDTH * (slot.x - 0.5), STAGE_HEIGHT / 2 + FRAME_HEIGHT * (slot.y - 0.5)
        boxes.append(lay(stage, sprite, centre, rng.uniform(-8, 8)))
    edges = np.array(boxes)
    width, height = np.max(edges[:, 2:], axis=0) - np.min(edges[:, :2], axis=0)
    return Scene(split_planes(_lit(stage, look)), *_reach(width, height))


def _build_close(shot: Shot, look: Look) -> Scene:
    """One garment as large as the frame or larger, along which the camera travels; accessories stay whole."""
    rng = np.random.default_rng(shot.seed)
    share = 0.96 if shot.garments[0].kind in ACCESSORIES else 1.2
    sprite = fitted(_garment(shot.garments[0]), share * FRAME_WIDTH, share * FRAME_HEIGHT)
    stage = draw_backdrop(shot.backdrop).copy()
    lay(stage, sprite, (STAGE_WIDTH / 2, STAGE_HEIGHT / 2), rng.uniform(-6, 6))
    return Scene(split_planes(_lit(stage, look)), *_reach(sprite.width, sprite.height))


_BUILDERS: dict[ShotKind, Callable[[Shot, Look], Scene]] = {
    ShotKind.WORN: _build_worn,
    ShotKind.HUNG: _build_hung,
    ShotKind.LAID: _build_laid,
    ShotKind.CLOSE: _build_close,
}


@lru_cache(maxsize=64)  # 0.4 MB each; a garment costs 10 ms and shows in several shots and clips of its creator
def _garment(garment: Garment) -> Image.Image:
    return trimmed(draw_garment(garment, _GARMENT_SIZE))


@lru_cache(maxsize=16)  # a figure costs 35 ms, a quarter of a clip
def _figure(garments: Garments, person: int) -> Image.Image:
    return fitted(trimmed(draw_figure(garments, _FIGURE_SIZE, person)), FRAME_WIDTH, _FIGURE_HEIGHT)


def _lit(picture: Image.Image, look: Look) -> Image.Image:
    """The picture under the creator's lamps, tinted so little that white stays white; a mask stays as it is."""
    tints = (1 + 0.03 * look.warmth, 1.0, 1 - 0.045 * look.warmth)
    table = [min(255, round(v * tint * look.exposure)) for tint in tints for v in range(256)]
    return picture.point(table + (list(range(256)) if picture.mode == "RGBA" else []))


def _reach(width: float, height: float) -> tuple[float, float]:
    """How far the camera may travel: to the edge of what is larger than the frame, or until what is smaller touches it.

    The stage's margins, 36 and 64 pixels, keep some room for shake.
    """
    return float(np.clip(abs(width - FRAME_WIDTH) / 2, 6, 28)), float(np.clip(abs(height - FRAME_HEIGHT) / 2, 6, 54))
