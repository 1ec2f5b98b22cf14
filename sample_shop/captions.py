"""Captions for training the small CLIP, and which captions are true of which picture.

A caption names one or two garments by some of their attributes; it is true of a picture that shows such garments.
Attributes travel as rows of numbers, so that the truth of a whole batch is one array operation.
"""

from dataclasses import dataclass
from random import Random

import numpy as np
from numpy.typing import NDArray

from sample_shop.vocabulary import COLOURS, KINDS, PATTERNS, Garment

ALL_KINDS = (*KINDS, "longsleeve")
# In attribute rows: what nobody knows, what a caption leaves open, and a place in the row that no garment takes.
UNKNOWN, ANY, ABSENT = -2, -1, -3
MOST_GARMENTS = 6

NOUNS: dict[str, tuple[str, ...]] = {
    "dress": ("dress", "dress", "gown"),
    "t-shirt": ("t-shirt", "t-shirt", "tee", "tshirt"),
    "shirt": ("shirt", "shirt", "button-up shirt", "blouse"),
    "trousers": ("trousers", "trousers", "pants", "pair of trousers", "jeans"),
    "skirt": ("skirt",),
    "shorts": ("shorts", "pair of shorts"),
    "jacket": ("jacket", "jacket", "coat", "outwear", "outerwear"),
    "hat": ("hat", "hat", "cap"),
    "shoe": ("shoe", "shoe", "shoes", "pair of shoes", "sneakers", "boots"),
    "bag": ("bag", "bag", "handbag"),
    "longsleeve": ("longsleeve", "long sleeve top", "sweater", "long sleeve shirt"),
}
COLOUR_WORDS = {"grey": ("grey", "grey", "gray"), "beige": ("beige", "beige", "cream")}
PATTERN_WORDS = {
    "plain": ("plain", "solid"),
    "striped": ("striped", "stripy"),
    "dotted": ("dotted", "polka dot", "spotted"),
    "checked": ("checked", "plaid", "checkered"),
}
WITH_PATTERN = {"striped": "with stripes", "dotted": "with dots", "checked": "with checks"}
SINGLE_TEMPLATES = (
    "{}", "{}", "a {}", "a {}", "a {}", "the {}", "a photo of a {}", "a photo of a {}", "a picture of a {}",
    "an image of a {}", "a product photo of a {}", "{} for sale",
)  # fmt: skip
WORN_TEMPLATES = (*SINGLE_TEMPLATES, "a person wearing a {}", "a video of a {}", "someone in a {}")
PAIR_TEMPLATES = ("a person wearing a {} and a {}", "{} and {}", "a {} with a {}", "someone in a {} and a {}")
# Words that say nothing the picture shows: the text tower learns to overlook words it does not know.
FILLERS = ("nice", "summer", "casual", "women", "men", "new", "cheap", "stylish", "cotton", "brand")
UNNAMED = ("garment", "item", "clothing", "something")


@dataclass(frozen=True)
class Mention:
    """How much of one garment a caption tells: kind, colour and pattern, each a row number or `ANY`."""

    text: str
    attributes: tuple[int, int, int]


@dataclass(frozen=True)
class Caption:
    """A caption and the attributes of the two garments it names; one that names a single garment repeats it."""

    text: str
    attributes: tuple[tuple[int, int, int], tuple[int, int, int]]


def attributes_of(garment: Garment) -> tuple[int, int, int]:
    """Row numbers of the garment's kind, colour and pattern; an empty word is `UNKNOWN`."""
    return (
        _row(ALL_KINDS, garment.kind),
        _row(COLOURS, garment.colour),
        _row(PATTERNS, garment.pattern),
    )


def _row(words: tuple[str, ...], word: str) -> int:
    return words.index(word) if word else UNKNOWN


def attribute_rows(pictures: list[tuple[Garment, ...]]) -> NDArray[np.int64]:
    """`(n_pictures, MOST_GARMENTS, 3)` attributes, padded with `ABSENT`."""
    rows = np.full((len(pictures), MOST_GARMENTS, 3), ABSENT, np.int64)
    for i, garments in enumerate(pictures):
        for j, garment in enumerate(garments[:MOST_GARMENTS]):
            rows[i, j] = attributes_of(garment)
    return rows


def caption_rows(captions: list[Caption]) -> NDArray[np.int64]:
    """`(n_captions, 2, 3)` attributes."""
    return np.array([caption.attributes for caption in captions], np.int64)


def truth(pictures: NDArray[np.int64], captions: NDArray[np.int64]) -> NDArray[np.int64]:
    """`(n_pictures, n_captions)`: 1 where a caption is true of a picture, 0 where false, -1 where nobody knows.

    A caption is true if each garment it names is matched, in all that is told of it, by one garment of the picture.

    Args:
        pictures: `(n_pictures, n_garments, 3)` attributes, `UNKNOWN` or `ABSENT` where there is none.
        captions: `(n_captions, 2, 3)` attributes, `ANY` where the caption is silent.
    """
    shown = pictures[:, None, None, :, :].astype(np.int8)  # (n_pictures, 1, 1, n_garments, 3)
    named = captions[None, :, :, None, :].astype(np.int8)  # (1, n_captions, 2, 1, 3)
    agree = (shown == named) | ((named == ANY) & (shown != ABSENT))
    possible = agree | (shown == UNKNOWN)
    true = agree.all(axis=-1).any(axis=-1).all(axis=-1)
    maybe = possible.all(axis=-1).any(axis=-1).all(axis=-1)
    return np.where(true, 1, np.where(maybe, -1, 0))


def write_caption(garments: tuple[Garment, ...], rng: Random) -> Caption:
    """A random caption that is true of a picture of *garments*: it names one or two of them."""
    if len(garments) > 1 and rng.random() < 0.45:
        first, second = (mention(garment, rng) for garment in rng.sample(garments, 2))
        text = rng.choice(PAIR_TEMPLATES).format(first.text, second.text)
        return Caption(text, (first.attributes, second.attributes))
    named = mention(rng.choice(garments), rng)
    templates = WORN_TEMPLATES if len(garments) > 1 else SINGLE_TEMPLATES
    return Caption(_with_filler(rng.choice(templates).format(named.text), rng), (named.attributes, named.attributes))


def mention(garment: Garment, rng: Random) -> Mention:
    """Some of a garment's attributes in words; what is unknown is never told."""
    tell_kind, tell_colour, tell_pattern = rng.random() < 0.95, rng.random() < 0.75, rng.random() < 0.45
    tell_colour, tell_pattern = tell_colour and garment.colour != "", tell_pattern and garment.pattern != ""
    if not (tell_colour or tell_pattern):
        tell_kind = True
    kind, colour, pattern = attributes_of(garment)
    told = (kind if tell_kind else ANY, colour if tell_colour else ANY, pattern if tell_pattern else ANY)
    return Mention(_phrase(garment, (tell_kind, tell_colour, tell_pattern), rng), told)


def _phrase(garment: Garment, tell: tuple[bool, bool, bool], rng: Random) -> str:
    noun = rng.choice(NOUNS[garment.kind] if tell[0] else UNNAMED)
    colour = rng.choice(COLOUR_WORDS.get(garment.colour, (garment.colour,))) if tell[1] else ""
    if tell[2] and garment.pattern in WITH_PATTERN and rng.random() < 0.2:
        return _joined(colour, noun, WITH_PATTERN[garment.pattern])
    pattern = rng.choice(PATTERN_WORDS[garment.pattern]) if tell[2] else ""
    if colour and rng.random() < 0.1:
        return _joined(pattern, noun, "in", colour)
    return _joined(colour, pattern, noun) if rng.random() < 0.7 else _joined(pattern, colour, noun)


def _joined(*words: str) -> str:
    return " ".join(word for word in words if word)


def _with_filler(text: str, rng: Random) -> str:
    """The text, now and then among words that tell nothing, as in titles."""
    chance = rng.random()
    if chance < 0.1:
        return _joined(*rng.choices(FILLERS, k=rng.randint(1, 7)), text)
    if chance < 0.2:
        return _joined(text, "by", rng.choice(FILLERS))
    return text


def kind_caption(kind: str, rng: Random) -> str:
    """A caption that tells only the kind."""
    return rng.choice(SINGLE_TEMPLATES).format(rng.choice(NOUNS[kind]))


def known_phrases() -> list[str]:
    """Every text whose words the text tower is to know."""
    words = [noun for nouns in NOUNS.values() for noun in nouns]
    words += [*COLOURS, *(word for words_ in COLOUR_WORDS.values() for word in words_)]
    words += [word for words_ in PATTERN_WORDS.values() for word in words_]
    templates = [template.format("", "") for template in (*WORN_TEMPLATES, *PAIR_TEMPLATES)]
    return [*words, *WITH_PATTERN.values(), *templates, *UNNAMED, "in"]
