"""The label that is explicit feedback itself."""

from dataclasses import dataclass
from typing import ClassVar, Self

import numpy as np

from labelcraft.feedback import Feedback, Floats
from labelcraft.labels.protocol import Head, State
from retrieval.errors import TableError


@dataclass(frozen=True)
class ExplicitFeedback:
    """EF: whether the user gave any positive explicit feedback, δ(Σ y_e). There is nothing to fit."""

    name: ClassVar[str] = "EF"
    head: ClassVar[Head] = Head.BCE

    def fit(self, feedback: Feedback) -> Self:
        if not feedback.kinds:
            raise TableError(
                "EF has nothing to learn from: the log holds no explicit feedback.",
                "Add a column such as liked or shared, or choose a label of watch time.",
            )
        return self

    def transform(self, feedback: Feedback) -> Floats:
        return feedback.engaged.astype(np.float64)

    def to_unit(self, values: Floats) -> Floats:
        return values

    def state(self) -> State:
        return State({}, {})

    @classmethod
    def from_state(cls, state: State) -> Self:
        return cls()
