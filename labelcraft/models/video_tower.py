"""The video tower of VCG Conventional, trained from scratch into a given space of users (Zalando 2025, section 4.1)."""

from collections.abc import Sequence
from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from labelcraft.dataset import NEW, NONE

LEAK = 0.1  # of LeakyReLU
SPREAD = 0.05  # of a fresh embedding
FIRST_OUTPUT = 0.1  # how large the last layer begins: logits near the bias, whatever the users' space


class MeanEmbedding(nn.Module):
    """The mean of the vectors of a bag's levels: of one level, or of all products or hashtags of a video.

    `NONE` fills bags up and has no part in the mean; `NEW` begins at zero, the middle of the others.
    """

    def __init__(self, n_levels: int, width: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(SPREAD * torch.randn(n_levels, width))
        with torch.no_grad():
            self.weight[[NONE, NEW]] = 0

    def forward(self, bags: Tensor) -> Tensor:
        """`(n, width)` of *bags* `(n, longest)`."""
        return F.embedding_bag(bags, self.weight, mode="mean", padding_idx=NONE)


class VideoTower(nn.Module):
    """Features of videos as points of the users' space, whose last coordinate is the video's own appeal.

    Every feature is a bag of levels; all are embedded, joined and sent through layers with LeakyReLU between them. The
    appeal meets a 1 in the user's vector: without it, a frozen space that has no constant direction could not say that
    a video is watched by everybody.
    """

    def __init__(self, n_levels: Sequence[int], width: int, hidden: Sequence[int], dim: int) -> None:
        super().__init__()
        self.features = nn.ModuleList(MeanEmbedding(n, width) for n in n_levels)
        sizes = (width * len(n_levels), *hidden)
        layers: list[nn.Module] = []
        for n_in, n_out in pairwise(sizes):
            layers += [nn.Linear(n_in, n_out), nn.LeakyReLU(LEAK)]
        self.layers = nn.Sequential(*layers)
        self.last = nn.Linear(sizes[-1], dim)
        with torch.no_grad():
            self.last.weight *= FIRST_OUTPUT
            self.last.bias.zero_()

    def forward(self, bags: Sequence[Tensor]) -> Tensor:
        """`(n, dim)` of the bags of each feature, each `(n, longest of the feature)`."""
        parts = [embed(bag) for embed, bag in zip(self.features, bags, strict=True)]
        vectors: Tensor = self.last(self.layers(torch.cat(parts, dim=1)))
        return vectors


def drop_levels(bags: Sequence[Tensor], rates: Sequence[float], draws: torch.Generator) -> list[Tensor]:
    """*bags* of which each feature is `NEW` in a share *rates* of the videos: so that this row learns to stand in."""
    dropped = []
    for bag, rate in zip(bags, rates, strict=True):
        hidden = torch.rand(len(bag), 1, generator=draws) < rate
        blank = torch.full_like(bag, NONE)
        blank[:, 0] = NEW
        dropped.append(torch.where(hidden, blank, bag))
    return dropped
