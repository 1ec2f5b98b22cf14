"""All choices of one training."""

from dataclasses import dataclass
from enum import StrEnum

from labelcraft.labels.protocol import Head
from labelcraft.models.labeler import LabelInputs
from labelcraft.objectives import Objective
from labelcraft.soft_topk import TopK, make_topk


class Ablation(StrEnum):
    """What LabelCraft does without (section 4.3), by meaning: the paper's text swaps the last two."""

    NONE = ""
    SCALING = "S"
    BALANCING = "B"
    WATCH_INPUT = "WI"
    DURATION_INPUT = "DI"
    EXPLICIT_INPUT = "EI"
    WATCH_OBJECTIVE = "WO"
    SPREAD_OBJECTIVE = "DO"
    EXPLICIT_OBJECTIVE = "EO"


@dataclass(frozen=True)
class TrainOptions:
    """How a recommender is fitted, by any label.

    Training ends when the criterion on the stopping users has not risen by *min_gain* for *patience* epochs, or after
    *max_epochs*; the best epoch is kept. *task_weights* are those of several tasks, in the loss and in the ranking.
    """

    backbone: str = "din"
    learning_rate: float = 1e-3
    weight_decay: float = 1e-6
    batch_size: int = 1024
    max_epochs: int = 60
    patience: int = 5
    min_gain: float = 1e-4
    k: int = 10
    task_weights: tuple[float, ...] = (1.0, 1.0)
    seed: int = 0


@dataclass(frozen=True)
class CraftOptions:
    """What LabelCraft has besides.

    *labeler_rate* is the labelling model's learning rate, *head* the loss that fits the recommender to its labels,
    *users_a_step* how many hold-out users each step looks at, *start* the label that the labelling model is fitted to
    before the first step, so that it does not begin as noise. *tau* and *tau_times* are of eq. 12. *refit* fits another
    recommender to the labels as they end, on the hold-out rows too, as every other label has it: the one that they were
    learned with followed them while they moved.
    """

    labeler_rate: float = 1e-4
    head: Head = Head.MSE
    tau: float = 0.5
    tau_times: float = 1.0
    topk: str = "sigmoids"
    users_a_step: int = 256
    start: str = "DVR"
    ablation: Ablation = Ablation.NONE
    refit: bool = True

    def objective(self, k: int) -> Objective:
        """The platform's objectives, without what the ablation takes away."""
        made: TopK = make_topk(self.topk)
        return Objective(
            k,
            made,
            self.tau,
            self.tau_times,
            balanced=self.ablation is not Ablation.BALANCING,
            watch=self.ablation is not Ablation.WATCH_OBJECTIVE,
            explicit=self.ablation is not Ablation.EXPLICIT_OBJECTIVE,
            spread=self.ablation is not Ablation.SPREAD_OBJECTIVE,
        )

    @property
    def inputs(self) -> LabelInputs:
        """What the labelling model reads."""
        return LabelInputs(
            watch=self.ablation is not Ablation.WATCH_INPUT,
            duration=self.ablation is not Ablation.DURATION_INPUT,
            explicit=self.ablation is not Ablation.EXPLICIT_INPUT,
        )
