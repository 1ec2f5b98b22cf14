"""What a pattern maker hands to the painter: pieces of cloth, lines and folds, in body units and without colours.

One unit is the width of a person's shoulders; the neck is at (0, 0), the waist at y = 0.95, the soles at y = 3.3.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import IntEnum
from random import Random

from sample_shop.drawing.curves import Outline, Point, bounds, ellipse, flip


class Cloth(IntEnum):
    """What a piece is made of; the painter has one colour for each."""

    NONE = 0
    MAIN = 1  # the garment's fabric, with its pattern
    TRIM = 2  # hems, cuffs, collars: contrasting when the finish is "trimmed"
    SEAM = 3  # thin dark lines
    INSIDE = 4  # where one looks into the garment
    CONTRAST = 5  # side stripes and prints
    RUBBER = 6  # light soles
    DARK = 7  # heels, handles, visors' undersides
    METAL = 8  # zips, buckles
    BUTTON = 9


@dataclass(frozen=True)
class Piece:
    """A closed outline of one cloth; with *edge* a seam is drawn around it."""

    outline: Sequence[Point]
    cloth: Cloth = Cloth.MAIN
    edge: bool = True


@dataclass(frozen=True)
class Line:
    """A stroke *width* units wide, drawn in *cloth*."""

    points: Sequence[Point]
    width: float = 0.014
    cloth: Cloth = Cloth.SEAM


@dataclass(frozen=True)
class Fold:
    """A soft shadow (*depth* below 0) or light (above 0) along *points*."""

    points: Sequence[Point]
    depth: float
    width: float = 0.06


@dataclass
class Sketch:
    """One garment's marks in painting order, its folds, and the height *block_y* below which a panel may contrast."""

    marks: list[Piece | Line] = field(default_factory=list)
    folds: list[Fold] = field(default_factory=list)
    block_y: float | None = None

    def piece(self, outline: Sequence[Point], cloth: Cloth = Cloth.MAIN, edge: bool = True) -> None:
        self.marks.append(Piece(outline, cloth, edge))

    def pair(self, outline: Sequence[Point], cloth: Cloth = Cloth.MAIN, edge: bool = True) -> None:
        """A piece on the right and its mirror image on the left."""
        self.piece(outline, cloth, edge)
        self.piece(flip(outline), cloth, edge)

    def line(self, *points: Point, width: float = 0.014, cloth: Cloth = Cloth.SEAM) -> None:
        self.marks.append(Line(points, width, cloth))

    def line_pair(self, *points: Point, width: float = 0.014, cloth: Cloth = Cloth.SEAM) -> None:
        self.line(*points, width=width, cloth=cloth)
        self.line(*flip(points), width=width, cloth=cloth)

    def fold(self, *points: Point, depth: float = -0.5, width: float = 0.06) -> None:
        self.folds.append(Fold(points, depth, width))

    def fold_pair(self, *points: Point, depth: float = -0.5, width: float = 0.06) -> None:
        self.fold(*points, depth=depth, width=width)
        self.fold(*flip(points), depth=depth, width=width)

    def button(self, centre: Point, radius: float = 0.02) -> None:
        self.piece(ellipse(centre, radius, radius), Cloth.BUTTON, edge=False)

    def raised(self, factor: float) -> "Sketch":
        """The same sketch *factor* times as high."""
        marks = [_raised(mark, factor) for mark in self.marks]
        folds = [Fold(_higher(fold.points, factor), fold.depth, fold.width) for fold in self.folds]
        return Sketch(marks, folds, None if self.block_y is None else self.block_y * factor)

    def bounds(self) -> tuple[float, float, float, float]:
        """The box around all pieces and lines: left, top, right, bottom."""
        return bounds([point for mark in self.marks for point in _points(mark)])


def _points(mark: Piece | Line) -> Sequence[Point]:
    return mark.outline if isinstance(mark, Piece) else mark.points


def _raised(mark: Piece | Line, factor: float) -> Piece | Line:
    """The mark with all heights times *factor*."""
    if isinstance(mark, Piece):
        return Piece(_higher(mark.outline, factor), mark.cloth, mark.edge)
    return Line(_higher(mark.points, factor), mark.width, mark.cloth)


def _higher(points: Sequence[Point], factor: float) -> Outline:
    return [(x, y * factor) for x, y in points]


def between(rng: Random, low: float, high: float) -> float:
    """A uniform draw; shorter to read in long lists of measures than its library name."""
    return low + (high - low) * rng.random()


def outline_of(*parts: Sequence[Point]) -> Outline:
    """One outline from consecutive parts."""
    return [point for part in parts for point in part]
