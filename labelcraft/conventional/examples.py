"""What is learned from a row: its label, and what examination makes of it."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from labelcraft.conventional.rows import Rows
from labelcraft.dataset import Ints
from labelcraft.feedback import Floats
from labelcraft.labels.protocol import Label, unit_labels
from retrieval.metrics.propensity import Curve, apply

Singles = NDArray[np.float32]
CLIP = 0.01  # no row counts for more than 100


@dataclass(frozen=True)
class Examination:
    """How reached rows came to be examined: *reach* `(n,)` and *attention* `(n,)` of each, in (0, 1]."""

    reach: Floats
    attention: Floats


@dataclass(frozen=True)
class Examples:
    """*rows* with *unit* `(n,)`, the label in [0, 1], and what is fitted: *target* `(n,)` with *weight* `(n,)`."""

    rows: Rows
    unit: Singles
    target: Singles
    weight: Singles

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, chosen: Ints) -> "Examples":
        return Examples(self.rows[chosen], self.unit[chosen], self.target[chosen], self.weight[chosen])

    @property
    def is_binary(self) -> bool:
        """Whether every label is 0 or 1."""
        return bool(np.isin(self.unit, (0.0, 1.0)).all())


def make_examples(rows: Rows, label: Label, examination: Examination | None = None) -> Examples:
    """The examples of *rows* by a fitted label.

    Without an examination a row's target is its label. With it, a row reached with probability r and then attended to
    with probability a counts 1/r, and its target is y/a: what was not looked at has the label 0 whatever the user's
    taste, and E[y/a] is the label that attention would have left (the estimator of Saito et al. 2020, eq. 9, on reached
    rows). r and a are cut at `CLIP`; weights have the mean 1.
    """
    unit = unit_labels(label, rows.feedback)
    if examination is None:
        return Examples(rows, unit, unit, np.ones(len(rows), np.float32))
    weight = 1.0 / np.maximum(examination.reach, CLIP)
    target = unit / np.maximum(examination.attention, CLIP)
    return Examples(rows, unit, target.astype(np.float32), (weight / weight.mean()).astype(np.float32))


def examination_of(curve: Curve, position: Ints, reach_by_position: Floats) -> Examination:
    """What a curve of examination says of reached rows.

    Args:
        curve: q_p, the probability that a delivered slot p is examined, relative to the first.
        position: `(n,)`, from 1.
        reach_by_position: `(longest,)`, the share of delivered slots p that were reached, which the log shows.

    Attention is q over reach, both relative to the first position: what is examined was reached.
    """
    reach = reach_by_position / reach_by_position[0]
    reached = reach[position - 1]
    return Examination(reached, np.minimum(apply(curve, position) / reached, 1.0))
