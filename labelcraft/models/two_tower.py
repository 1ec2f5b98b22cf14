"""Two towers, a user's and a video's, that meet in a dot product: what a search index can serve."""

import torch
from torch import Tensor, nn

from labelcraft.batches import Inputs
from labelcraft.models.embedding import WIDTH
from labelcraft.models.pieces import RowFunction, by_pieces
from labelcraft.models.recommender import new_linear

HIDDEN, SPACE = 64, 32


class TwoTowerFeatures(nn.Module):
    """The user's vector and the video's, side by side, `(n, 2·SPACE)`.

    A user is the embedding of who it is and the mean of the videos it watched before; a video is its fields.
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        self.user_tower = _tower(width + WIDTH)
        self.video_tower = _tower(width)
        self.width = 2 * SPACE

    def forward(self, table: Tensor, user: Tensor, inputs: Inputs) -> Tensor:
        videos = self.video_tower(table.index_select(0, inputs.item))
        return torch.cat([self.user_vectors(table, user, inputs.history), videos], dim=1)

    def user_vectors(self, table: Tensor, user: Tensor, history: Tensor) -> Tensor:
        """`(n, SPACE)` of users `(n, 12)` with a *history* `(n, h)`; an empty one counts as a video of zeros."""
        (watched,) = by_pieces(MEAN_WATCHED, table, history, (), ())
        vectors: Tensor = self.user_tower(torch.cat([user, watched], dim=1))
        return vectors

    def video_vectors(self, table: Tensor) -> Tensor:
        """`(m, SPACE)` of videos `(m, d)`."""
        vectors: Tensor = self.video_tower(table)
        return vectors


class DotHead(nn.Module):
    """The dot product of a row's two vectors, and one constant for all rows."""

    def __init__(self) -> None:
        super().__init__()
        self.bias = nn.Parameter(torch.zeros(1))

    def forward(self, features: Tensor) -> Tensor:
        """`(n,)` of *features* `(n, 2·SPACE)`."""
        user, video = features.chunk(2, dim=1)
        return (user * video).sum(1) + self.bias


def _tower(width: int) -> nn.Sequential:
    return nn.Sequential(new_linear(width, HIDDEN), nn.LeakyReLU(0.1), new_linear(HIDDEN, SPACE))


def _mean_watched(index: Tensor, history: Tensor) -> tuple[Tensor]:
    valid = (index > 0).to(history.dtype)[:, None, :]
    return ((torch.bmm(valid, history) / valid.sum(2, keepdim=True).clamp(min=1))[:, 0],)


MEAN_WATCHED = RowFunction(_mean_watched)
