"""What judged feeds are worth: means over users, differences between systems, and how the grades are spread. Pure.

Missing is not zero: a video without a grade is left out of its user's mean and counted, a user without any grade is
left out of the system's mean and counted.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np
import polars as pl

from judge.columns import J
from judge.judgments import NOT_JUDGED
from retrieval.metrics.stats import N_RESAMPLES, Estimate, bootstrap_mean
from retrieval.tables import Columns as C

TOPS = (5, 10)
LOW_MASS = 0.5
BASELINE = "recency"
MEASURES = (J.EXPECTED, J.GRADE)


@dataclass(frozen=True)
class SystemScore:
    """The mean of a system's top *k* over users; *measure* is expected (the mean score) or grade (the likeliest).

    *estimate* is over the users' means: its sd is across users, its skipped are users without any grade. *asked* and
    *unscored* count videos; *short* counts users whose list has fewer than *k*.
    """

    system: str
    k: int
    measure: str
    estimate: Estimate
    asked: int
    unscored: int
    short: int


@dataclass(frozen=True)
class Ratio:
    """A relative difference, 0.147 for +14.7 %, with its own 95 % interval."""

    value: float
    low: float
    high: float


@dataclass(frozen=True)
class Difference:
    """*system* minus *against* over the users that both have grades for; *absolute* skips those that one has not."""

    system: str
    against: str
    k: int
    measure: str
    absolute: Estimate
    relative: Ratio


@dataclass(frozen=True)
class Distribution:
    """How many of a system's top *k* got each grade, *counts* of 1 to 5; *unscored* got none."""

    system: str
    k: int
    counts: tuple[int, ...]
    unscored: int

    @property
    def shares(self) -> tuple[float, ...]:
        """The counts as shares of what has a grade."""
        total = sum(self.counts)
        return tuple(count / total if total else np.nan for count in self.counts)


@dataclass(frozen=True)
class Health:
    """How sound the judgments are: videos *asked* for, each user's counted once, and those without a sound grade.

    *low_mass* of the *scored* had less than `LOW_MASS` on the five categories together: the judge wanted to say
    something else.
    """

    asked: int
    scored: int
    unscored: int
    not_judged: int
    low_mass: int
    reasons: tuple[tuple[str, int], ...]


@dataclass(frozen=True)
class Scores:
    """All figures of a comparison; *baseline* is the system that differences are taken against first."""

    baseline: str
    systems: tuple[str, ...]
    scores: tuple[SystemScore, ...]
    differences: tuple[Difference, ...]
    distributions: tuple[Distribution, ...]
    health: Health

    def score(self, system: str, k: int, measure: str = J.EXPECTED) -> SystemScore:
        return next(s for s in self.scores if (s.system, s.k, s.measure) == (system, k, measure))


def score_systems(judged: pl.DataFrame, seed: int = 0, baseline: str | None = None) -> Scores:
    """The figures of judged lists.

    Args:
        judged: as from `load_judged`.
        baseline: which system differences are against first; `BASELINE` where there is one, else the first by name.
    """
    names = sorted(judged[C.SYSTEM].unique())
    base = baseline or (BASELINE if BASELINE in names else names[0])
    systems = (base, *(name for name in names if name != base))
    rng = np.random.default_rng(seed)
    return Scores(
        base,
        systems,
        tuple(_score_system(judged, name, k, measure, rng) for measure in MEASURES for k in TOPS for name in systems),
        tuple(
            _difference(judged, (name, against), k, measure, rng)
            for measure in MEASURES
            for k in TOPS
            for against, name in combinations(systems, 2)
        ),
        tuple(distribution(judged, name, k) for k in TOPS for name in systems),
        health(judged),
    )


def user_means(judged: pl.DataFrame, system: str, k: int, measure: str = J.EXPECTED) -> pl.DataFrame:
    """One row for each user that *system* was asked for: user_id, mean (null without any grade), n, asked, unscored."""
    return (
        judged.filter((pl.col(C.SYSTEM) == system) & (pl.col(C.RANK) <= k))
        .group_by(C.USER_ID)
        .agg(
            pl.col(measure).cast(pl.Float64).mean().alias("mean"),
            pl.col(measure).count().alias("n"),
            pl.len().alias("asked"),
            pl.col(measure).is_null().sum().alias("unscored"),
        )
        .sort(C.USER_ID)
    )


def paired_means(
    judged: pl.DataFrame, systems: tuple[str, str], k: int, measure: str = J.EXPECTED
) -> tuple[pl.DataFrame, int]:
    """The users that both systems have grades for, with both means and their difference, and how many only one has.

    Returns:
        user_id, first, second and difference (first minus second); the count of users left out.
    """
    first, second = (user_means(judged, name, k, measure).select(C.USER_ID, "mean") for name in systems)
    both = first.rename({"mean": "first"}).join(
        second.rename({"mean": "second"}), on=C.USER_ID, how="full", coalesce=True
    )
    graded = both.drop_nulls().sort(C.USER_ID)
    return graded.with_columns((pl.col("first") - pl.col("second")).alias("difference")), both.height - graded.height


def _score_system(judged: pl.DataFrame, system: str, k: int, measure: str, rng: np.random.Generator) -> SystemScore:
    means = user_means(judged, system, k, measure)
    return SystemScore(
        system,
        k,
        measure,
        bootstrap_mean(_floats(means["mean"]), rng),
        int(means["asked"].sum()),
        int(means["unscored"].sum()),
        int((means["asked"] < k).sum()),
    )


def _difference(
    judged: pl.DataFrame, systems: tuple[str, str], k: int, measure: str, rng: np.random.Generator
) -> Difference:
    pairs, skipped = paired_means(judged, systems, k, measure)
    values = np.concatenate([_floats(pairs["difference"]), np.full(skipped, np.nan)])
    relative = bootstrap_ratio(_floats(pairs["first"]), _floats(pairs["second"]), rng)
    return Difference(*systems, k, measure, bootstrap_mean(values, rng), relative)


def bootstrap_ratio(first: np.ndarray, second: np.ndarray, rng: np.random.Generator) -> Ratio:
    """mean(first) / mean(second) − 1 of the same users, resampled together: both means move, so the ratio has its own.

    >>> bootstrap_ratio(np.array([2.0, 4.0]), np.array([1.0, 2.0]), np.random.default_rng(0))
    Ratio(value=1.0, low=1.0, high=1.0)
    """
    n = len(first)
    if n == 0:
        return Ratio(np.nan, np.nan, np.nan)
    counts = rng.multinomial(n, np.full(n, 1.0 / n), size=N_RESAMPLES)
    low, high = np.quantile((counts @ first) / (counts @ second) - 1.0, [0.025, 0.975])
    return Ratio(float(first.mean() / second.mean() - 1.0), float(low), float(high))


def distribution(judged: pl.DataFrame, system: str, k: int) -> Distribution:
    """How the grades of a system's top *k* are spread: the paper's figure 3."""
    grades = judged.filter((pl.col(C.SYSTEM) == system) & (pl.col(C.RANK) <= k))[J.GRADE]
    counts = tuple(int((grades == level).sum()) for level in range(1, 6))
    return Distribution(system, k, counts, int(grades.null_count()))


def health(judged: pl.DataFrame) -> Health:
    """How many of the videos asked for have a sound grade; a video that two systems show one user counts once."""
    once = judged.unique([C.USER_ID, C.VIDEO_ID], keep="first", maintain_order=True)
    scored = once.filter(pl.col(J.EXPECTED).is_not_null())
    unscored = once.filter(pl.col(J.EXPECTED).is_null() & (pl.col(J.UNSCORED) != NOT_JUDGED))
    reasons = unscored.group_by(J.UNSCORED).len().sort("len", J.UNSCORED, descending=[True, False]).rows()
    return Health(
        once.height,
        scored.height,
        unscored.height,
        once.height - scored.height - unscored.height,
        int((scored[J.MASS] < LOW_MASS).sum()),
        tuple((str(why), int(count)) for why, count in reasons),
    )


def strongest(judged: pl.DataFrame, systems: Sequence[str], k: int, n: int) -> tuple[list[str], list[str]]:
    """The users for whom the first of two systems is graded furthest above the second, and furthest below it.

    At most *n* each, the strongest first; both sides, so that what is shown is not picked in favour of one.
    """
    pairs, _ = paired_means(judged, (systems[0], systems[1]), k)
    ordered = pairs.sort(["difference", C.USER_ID], descending=[True, False])
    above = ordered.filter(pl.col("difference") > 0)[C.USER_ID].head(n).to_list()
    below = ordered.filter(pl.col("difference") < 0)[C.USER_ID].reverse().head(n).to_list()
    return above, below


def _floats(column: pl.Series) -> np.ndarray:
    return column.cast(pl.Float64).fill_null(np.nan).to_numpy()
