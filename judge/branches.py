"""The labels as branches of one prompt: their whole log-probabilities from a single pass under a tree mask."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np


@dataclass(frozen=True)
class Branches:
    """The labels as branches after a prompt: all their tokens but the last, label after label.

    *ids* `(n,)`; *depth* `(n,)` how far after the prompt each stands; *label* `(n,)` whose it is; *tokens* are all
    tokens of each label.
    """

    ids: Any
    depth: Any
    label: Any
    tokens: tuple[tuple[int, ...], ...]

    def mask(self, n_shared: int, n_own: int) -> Any:
        """Who attends to whom, `(n_own + n, n_shared + n_own + n)`: each branch sees the prompt and itself."""
        import torch

        n = len(self.ids)
        mask = torch.ones(n_own + n, n_shared + n_own + n, dtype=torch.bool).tril(n_shared)
        mask[n_own:, n_shared + n_own :] &= self.label[:, None] == self.label[None]
        return mask

    def sums(self, logs: Any) -> np.ndarray:
        """The log-probability of each whole label `(5,)`, from log-probabilities `(1 + n, n_tokens)`.

        Row 0 is the prompt's last token, then those of the branches.
        """
        sums, row = [], 1
        for tokens in self.tokens:
            before = [0, *range(row, row + len(tokens) - 1)]
            sums.append(float(sum(logs[at, token] for at, token in zip(before, tokens, strict=True))))
            row += len(tokens) - 1
        return np.array(sums)


def make_branches(labels: Sequence[Sequence[int]]) -> Branches:
    """The branches of labels given by their tokens."""
    import torch

    spread = [(token, depth, number) for number, label in enumerate(labels) for depth, token in enumerate(label[:-1])]
    ids, depth, owner = (torch.tensor(column, dtype=torch.long) for column in zip(*spread, strict=True))
    return Branches(ids, depth, owner, tuple(tuple(label) for label in labels))
