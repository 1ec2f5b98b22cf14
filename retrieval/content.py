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
        self._color: Any = import_extra("skimage.color", "embed")
        self._feature: Any = import_extra("skimage.feature", "embed")
        self.fingerprint = f"lab{'x'.join(map(str, LAB_BINS))}-hog{SIDE}"
        self.dim = N_COLOURS + self._silhouette(np.zeros((SIDE, SIDE, 3))).size

    def encode_images(self, images: "Sequence[Image]") -> Vectors:
        """Unit vectors `(len(images), dim)` of RGB images."""
        return np.array([self._describe(image) for image in images], np.float32).reshape(len(images), self.dim)

    def encode_texts(self, texts: Sequence[str]) -> Vectors:
        """Never: these descriptors see pictures only."""
        raise ModelError("The content descriptors see pictures only, not text.", "Search with a CLIP model instead.")

    def _describe(self, image: "Image") -> NDArray[np.float64]:
        pixels = np.asarray(image.convert("RGB").resize((SIDE, SIDE)), np.float64) / 255.0
        halves = (_unit(np.sqrt(self._colours(pixels))), _unit(self._silhouette(pixels)))
        return np.concatenate(halves) * HALF_LENGTH

    def _colours(self, pixels: NDArray[np.float64]) -> NDArray[np.float64]:
        low, high = np.transpose(LAB_RANGE)
        lab = np.clip(self._color.rgb2lab(pixels).reshape(-1, 3), low, high)
        counts, _ = np.histogramdd(lab, bins=LAB_BINS, range=LAB_RANGE)
        return np.asarray(counts.ravel() / len(lab), np.float64)

    def _silhouette(self, pixels: NDArray[np.float64]) -> NDArray[np.float64]:
        return np.asarray(self._feature.hog(pixels, channel_axis=-1, **HOG_OPTIONS), np.float64)


def _unit(vector: NDArray[np.float64]) -> NDArray[np.float64]:
    """*vector* at length 1; a picture without any edge keeps its zero silhouette."""
    return vector * (1.0 / max(float(np.linalg.norm(vector)), 1e-12))
