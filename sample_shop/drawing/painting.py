"""The painter: turns a sketch and a garment's colours into antialiased, softly shaded pixels."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFilter

from sample_shop.drawing.curves import Point
from sample_shop.drawing.sketch import Cloth, Line, Piece, Sketch
from sample_shop.fabric import INK, LIGHT, Palette, draw_pattern, luminance, mix, palette, shade
from sample_shop.vocabulary import Garment


@dataclass(frozen=True)
class Frame:
    """Where a sketch lands: pixel = offset + scale * unit, mirrored in x if *mirror*, on a canvas of *size* pixels."""

    size: tuple[int, int]
    scale: float
    offset: Point
    mirror: bool = False

    def zoomed(self, factor: int) -> "Frame":
        """The same frame on a canvas *factor* times as large."""
        return Frame(
            (self.size[0] * factor, self.size[1] * factor),
            self.scale * factor,
            (self.offset[0] * factor, self.offset[1] * factor),
            self.mirror,
        )

    def pixels(self, points: Sequence[Point]) -> list[Point]:
        """Points in pixels."""
        (dx, dy), scale = self.offset, self.scale
        across = -scale if self.mirror else scale
        return [(dx + across * x, dy + scale * y) for x, y in points]


def fitted(sketch: Sketch, size: int, fill: float = 0.9) -> Frame:
    """The frame that centres a sketch in a square so that its longer side fills *fill* of it."""
    left, top, right, bottom = sketch.bounds()
    scale = size * fill / max(right - left, bottom - top)
    return Frame((size, size), scale, ((size - scale * (left + right)) / 2, (size - scale * (top + bottom)) / 2))


def paint(sketch: Sketch, garment: Garment, frame: Frame) -> Image.Image:
    """The garment in RGBA on a transparent canvas."""
    zoom = 3 if max(frame.size) <= 128 else 2
    large = frame.zoomed(zoom)
    cloths = _cloth_map(sketch, large)
    colours = palette(garment)
    flat = _coloured(cloths, sketch, garment, colours, large).reduce(zoom)
    alpha = cloths.point(_OPAQUE).reduce(zoom)
    shaded = _shaded(flat, alpha, _fold_map(sketch, frame))
    shaded.putalpha(alpha)
    return shaded


_OPAQUE = [0, *[255] * 255]


def _cloth_map(sketch: Sketch, frame: Frame) -> Image.Image:
    """One byte a pixel: which `Cloth` shows there."""
    canvas = Image.new("L", frame.size, Cloth.NONE)
    draw = ImageDraw.Draw(canvas)
    seam = max(1, round(frame.scale * 0.012))
    for mark in sketch.marks:
        if isinstance(mark, Line):
            width = max(1, round(frame.scale * mark.width))
            draw.line(frame.pixels(mark.points), fill=mark.cloth, width=width, joint="curve")
        elif len(mark.outline) > 2:
            _draw_piece(draw, mark, frame.pixels(mark.outline), seam)
    return canvas


def _draw_piece(draw: ImageDraw.ImageDraw, piece: Piece, points: list[Point], seam: int) -> None:
    draw.polygon(points, fill=piece.cloth)
    if piece.edge:
        draw.line([*points, points[0]], fill=Cloth.SEAM, width=seam)


def _coloured(cloths: Image.Image, sketch: Sketch, garment: Garment, colours: Palette, frame: Frame) -> Image.Image:
    """Flat colours: one for each cloth, and the printed fabric where the main cloth shows."""
    indexed = cloths.convert("L")
    indexed.putpalette(_palette_bytes(garment, colours))
    flat = indexed.convert("RGB")
    blocked = garment.finish == "blocked" and sketch.block_y is not None
    if garment.pattern == "plain" and not blocked:
        return flat
    fabric = Image.new("RGB", frame.size, colours.main)
    left, top, right, bottom = sketch.bounds()
    draw_pattern(fabric, garment, colours, frame.scale * max(right - left, bottom - top) / 0.9)
    if blocked and sketch.block_y is not None:
        block_y = frame.offset[1] + frame.scale * sketch.block_y
        ImageDraw.Draw(fabric).rectangle((0, block_y, *frame.size), fill=colours.contrast)
    flat.paste(fabric, mask=cloths.point(_mask_of(Cloth.MAIN)))
    return flat


def _mask_of(cloth: Cloth) -> list[int]:
    return [255 if value == cloth else 0 for value in range(256)]


def _palette_bytes(garment: Garment, colours: Palette) -> list[int]:
    """The colour of each cloth, in the order of the enum."""
    main = colours.main
    dark = luminance(main) < 0.16
    by_cloth = {
        Cloth.NONE: main,
        Cloth.MAIN: main,
        Cloth.TRIM: colours.contrast if garment.finish == "trimmed" else shade(main, 1.25 if dark else 0.93),
        Cloth.SEAM: mix(main, (110, 110, 116), 0.5) if dark else shade(main, 0.66),
        Cloth.INSIDE: mix(main, (90, 90, 96), 0.3) if dark else shade(main, 0.58),
        Cloth.CONTRAST: colours.contrast,
        Cloth.RUBBER: (232, 230, 224) if luminance(main) < 0.85 else (206, 204, 198),
        Cloth.DARK: INK if not dark else (62, 60, 62),
        Cloth.METAL: (188, 182, 168) if luminance(main) < 0.6 else (120, 114, 102),
        Cloth.BUTTON: mix(main, LIGHT, 0.75) if luminance(main) < 0.55 else shade(main, 0.45),
    }
    return [channel for cloth in Cloth for channel in by_cloth[cloth]]


def _fold_map(sketch: Sketch, frame: Frame) -> Image.Image:
    """Soft lights and shadows around a neutral 128, at half the resolution of the frame."""
    size = (max(8, frame.size[0] // 2), max(8, frame.size[1] // 2))
    half = Frame(size, frame.scale / 2, (frame.offset[0] / 2, frame.offset[1] / 2), frame.mirror)
    canvas = Image.new("L", size, 128)
    draw = ImageDraw.Draw(canvas)
    for fold in sketch.folds:
        width = max(1, round(half.scale * fold.width))
        draw.line(half.pixels(fold.points), fill=round(128 + 100 * fold.depth), width=width)
    softer = ImageFilter.BoxBlur(half.scale * 0.028)
    return canvas.filter(softer).filter(softer).resize(frame.size, Image.Resampling.BILINEAR)


def _shaded(flat: Image.Image, alpha: Image.Image, folds: Image.Image) -> Image.Image:
    """The flat colours under soft light: darker towards the outline and in folds, lighter on ridges."""
    light = _edge_light(alpha) + (np.asarray(folds, np.float32) - 128) * 0.0028
    lit = np.asarray(flat) * light[..., None]
    lit += ((light - 1) * 26)[..., None]
    return Image.fromarray(np.clip(lit, 0, 255, out=lit).astype(np.uint8))


def _edge_light(alpha: Image.Image) -> NDArray[np.float32]:
    """`(height, width)`, 1 well inside the garment and about 0.85 along its outline."""
    quarter = alpha.reduce(4) if min(alpha.size) >= 192 else alpha.reduce(2)
    blurred = quarter.filter(ImageFilter.BoxBlur(max(quarter.size) * 0.025))
    inside = np.asarray(blurred.resize(alpha.size, Image.Resampling.BILINEAR), np.float32) / 255
    return np.minimum(1.0, 0.7 + 0.3 * inside**1.2 + 0.02)
