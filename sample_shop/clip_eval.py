"""Measures what a small CLIP knows: kinds on real photos, kinds and colours on shop photos, queries in words.

Nothing here loads a model: anything that embeds pictures and texts can be measured.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Protocol

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from sample_shop.clothing_photos import KIND_OF_LABEL, load_photos, open_photo
from sample_shop.garments import product_photo
from sample_shop.vocabulary import COLOURS, FINISHES, KINDS, PATTERNS, STYLES, Garment

Rows = NDArray[np.float32]

# Cuts and photo seeds of held-out garments start here; training draws cuts below it and takes no product photos.
HELD_OUT = 10_000_000
PROMPTS = ("a photo of a {}", "a {}", "{}")
KIND_WORDS = {
    "longsleeve": ("longsleeve", "sweater", "long sleeve top"),
    "jacket": ("jacket", "coat", "outwear"),
    "trousers": ("trousers", "pants"),
    "shoe": ("shoe", "shoes"),
    "hat": ("hat", "cap"),
}


class PictureTextEncoder(Protocol):
    """Embeds pictures and texts in one space, as `(n, dim)` float32 rows of length 1."""

    def encode_images(self, images: list[Image.Image], /) -> Rows: ...

    def encode_texts(self, texts: list[str], /) -> Rows: ...


@dataclass(frozen=True)
class ClipFigures:
    """Shares between 0 and 1 with their counts.

    *photo_kind* and *photo_kind_macro* (the mean over kinds) are zero-shot on real validation photos; *shop_...* on
    held-out product photos; *precision_at_5* is hits in the top 5 over min(5, relevant), the mean over *n_queries*
    "colour kind" queries that have a relevant photo.
    """

    photo_kind: float
    photo_kind_macro: float
    n_photos: int
    shop_kind: float
    shop_colour: float
    shop_pattern: float
    n_shop: int
    precision_at_5: float
    n_queries: int


def evaluate(encoder: PictureTextEncoder, photos_folder: Path, n_shop: int = 600, seed: int = 0) -> ClipFigures:
    """All figures of one encoder.

    Args:
        encoder: the model to measure.
        photos_folder: the folder that holds the CC0 photos and their `photos.csv`; only validation is read.
        n_shop: how many product photos to draw; queries are answered among the same photos.
        seed: draws the held-out garments.
    """
    photos = load_photos(photos_folder, "validation")
    labels = [photo.kind for photo in photos]
    guesses = guess_kinds(encoder, _in_batches(encoder, [open_photo(photo) for photo in photos]), real_kinds())
    garments = held_out_garments(n_shop, seed)
    rows = _in_batches(encoder, [product_photo(garment, HELD_OUT + i) for i, garment in enumerate(garments)])
    precisions = query_precisions(encoder, rows, garments)
    return ClipFigures(
        photo_kind=_share(guesses, labels),
        photo_kind_macro=_macro_share(guesses, labels),
        n_photos=len(photos),
        shop_kind=_share(guess_kinds(encoder, rows, KINDS), [garment.kind for garment in garments]),
        shop_colour=_share(guess_colours(encoder, rows), [garment.colour for garment in garments]),
        shop_pattern=_share(guess_patterns(encoder, rows), [garment.pattern for garment in garments]),
        n_shop=n_shop,
        precision_at_5=float(np.mean(precisions)),
        n_queries=len(precisions),
    )


def real_kinds() -> tuple[str, ...]:
    """The ten kinds that the real photos show."""
    return tuple(KIND_OF_LABEL.values())


def held_out_garments(count: int, seed: int) -> list[Garment]:
    """Garments with random attributes, half of them plain, whose cuts no training picture shows."""
    rng = Random(f"held out {seed}")
    return [
        Garment(
            rng.choice(KINDS), rng.choice(COLOURS), rng.choice(("plain",) * 3 + PATTERNS[1:]), rng.choice(STYLES),
            rng.choice(FINISHES), HELD_OUT + rng.randrange(HELD_OUT),
        )
        for _ in range(count)
    ]  # fmt: skip


def guess_kinds(encoder: PictureTextEncoder, rows: Rows, kinds: Sequence[str]) -> list[str]:
    """The zero-shot kind of each picture."""
    return _nearest(rows, class_rows(encoder, [KIND_WORDS.get(kind, (kind,)) for kind in kinds]), kinds)


def guess_colours(encoder: PictureTextEncoder, rows: Rows) -> list[str]:
    """The zero-shot colour of each picture, whatever its kind."""
    phrases = [[f"{colour} {kind}" for kind in KINDS] for colour in COLOURS]
    return _nearest(rows, class_rows(encoder, phrases), COLOURS)


def guess_patterns(encoder: PictureTextEncoder, rows: Rows) -> list[str]:
    """The zero-shot pattern of each picture, whatever its kind."""
    phrases = [[f"{pattern} {kind}" for kind in KINDS] for pattern in PATTERNS]
    return _nearest(rows, class_rows(encoder, phrases), PATTERNS)


def class_rows(encoder: PictureTextEncoder, phrases: Sequence[Sequence[str]]) -> Rows:
    """`(n_classes, dim)`: the mean of each class's prompts, each phrase in every template, at length 1."""
    prompts = [[template.format(phrase) for phrase in words for template in PROMPTS] for words in phrases]
    means = np.stack([encoder.encode_texts(texts).mean(axis=0) for texts in prompts])
    return np.asarray(means / np.linalg.norm(means, axis=1, keepdims=True), np.float32)


def query_precisions(encoder: PictureTextEncoder, rows: Rows, garments: Sequence[Garment], k: int = 5) -> list[float]:
    """For each "colour kind" that some garment has: relevant pictures in the top *k* over min(*k*, relevant)."""
    named = [f"a {garment.colour} {garment.kind}" for garment in garments]
    queries = sorted(set(named))
    scores = encoder.encode_texts(queries) @ rows.T  # (n_queries, n_pictures)
    return [
        precision_at(np.argsort(-scores[i], kind="stable"), [name == query for name in named], k)
        for i, query in enumerate(queries)
    ]


def precision_at(order: NDArray[np.intp], relevant: Sequence[bool], k: int) -> float:
    """Relevant pictures among the first *k*, over the most that could be there.

    >>> precision_at(np.array([2, 0, 1]), [True, False, False], k=2)
    1.0
    """
    hits = sum(relevant[int(row)] for row in order[:k])
    return hits / min(k, sum(relevant))


def _in_batches(encoder: PictureTextEncoder, pictures: list[Image.Image], size: int = 64) -> Rows:
    batches = [encoder.encode_images(pictures[i : i + size]) for i in range(0, len(pictures), size)]
    return np.concatenate(batches)


def _nearest(rows: Rows, classes: Rows, names: Sequence[str]) -> list[str]:
    return [names[best] for best in np.argmax(rows @ classes.T, axis=1)]


def _share(guesses: Sequence[str], labels: Sequence[str]) -> float:
    return sum(guess == label for guess, label in zip(guesses, labels, strict=True)) / len(labels)


def _macro_share(guesses: Sequence[str], labels: Sequence[str]) -> float:
    """The mean over labels of the share of each that is guessed."""
    by_label = [
        [guess == label for guess, label in zip(guesses, labels, strict=True) if label == one]
        for one in sorted(set(labels))
    ]
    return float(np.mean([np.mean(hits) for hits in by_label]))
