"""What the shop calls things: titles, descriptions, hashtags, queries. None of it tells the finish, no title the style.

Tables hold these texts; the truth behind them is in `Catalogue`.
"""

from collections.abc import Sequence

from sample_shop.vocabulary import BRANDS, COLOURS, KINDS, PATTERNS, STYLES

NEUTRAL_PRODUCT, NEUTRAL_VIDEO = "Product", "Video"  # titles that tell nothing

_OCCASIONS = {
    "casual": "for the weekend and every day in between",
    "elegant": "for the evening and for celebrations",
    "sporty": "for training and for being on the move",
    "street": "for the city and for going out",
}
_VIDEO_TITLES = (
    "How I wear my {garment}",
    "New in: {garment}",
    "Outfit of the day with a look at my {garment}",
    "Three ways to style a favourite: {garment}",
    "Trying on: {garment}",
    "My week in one piece: {garment}",
)


def garment_words(kind: int, colour: int, pattern: int) -> str:
    """What a person would call a garment.

    >>> garment_words(0, 0, 1), garment_words(9, 8, 0)
    ('red striped dress', 'black bag')
    """
    words = (COLOURS[colour], *(() if pattern == 0 else (PATTERNS[pattern],)), KINDS[kind])
    return " ".join(words)


def product_title(codes: Sequence[int]) -> str:
    """A product's title, from its levels of kind, colour, pattern, brand, style and finish.

    >>> product_title([0, 0, 1, 0, 2, 1])
    'Red striped dress by Alder'
    """
    kind, colour, pattern, brand, _, _ = codes
    return f"{garment_words(kind, colour, pattern).capitalize()} by {BRANDS[brand]}"


def product_description(codes: Sequence[int]) -> str:
    """A sentence about a product, from its levels.

    >>> product_description([0, 0, 1, 0, 2, 1])
    'Sporty red striped dress by Alder, made for training and for being on the move.'
    """
    kind, colour, pattern, brand, style, _ = codes
    style_name = STYLES[style]
    garment = garment_words(kind, colour, pattern)
    return f"{style_name.capitalize()} {garment} by {BRANDS[brand]}, made {_OCCASIONS[style_name]}."


def video_title(form: int, codes: Sequence[int]) -> str:
    """A video's title, which mentions one product."""
    title = product_title(codes)
    return _VIDEO_TITLES[form % len(_VIDEO_TITLES)].format(garment=title[0].lower() + title[1:])


def video_hashtags(kinds: Sequence[int], style: int) -> list[str]:
    """The creator's style, the kinds shown, and a general tag.

    >>> video_hashtags([0, 1, 0], 1)
    ['elegant', 'dress', 't-shirt', 'outfit']
    """
    return [STYLES[style], *dict.fromkeys(KINDS[kind] for kind in kinds), "outfit"]


def query_text(kind: int, colour: int, pattern: int) -> str:
    """What a shopper types; −1 leaves the pattern out.

    >>> query_text(0, 0, -1)
    'red dress'
    """
    return garment_words(kind, colour, max(pattern, 0))
