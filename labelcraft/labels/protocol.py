"""What every label offers, and what a row's label is for training."""

from collections.abc import Mapping
from enum import StrEnum
from typing import Any, NamedTuple, Protocol, Self, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from labelcraft.feedback import Feedback, Floats
from retrieval.errors import TableError

Arrays = Mapping[str, NDArray[Any]]


class Head(StrEnum):
    """The loss that matches a recommender's sigmoid output with the label."""

    BCE = "bce"
    MSE = "mse"


class State(NamedTuple):
    """All that a fitted label is: *fields* that JSON can hold, and *arrays* by name."""

    fields: Mapping[str, Any]
    arrays: Arrays


class Label(Protocol):
    """A way to turn feedback into one number a row. *name* is that of the literature."""

    @property
    def name(self) -> str: ...

    @property
    def head(self) -> Head: ...

    def fit(self, feedback: Feedback) -> Self:
        """This label fitted on *feedback*: give it training rows only.

        Raises:
            TableError: the rows cannot tell what the label needs.
        """

    def transform(self, feedback: Feedback) -> Floats:
        """The label of each row in its own scale, `(n,)`.

        Raises:
            ValueError: the label was not fitted.
        """

    def to_unit(self, values: Floats) -> Floats:
        """What the sigmoid is trained on: *values* of `transform`, `(n,)`, in [0, 1]."""

    def state(self) -> State:
        """What `from_state` makes this fitted label of."""

    @classmethod
    def from_state(cls, state: State) -> Self:
        """The label whose `state` this is.

        Raises:
            KeyError, TypeError or ValueError: it is not a state of this label.
        """


@runtime_checkable
class Invertible(Protocol):
    """A label that watch time can be read from."""

    def seconds(self, unit: Floats, duration_s: Floats) -> Floats:
        """The watch time `(n,)` whose label is *unit* `(n,)` on videos of *duration_s* `(n,)`."""


def unit_labels(label: Label, feedback: Feedback) -> NDArray[np.float32]:
    """What a recommender is trained on, `(n,)` in [0, 1]."""
    return np.asarray(label.to_unit(label.transform(feedback)), np.float32)


def require_rows(name: str, feedback: Feedback) -> None:
    """Raise where there is nothing to fit the label called *name* on."""
    if not len(feedback):
        raise TableError(
            f"{name} cannot be fitted: there is no training row.", "Give a longer log, or split it at a later time."
        )


def unfitted(name: str) -> ValueError:
    """For a label that is used before it knows its training rows."""
    return ValueError(f"{name} was not fitted: call its fit with training rows, and use the label that this returns.")
