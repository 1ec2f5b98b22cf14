"""Embeddings of users and of videos, of which padding is zero and stays zero."""

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from labelcraft.dataset import Items

WIDTH = 12  # of each embedding, in both papers


class Embedding(nn.Module):
    """A vector of *WIDTH* for each of *n_levels*; level 0 is padding: zero, and never trained."""

    def __init__(self, n_levels: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(n_levels, WIDTH))
        nn.init.xavier_normal_(self.weight)
        with torch.no_grad():
            self.weight[0] = 0

    def forward(self, levels: Tensor) -> Tensor:
        return F.embedding(levels, self.weight, padding_idx=0)


class ItemTable(nn.Module):
    """The vectors of all videos: the embeddings of their fields, side by side.

    The codes are the data's, not the model's, so they are no part of its saved state.
    """

    codes: Tensor

    def __init__(self, items: Items) -> None:
        super().__init__()
        self.fields = nn.ModuleList(Embedding(field.n_levels) for field in items.fields)
        self.register_buffer("codes", torch.from_numpy(items.codes.astype(np.int64).T.copy()), persistent=False)
        self.width = WIDTH * len(items.fields)

    def forward(self) -> Tensor:
        """`(n_items + 1, width)`; row 0 is padding, and zero."""
        return torch.cat([field(codes) for field, codes in zip(self.fields, self.codes, strict=True)], dim=1)
