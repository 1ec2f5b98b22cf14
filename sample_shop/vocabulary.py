"""The words the sample shop is made of: the closed lists of attributes that garments, titles and truth share."""

from dataclasses import dataclass

KINDS = ("dress", "t-shirt", "shirt", "trousers", "skirt", "shorts", "jacket", "hat", "shoe", "bag")
COLOURS = (
    "red", "orange", "yellow", "green", "blue", "purple", "pink", "brown", "black", "white", "grey", "beige",
)  # fmt: skip
PATTERNS = ("plain", "striped", "dotted", "checked")
STYLES = ("casual", "elegant", "sporty", "street")
BRANDS = ("Alder", "Brisa", "Corvo", "Dunes", "Ember", "Fjord", "Gilda", "Harbor")

# How the hem, cuffs and collar are made: the same fabric, bands of a contrasting colour, or a contrasting lower panel.
# Photos show it and no title tells it: the taste factor that only pictures carry.
FINISHES = ("tonal", "trimmed", "blocked")


@dataclass(frozen=True)
class Garment:
    """One garment as it can be drawn.

    *cut* seeds the details that make two garments of equal attributes differ (lengths, widths, folds, exact shade).
    *kind* is one of `KINDS`, or "longsleeve", which the shop does not sell and the training of the small CLIP needs.
    """

    kind: str
    colour: str
    pattern: str = "plain"
    style: str = "casual"
    finish: str = "tonal"
    cut: int = 0


@dataclass(frozen=True)
class Creator:
    """One creator of clips. *style* is one of `STYLES`; *seed* draws their rooms, palette, light and camera habits."""

    creator_id: str
    style: str
    seed: int


@dataclass(frozen=True)
class Clip:
    """One clip to film: *garments* (1 to 4), *duration_s* long; *seed* draws shots, motion and backgrounds."""

    video_id: str
    creator: Creator
    garments: tuple[Garment, ...]
    duration_s: float
    seed: int
