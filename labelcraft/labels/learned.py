"""LabelCraft's own label: a trained labelling model, as a label that any later training can use."""

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import ClassVar, Self

import numpy as np
import torch

from labelcraft.feedback import Feedback, Floats
from labelcraft.labels.protocol import Head, State
from labelcraft.models.labeler import FeedbackTensors, InputScales, Labeler, LabelInputs
from labelcraft.models.modes import evaluating
from labelcraft.objectives import Scale
from retrieval.errors import ConfigError, TableError

ROWS = 65_536  # at a time, so that memory is flat in the number of rows


@dataclass(frozen=True)
class LearnedLabel:
    """*labeler* labels feedback whose explicit kinds are *kinds*, in this order; *head* is what it was trained with."""

    labeler: Labeler
    kinds: tuple[str, ...]
    head: Head = Head.MSE
    name: ClassVar[str] = "LabelCraft"

    def fit(self, feedback: Feedback) -> Self:
        raise ConfigError(f"{self.name} is learned, not fitted to rows.", "Train it: lookreel labels train --help")

    @torch.no_grad()
    def transform(self, feedback: Feedback) -> Floats:
        """The label of each row, in [0, 1].

        Raises:
            TableError: the feedback has other explicit kinds than the model was trained on.
        """
        if feedback.kinds != self.kinds:
            raise TableError(
                f"This label was learned of the explicit feedback {_listed(self.kinds)}, but the log holds "
                f"{_listed(feedback.kinds)}.",
                "Give a log with the same kinds, or train the label on this one: lookreel labels train --help",
            )
        with evaluating(self.labeler):
            made = [self._labels(part) for part in _parts(feedback)]
        return np.concatenate([np.empty(0), *made])

    def to_unit(self, values: Floats) -> Floats:
        return values

    def state(self) -> State:
        labeler = self.labeler
        scales = {"watch": asdict(labeler.scales.watch), "duration": asdict(labeler.scales.duration)}
        fields = {
            "kinds": list(self.kinds),
            "head": self.head.value,
            "inputs": asdict(labeler.inputs),
            "scales": scales,
        }
        return State(fields, {name: value.detach().cpu().numpy() for name, value in labeler.state_dict().items()})

    @classmethod
    def from_state(cls, state: State) -> Self:
        fields = state.fields
        scales = InputScales(Scale(**fields["scales"]["watch"]), Scale(**fields["scales"]["duration"]))
        labeler = Labeler(len(fields["kinds"]), scales, LabelInputs(**fields["inputs"]))
        try:
            labeler.load_state_dict({name: torch.tensor(array) for name, array in state.arrays.items()})
        except RuntimeError as error:
            raise ValueError("its arrays are not those of a labelling model of these inputs") from error
        return cls(labeler.eval(), tuple(fields["kinds"]), Head(fields["head"]))

    def _labels(self, feedback: Feedback) -> Floats:
        dtype = next(self.labeler.parameters()).dtype
        labels: Floats = self.labeler(FeedbackTensors.of(feedback, dtype)).double().numpy()
        return labels


def _parts(feedback: Feedback) -> Iterator[Feedback]:
    return (feedback[slice(start, start + ROWS)] for start in range(0, len(feedback), ROWS))


def _listed(kinds: tuple[str, ...]) -> str:
    return ", ".join(kinds) or "of no kind"
