"""The 50 % label of the published system: whether a view reached half of the video's length."""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from labelcraft.feedback import Feedback, Floats
from labelcraft.labels.completion import Completion
from labelcraft.labels.protocol import Head
from retrieval.log import WATCHED_SHARE


@dataclass(frozen=True)
class WatchedHalf(Completion):
    """W50: 1 where the watch time reaches half of the duration, else 0 (Zalando 2025, sections 2 and 4.1)."""

    name: ClassVar[str] = "W50"
    head: ClassVar[Head] = Head.BCE

    @staticmethod
    def share(feedback: Feedback) -> Floats:
        return (feedback.watch_s >= WATCHED_SHARE * feedback.duration_s).astype(np.float64)
