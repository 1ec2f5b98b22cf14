"""The one pass over the test feeds: sums for each user and system, and the reached slots for video-wise figures."""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from labelcraft.evaluation.contestants import OUTSIDE, Contestant
from labelcraft.evaluation.counted import Odd, counted
from labelcraft.evaluation.feeds import Bools, Part, TestLog
from labelcraft.evaluation.scoring import ranked_last
from retrieval.errors import ConfigError
from retrieval.metrics.listwise import CLIP, Feeds, UserSums, from_gains, gains, weights_of
from retrieval.metrics.ranks import ranks_within
from retrieval.metrics.weights import Weights
from retrieval.ragged import Ints

Narrow = NDArray[np.float32]


@dataclass(frozen=True)
class Reached:
    """The reached test slots, `(n,)` each: whether watched by half, by whom, and each system's score (−∞: none).

    Four bytes a slot and system, so that ten million slots of five systems are 200 MB.
    """

    label: Bools
    user: Ints
    scores: Mapping[str, Narrow]


@dataclass(frozen=True)
class Measured:
    """What the pass over the test feeds counted. *sums* are by system, *truth* the same by true labels if known.

    *unscored* counts slots by system, *scored* those with a score; *weights* are of the observed positives.
    """

    sums: Mapping[str, UserSums]
    truth: Mapping[str, UserSums]
    reached: Reached
    weights: Weights
    counts: Mapping[Odd, int]
    scored: Mapping[str, int]
    n_users: int
    n_feeds: int
    n_slots: int

    def unscored(self, system: str) -> int:
        """How many slots a system has no score for."""
        return self.n_slots - self.scored[system]


@dataclass
class _Sums:
    """What grows with the parts; not shared before it is whole."""

    sums: dict[str, UserSums]
    truth: dict[str, UserSums]
    weights: Weights = field(default_factory=Weights)
    counts: Counter[Odd] = field(default_factory=Counter)
    scored: Counter[str] = field(default_factory=Counter)
    labels: list[Bools] = field(default_factory=list)
    users: list[Ints] = field(default_factory=list)
    scores: dict[str, list[Narrow]] = field(default_factory=dict)
    n_feeds: int = 0
    n_slots: int = 0


def measure(
    log: TestLog,
    contestants: Sequence[Contestant],
    k: int,
    clip: float = CLIP,
    update: Callable[[int, int], None] = lambda done, total: None,
) -> Measured:
    """Score and rank all test feeds by every contestant.

    Raises:
        ConfigError: an outside system scores none of the feeds or has no finite score, or no feed can be tested.
    """
    names, n_users = [one.name for one in contestants], len(log.users)
    known = names if log.truth is not None else []
    grown = _Sums(
        {name: UserSums.none(n_users) for name in names},
        {name: UserSums.none(n_users) for name in known},
        scores={name: [] for name in names},
    )
    for done, part in enumerate(log.parts(), start=1):
        _add(grown, part, contestants, k, clip, n_users)
        update(done, log.n_parts)
    _require_feeds(grown, log)
    _require_scores(grown, contestants)
    return _finished(grown, log)


def _add(grown: _Sums, part: Part, contestants: Sequence[Contestant], k: int, clip: float, n_users: int) -> None:
    feeds = Feeds(part.offsets, part.label, part.examination, part.users, part.reached)
    grown.weights += weights_of(feeds, clip)
    grown.counts.update(part.counts)
    grown.n_feeds += len(part)
    grown.n_slots += len(part.label)
    grown.labels.append(part.label[part.reached])
    grown.users.append(part.users[part.owners][part.reached])
    for one in contestants:
        scores = one.scorer.score(part)
        grown.scored[one.name] += int((~np.isnan(scores)).sum())
        scores = ranked_last(scores)
        ranks = ranks_within(scores, part.offsets, part.ties)
        grown.sums[one.name] += from_gains(gains(feeds, ranks, k, clip), part.users, n_users)
        grown.scores[one.name].append(scores[part.reached].astype(np.float32))
        if part.truth is not None:
            examined = Feeds(part.offsets, part.truth, np.ones(len(part.truth)), part.users)
            grown.truth[one.name] += from_gains(gains(examined, ranks, k), part.users, n_users)


def _require_feeds(grown: _Sums, log: TestLog) -> None:
    if grown.n_feeds:
        return
    why = "; ".join(f"{one.n:,} {one.what}" for one in counted(Counter(log.counts) + grown.counts))
    cure = "Mend the log, or split earlier."
    if grown.counts[Odd.BAD_EXAMINATION]:
        cure = "Mend them, or weight by a curve: --propensities FILE, which lookreel evaluate propensities makes."
    raise ConfigError(f"No feed after the split can be tested{why and f': {why}'}.", cure)


def _require_scores(grown: _Sums, contestants: Sequence[Contestant]) -> None:
    for one in contestants:
        if one.rows is not None and not one.rows.usable:
            raise ConfigError(
                f"The scores of {one.name} are null or not finite, all {one.rows.bad:,} of them.",
                "Write a finite number for each slot; a higher one is nearer the top.",
            )
        if one.kind == OUTSIDE and not grown.scored[one.name]:
            raise ConfigError(
                f"The scores of {one.name} are of other feeds: none of them is among the {grown.n_feeds:,} tested.",
                "Score the feeds shown after the split, by feed_id and video_id.",
            )


def _finished(grown: _Sums, log: TestLog) -> Measured:
    def joined(parts: list[NDArray[np.generic]]) -> NDArray[np.generic]:
        whole = np.concatenate(parts)
        parts.clear()  # two copies of everything would be the peak
        return whole

    scores = {name: joined(parts) for name, parts in grown.scores.items()}  # type: ignore[arg-type]
    reached = Reached(np.concatenate(grown.labels), np.concatenate(grown.users), scores)  # type: ignore[arg-type]
    counts = Counter(log.counts) + grown.counts
    return Measured(
        grown.sums, grown.truth, reached, grown.weights, counts, grown.scored,
        len(log.users), grown.n_feeds, grown.n_slots,
    )  # fmt: skip
