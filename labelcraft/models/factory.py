"""Recommenders by name."""

from collections.abc import Callable

import torch
from torch import nn

from labelcraft.dataset import Items
from labelcraft.models.din import DinFeatures
from labelcraft.models.embedding import Embedding, ItemTable
from labelcraft.models.layers import SingleHead
from labelcraft.models.mmoe import MixtureHead
from labelcraft.models.recommender import Recommender
from labelcraft.models.two_tower import DotHead, TwoTowerFeatures
from retrieval.errors import ConfigError

Backbone = DinFeatures | TwoTowerFeatures
BACKBONES: dict[str, tuple[Callable[[int], Backbone], Callable[[int], nn.Module]]] = {
    "din": (DinFeatures, SingleHead),
    "din_linear": (lambda width: DinFeatures(width, linear=True), SingleHead),  # as published: no activation in it
    "two_tower": (TwoTowerFeatures, lambda width: DotHead()),
}


def make_model(name: str, items: Items, n_users: int, tasks: int = 1, seed: int = 0) -> Recommender:
    """A new recommender of the backbone called *name* for *tasks* labels, its weights drawn from *seed*.

    Raises:
        ConfigError: no backbone is called *name*.
    """
    if name not in BACKBONES:
        raise ConfigError(f"There is no backbone {name!r}.", f"Choose one of: {', '.join(BACKBONES)}.")
    make_features, make_head = BACKBONES[name]
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        table = ItemTable(items)
        features = make_features(table.width)
        head = make_head(features.width) if tasks == 1 else MixtureHead(features.width, tasks)
        return Recommender(table, Embedding(n_users + 1), features, head)
