"""All choices of one training of the tower."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import Any

from retrieval.errors import ConfigError


class Loss(StrEnum):
    """What pulls a user and a video together.

    *BCE* is the loss of the label's head row by row (cross-entropy for a label of 0 and 1, the square for others);
    *CONTRASTIVE* sets each of a user's positives against negatives of the same user (Zalando 2025, section 4.1).
    """

    BCE = "bce"
    CONTRASTIVE = "contrastive"


@dataclass(frozen=True)
class TowerOptions:
    """How the tower is made and trained.

    Every feature is embedded in *width* numbers; *hidden* are the layers. Rows of a label of at least *threshold* are a
    user's positives, each of which meets *negatives* rows below it; *in_batch* adds the sampled softmax over a batch's
    positives. Features are hidden in *drop_video* (the video's own id) and *drop_other* of the cases, so that new
    videos have something to stand on. Levels with fewer than *min_count* rows are new, too. Training ends after
    *patience* epochs without a gain on the last *validation_days*, and is then done again on all rows for as long as
    was best.
    """

    loss: Loss = Loss.BCE
    in_batch: bool = False
    threshold: float = 0.5
    negatives: int = 4
    width: int = 16
    hidden: tuple[int, ...] = (128, 64)
    learning_rate: float = 5e-3
    weight_decay: float = 1e-2
    batch_size: int = 2048
    max_epochs: int = 30
    patience: int = 3
    drop_video: float = 0.2
    drop_other: float = 0.02
    min_count: int = 10
    n_buckets: int = 20
    validation_days: float = 1.0
    seed: int = 0

    def __post_init__(self) -> None:
        if not (0 <= self.drop_video < 1 and 0 <= self.drop_other < 1):
            raise ConfigError("A share of hidden features is not between 0 and 1.", "Give shares such as 0.2.")
        if self.validation_days <= 0:
            raise ConfigError(f"--validation-days is {self.validation_days}.", "Give a number above 0, such as 1.")

    @classmethod
    def from_json(cls, text: str) -> "TowerOptions":
        """The options that `to_json` wrote."""
        said: Mapping[str, Any] = json.loads(text)
        return cls(**{**said, "loss": Loss(said["loss"]), "hidden": tuple(said["hidden"])})

    def to_json(self) -> str:
        """These options as text."""
        return json.dumps(asdict(self))


def parse_loss(text: str) -> Loss:
    """A loss by its name.

    Raises:
        ConfigError: there is none of that name.
    """
    if text not in list(Loss):
        raise ConfigError(f"--loss is {text!r}.", f"Choose one of {', '.join(Loss)}.")
    return Loss(text)
