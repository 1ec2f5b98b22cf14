"""What the small CLIP learns by: losses over a batch whose truth is known from attributes."""

import torch
from torch import Tensor, nn
from torch.nn import functional

from sample_shop.captions import ABSENT
from sample_shop.vocabulary import COLOURS, FINISHES, PATTERNS


def multi_positive_softmax(scores: Tensor, truth: Tensor) -> Tensor:
    """Cross-entropy both ways, where every true caption of a picture is equally right.

    Args:
        scores: `(n_pictures, n_captions)` scaled similarities.
        truth: same shape: 1 true, 0 false, -1 unknown, which counts neither way.
    """
    scores = scores.masked_fill(truth == -1, -1e4)
    positive = (truth == 1).float()
    return (_one_way(scores, positive) + _one_way(scores.T, positive.T)) / 2


def _one_way(scores: Tensor, positive: Tensor) -> Tensor:
    count = positive.sum(dim=1)
    loss = -(positive * scores.log_softmax(dim=1)).sum(dim=1) / count.clamp(min=1)
    return loss[count > 0].mean()


def soft_cross_entropy(scores: Tensor, shares: Tensor) -> Tensor:
    """Cross-entropy against *shares*, `(n, n_classes)` with rows that sum to 1."""
    return -(shares * scores.log_softmax(dim=1)).sum(dim=1).mean()


class AttributeProxy(nn.Module):
    """Stands in for the image tower while the text tower learns to talk: it sees attributes instead of pixels."""

    def __init__(self, n_kinds: int, dim: int, hidden: int = 128) -> None:
        """One embedding table for each of kind, colour and pattern."""
        super().__init__()
        self.tables = nn.ModuleList(nn.Embedding(n, hidden) for n in (n_kinds, len(COLOURS), len(PATTERNS)))
        self.head = nn.Sequential(nn.Linear(hidden * 3, hidden * 2), nn.GELU(), nn.Linear(hidden * 2, dim))

    def forward(self, pictures: Tensor) -> Tensor:
        """`(n_pictures, dim)` rows of length 1 from `(n_pictures, n_garments, 3)` attributes."""
        present = (pictures[..., 0] != ABSENT).float()  # (n_pictures, n_garments)
        parts = [table(pictures[..., i].clamp(min=0)) for i, table in enumerate(self.tables)]
        garments = self.head(torch.cat(parts, dim=-1))
        mean = (garments * present[..., None]).sum(dim=1) / present.sum(dim=1, keepdim=True)
        return functional.normalize(mean, dim=-1)


def pull_towards(rows: Tensor, targets: Tensor, close_enough: float = 0.9) -> Tensor:
    """How far rows are from their targets, beyond *close_enough*: the room left is for what no caption tells."""
    return functional.relu(close_enough - (rows * targets).sum(dim=1)).mean()


class FinishHead(nn.Module):
    """Reads a garment's finish from its embedding; thrown away after training.

    No caption tells the finish, so a small text-supervised model would drop it; a CLIP trained on the web does not.
    The sharpness is fixed, so that the embedding itself must move.
    """

    def __init__(self, dim: int, sharpness: float = 8.0) -> None:
        """One direction for each finish."""
        super().__init__()
        self.directions = nn.Parameter(torch.randn(len(FINISHES), dim))
        self.sharpness = sharpness

    def forward(self, rows: Tensor, finishes: Tensor) -> Tensor:
        """Cross-entropy of `(n,)` *finishes*, -1 where a picture shows several garments."""
        scores = self.sharpness * rows @ functional.normalize(self.directions, dim=1).T
        return functional.cross_entropy(scores, finishes, ignore_index=-1)
