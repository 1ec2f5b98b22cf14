"""Content descriptors of product photos: the garment's colours and outline. The only module that imports skimage.

Visual coherence is measured with these and never with the retrieval encoder, or the ranker would grade itself.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from retrieval.encoder import CONTENT, Precision, Vectors
from retrieval.errors import ModelError, import_extra

if TYPE_CHECKING:
    from PIL.Image import Image

Floats = NDArray[np.float64]
Mask = NDArray[np.bool_]

SIDE = 64  # pixels: colours and outlines survive, fabric grain does not
# Seven bins put grey in the middle of one, so that it does not flicker between two; stronger colours count as the edge.
LAB_BINS = (4, 7, 7)
LAB_RANGE = ((0.0, 100.0), (-84.0, 84.0), (-84.0, 84.0))
HOG_OPTIONS = {"orientations": 9, "pixels_per_cell": (16, 16), "cells_per_block": (2, 2)}
N_COLOURS = int(np.prod(LAB_BINS))
HALF_LENGTH = 0.5**0.5
RING = 0.9  # the border is what lies beyond this share of the way from the centre
DISTINCT = 14.0  # Lab distance at which a pixel is no longer the backdrop
FEWEST_PIXELS = 40  # less than this stands out from nothing: the whole picture counts


class ContentEncoder:
    """Unit vectors of photos: square roots of the garment's Lab histogram beside HOG of its outline, weighted alike.

    The backdrop is told from the border and left out: studio paper covers most of a photo, and with it in the histogram
    two photos agree because of their paper. The square root (the Hellinger map) keeps one large area from drowning the
    others.
    """

    name = CONTENT
    encodes_text = False
    precision = Precision.FP32
    preparation = None
    on_cpu = True

    def __init__(self) -> None:
        self.fingerprint = f"lab{'x'.join(map(str, LAB_BINS))}-outline{SIDE}"
        self.dim = N_COLOURS + outline(np.ones((SIDE, SIDE), bool)).size

    def encode_images(self, images: "Sequence[Image]") -> Vectors:
        """Unit vectors `(len(images), dim)` of RGB images."""
        return np.array([_describe(lab_pixels(image)) for image in images], np.float32).reshape(len(images), self.dim)

    def use_threads(self, count: int) -> None:
        """Nothing to choose: one core."""

    def encode_prepared(self, pixels: NDArray[np.uint8]) -> Vectors:
        """Never: these descriptors have no preparation of their own."""
        raise TypeError("the content descriptors take pictures as they are")

    def encode_texts(self, texts: Sequence[str]) -> Vectors:
        """Never: these descriptors see pictures only."""
        raise ModelError("The content descriptors see pictures only, not text.", "Search with a CLIP model instead.")


def lab_pixels(image: "Image") -> Floats:
    """The picture in Lab, `(SIDE, SIDE, 3)`."""
    color: Any = import_extra("skimage.color", "embed")
    return np.asarray(color.rgb2lab(np.asarray(image.convert("RGB").resize((SIDE, SIDE)), np.float64) / 255.0))


def colour_histogram(pixels: Floats) -> Floats:
    """The unit vector of square roots of the Lab histogram of pixels `(n, 3)`: `(N_COLOURS,)`."""
    low, high = np.transpose(LAB_RANGE)
    counts, _ = np.histogramdd(np.clip(pixels, low, high), bins=LAB_BINS, range=LAB_RANGE)
    return np.sqrt(counts.ravel() / len(pixels))


def foreground(lab: Floats) -> Mask:
    """True `(SIDE, SIDE)` where a picture differs from its backdrop: a smooth surface through its border's colours."""
    flat = lab.reshape(-1, 3)
    y, x = (axis.ravel() / (SIDE - 1) * 2 - 1 for axis in np.mgrid[0:SIDE, 0:SIDE])
    surface = np.stack([np.ones_like(x), x, y, x * x, y * y, x * y], axis=1)
    border = np.maximum(np.abs(x), np.abs(y)) > RING
    fitted, *_ = np.linalg.lstsq(surface[border], flat[border], rcond=None)
    distance = np.linalg.norm(flat - surface @ fitted, axis=1)
    # A cluttered backdrop fits badly; what stands out from it must stand out further.
    mask = (distance > DISTINCT + 2 * np.median(distance[border])).reshape(SIDE, SIDE)
    return mask if mask.sum() >= FEWEST_PIXELS else np.ones_like(mask)


def outline(mask: Mask) -> Floats:
    """The unit vector of HOG of a mask, brought to the middle and to one size."""
    from PIL import Image

    feature: Any = import_extra("skimage.feature", "embed")
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    middle = np.array([columns[0] + columns[-1] + 1, rows[0] + rows[-1] + 1]) / 2
    half = 0.55 * max(np.ptp(rows), np.ptp(columns)) + 0.55
    box = (*(middle - half), *(middle + half))
    framed = Image.fromarray(mask.astype(np.uint8) * 255).transform(
        (SIDE, SIDE), Image.Transform.EXTENT, box, Image.Resampling.BILINEAR
    )
    edges = np.asarray(feature.hog(np.asarray(framed, np.float64), **HOG_OPTIONS), np.float64)
    return edges * (1.0 / max(float(np.linalg.norm(edges)), 1e-12))


def _describe(lab: Floats) -> Floats:
    mask = foreground(lab)
    return np.concatenate([colour_histogram(lab[mask]), outline(mask)]) * HALF_LENGTH
