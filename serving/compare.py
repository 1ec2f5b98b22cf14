"""What a new version would change: the same requests answered by it and by the live one."""

import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median

import numpy as np

from retrieval.asking import Touch, Touched, ask
from retrieval.metrics.skew import gini
from retrieval.snapshot import Snapshot
from retrieval.systems import SystemConfig
from serving.live import Live
from serving.overlay import Overlay

K = 10
N_COMPARED = 32  # of the recorded requests, the newest: twice as many answers take the time of some hundred feeds


@dataclass(frozen=True)
class Recorded:
    """A request as it was answered: who asked, when, and their product events."""

    user_id: str
    at_us: int
    history: Sequence[Touched]


@dataclass(frozen=True)
class Comparison:
    """A new *version* against the one that is live.

    *overlap* is the mean share of the live top 10 that the new one shows too; *skew* and *skew_live* are Gini
    coefficients of exposure, 0 where every place shows another video; *latency_ratio* is of the median times.
    """

    version: str
    against: str
    requests: int
    overlap: float
    skew: float
    skew_live: float
    latency_ratio: float


@dataclass(frozen=True)
class Bounds:
    """How far a version may be from the live one; zeros allow anything."""

    min_overlap: float = 0.0
    max_skew_change: float = 0.0
    max_latency_ratio: float = 0.0

    @property
    def any(self) -> bool:
        return bool(self.min_overlap or self.max_skew_change or self.max_latency_ratio)

    def broken_by(self, found: Comparison) -> str:
        """The first bound that a comparison breaks, in words; "" where all hold."""
        change = abs(found.skew - found.skew_live)
        if found.overlap < self.min_overlap:
            return f"it shares {found.overlap:.2f} of the top {K}, less than {self.min_overlap:g}"
        if self.max_skew_change and change > self.max_skew_change:
            return f"its exposure's Gini coefficient is off by {change:.2f}, more than {self.max_skew_change:g}"
        if self.max_latency_ratio and found.latency_ratio > self.max_latency_ratio:
            return f"it takes {found.latency_ratio:.1f} times as long, more than {self.max_latency_ratio:g} times"
        return ""


def compare(
    new: Live, live: Live, requests: Sequence[Recorded], overlay: Overlay, config: SystemConfig, now_us: int
) -> Comparison:
    """Answer *requests*, or some of one product each where there are none, by both versions."""
    asked = requests[-N_COMPARED:] or made_up(live.snapshot, now_us)
    theirs, ours = (_answers(one, asked, overlay, config, now_us) for one in (new, live))
    shares = [len(a & b) / len(b) for a, b in zip(theirs.lists, ours.lists, strict=True) if b]
    return Comparison(
        new.snapshot.version,
        live.snapshot.version,
        len(asked),
        float(np.mean(shares)) if shares else 1.0,
        theirs.skew,
        ours.skew,
        theirs.seconds / ours.seconds,
    )


def warm(live: Live, requests: Sequence[Recorded], overlay: Overlay, config: SystemConfig, now_us: int) -> None:
    """Answer *requests* for their effect alone: what is worked out or mapped at first use is there then."""
    _answers(live, requests[-N_COMPARED:] or made_up(live.snapshot, now_us), overlay, config, now_us)


def made_up(snapshot: Snapshot, now_us: int) -> list[Recorded]:
    """Requests of users with one product each, evenly from the catalogue: for a service that nobody asked yet.

    They go by the names of users whom a training knows, where the snapshot holds any.
    """
    products = _spread(snapshot.product_ids.ids)
    users = _spread(snapshot.conventional.users.ids) if snapshot.conventional else [""]
    return [
        Recorded(users[place % len(users)], now_us, (Touch(product, "view", now_us - 1),))
        for place, product in enumerate(products)
    ]


def _spread(ids: Sequence[str]) -> list[str]:
    """At most `N_COMPARED` of *ids*, evenly."""
    return [ids[row] for row in np.linspace(0, len(ids) - 1, min(N_COMPARED, len(ids))).astype(int)]


@dataclass(frozen=True)
class _Answers:
    lists: list[set[str]]
    skew: float
    seconds: float


def _answers(live: Live, requests: Sequence[Recorded], overlay: Overlay, config: SystemConfig, now_us: int) -> _Answers:
    allowed, nobody = live.allowed(overlay, None), np.empty(0, np.int64)
    lists, seconds = [], []
    for request in requests:
        started = time.perf_counter()
        asker = ask(live.snapshot, request.history, config, now_us, nobody, request.user_id)
        (feed,) = live.snapshot.feeds(asker.audience, K, config, allowed=allowed)
        seconds.append(time.perf_counter() - started)
        lists.append({video.video_id for video in feed.videos})
    return _Answers(lists, _skew(lists), median(seconds))


def _skew(lists: Sequence[set[str]]) -> float:
    """Gini over as many videos as there were places: 0 where all differ, near 1 where everybody gets the same."""
    exposures = list(Counter(video_id for one in lists for video_id in one).values())
    unused = sum(exposures) - len(exposures)
    return gini(np.array([*exposures, *[0] * unused]))
