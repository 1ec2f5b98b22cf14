"""From sums per user to what an experiment says: uplifts of every metric in every bucket, guards, and the checks."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum

import numpy as np

from labelcraft.experiments import metrics as m
from labelcraft.experiments.counts import Counts
from labelcraft.experiments.metrics import METRICS, Metric
from labelcraft.experiments.table import UserTable, capped_sums, pair_of
from labelcraft.experiments.uplift import (
    Floats,
    RatioCheck,
    Uplift,
    check_ratio,
    compare,
    holm,
)
from retrieval.errors import ConfigError
from retrieval.metrics.cluster import Bootstrap, more_users
from retrieval.metrics.stats import Estimate

ALPHA = 0.05
CONTROL_NAMES = ("control", "a", "baseline")
FEW_USERS = 100  # in a bucket; with fewer the normal approximation is rough


class Role(StrEnum):
    """What a metric is for: the one that decides, those that explain, and those that must not fall."""

    PRIMARY = "primary"
    SECONDARY = "secondary"
    GUARD = "guard"


class Guarded(StrEnum):
    """What became of a guard: its interval stays within the margin, lies beyond 0 on the bad side, or tells neither."""

    HOLDS = "holds"
    HARMED = "harmed"
    OPEN = "open"


@dataclass(frozen=True)
class Options:
    """How an experiment is read. *shares* are the expected ones by bucket, equal where none are given.

    *margin* is the loss of a guard that is tolerated, as a share of the control. *winsorise* caps the watch time of a
    user at this quantile of all users' (1 caps nothing). *n_resamples* 0 leaves the bootstrap out.
    """

    control: str | None = None
    primary: str = m.PRIMARY
    shares: Mapping[str, float] | None = None
    margin: float = 0.05
    winsorise: float = 1.0
    n_resamples: int = 1000
    seed: int = 0


@dataclass(frozen=True)
class Row:
    """One metric of one bucket against the control.

    *plain* is the uplift of the experiment's own rows, *adjusted* that with CUPED where there is a time before.
    *booted* are the ends of the plain uplift's bootstrap interval. *p_holm* is adjusted within its role, over metrics
    and buckets; of a guard it is not adjusted. *more_users*: so many in all would tell the uplift from 0.
    """

    metric: Metric
    treatment: str
    role: Role
    plain: Uplift
    adjusted: Uplift | None
    booted: tuple[float, float] | None
    p_holm: float
    guarded: Guarded | None
    more_users: int | None

    @property
    def shown(self) -> Uplift:
        """The uplift that counts: the adjusted one where there is one."""
        return self.adjusted or self.plain

    @property
    def is_significant(self) -> bool:
        return self.p_holm < ALPHA


@dataclass(frozen=True)
class Assignment:
    """Whether the buckets can be compared: users by bucket against what was expected, and how they were before.

    *before* is the primary metric in the time before, by treatment: there was nothing that could tell buckets apart.
    """

    ratio: RatioCheck
    crossed: int
    crossed_share: float
    before: Mapping[str, Uplift]


@dataclass(frozen=True)
class Analysis:
    """All that an experiment says; *rows* by treatment, the primary metric first. *cap_s* is that of the watch time."""

    experiment: str
    control: str
    buckets: tuple[str, ...]
    n_users: tuple[int, ...]
    assignment: Assignment
    rows: tuple[Row, ...]
    cap_s: float | None
    n_before: int
    options: Options

    def of(self, treatment: str, role: Role) -> list[Row]:
        """The rows of a bucket that have this role."""
        return [row for row in self.rows if row.treatment == treatment and row.role is role]

    @property
    def treatments(self) -> tuple[str, ...]:
        return tuple(bucket for bucket in self.buckets if bucket != self.control)

    @property
    def is_adjusted(self) -> bool:
        return any(row.adjusted for row in self.rows)


def analyse(counts: Counts, guards: Sequence[Metric] = (), options: Options = Options()) -> Analysis:
    """What the sums of an experiment say.

    Raises:
        ConfigError: there is one bucket only, no such control, or the shares are not those of the buckets.
    """
    control = _control_of(counts, options.control)
    shares = _shares_of(counts, options.shares)
    sums, before, cap_s = capped_sums(counts, options.winsorise)
    primary = m.parse_metric(options.primary)
    roles = dict.fromkeys(METRICS.values(), Role.SECONDARY) | {primary: Role.PRIMARY}
    roles |= dict.fromkeys(guards, Role.GUARD)
    ordered = sorted(roles, key=lambda metric: list(Role).index(roles[metric]))
    table = UserTable(counts, sums, before, ordered)
    booted = _bootstrap(table, control, options)
    treatments = [bucket for bucket in counts.buckets if bucket != control]
    rows = [
        _row(table, metric, roles[metric], (control, treatment), booted.get((treatment, metric.key)), options)
        for treatment in treatments
        for metric in ordered
    ]
    return Analysis(
        counts.experiment,
        control,
        counts.buckets,
        counts.n_users,
        _assignment(table, shares, primary, control),
        _adjusted_for_number(rows),
        cap_s,
        int(counts.was_there.sum()),
        options,
    )


def _control_of(counts: Counts, asked: str | None) -> str:
    if len(counts.buckets) < 2:
        raise ConfigError(
            f"The experiment {counts.experiment} has users in one bucket only, {counts.buckets[0]}: there is nothing "
            "to compare.",
            "Export the whole log, or look at lookreel.toml: [experiment] needs shares above 0 in two buckets.",
        )
    if asked is not None and asked not in counts.buckets:
        raise ConfigError(f"There is no bucket {asked}.", f"Name one of {', '.join(counts.buckets)} with --control.")
    found = [bucket for name in CONTROL_NAMES for bucket in counts.buckets if bucket.lower() == name]
    if asked is None and not found:
        raise ConfigError(
            f"Which of the buckets {', '.join(counts.buckets)} is the control?",
            f"Say so: --control {counts.buckets[0]}",
        )
    return asked or found[0]


def _shares_of(counts: Counts, shares: Mapping[str, float] | None) -> list[float]:
    if shares is None:
        return [1 / len(counts.buckets)] * len(counts.buckets)
    expected = {bucket: share for bucket, share in shares.items() if share > 0}
    if set(expected) != set(counts.buckets):
        raise ConfigError(
            f"Shares are of {', '.join(sorted(expected))}, but there are users in {', '.join(counts.buckets)}.",
            "Give each bucket its share: --shares control=0.5,treatment=0.5",
        )
    total = sum(expected.values())
    return [expected[bucket] / total for bucket in counts.buckets]


def _row(
    table: UserTable,
    metric: Metric,
    role: Role,
    buckets: tuple[str, str],
    booted: tuple[float, float] | None,
    options: Options,
) -> Row:
    control, treatment = buckets
    plain = compare(*(table.arm(metric, bucket) for bucket in buckets))
    adjusted = None
    if table.had_before(metric) and plain.is_known:
        numerator, denominator = pair_of(table.before or {}, metric)
        centre = float(numerator.sum() / denominator.sum()) if denominator.sum() else 0.0
        adjusted = compare(*(table.arm(metric, bucket, centre) for bucket in buckets))
    shown = adjusted or plain
    guarded = guard_of(shown, metric, options.margin) if role is Role.GUARD else None
    n = len(table.users(control)) + len(table.users(treatment))
    estimate = Estimate(shown.uplift, math.nan, shown.low, shown.high, n)
    return Row(metric, treatment, role, plain, adjusted, booted, shown.p, guarded, more_users(estimate, n))


def guard_of(uplift: Uplift, metric: Metric, margin: float) -> Guarded:
    """What became of a guard whose loss of *margin* is tolerated."""
    worst, best = (uplift.low, uplift.high) if metric.higher_is_better else (-uplift.high, -uplift.low)
    if worst >= -margin:
        return Guarded.HOLDS
    return Guarded.HARMED if best < 0 else Guarded.OPEN


def _bootstrap(table: UserTable, control: str, options: Options) -> Mapping[tuple[str, str], tuple[float, float]]:
    """The ends of the bootstrap intervals by treatment and metric: users drawn anew within each bucket."""
    if not options.n_resamples:
        return {}
    values = {}
    for place, bucket in enumerate(table.counts.buckets):
        columns = table.columns(bucket)
        drawn = Bootstrap(options.n_resamples, options.seed + place).totals(np.stack(list(columns.values()), axis=1))
        of = dict(zip(columns, drawn.resampled.T, strict=True))
        with np.errstate(divide="ignore", invalid="ignore"):
            ratios = [of[metric.numerator] / of[metric.denominator] for metric in table.metrics]
        values[bucket] = np.stack(ratios, axis=1)  # (n_resamples, n_metrics)
    return {
        (bucket, metric.key): _ends(values[bucket][:, place], values[control][:, place])
        for bucket in table.counts.buckets
        if bucket != control
        for place, metric in enumerate(table.metrics)
    }


def _ends(treatment: Floats, control: Floats) -> tuple[float, float]:
    with np.errstate(divide="ignore", invalid="ignore"):
        uplifts = treatment / control - 1
    drawn = uplifts[np.isfinite(uplifts)]
    if not len(drawn):
        return math.nan, math.nan
    low, high = np.quantile(drawn, [0.025, 0.975])
    return float(low), float(high)


def _adjusted_for_number(rows: Sequence[Row]) -> tuple[Row, ...]:
    """The rows with Holm's p within the primary metric over buckets, and within the secondary ones."""
    p_holm = [row.p_holm for row in rows]
    for role in (Role.PRIMARY, Role.SECONDARY):
        places = [place for place, row in enumerate(rows) if row.role is role]
        for place, p in zip(places, holm([rows[place].p_holm for place in places]), strict=True):
            p_holm[place] = p
    return tuple(replace(row, p_holm=p) for row, p in zip(rows, p_holm, strict=True))


def _assignment(table: UserTable, shares: Sequence[float], primary: Metric, control: str) -> Assignment:
    counts = table.counts
    before = {
        bucket: compare(table.arm_before(primary, control), table.arm_before(primary, bucket))
        for bucket in counts.buckets
        if bucket != control and table.had_before(primary)
    }
    n = sum(counts.n_users)
    return Assignment(
        check_ratio(counts.n_users, shares), counts.crossed, counts.crossed / (n + counts.crossed), before
    )
