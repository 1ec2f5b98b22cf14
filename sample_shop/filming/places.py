"""Where clips are filmed: the kinds of places, one creator's place, and the size everything is set up at."""

from dataclasses import dataclass
from enum import StrEnum

from sample_shop.fabric import Rgb, mix

FRAME_WIDTH, FRAME_HEIGHT = 288, 512
# The stage is a quarter larger than the frame: room for pans, shake and pulling out.
STAGE_WIDTH, STAGE_HEIGHT = 360, 640
STAGE_SIZE = (STAGE_WIDTH, STAGE_HEIGHT)
FLOOR_Y = 478  # where walls meet the floor; a figure's feet stand lower, at about 548


class Place(StrEnum):
    """What stands, or lies, behind the garments."""

    PAPER = "paper"
    ROOM = "room"
    BRICK = "brick"
    TILES = "tiles"
    STREET = "street"
    PARK = "park"
    BOKEH = "bokeh"
    WOOD = "wood"
    LINEN = "linen"
    MARBLE = "marble"
    CONCRETE = "concrete"
    GRASS = "grass"


@dataclass(frozen=True)
class Backdrop:
    """One place of one creator: *base* colours the wall, sky or table top, *ground* the floor, *accent* the details.

    *seed* draws what differs between two places of one kind: props, joints, buildings.
    """

    place: Place
    base: Rgb
    ground: Rgb
    accent: Rgb
    seed: int


def darker(colour: Rgb, part: float) -> Rgb:
    """The colour *part* of the way to black.

    >>> darker((200, 100, 50), 0.5)
    (100, 50, 25)
    """
    return mix(colour, (0, 0, 0), part)


def lighter(colour: Rgb, part: float) -> Rgb:
    """The colour *part* of the way to white."""
    return mix(colour, (255, 255, 255), part)
