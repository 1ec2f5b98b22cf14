"""What all recommenders share: the videos' table, the users, features of rows, and a head that makes logits of them."""

from typing import Protocol

import torch
from torch import Tensor, nn

from labelcraft.batches import Inputs
from labelcraft.models.embedding import Embedding, ItemTable


class Features(Protocol):
    """What a recommender makes of a row before its head."""

    def __call__(self, table: Tensor, user: Tensor, inputs: Inputs) -> Tensor:
        """`(n, n_features)`, of the videos' *table* `(n_items + 1, d)` and the rows' *user* vectors `(n, 12)`."""


class Head(Protocol):
    """What makes logits of features."""

    def __call__(self, features: Tensor) -> Tensor:
        """`(n,)`, or `(n, n_tasks)` of a head of several tasks, of *features* `(n, n_features)`."""


class Recommender(nn.Module):
    """A model of rows of a log. Its predictions are the sigmoid of its logits."""

    def __init__(self, items: ItemTable, users: Embedding, features: Features, head: Head) -> None:
        super().__init__()
        self.items, self.users = items, users
        self.features, self.head = features, head

    def forward(self, inputs: Inputs) -> Tensor:
        """Logits `(n,)`, or `(n, n_tasks)` of a model of several tasks."""
        return self.logits(self.items(), inputs)

    def logits(self, table: Tensor, inputs: Inputs) -> Tensor:
        """The same with the videos' *table* `(n_items + 1, d)` at hand, which is one for all rows."""
        return self.head(self.features(table, self.users(inputs.user), inputs))


@torch.no_grad()
def new_linear(n_in: int, n_out: int) -> nn.Linear:
    """A linear layer with weights drawn as in the published code, xavier normal, and no bias at first."""
    layer = nn.Linear(n_in, n_out)
    nn.init.xavier_normal_(layer.weight)
    nn.init.zeros_(layer.bias)
    return layer
