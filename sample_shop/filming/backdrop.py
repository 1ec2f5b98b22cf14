"""The places clips are filmed in: walls, streets, parks and table tops, painted once per creator and kept."""

from collections.abc import Callable
from functools import lru_cache

import numpy as np
from PIL import Image, ImageChops, ImageDraw, ImageFilter

from sample_shop.fabric import Rgb, luminance, mix
from sample_shop.filming.furniture import FURNITURE
from sample_shop.filming.places import FLOOR_Y, STAGE_HEIGHT, STAGE_SIZE, STAGE_WIDTH, Backdrop, Place, darker, lighter


@lru_cache(maxsize=48)  # 0.7 MB each; clips of one creator come together, so few places are alive at once
def draw_backdrop(backdrop: Backdrop) -> Image.Image:
    """The place as an RGB picture of the stage's size; treat it as read-only, it is shared."""
    rng = np.random.default_rng(backdrop.seed)
    return _lit(_PAINTERS[backdrop.place](backdrop, rng), rng)


def _lit(picture: Image.Image, rng: np.random.Generator) -> Image.Image:
    """Let a soft lamp fall on the picture from above, to one side; the corners stay darker."""
    y, x = np.mgrid[0:1:64j, 0:1:36j]
    lamp_x, lamp_y = rng.uniform(0.3, 0.7), rng.uniform(0.28, 0.45)
    fall = 1.0 - 0.3 * np.clip(((x - lamp_x) / 0.8) ** 2 + ((y - lamp_y) / 0.85) ** 2, 0.0, 1.0)
    light = Image.fromarray(np.round(fall * 255).astype(np.uint8)).resize(STAGE_SIZE, Image.Resampling.BICUBIC)
    return ImageChops.multiply(picture, Image.merge("RGB", (light, light, light)))


def _gradient(top: Rgb, bottom: Rgb) -> Image.Image:
    column = np.linspace(top, bottom, 64).round().astype(np.uint8)[:, None, :]
    return Image.fromarray(column).resize(STAGE_SIZE, Image.Resampling.BILINEAR)


def _blotches(rng: np.random.Generator, cells: tuple[int, int], strength: float) -> Image.Image:
    """Grey unevenness for `_textured`: noise on a *cells* = (across, down) grid, smoothly enlarged."""
    noise = 255 - np.abs(rng.normal(0.0, strength, (cells[1], cells[0]))).clip(0, 120)
    return Image.fromarray(noise.round().astype(np.uint8)).resize(STAGE_SIZE, Image.Resampling.BICUBIC)


def _textured(picture: Image.Image, *layers: Image.Image) -> Image.Image:
    for layer in layers:
        picture = ImageChops.multiply(picture, Image.merge("RGB", (layer, layer, layer)))
    return picture


def _out_of_focus(picture: Image.Image, radius: float) -> Image.Image:
    """The picture blurred by *radius* pixels, at the cost of blurring a quarter of them."""
    small = picture.reduce(2).filter(ImageFilter.GaussianBlur(radius / 2))
    return small.resize(STAGE_SIZE, Image.Resampling.BILINEAR)


def _boards(draw: ImageDraw.ImageDraw, ground: Rgb, rng: np.random.Generator) -> None:
    """Floorboards running away from the viewer, below `FLOOR_Y`."""
    edges = np.linspace(-700, STAGE_WIDTH + 700, 22)
    far = STAGE_WIDTH / 2 + (edges - STAGE_WIDTH / 2) * 0.42
    for i in range(len(edges) - 1):
        board = [(far[i], FLOOR_Y), (far[i + 1], FLOOR_Y), (edges[i + 1], STAGE_HEIGHT), (edges[i], STAGE_HEIGHT)]
        draw.polygon(board, fill=darker(ground, rng.uniform(0.0, 0.12)), outline=darker(ground, 0.22))


def _skirting(draw: ImageDraw.ImageDraw, colour: Rgb) -> None:
    draw.rectangle((0, FLOOR_Y - 16, STAGE_WIDTH, FLOOR_Y), fill=colour)
    draw.line((0, FLOOR_Y, STAGE_WIDTH, FLOOR_Y), fill=darker(colour, 0.45), width=2)


def _paint_paper(backdrop: Backdrop, rng: np.random.Generator) -> Image.Image:
    """A seamless roll of studio paper: no edge, only a soft bend between wall and floor."""
    base = backdrop.base
    stops = np.array([darker(base, 0.1), base, lighter(base, 0.06), darker(base, 0.1), lighter(base, 0.1), base])
    at = [0, 200, FLOOR_Y - 60, FLOOR_Y, FLOOR_Y + 70, STAGE_HEIGHT - 1]
    rows = np.stack([np.interp(np.arange(STAGE_HEIGHT), at, stops[:, i]) for i in range(3)], axis=1)
    column = Image.fromarray(rows.round().astype(np.uint8)[:, None, :])
    return column.resize(STAGE_SIZE, Image.Resampling.NEAREST)


def _paint_room(backdrop: Backdrop, rng: np.random.Generator) -> Image.Image:
    """A living room: painted wall, white skirting, floorboards, two props of the creator's and light from a window."""
    picture = _gradient(backdrop.base, darker(backdrop.base, 0.08))
    draw = ImageDraw.Draw(picture)
    _boards(draw, backdrop.ground, rng)
    _skirting(draw, lighter(backdrop.base, 0.6))
    side = int(rng.integers(2))
    for i, prop in enumerate(rng.permutation(len(FURNITURE))[:2]):
        FURNITURE[prop](draw, backdrop, (side + i) % 2 == 1)
    return _with_window_light(_out_of_focus(picture, 2.0), rng)


def _with_window_light(picture: Image.Image, rng: np.random.Generator) -> Image.Image:
    """Add the slanted patch a window throws on the wall."""
    patch = Image.new("L", STAGE_SIZE, 0)
    draw = ImageDraw.Draw(patch)
    left, top = int(rng.integers(30, 150)), int(rng.integers(60, 130))
    for column in range(2):
        x = left + column * 70
        draw.polygon([(x, top), (x + 58, top + 22), (x + 58, top + 260), (x, top + 238)], fill=44)
    patch = patch.filter(ImageFilter.BoxBlur(7))
    sunlight = Image.merge("RGB", [patch.point([round(v * warm) for v in range(256)]) for warm in (1.0, 0.9, 0.7)])
    return ImageChops.add(picture, sunlight)


def _paint_courses(backdrop: Backdrop, rng: np.random.Generator, brick: tuple[int, int], spread: float) -> Image.Image:
    """A wall of *brick* = (width, height) pieces in half-bond, each of its own shade, over a plain floor."""
    width, height = brick
    picture = Image.new("RGB", STAGE_SIZE, lighter(backdrop.base, 0.3))
    draw = ImageDraw.Draw(picture)
    for row, y in enumerate(range(0, FLOOR_Y, height)):
        shift = (row % 2) * width // 2 if width > height else 0
        for x in range(-shift, STAGE_WIDTH, width):
            piece = mix(darker(backdrop.base, rng.uniform(0, spread)), backdrop.accent, rng.uniform(0, spread / 2))
            draw.rectangle((x, y, x + width - 3, y + height - 3), fill=piece)
    draw.rectangle((0, FLOOR_Y, STAGE_WIDTH, STAGE_HEIGHT), fill=backdrop.ground)
    _skirting(draw, darker(backdrop.ground, 0.15))
    return _out_of_focus(picture, 1.6)


def _paint_brick(backdrop: Backdrop, rng: np.random.Generator) -> Image.Image:
    return _paint_courses(backdrop, rng, (58, 24), 0.22)


def _paint_tiles(backdrop: Backdrop, rng: np.random.Generator) -> Image.Image:
    return _paint_courses(backdrop, rng, (46, 46), 0.1)


def _paint_street(backdrop: Backdrop, rng: np.random.Generator) -> Image.Image:
    """A street out of focus: sky, two rows of houses with windows, pavement."""
    picture = _gradient(lighter(backdrop.base, 0.3), backdrop.base)
    draw = ImageDraw.Draw(picture)
    for depth, top in ((0.35, 150), (0.62, 230)):
        for x in range(-20, STAGE_WIDTH, 74):
            house = mix(backdrop.base, darker(backdrop.accent, 0.35), depth + rng.uniform(-0.1, 0.1))
            _draw_house(draw, (x, top + int(rng.integers(-70, 70))), house, rng)
    draw.rectangle((0, FLOOR_Y - 20, STAGE_WIDTH, STAGE_HEIGHT), fill=backdrop.ground)
    draw.rectangle((0, FLOOR_Y + 2, STAGE_WIDTH, FLOOR_Y + 9), fill=lighter(backdrop.ground, 0.25))
    return _out_of_focus(picture, 5.0)


def _draw_house(draw: ImageDraw.ImageDraw, corner: tuple[int, int], colour: Rgb, rng: np.random.Generator) -> None:
    left, top = corner
    lamplight = (236, 214, 160) if luminance(colour) < 0.5 else lighter(colour, 0.35)  # by day, panes mirror the sky
    draw.rectangle((left, top, left + 70, FLOOR_Y), fill=colour)
    for y in range(top + 16, FLOOR_Y - 40, 40):
        for x in (left + 12, left + 42):
            pane = lamplight if rng.random() < 0.25 else darker(colour, 0.2)
            draw.rectangle((x, y, x + 16, y + 22), fill=pane)


def _paint_park(backdrop: Backdrop, rng: np.random.Generator) -> Image.Image:
    """A meadow out of focus: sky, trees, a bright lawn with a path."""
    picture = _gradient(backdrop.base, lighter(backdrop.base, 0.55))
    draw = ImageDraw.Draw(picture)
    for x in range(-30, STAGE_WIDTH + 30, 34):
        size = int(rng.integers(44, 82))
        crown = mix(darker(backdrop.ground, 0.35), backdrop.accent, rng.uniform(0.0, 0.35))
        y = 318 + int(rng.integers(-40, 30))
        draw.ellipse((x - size, y - size, x + size, y + size), fill=crown)
    draw.rectangle((0, 380, STAGE_WIDTH, STAGE_HEIGHT), fill=backdrop.ground)
    path = [(150, 380), (190, 380), (330, STAGE_HEIGHT), (30, STAGE_HEIGHT)]
    draw.polygon(path, fill=mix(backdrop.ground, (226, 212, 184), 0.55))
    return _out_of_focus(picture, 6.0)


def _paint_bokeh(backdrop: Backdrop, rng: np.random.Generator) -> Image.Image:
    """An evening scene: dark, with the round blurs of far lamps."""
    picture = _gradient(darker(backdrop.base, 0.35), darker(backdrop.base, 0.1))
    glow = Image.new("RGB", STAGE_SIZE)
    draw = ImageDraw.Draw(glow)
    for _ in range(26):
        x, y, r = rng.uniform(0, STAGE_WIDTH), rng.uniform(0, 430), rng.uniform(10, 30)
        lamp = mix(backdrop.accent, (255, 226, 170), rng.uniform(0.2, 0.9))
        draw.ellipse((x - r, y - r, x + r, y + r), fill=darker(lamp, rng.uniform(0.55, 0.8)))
    draw.rectangle((0, FLOOR_Y, STAGE_WIDTH, STAGE_HEIGHT), fill=darker(backdrop.ground, 0.72))
    return ImageChops.add(picture, _out_of_focus(glow, 3.0))


def _paint_wood(backdrop: Backdrop, rng: np.random.Generator) -> Image.Image:
    """A table of wide planks, grain along them."""
    picture = Image.new("RGB", STAGE_SIZE)
    draw = ImageDraw.Draw(picture)
    for x in range(0, STAGE_WIDTH, 90):
        draw.rectangle((x, 0, x + 89, STAGE_HEIGHT), fill=darker(backdrop.base, rng.uniform(0.0, 0.12)))
        draw.line((x, 0, x, STAGE_HEIGHT), fill=darker(backdrop.base, 0.45), width=2)
    return _textured(picture, _blotches(rng, (72, 6), 17.0), _blotches(rng, (36, 12), 9.0))


def _paint_linen(backdrop: Backdrop, rng: np.random.Generator) -> Image.Image:
    """A bed sheet: a hint of weave and a few soft folds."""
    plain = Image.new("RGB", STAGE_SIZE, backdrop.base)
    return _textured(plain, _blotches(rng, (5, 4), 15.0), _blotches(rng, (90, 160), 2.5), _blotches(rng, (3, 12), 11.0))


def _paint_marble(backdrop: Backdrop, rng: np.random.Generator) -> Image.Image:
    """A polished slab with veins."""
    picture = _textured(Image.new("RGB", STAGE_SIZE, backdrop.base), _blotches(rng, (7, 11), 14.0))
    draw = ImageDraw.Draw(picture)
    for _ in range(7):
        x = rng.uniform(-120, STAGE_WIDTH) + np.cumsum(rng.normal(9, 12, 34))
        vein = list(zip(x.tolist(), np.linspace(-10, STAGE_HEIGHT + 10, 34).tolist(), strict=True))
        draw.line(vein, fill=darker(backdrop.base, rng.uniform(0.12, 0.28)), width=int(rng.integers(1, 4)))
    return _out_of_focus(picture, 2.0)


def _paint_concrete(backdrop: Backdrop, rng: np.random.Generator) -> Image.Image:
    """A cast floor: faint clouds and small pores."""
    plain = Image.new("RGB", STAGE_SIZE, backdrop.base)
    return _textured(plain, _blotches(rng, (5, 9), 9.0), _blotches(rng, (90, 160), 4.0))


def _paint_grass(backdrop: Backdrop, rng: np.random.Generator) -> Image.Image:
    """A lawn from above, under a towel's worth of even light."""
    plain = Image.new("RGB", STAGE_SIZE, backdrop.base)
    return _textured(plain, _blotches(rng, (90, 80), 17.0), _blotches(rng, (8, 14), 14.0))


_Painter = Callable[[Backdrop, np.random.Generator], Image.Image]
_PAINTERS: dict[Place, _Painter] = {
    Place.PAPER: _paint_paper,
    Place.ROOM: _paint_room,
    Place.BRICK: _paint_brick,
    Place.TILES: _paint_tiles,
    Place.STREET: _paint_street,
    Place.PARK: _paint_park,
    Place.BOKEH: _paint_bokeh,
    Place.WOOD: _paint_wood,
    Place.LINEN: _paint_linen,
    Place.MARBLE: _paint_marble,
    Place.CONCRETE: _paint_concrete,
    Place.GRASS: _paint_grass,
}
