"""What a judge says of one video: a distribution over the five categories, or why there is none."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

import numpy as np
from numpy.typing import NDArray

from judge.rubric import LABELS, SCORES


class Unscored(StrEnum):
    """Why a video has no grade. Missing is not zero: such a video counts as unscored, never as a number."""

    NO_VERDICT = "no_verdict"  # the reply names no category, or several
    NO_FRAMES = "no_frames"
    NO_HISTORY = "no_history"
    NO_PRODUCTS = "no_products"  # the judge reads metadata, and the video has none
    UNKNOWN_PRODUCT = "unknown_product"  # the catalogue does not have what is to be graded
    REFUSED = "refused"  # the server would not answer this request
    TRUNCATED = "truncated"


@dataclass(frozen=True)
class Verdict:
    """A graded video.

    *probabilities* `(5,)` of `LABELS`, summing to 1; *mass* is what the judge gave to the five labels before that,
    1 where it can say nothing else; *reason* is a short text, where one was asked for.
    """

    probabilities: tuple[float, ...]
    mass: float = 1.0
    reason: str | None = None

    @property
    def expected(self) -> float:
        """The mean score, 1 to 5."""
        return float(np.dot(self.probabilities, SCORES))

    @property
    def uncertainty(self) -> float:
        """The standard deviation of the score."""
        return float(np.sqrt(max(0.0, np.dot(self.probabilities, np.square(SCORES)) - self.expected**2)))

    @property
    def grade(self) -> int:
        """The score of the likeliest category, the higher one of two that are equally likely."""
        return SCORES[int(np.argmax(self.probabilities))]


@dataclass(frozen=True)
class NoVerdict:
    """A video without a grade, and why; *detail* is what came instead, at most 200 characters of it."""

    why: Unscored
    detail: str = ""


Outcome = Verdict | NoVerdict


def from_log_probabilities(values: Mapping[str, float] | NDArray[np.floating], reason: str | None = None) -> Verdict:
    """A verdict from the log-probability of each label, `(5,)` in the order of `LABELS` or by label.

    >>> from_log_probabilities(np.log([0.4, 0.2, 0.1, 0.05, 0.05])).mass
    0.8
    """
    logs = np.array([values[label] for label in LABELS]) if isinstance(values, Mapping) else np.asarray(values)
    logs = np.asarray(logs, np.float64)
    shares = np.exp(logs - logs.max())  # a mass too small for a number still has shares
    mass = float(np.exp(logs).sum())
    return Verdict(tuple((shares / shares.sum()).tolist()), float(f"{mass:.12g}"), reason)


def certain(label: str, reason: str | None = None) -> Verdict:
    """The verdict of a judge that names one category and no probabilities."""
    return Verdict(tuple(float(label == other) for other in LABELS), 1.0, reason)


def parse_label(text: str) -> str | None:
    """The one category that a reply names; None where it names none or several.

    >>> parse_label(" Good_match."), parse_label("good_match or poor_match"), parse_label("I cannot say")
    ('good_match', None, None)
    """
    low = text.lower()
    named = [label for label in LABELS if label in low]
    return named[0] if len(named) == 1 else None
