"""What stands in a room: pictures, plants, lamps, shelves and curtains, each drawn at the left or the right."""

from collections.abc import Callable

import numpy as np
from PIL import ImageDraw

from sample_shop.fabric import mix
from sample_shop.filming.places import FLOOR_Y, STAGE_WIDTH, Backdrop, darker, lighter


def _draw_picture(draw: ImageDraw.ImageDraw, backdrop: Backdrop, right: bool) -> None:
    x = 246 if right else 32
    draw.rectangle(
        (x, 110, x + 82, 226), fill=lighter(backdrop.ground, 0.2), outline=darker(backdrop.ground, 0.4), width=5
    )
    draw.rectangle((x + 14, 126, x + 68, 210), fill=lighter(backdrop.base, 0.7))
    draw.ellipse((x + 24, 142, x + 58, 176), fill=backdrop.accent)
    draw.rectangle((x + 22, 184, x + 60, 196), fill=darker(backdrop.accent, 0.3))


def _draw_plant(draw: ImageDraw.ImageDraw, backdrop: Backdrop, right: bool) -> None:
    x = 318 if right else 42
    for i, angle in enumerate(np.linspace(-1.15, 1.15, 9)):
        tip = (x + 78 * np.sin(angle), FLOOR_Y - 50 - 150 * np.cos(angle) * (0.7 + 0.1 * (i % 4)))
        middle = (x + 22 * np.sin(angle), (tip[1] + FLOOR_Y) / 2 - 30)
        leaf = [(x, FLOOR_Y - 34), (middle[0] - 11, middle[1]), tip, (middle[0] + 11, middle[1])]
        draw.polygon(leaf, fill=((70, 104, 76), (88, 122, 86), (58, 90, 68))[i % 3])
    pot = [(x - 30, FLOOR_Y - 44), (x + 30, FLOOR_Y - 44), (x + 22, FLOOR_Y + 26), (x - 22, FLOOR_Y + 26)]
    draw.polygon(pot, fill=mix(backdrop.accent, (225, 215, 205), 0.35))


def _draw_lamp(draw: ImageDraw.ImageDraw, backdrop: Backdrop, right: bool) -> None:
    x = 316 if right else 44
    draw.line((x, 210, x, FLOOR_Y + 22), fill=(70, 64, 60), width=4)
    draw.ellipse((x - 24, FLOOR_Y + 14, x + 24, FLOOR_Y + 28), fill=(70, 64, 60))
    shade = [(x - 20, 150), (x + 20, 150), (x + 38, 214), (x - 38, 214)]
    draw.polygon(shade, fill=(246, 230, 196))


def _draw_shelf(draw: ImageDraw.ImageDraw, backdrop: Backdrop, right: bool) -> None:
    x = 236 if right else 0
    draw.rectangle((x, 250, x + 124, 260), fill=darker(backdrop.ground, 0.25))
    colours = (
        backdrop.accent,
        lighter(backdrop.accent, 0.5),
        darker(backdrop.accent, 0.4),
        lighter(backdrop.base, 0.5),
    )
    for i in range(7):
        draw.rectangle((x + 18 + i * 13, 200 + 7 * (i * 3 % 4), x + 29 + i * 13, 249), fill=colours[i % 4])


def _draw_drape(draw: ImageDraw.ImageDraw, backdrop: Backdrop, right: bool) -> None:
    cloth = mix(backdrop.accent, (228, 220, 212), 0.55)
    start = STAGE_WIDTH - 84 if right else 0
    for fold in range(7):
        x = start + fold * 12
        draw.rectangle((x, 0, x + 12, FLOOR_Y + 18), fill=darker(cloth, (0.0, 0.1, 0.2, 0.08)[fold % 4]))


FURNITURE: tuple[Callable[[ImageDraw.ImageDraw, Backdrop, bool], None], ...] = (
    _draw_picture,
    _draw_plant,
    _draw_lamp,
    _draw_shelf,
    _draw_drape,
)
