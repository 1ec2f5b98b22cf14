"""The loss of a batch of rows, and the epochs that follow it down."""

from collections.abc import Iterator
from typing import NamedTuple, Protocol

import numpy as np
import torch
from torch import Tensor

from labelcraft.conventional import losses
from labelcraft.conventional.examples import Examples
from labelcraft.conventional.features import VIDEO
from labelcraft.conventional.options import Loss, TowerOptions
from labelcraft.conventional.tower import Tower
from labelcraft.dataset import Ints
from labelcraft.labels.protocol import Head
from labelcraft.models.video_tower import drop_levels
from retrieval.errors import TableError
from retrieval.ragged import Ragged, group


class Scored(NamedTuple):
    """The *logits* `(n,)` of rows and the *vectors* `(n, dim)` of their videos."""

    logits: Tensor
    vectors: Tensor


class Step(Protocol):
    """A loss over rows. *chosen* are the rows that an epoch goes through."""

    @property
    def chosen(self) -> Ints: ...

    def loss(self, batch: Ints, rng: np.random.Generator) -> Tensor:
        """The loss of the rows *batch*; what it draws comes from *rng*."""


class Scorer:
    """Scores rows in training: features are hidden at random."""

    def __init__(self, tower: Tower, examples: Examples, options: TowerOptions) -> None:
        self.tower, self.examples = tower, examples
        self._rates = [options.drop_video if name == VIDEO else options.drop_other for name in tower.features]

    def score(self, rows: Ints, rng: np.random.Generator) -> Scored:
        """Logits and vectors of *rows* of the examples."""
        some = self.examples.rows[rows]
        distinct = self.tower.distinct(some)
        draws = torch.Generator().manual_seed(int(rng.integers(2**62)))
        bags = drop_levels(self.tower.bags(distinct.video, distinct.age), self._rates, draws)
        # Unlike an index, this adds gradients up in one order, so that a seed always gives the same bits.
        vectors = self.tower.model(bags).index_select(0, distinct.of_row)
        return Scored((self.tower.users[torch.from_numpy(some.user)] * vectors).sum(1), vectors)


class Pointwise:
    """Every row by itself, by the loss of the label's head."""

    def __init__(self, scorer: Scorer, head: Head) -> None:
        self._scorer, self._head = scorer, head
        self.chosen = np.arange(len(scorer.examples))

    def loss(self, batch: Ints, rng: np.random.Generator) -> Tensor:
        some = self._scorer.examples[batch]
        logits = self._scorer.score(batch, rng).logits
        return losses.pointwise(self._head, logits, torch.from_numpy(some.target), torch.from_numpy(some.weight))


class Contrastive:
    """Each of a user's positives against negatives of the same user, drawn anew in each epoch.

    Users without a row on both sides of the threshold, and users without a vector, have no part in it.

    Raises:
        TableError: no user has both.
    """

    def __init__(self, scorer: Scorer, threshold: float, n_negatives: int) -> None:
        self._scorer, self._n = scorer, n_negatives
        rows, positive = scorer.examples.rows, scorer.examples.unit >= threshold
        below = np.flatnonzero(~positive)
        self._negatives: Ragged = group(rows.user[below], below, len(scorer.tower.users))
        self.chosen = np.flatnonzero(positive & (rows.user > 0) & (self._negatives.lengths[rows.user] > 0))
        if not len(self.chosen):
            raise TableError(
                f"No user with a vector has labels on both sides of {threshold}.",
                "Give a longer log, another --threshold, or --loss bce.",
            )

    def loss(self, batch: Ints, rng: np.random.Generator) -> Tensor:
        n = len(batch)
        logits = self._scorer.score(np.concatenate([batch, self._drawn(batch, rng)]), rng).logits
        return losses.contrastive(logits[:n], logits[n:].view(n, self._n), positive_weights(self._scorer, batch))

    def _drawn(self, batch: Ints, rng: np.random.Generator) -> Ints:
        """Negatives of each row's user, with replacement, `(len(batch) · n,)`."""
        user = self._scorer.examples.rows.user[batch]
        place = (rng.random((len(batch), self._n)) * self._negatives.lengths[user][:, None]).astype(np.int64)
        drawn: Ints = self._negatives.values[(self._negatives.offsets[user][:, None] + place).ravel()]
        return drawn


class InBatch:
    """Another step's loss, and that of each positive among all positives of the batch, corrected by log q."""

    def __init__(self, step: Step, scorer: Scorer, threshold: float) -> None:
        self._step, self._scorer = step, scorer
        self._positive = scorer.examples.unit >= threshold
        self.chosen = step.chosen
        counts = np.bincount(scorer.examples.rows.video[self._positive], minlength=len(scorer.tower.published_us))
        self._log_q = torch.from_numpy(np.log(np.maximum(counts, 1) / max(1, counts.sum()))).float()

    def loss(self, batch: Ints, rng: np.random.Generator) -> Tensor:
        first = self._step.loss(batch, rng)
        mine = batch[self._positive[batch]]
        if len(mine) < 2:
            return first
        rows = self._scorer.examples.rows[mine]
        vectors = self._scorer.score(mine, rng).vectors
        same = (rows.user[:, None] == rows.user) | (rows.video[:, None] == rows.video)
        np.fill_diagonal(same, False)
        scores = self._scorer.tower.users[torch.from_numpy(rows.user)] @ vectors.T
        log_q = self._log_q[torch.from_numpy(rows.video)]
        return first + losses.in_batch(scores, log_q, torch.from_numpy(same), positive_weights(self._scorer, mine))


def positive_weights(scorer: Scorer, rows: Ints) -> Tensor:
    """What positives count: by how seldom they are examined, w·y/a."""
    some = scorer.examples[rows]
    return torch.from_numpy(some.weight * some.target)


def make_step(tower: Tower, examples: Examples, head: Head, options: TowerOptions) -> Step:
    """The step that *options* describe."""
    scorer = Scorer(tower, examples, options)
    step: Step
    match options.loss:
        case Loss.BCE:
            step = Pointwise(scorer, head)
        case Loss.CONTRASTIVE:
            step = Contrastive(scorer, options.threshold, options.negatives)
    return InBatch(step, scorer, options.threshold) if options.in_batch else step


def iter_epochs(tower: Tower, step: Step, options: TowerOptions) -> Iterator[float]:
    """Train *tower* by an epoch each time the next mean loss is asked for; it never ends by itself."""
    parameters = tower.model.parameters()
    optimizer = torch.optim.AdamW(parameters, options.learning_rate, weight_decay=options.weight_decay, fused=True)
    epoch = 0
    while True:
        rng = np.random.default_rng([options.seed, epoch])
        tower.model.train()
        shuffled = rng.permutation(step.chosen)
        batches = np.array_split(shuffled, -(-len(shuffled) // options.batch_size))
        total = sum(_step(optimizer, step, batch, rng) * len(batch) for batch in batches)
        epoch += 1
        yield total / len(shuffled)


def _step(optimizer: torch.optim.Optimizer, step: Step, batch: Ints, rng: np.random.Generator) -> float:
    optimizer.zero_grad(set_to_none=True)
    loss = step.loss(batch, rng)
    loss.backward()  # type: ignore[no-untyped-call]  # ships no types
    optimizer.step()
    return float(loss.detach())
