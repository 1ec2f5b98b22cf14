"""Reads the CC0 clothing photos: real pictures, each labelled with its kind."""

import csv
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from sample_shop.fabric import colour_distances
from sample_shop.vocabulary import COLOURS

# The data set's own labels, and what the shop calls them.
KIND_OF_LABEL = {
    "dress": "dress", "hat": "hat", "longsleeve": "longsleeve", "outwear": "jacket", "pants": "trousers",
    "shirt": "shirt", "shoes": "shoe", "shorts": "shorts", "skirt": "skirt", "t-shirt": "t-shirt",
}  # fmt: skip

# Colours that the light of a room makes out of others: no photo's colour is guessed to be one of them.
DOUBTFUL = ("grey", "beige", "brown")


@dataclass(frozen=True)
class ClothingPhoto:
    """One labelled photo on disk."""

    path: Path
    label: str

    @property
    def kind(self) -> str:
        """The label in the shop's words."""
        return KIND_OF_LABEL[self.label]


def load_photos(folder: Path, split: str) -> list[ClothingPhoto]:
    """The photos of one split ("train" or "validation"), in the order of `photos.csv`."""
    with (folder / "photos.csv").open(newline="", encoding="utf-8") as file:
        rows = [row for row in csv.DictReader(file) if row["split"] == split]
    return [ClothingPhoto(folder / row["path"], row["label"]) for row in rows]


def open_photo(photo: ClothingPhoto) -> Image.Image:
    """The picture in RGB."""
    with Image.open(photo.path) as picture:
        return picture.convert("RGB")


def load_squares(photos: list[ClothingPhoto], size: int) -> NDArray[np.uint8]:
    """`(n_photos, size, size, 3)`: the photos squashed to squares."""
    return np.stack([np.asarray(open_photo(photo).resize((size, size), Image.Resampling.BICUBIC)) for photo in photos])


def guess_colour(square: NDArray[np.uint8], agreement: float = 0.7, tolerance: float = 26.0) -> str:
    """The colour word of the picture's middle, or nothing where fewer than *agreement* of its pixels share one.

    A pixel has a colour word if it is within *tolerance* (in CIE Lab) of the word's anchor.
    """
    side = square.shape[0]
    middle = square[int(side * 0.36) : int(side * 0.64), int(side * 0.36) : int(side * 0.64)]
    distances = colour_distances(middle.reshape(-1, 3))
    near = distances.argmin(axis=1)[distances.min(axis=1) < tolerance]
    votes = np.bincount(near, minlength=len(COLOURS))
    best = COLOURS[int(votes.argmax())]
    return best if votes.max() >= agreement * len(distances) and best not in DOUBTFUL else ""
