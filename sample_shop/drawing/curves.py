"""Points and smooth outlines: the geometry that garments are cut from. The y axis points down."""

import math
from collections.abc import Sequence

Point = tuple[float, float]
Outline = list[Point]


def lerp(start: Point, end: Point, part: float) -> Point:
    """The point *part* of the way from *start* to *end*.

    >>> lerp((0.0, 0.0), (2.0, 4.0), 0.5)
    (1.0, 2.0)
    """
    return start[0] + (end[0] - start[0]) * part, start[1] + (end[1] - start[1]) * part


def bend(start: Point, control: Point, end: Point, steps: int = 10) -> Outline:
    """A quadratic Bezier curve, both ends included."""
    points = []
    for step in range(steps + 1):
        t = step / steps
        a, b, c = (1 - t) ** 2, 2 * t * (1 - t), t * t
        points.append((a * start[0] + b * control[0] + c * end[0], a * start[1] + b * control[1] + c * end[1]))
    return points


def spline(*knots: Point, steps: int = 6) -> Outline:
    """A smooth curve through all *knots* (Catmull-Rom), both ends included."""
    padded = (knots[0], *knots, knots[-1])
    points = [_catmull_rom(padded[i : i + 4], step / steps) for i in range(len(knots) - 1) for step in range(steps)]
    return [*points, knots[-1]]


def _catmull_rom(knots: Sequence[Point], t: float) -> Point:
    """The point at *t* of the stretch between the second and the third of four *knots*."""
    (ax, ay), (bx, by), (cx, cy), (dx, dy) = knots
    a, b, c, d = -t + 2 * t**2 - t**3, 2 - 5 * t**2 + 3 * t**3, t + 4 * t**2 - 3 * t**3, t**3 - t**2
    return (a * ax + b * bx + c * cx + d * dx) / 2, (a * ay + b * by + c * cy + d * dy) / 2


def flip(points: Sequence[Point]) -> Outline:
    """The mirror image left to right, in reversed order, so that it continues a half outline."""
    return [(-x, y) for x, y in reversed(points)]


def mirrored(half: Sequence[Point]) -> Outline:
    """A whole outline from its right half, given from the top centre to the bottom centre."""
    return [*half, *flip(half)]


def shift(points: Sequence[Point], dx: float, dy: float) -> Outline:
    """The outline moved by `(dx, dy)`."""
    return [(x + dx, y + dy) for x, y in points]


def ellipse(centre: Point, rx: float, ry: float, start_deg: float = 0.0, end_deg: float = 360.0) -> Outline:
    """An ellipse or an arc of it; 0 degrees points right and 90 degrees down."""
    steps = 20
    angles = [math.radians(start_deg + (end_deg - start_deg) * i / steps) for i in range(steps + 1)]
    return [(centre[0] + rx * math.cos(angle), centre[1] + ry * math.sin(angle)) for angle in angles]


def box(left: float, top: float, right: float, bottom: float) -> Outline:
    """A rectangle's four corners."""
    return [(left, top), (right, top), (right, bottom), (left, bottom)]


def cut_beyond(outline: Sequence[Point], origin: Point, direction: Point) -> Outline:
    """The part of a closed *outline* that lies beyond the line through *origin* square to *direction*.

    >>> cut_beyond([(0.0, 0.0), (1.0, 0.0), (1.0, 2.0), (0.0, 2.0)], (0.0, 1.0), (0.0, 1.0))
    [(0.0, 1.0), (1.0, 1.0), (1.0, 2.0), (0.0, 2.0)]
    """
    beyond = [(x - origin[0]) * direction[0] + (y - origin[1]) * direction[1] for x, y in outline]
    kept: Outline = []
    for i, point in enumerate(outline):
        if (beyond[i - 1] > 0) != (beyond[i] > 0):
            kept.append(lerp(outline[i - 1], point, beyond[i - 1] / (beyond[i - 1] - beyond[i])))
        if beyond[i] > 0:
            kept.append(point)
    return kept


def band_towards(edge: Sequence[Point], apex: Point, part: float) -> Outline:
    """The band along *edge* that reaches *part* of the way to *apex*: the hem of a flared skirt, say."""
    return [*edge, *(lerp(point, apex, part) for point in reversed(edge))]


def bounds(points: Sequence[Point]) -> tuple[float, float, float, float]:
    """The smallest box around *points*: left, top, right, bottom."""
    xs, ys = [x for x, _ in points], [y for _, y in points]
    return min(xs), min(ys), max(xs), max(ys)
