"""Which pattern cuts which kind of garment."""

from collections.abc import Callable
from random import Random

from sample_shop.drawing import bags, dresses, hats, jackets, lower_wear, shoes, upper_wear
from sample_shop.drawing.sketch import Sketch
from sample_shop.vocabulary import Garment

Pattern = Callable[[Random, str, bool], Sketch]
PATTERNS_BY_KIND: dict[str, Pattern] = {
    "dress": dresses.dress,
    "t-shirt": upper_wear.t_shirt,
    "longsleeve": upper_wear.longsleeve,
    "shirt": upper_wear.shirt,
    "jacket": jackets.jacket,
    "trousers": lower_wear.trousers,
    "shorts": lower_wear.shorts,
    "skirt": lower_wear.skirt,
    "hat": hats.hat,
    "shoe": shoes.shoe,
    "bag": bags.bag,
}


def sketch_garment(garment: Garment, worn: bool) -> Sketch:
    """The garment's pieces; *worn* ones hang close to a body and have no visible inside."""
    rng = Random(f"cut {garment.kind} {garment.style} {garment.cut}")
    return PATTERNS_BY_KIND[garment.kind](rng, garment.style, worn)
