"""The labels of how much of a video was watched.

A video of unknown duration has no completion. Its rows get the mean of the training rows that have one: a 0 would teach
that such videos are left at once, and w ≥ 0 that they are always watched to the end.
"""

from abc import ABC, abstractmethod
from dataclasses import asdict, dataclass
from typing import ClassVar, Self

import numpy as np

from labelcraft.feedback import Feedback, Floats
from labelcraft.labels.protocol import Head, State, require_rows, unfitted
from retrieval.errors import TableError


@dataclass(frozen=True)
class Usual:
    """The *mean* label of the *n_rows* training rows whose duration is known."""

    mean: float
    n_rows: int


@dataclass(frozen=True)
class Completion(ABC):
    """A share of the duration, and what is usual where the duration is not known."""

    name: ClassVar[str]

    usual: Usual | None = None

    @staticmethod
    @abstractmethod
    def share(feedback: Feedback) -> Floats:
        """The label `(n,)` of rows of known duration."""

    def fit(self, feedback: Feedback) -> Self:
        require_rows(self.name, feedback)
        known = feedback[feedback.duration_s > 0]
        if not len(known):
            raise TableError(
                f"{self.name} cannot be fitted: no training row has a duration.",
                "Add duration_s to the videos, or choose WT or EF.",
            )
        return type(self)(Usual(float(self.share(known).mean()), len(known)))

    def transform(self, feedback: Feedback) -> Floats:
        known = feedback.duration_s > 0
        labels = np.full(len(feedback), self._fitted().mean)
        labels[known] = self.share(feedback[known])
        return labels

    def to_unit(self, values: Floats) -> Floats:
        return values

    def state(self) -> State:
        return State(asdict(self._fitted()), {})

    @classmethod
    def from_state(cls, state: State) -> Self:
        return cls(Usual(float(state.fields["mean"]), int(state.fields["n_rows"])))

    def _fitted(self) -> Usual:
        if self.usual is None:
            raise unfitted(self.name)
        return self.usual


@dataclass(frozen=True)
class PlayCompletion(Completion):
    """PC: 1 where the watch time reaches the duration, replays included, else 0."""

    name: ClassVar[str] = "PC"
    head: ClassVar[Head] = Head.BCE

    @staticmethod
    def share(feedback: Feedback) -> Floats:
        return (feedback.watch_s >= feedback.duration_s).astype(np.float64)


@dataclass(frozen=True)
class PlayCompletionRate(Completion):
    """PCR: the share of the duration that was watched, 1 for a replay."""

    name: ClassVar[str] = "PCR"
    head: ClassVar[Head] = Head.MSE

    @staticmethod
    def share(feedback: Feedback) -> Floats:
        return np.minimum(feedback.watch_s / feedback.duration_s, 1.0)

    def seconds(self, unit: Floats, duration_s: Floats) -> Floats:
        """The watch time of this share; NaN where the duration is not known. A replay cannot be told from one view."""
        return np.where(duration_s > 0, np.clip(unit, 0.0, 1.0) * duration_s, np.nan)
