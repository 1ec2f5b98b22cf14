"""Content descriptors of images: a Lab colour histogram and HOG silhouettes. The only module that imports skimage.

Visual coherence is measured with these and never with the retrieval encoder, or the ranker would grade itself.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from retrieval.encoder import CONTENT, Vectors
from retrieval.errors import ModelError, import_extra

if TYPE_CHECKING:
    from PIL.Image import Image

SIDE = 64  # pixels: colours and outlines survive, fabric grain does not
# Seven bins put grey in the middle of one, so that it does not flicker between two; stronger colours count as the edge.
LAB_BINS = (4, 7, 7)
LAB_RANGE = ((0.0, 100.0), (-84.0, 84.0), (-84.0, 84.0))
HOG_OPTIONS = {"orientations": 9, "pixels_per_cell": (16, 16), "cells_per_block": (2, 2)}
N_COLOURS = int(np.prod(LAB_BINS))
HALF_LENGTH = 0.5**0.5


class ContentEncoder:
    """Unit vectors of images: square roots of a Lab histogram beside HOG, each half of the squared length.

    The square root (the Hellinger map) keeps one large flat background from drowning the garment's colours.
    """

    name = CONTENT
    encodes_text = False

    def __init__(self) -> None:
        self.fingerprint = f"lab{'x'.join(map(str, LAB_BINS))}-hog{SIDE}"
        self.dim = N_COLOURS + _silhouette(np.zeros((SIDE, SIDE, 3))).size

    def encode_images(self, images: "Sequence[Image]") -> Vectors:
        """Unit vectors `(len(images), dim)` of RGB images."""
        return np.array([_describe(image) for image in images], np.float32).reshape(len(images), self.dim)

    def encode_texts(self, texts: Sequence[str]) -> Vectors:
        """Never: these descriptors see pictures only."""
        raise ModelError("The content descriptors see pictures only, not text.", "Search with a CLIP model instead.")


def colour_histogram(image: "Image") -> NDArray[np.float64]:
    """The unit vector of square roots of an image's Lab histogram `(N_COLOURS,)`."""
    low, high = np.transpose(LAB_RANGE)
    to_lab: Any = import_extra("skimage.color", "embed")
    lab = np.clip(to_lab.rgb2lab(_pixels(image)).reshape(-1, 3), low, high)
    counts, _ = np.histogramdd(lab, bins=LAB_BINS, range=LAB_RANGE)
    return np.sqrt(counts.ravel() / len(lab))


def _describe(image: "Image") -> NDArray[np.float64]:
    return np.concatenate([colour_histogram(image), _silhouette(_pixels(image))]) * HALF_LENGTH


def _pixels(image: "Image") -> NDArray[np.float64]:
    """`(SIDE, SIDE, 3)` in [0, 1]."""
    return np.asarray(image.convert("RGB").resize((SIDE, SIDE)), np.float64) / 255.0


def _silhouette(pixels: NDArray[np.float64]) -> NDArray[np.float64]:
    """Oriented edges as a unit vector; a picture without any edge keeps zeros."""
    feature: Any = import_extra("skimage.feature", "embed")
    edges = np.asarray(feature.hog(pixels, channel_axis=-1, **HOG_OPTIONS), np.float64)
    return edges * (1.0 / max(float(np.linalg.norm(edges)), 1e-12))
