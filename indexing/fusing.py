"""Photos and text of products to one vector: the shift between the two is known only after the last shard."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl
from numpy.typing import NDArray

from indexing.columns import S
from retrieval.towers.product import FusionWeights, fuse, modality_shift


@dataclass(frozen=True)
class Shift:
    """One shard's part of the modality shift: the sum of photo minus text over the products with both, their number."""

    count: int = 0
    total: Sequence[float] = ()

    @staticmethod
    def of(photos: NDArray[np.float32], texts: NDArray[np.float32]) -> "Shift":
        """The part of these products, `(n, dim)` each, NaN rows where there is none."""
        count = int((~np.isnan(photos - texts).any(axis=1)).sum())
        return Shift(count, (modality_shift(photos, texts).astype(np.float64) * count).tolist() if count else ())

    @staticmethod
    def summed(parts: "Sequence[Shift]", dim: int) -> "Shift":
        totals = np.array([part.total for part in parts if part.count], np.float64).reshape(-1, dim)
        return Shift(sum(part.count for part in parts), totals.sum(axis=0).tolist())

    def mean(self, dim: int) -> NDArray[np.float32]:
        """`(dim,)`, zeros where no product has both."""
        return np.asarray(self.total, np.float32) / np.float32(self.count) if self.count else np.zeros(dim, np.float32)


def with_fused(items: pl.DataFrame, shift: NDArray[np.float32], weights: FusionWeights) -> pl.DataFrame:
    """The products with the column `vector` of their photos and text."""
    photos, texts = items[S.PHOTO_VECTOR].to_numpy(), items[S.TEXT_VECTOR].to_numpy()
    return items.drop(S.PHOTO_VECTOR).with_columns(pl.Series(S.VECTOR, fuse(photos, texts, shift, weights)))


def mean_of_each(vectors: NDArray[np.float32], counts: Sequence[int]) -> NDArray[np.float32]:
    """The mean of each item's rows `(n_items, dim)`, NaN where it has none."""
    owners = np.repeat(np.arange(len(counts)), counts)
    sums = np.zeros((len(counts), vectors.shape[1]), np.float64)
    np.add.at(sums, owners, vectors)
    lengths = np.asarray(counts, np.float64)
    return (sums / np.where(lengths > 0, lengths, np.nan)[:, None]).astype(np.float32)
