"""The labels of a view that is long for its duration: EV and LV of DML (slides of the authors of LabelCraft)."""

from dataclasses import dataclass, field
from typing import ClassVar, Self

import numpy as np

from labelcraft.feedback import Feedback, Floats
from labelcraft.labels.duration_to_quantile import DurationToQuantile
from labelcraft.labels.protocol import Head, State, require_rows, unfitted


@dataclass(frozen=True)
class _LongForItsDuration:
    """1 where the watch time reaches a quantile of the training rows of like duration, else 0.

    Groups, rows of unknown duration and ties are those of D2Q.
    """

    name: ClassVar[str]
    head: ClassVar[Head] = Head.BCE
    share: ClassVar[float]

    quantiles: DurationToQuantile = field(default_factory=DurationToQuantile)

    def fit(self, feedback: Feedback) -> Self:
        require_rows(self.name, feedback)
        return type(self)(self.quantiles.fit(feedback))

    def transform(self, feedback: Feedback) -> Floats:
        wanted_s = self._fitted().seconds(np.full(len(feedback), self.share), feedback.duration_s)
        return (feedback.watch_s >= wanted_s).astype(np.float64)

    def to_unit(self, values: Floats) -> Floats:
        return values

    def state(self) -> State:
        return self._fitted().state()

    @classmethod
    def from_state(cls, state: State) -> Self:
        return cls(DurationToQuantile.from_state(state))

    def _fitted(self) -> DurationToQuantile:
        if self.quantiles.quantiles is None:
            raise unfitted(self.name)
        return self.quantiles


@dataclass(frozen=True)
class EffectiveView(_LongForItsDuration):
    """EV: whether the watch time reaches the median of videos of like duration."""

    name: ClassVar[str] = "EV"
    share: ClassVar[float] = 0.5


@dataclass(frozen=True)
class LongView(_LongForItsDuration):
    """LV: whether the watch time reaches the third quartile of videos of like duration."""

    name: ClassVar[str] = "LV"
    share: ClassVar[float] = 0.75
