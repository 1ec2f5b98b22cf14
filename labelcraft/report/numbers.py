"""The numbers of a comparison: every label's figures with intervals, differences between labels, and words for them.

Pure: from aligned runs to frozen values. Intervals are over users and seeds, both drawn anew.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

import numpy as np

from labelcraft.report.aligned import LEARNED, METRICS, Group, Metric, Trained
from labelcraft.report.resampling import Resamples
from labelcraft.runs import DS
from retrieval.errors import ConfigError
from retrieval.metrics.stats import Estimate


class Place(StrEnum):
    """How a label stands on one metric."""

    BEST = "best"
    LEVEL = "within the interval of the best"
    WORSE = "worse"


@dataclass(frozen=True)
class Figure:
    """One metric of one name over users and seeds.

    *estimate* leaves out users who have nothing to gain, *as_one* counts 1 for each of them, as some read the formula.
    *sd_seeds* is the standard deviation over seeds of the mean over users, NaN with one seed.
    """

    estimate: Estimate
    as_one: Estimate
    sd_seeds: float


@dataclass(frozen=True)
class Effort:
    """What a name's training took, a value a seed: *best_epochs* of *epochs*, and *seconds*."""

    best_epochs: tuple[int, ...]
    epochs: tuple[int, ...]
    seconds: tuple[float, ...]


@dataclass(frozen=True)
class Difference:
    """*name* minus *against* on one metric, user by user and seed by seed; *percent* of the mean of *against*."""

    name: str
    against: str
    column: str
    estimate: Estimate
    percent: float


@dataclass(frozen=True)
class Standing:
    """How a label stands beside *best*, the label of the highest mean; *behind* is None for the best itself."""

    place: Place
    best: str
    behind: Difference | None


@dataclass(frozen=True)
class Row:
    """One name in the table: its figures by column, and how it stands where it is a label."""

    name: str
    group: Group
    seeds: tuple[int, ...]
    figures: Mapping[str, Figure]
    standings: Mapping[str, Standing]
    effort: Effort


@dataclass(frozen=True)
class Table:
    """All names, and the differences of *target* from every other label.

    *beaten* are the columns where the target is better than every other label with an interval that excludes 0.
    """

    rows: tuple[Row, ...]
    target: str
    differences: tuple[Difference, ...]
    beaten: tuple[str, ...]

    def row(self, name: str) -> Row:
        """The row of a name."""
        return next(row for row in self.rows if row.name == name)

    def of_group(self, group: Group) -> tuple[Row, ...]:
        """The rows of a group, in order."""
        return tuple(row for row in self.rows if row.group is group)

    @property
    def labels(self) -> tuple[Row, ...]:
        """The rows that are compared."""
        return self.of_group(Group.LABEL)


def make_table(trained: Mapping[str, Trained], resamples: Resamples, target: str | None = None) -> Table:
    """The table of aligned runs.

    Args:
        target: the label that the others are subtracted from; by default LabelCraft, or without it the first.

    Raises:
        ConfigError: there is no label, or none of that name.
    """
    labels = [name for name, one in trained.items() if one.group is Group.LABEL]
    chosen = _target(labels, target)
    figures = {name: _figures(one, resamples) for name, one in trained.items()}
    standings = {metric.column: _standings(labels, trained, figures, metric, resamples) for metric in METRICS}
    rows = tuple(
        Row(
            name, one.group, one.seeds, figures[name],
            {column: of_label[name] for column, of_label in standings.items() if name in of_label}, _effort(one),
        )
        for name, one in trained.items()
    )  # fmt: skip
    others = [name for name in labels if name != chosen]
    differences = tuple(
        subtract(trained[chosen], trained[name], metric.column, resamples) for name in others for metric in METRICS
    )
    return Table(rows, chosen, differences, _beaten(differences))


def subtract(one: Trained, other: Trained, column: str, resamples: Resamples) -> Difference:
    """*one* minus *other*, over the seeds that both have and the users that have a value.

    Raises:
        ConfigError: they have no seed in common.
    """
    seeds = one.seeds if other.group is Group.REFERENCE else tuple(s for s in one.seeds if s in other.seeds)
    if not seeds:
        raise ConfigError(
            f"{one.name} and {other.name} have no seed in common.", "Finish the comparison: lookreel labels compare"
        )
    minuend, subtrahend = one.of_seeds(seeds, column), other.of_seeds(seeds, column)
    estimate = resamples.estimate(minuend - subtrahend)
    base = float(np.nanmean(subtrahend)) if estimate.n else np.nan
    return Difference(one.name, other.name, column, estimate, 100 * estimate.mean / base if base else np.nan)


def _target(labels: Sequence[str], asked: str | None) -> str:
    if not labels:
        raise ConfigError("No label was trained.", "Train some: lookreel labels compare --help")
    if asked is not None and asked not in labels:
        raise ConfigError(f"There is no run of {asked}.", f"Choose one of {', '.join(labels)}.")
    return asked or (LEARNED if LEARNED in labels else labels[0])


def _figures(one: Trained, resamples: Resamples) -> dict[str, Figure]:
    return {metric.column: _figure(one, metric.column, resamples) for metric in METRICS}


def _figure(one: Trained, column: str, resamples: Resamples) -> Figure:
    values = one.values[column]
    estimate = resamples.estimate(values)
    counted = column != DS and estimate.skipped
    as_one = resamples.estimate(np.nan_to_num(values, nan=1.0)) if counted else estimate
    means = np.nanmean(values, axis=1) if estimate.n else np.array([np.nan])
    return Figure(estimate, as_one, float(means.std(ddof=1)) if len(means) > 1 else np.nan)


def _standings(
    labels: Sequence[str],
    trained: Mapping[str, Trained],
    figures: Mapping[str, Mapping[str, Figure]],
    metric: Metric,
    resamples: Resamples,
) -> dict[str, Standing]:
    """Of every label on one metric; none where no user has a value."""
    means = {name: figures[name][metric.column].estimate.mean for name in labels}
    known = {name: mean for name, mean in means.items() if np.isfinite(mean)}
    if not known:
        return {}
    best = max(known, key=lambda name: known[name])
    behind = {name: subtract(trained[name], trained[best], metric.column, resamples) for name in known if name != best}
    places = {name: Place.WORSE if one.estimate.excludes_zero else Place.LEVEL for name, one in behind.items()}
    return {name: Standing(places.get(name, Place.BEST), best, behind.get(name)) for name in known}


def _effort(one: Trained) -> Effort:
    runs = one.runs
    return Effort(
        tuple(run.best_epoch for run in runs), tuple(len(run.epochs) for run in runs), tuple(r.seconds for r in runs)
    )


def _beaten(differences: Sequence[Difference]) -> tuple[str, ...]:
    """The columns on which every difference lies above 0 with its whole interval."""
    by_column = {m.column: [d.estimate for d in differences if d.column == m.column] for m in METRICS}
    return tuple(column for column, found in by_column.items() if found and all(one.low > 0 for one in found))
