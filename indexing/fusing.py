"""Photos and text of products to one vector, shard by shard: the shift between the two is known only after the last."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl
from numpy.typing import NDArray

from indexing.store import S
from retrieval.towers.product import FusionWeights, fuse, modality_shift

PHOTO_VECTOR = "photo_vector"


@dataclass
class MeanShift:
    """The modality shift gathered shard by shard: the sum over products with both, and their number."""

    dim: int
    _total: NDArray[np.float64] | float = 0.0
    _count: int = 0

    def add(self, photos: NDArray[np.float32], texts: NDArray[np.float32]) -> None:
        both = ~np.isnan(photos - texts).any(axis=1)
        self._total = self._total + modality_shift(photos, texts).astype(np.float64) * int(both.sum())
        self._count += int(both.sum())

    @property
    def mean(self) -> NDArray[np.float32]:
        return np.broadcast_to(np.asarray(self._total / max(self._count, 1), np.float32), (self.dim,))


def with_fused(items: pl.DataFrame, shift: NDArray[np.float32], weights: FusionWeights) -> pl.DataFrame:
    photos, texts = items[PHOTO_VECTOR].to_numpy(), items[S.TEXT_VECTOR].to_numpy()
    return items.drop(PHOTO_VECTOR).with_columns(pl.Series(S.VECTOR, fuse(photos, texts, shift, weights)))


def mean_of_each(vectors: NDArray[np.float32], counts: Sequence[int]) -> NDArray[np.float32]:
    """The mean of each item's rows `(n_items, dim)`, NaN where it has none."""
    owners = np.repeat(np.arange(len(counts)), counts)
    sums = np.zeros((len(counts), vectors.shape[1]), np.float64)
    np.add.at(sums, owners, vectors)
    lengths = np.asarray(counts, np.float64)
    return (sums / np.where(lengths > 0, lengths, np.nan)[:, None]).astype(np.float32)
