"""The labelling model g_φ: from all feedback on a video to one label in [0, 1]."""

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from labelcraft.feedback import Feedback
from labelcraft.models.recommender import new_linear
from labelcraft.objectives import Scale
from retrieval.errors import ConfigError

WIDTH = 256
SPREAD = 1.5  # the standard deviation before the sigmoid: labels are then spread about as evenly as quantiles


@dataclass(frozen=True)
class InputScales:
    """The scales (eq. 11) of watch time and of duration, fitted on training rows."""

    watch: Scale
    duration: Scale


@dataclass(frozen=True)
class LabelInputs:
    """What the model may read: *watch*, *duration* and *explicit* feedback. Without one: w/o WI, w/o DI, w/o EI."""

    watch: bool = True
    duration: bool = True
    explicit: bool = True


@dataclass(frozen=True)
class FeedbackTensors:
    """Feedback of n rows: *watch_s* and *duration_s* `(n,)`, *explicit* `(n, n_kinds)` of 0 and 1, of one dtype."""

    watch_s: Tensor
    duration_s: Tensor
    explicit: Tensor

    @classmethod
    def of(cls, feedback: Feedback, dtype: torch.dtype = torch.float32) -> "FeedbackTensors":
        columns = (feedback.watch_s, feedback.duration_s, feedback.explicit)
        return cls(*(torch.as_tensor(column, dtype=dtype) for column in columns))

    def __len__(self) -> int:
        return len(self.watch_s)

    def __getitem__(self, rows: Tensor | slice) -> "FeedbackTensors":
        return FeedbackTensors(self.watch_s[rows], self.duration_s[rows], self.explicit[rows])


class Labeler(nn.Module):
    """Two layers of 256 units. Seconds come in scaled, linearly in two parts (eq. 11) and as logarithms.

    The published code feeds raw seconds to layers without biases: its sigmoid saturates, and a label of nothing
    watched is always ½.

    What goes into the sigmoid is standardised over the rows (in evaluation by the running statistics): nothing in the
    objective holds the labels' level, which otherwise drifts to where all labels are alike, the easiest to fit.
    """

    def __init__(self, n_kinds: int, scales: InputScales, inputs: LabelInputs | None = None, seed: int = 0) -> None:
        super().__init__()
        self.n_kinds, self.scales, self.inputs = n_kinds, scales, inputs or LabelInputs()
        width = 2 * self.inputs.watch + 3 * self.inputs.duration + n_kinds * self.inputs.explicit
        if not width:
            raise ConfigError(
                "The labelling model is left without any input.", "Leave it at least one kind of feedback."
            )
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            self.layers = nn.Sequential(
                new_linear(width, WIDTH),
                nn.ReLU(),
                new_linear(WIDTH, WIDTH),
                nn.ReLU(),
                new_linear(WIDTH, 1),
                nn.BatchNorm1d(1, affine=False),
            )

    def forward(self, feedback: FeedbackTensors) -> Tensor:
        """The label of each row, `(n,)`."""
        labels: Tensor = torch.sigmoid(SPREAD * self.layers(self._read(feedback)))[:, 0]
        return labels

    def _read(self, feedback: FeedbackTensors) -> Tensor:
        """The inputs `(n, width)`; a duration that is not known is 0, and says so."""
        watch, duration = feedback.watch_s, feedback.duration_s
        columns: list[Tensor] = []
        if self.inputs.watch:
            columns += [self.scales.watch(watch), _logarithm(watch)]
        if self.inputs.duration:
            columns += [self.scales.duration(duration), _logarithm(duration), (duration == 0).to(duration.dtype)]
        kinds = [feedback.explicit] if self.inputs.explicit else []
        return torch.cat([torch.stack(columns, dim=1), *kinds] if columns else kinds, dim=1)


def _logarithm(seconds: Tensor) -> Tensor:
    """From 0 at nothing to 1 at about an hour."""
    return torch.log1p(seconds) / 8
