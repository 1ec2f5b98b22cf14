"""What an evaluation found, as numbers: what the page shows and report.json holds."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any

from labelcraft.evaluation.counted import Counted
from labelcraft.report.words import without_nan
from retrieval.gate import Verdict as GateVerdict
from retrieval.metrics.cluster import Verdict
from retrieval.metrics.listwise import Form, Measure
from retrieval.metrics.pointwise import Accuracy, Calibration
from retrieval.metrics.policy_value import PolicyValue
from retrieval.metrics.stats import Estimate


@dataclass(frozen=True)
class Difference:
    """What a system has more than the baseline, paired; about *users_needed* in all would tell, None if none would."""

    estimate: Estimate
    verdict: Verdict
    users_needed: int | None


@dataclass(frozen=True)
class Ranked:
    """One measure of how the test feeds are ranked; *difference* is None for the baseline itself."""

    measure: Measure
    form: Form
    value: Estimate
    difference: Difference | None


@dataclass(frozen=True)
class Pointwise:
    """How well single reached slots are told apart.

    A slot is said to be watched from *threshold* on: 0.5 for probabilities, else (*by_share*) the score that as large a
    share of slots reaches as was watched. *calibration* is None where scores are no probabilities.
    """

    auc: Estimate
    difference: Difference | None
    accuracy: Accuracy
    threshold: float
    by_share: bool
    calibration: Calibration | None


@dataclass(frozen=True)
class Spread:
    """How a quantity is spread over what is shown: *shares* of its bins, and its median."""

    shares: tuple[float, ...]
    median: float


@dataclass(frozen=True)
class Shown:
    """What a system's lists at the split show.

    *exposure* are the measures of `retrieval.metrics.skew` by name; those ending in "_together" count popularity by
    co-occurrence. *coherence* and *grades* are by length of list.
    """

    exposure: Mapping[str, Estimate]
    duration_s: Spread
    watch_s: Spread
    fallback_share: float
    coherence: Mapping[int, Estimate]
    grades: Mapping[int, Estimate]


@dataclass(frozen=True)
class Policy:
    """What a system's own lists would earn, by selection propensities, in watched videos a slot of the top k.

    *value* has the forms of `retrieval.metrics.policy_value`; of *n_slots* logged ones *n_same* are as the system would
    have filled them. *listwise* is the doubly robust DCG of the feeds as it would rank them, which needs none.
    """

    value: PolicyValue
    n_slots: int
    n_same: int
    listwise: Estimate

    @property
    def mean_weight(self) -> float:
        """Near 1 where the log might have shown whatever the system would."""
        return self.value.weights.total / max(self.n_slots, 1)


@dataclass(frozen=True)
class System:
    """Everything about one system. *truth* is as *ranked*, by true labels; *shown* is None where only scores exist."""

    name: str
    kind: str
    unscored: int
    ranked: tuple[Ranked, ...]
    truth: tuple[Ranked, ...]
    pointwise: Pointwise
    shown: Shown | None
    policy: Policy | None = None

    def of(self, measure: Measure, form: Form) -> Ranked:
        """One measure of the test feeds."""
        return next(one for one in self.ranked if (one.measure, one.form) == (measure, form))


@dataclass(frozen=True)
class WeightFigures:
    """The weights of the observed positives."""

    n: int
    effective_sample_size: float
    largest: float
    share_clipped: float
    clip: float


@dataclass(frozen=True)
class Norms:
    """How the length of a video's vector goes with its duration, and what follows for the multimodal lists.

    *correlation* is Spearman's over videos of known duration. *as_is* and *unit* are the lists by vectors as they are
    and by vectors brought to length 1: the median duration and the Gini coefficient of exposure.
    """

    system: str
    correlation: float
    n_videos: int
    median_duration_as_is_s: float
    median_duration_unit_s: float
    gini_as_is: float
    gini_unit: float


@dataclass(frozen=True)
class About:
    """What was evaluated, and by what."""

    tables: str
    snapshot: str
    split: datetime
    last: datetime
    k: int
    baseline: str
    examination: str
    n_users: int
    n_feeds: int
    n_slots: int
    n_reached: int
    n_with_positive: int
    n_mixed: int
    watched_share: float
    n_listed: int
    n_eligible: int
    seed: int
    n_resamples: int


class Level(StrEnum):
    """What the headline says of the best system against the baseline."""

    BETTER = "good"
    OPEN = "open"
    WORSE = "bad"


@dataclass(frozen=True)
class Headline:
    """The verdict in one line, and what limits it."""

    level: Level
    line: str
    details: tuple[str, ...]


@dataclass(frozen=True)
class Evaluation:
    """All of it, the verdict first. *log_duration_s* and *log_watch_s* are of what was shown before the split.

    *duration_edges_s* and *watch_edges_s* bound the bins of every `Spread`.
    """

    headline: Headline
    about: About
    systems: tuple[System, ...]
    weights: WeightFigures
    odd: tuple[Counted, ...]
    set_aside: Mapping[str, int]
    duration_edges_s: tuple[float, ...]
    watch_edges_s: tuple[float, ...]
    log_duration_s: Spread
    log_watch_s: Spread
    norms: Norms | None
    gates: tuple[GateVerdict, ...]

    def system(self, name: str) -> System:
        """One system."""
        return next(one for one in self.systems if one.name == name)

    @property
    def numbers(self) -> dict[str, Any]:
        """Everything as plain values, null where there is no number."""
        plain: dict[str, Any] = without_nan(asdict(self))
        return plain
