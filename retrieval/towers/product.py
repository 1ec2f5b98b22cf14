"""The product tower: photos and text fused into one unit vector."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.floating]


@dataclass(frozen=True)
class FusionWeights:
    """How much the photos and the text of a product count."""

    photo: float = 1.0
    text: float = 1.0


def product_text(
    title: str | None, brand: str | None, category: str | None, color: str | None, description: str | None
) -> str:
    """The text that is embedded: title first, since encoders cut what is long; what the title says is not repeated.

    >>> product_text("Red dress by Alder", "Alder", "dress", "red", "A light dress.")
    'Red dress by Alder. A light dress.'
    >>> product_text("Sunday", "Alder", "dress", "red", None)
    'Sunday. red dress, Alder'
    """
    title = title or ""
    told = title.casefold()
    attributes = [word for word in (color, category) if word and word.casefold() not in told]
    maker = [brand] if brand and brand.casefold() not in told else []
    details = ", ".join(part for part in (" ".join(attributes), *maker) if part)
    return ". ".join(
        part.rstrip(".") if part is not description else part for part in (title, details, description) if part
    )


def modality_shift(photos: Floats, texts: Floats) -> NDArray[np.float32]:
    """The mean of photo vector minus text vector over the products that have both; zeros when none has.

    Image and text vectors lie in different cones, so one cannot stand for the other without this shift.

    Args:
        photos: `(n, dim)`, NaN rows where there is no photo.
        texts: `(n, dim)`, NaN rows where there is no text.

    >>> modality_shift(np.array([[1.0, 1.0], [np.nan, np.nan]]), np.array([[0.0, 1.0], [1.0, 0.0]])).tolist()
    [1.0, 0.0]
    """
    difference = np.asarray(photos, np.float64) - texts
    both = ~np.isnan(difference).any(axis=1)
    mean = difference[both].mean(axis=0) if both.any() else np.zeros(difference.shape[1])
    return np.asarray(mean, np.float32)


def fuse(photos: Floats, texts: Floats, shift: Floats, weights: FusionWeights) -> NDArray[np.float32]:
    """Unit product vectors E(s): the weighted mean of the photos' unit mean and the text's vector.

    A product without a photo uses its text plus *shift*, one without a text its photos minus *shift*.

    Args:
        photos: `(n, dim)`, the mean over each product's photos, NaN rows where there is none.
        texts: `(n, dim)`, NaN rows where there is none. No row is NaN in both.
        shift: `(dim,)`, from `modality_shift`.

    >>> fused = fuse(np.array([[1.0, 0.0]]), np.array([[0.0, 1.0]]), np.zeros(2), FusionWeights(3.0, 4.0))
    >>> fused.astype(float).round(2).tolist()
    [[0.6, 0.8]]
    """
    filled_photos = np.where(np.isnan(photos), texts + shift, photos)
    filled_texts = np.where(np.isnan(texts), photos - shift, texts)
    return _unit(weights.photo * _unit(filled_photos) + weights.text * _unit(filled_texts)).astype(np.float32)


def _unit(rows: Floats) -> Floats:
    return rows / np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1e-12)  # type: ignore[no-any-return]
