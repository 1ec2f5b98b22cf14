"""Models for a while in evaluation."""

from collections.abc import Iterator
from contextlib import contextmanager

from torch import nn


@contextmanager
def evaluating(model: nn.Module) -> Iterator[None]:
    """Within it, *model* is in evaluation: statistics are the running ones, and stay."""
    training = model.training
    model.eval()
    try:
        yield
    finally:
        model.train(training)
