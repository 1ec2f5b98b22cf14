"""Numbers and sentences of reports."""

from collections.abc import Mapping, Sequence
from enum import StrEnum
from typing import Any

import numpy as np


class Level(StrEnum):
    """What a report comes to: *GOOD* or *BAD*, *MIXED* where it is both, *OPEN* where nothing can be told."""

    GOOD = "good"
    MIXED = "mixed"
    BAD = "bad"
    OPEN = "open"


def number(value: float, digits: int, sign: bool = False) -> str:
    """A number with a true minus; what rounds to zero has no sign.

    >>> number(-0.0312, 3), number(-0.0001, 2, sign=True), number(1.0, 1, sign=True)
    ('−0.031', '0.00', '+1.0')
    """
    text = format(value, f"{'+' if sign else ''}.{digits}f")
    return text.lstrip("+-") if not float(text) else text.replace("-", "−")


def listed(words: Sequence[str]) -> str:
    """Words as a sentence has them.

    >>> listed(["NWTG", "DS", "NEG"])
    'NWTG, DS and NEG'
    """
    return " and ".join(filter(None, (", ".join(words[:-1]), *words[-1:])))


def without_nan(value: Any) -> Any:
    """The value with null for what is not a number, which JSON has no word for."""
    if isinstance(value, Mapping):
        return {str(key): without_nan(one) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return [without_nan(one) for one in value]
    return None if isinstance(value, float) and not np.isfinite(value) else value
