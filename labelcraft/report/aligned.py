"""Runs of a comparison side by side: of each name one matrix a metric, seeds by users."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from itertools import groupby

import numpy as np
import polars as pl

from labelcraft.feedback import Floats
from labelcraft.options import Ablation
from labelcraft.runs import DS, NEG, NWTG, Run
from retrieval.errors import ConfigError
from retrieval.tables import Columns as C

LEARNED = "LabelCraft"
WITHOUT, TAU = f"{LEARNED} w/o ", f"{LEARNED} τ="
ORDER = ("WT", "EF", "PC", "PCR", "D2Q", "DVR", "WT+EF", "D2Q+EF", "DVR+EF")
REFERENCES = ("random", "popularity", "shortest", "longest", "oracle of NWTG", "oracle of DS", "oracle of NEG")


@dataclass(frozen=True)
class Metric:
    """One figure of a user's list: its *column* in a run's table, and how people read it.

    *scale* is what its axis counts, *unit* and *digits* are those of its numbers.
    """

    column: str
    short: str
    meaning: str
    scale: str
    unit: str
    digits: int

    def title(self, k: int) -> str:
        """Its name in the literature."""
        return f"{self.short}@{k}"


METRICS = (
    Metric(NWTG, "NWTG", "watch time gained", "share of the most possible", "", 3),
    Metric(DS, "DS", "spread of durations", "standard deviation, s", "s", 2),
    Metric(NEG, "NEG", "explicit feedback gained", "share of the most possible", "", 3),
)


class Group(StrEnum):
    """What a name stands for in a comparison."""

    LABEL = "label"
    ABLATION = "ablation"
    TEMPERATURE = "temperature"
    REFERENCE = "reference"


@dataclass(frozen=True)
class Trained:
    """All *runs* of one *name*, one a seed, ascending; *values* of each metric's column, `(n_seeds, n_users)`.

    Users stand in the same order for every name. NaN is a user who had nothing to gain.
    """

    name: str
    group: Group
    runs: tuple[Run, ...]
    values: dict[str, Floats]

    @property
    def seeds(self) -> tuple[int, ...]:
        """The seeds, ascending."""
        return tuple(run.seed for run in self.runs)

    def of_seeds(self, seeds: Sequence[int], column: str) -> Floats:
        """The rows of these *seeds*; what learns nothing is the same with any."""
        if self.group is Group.REFERENCE:
            return np.repeat(self.values[column], len(seeds), axis=0)
        return self.values[column][[self.seeds.index(seed) for seed in seeds]]


def align(runs: Iterable[Run]) -> dict[str, Trained]:
    """The *runs* by name: labels first, in the order of the paper, LabelCraft the last of them.

    Raises:
        ConfigError: runs were made for other users.
    """
    ordered = sorted(runs, key=lambda run: (_place(run), run.name, run.seed))
    users = ordered[0].users[C.USER_ID].sort()
    return {name: _trained(name, tuple(made), users) for name, made in groupby(ordered, lambda run: run.name)}


def group_of(run: Run) -> Group:
    """What a run's name stands for."""
    if run.is_reference:
        return Group.REFERENCE
    if run.name.startswith(WITHOUT) and run.name.removeprefix(WITHOUT) in list(Ablation):
        return Group.ABLATION
    return Group.TEMPERATURE if run.name.startswith(TAU) else Group.LABEL


def tau_of(name: str) -> float:
    """The temperature that a name of the sweep holds.

    >>> tau_of("LabelCraft τ=0.3")
    0.3
    """
    return float(name.removeprefix(TAU))


def _place(run: Run) -> tuple[int, float]:
    """Where a name stands in tables: groups in their order, and within each by its own."""
    group = group_of(run)
    match group:
        case Group.LABEL:
            known = ORDER.index(run.name) if run.name in ORDER else len(ORDER)
            within = float(len(ORDER) + 1 if run.name == LEARNED else known)
        case Group.ABLATION:
            within = float(list(Ablation).index(Ablation(run.name.removeprefix(WITHOUT))))
        case Group.TEMPERATURE:
            within = tau_of(run.name)
        case Group.REFERENCE:
            within = float(REFERENCES.index(run.name) if run.name in REFERENCES else len(REFERENCES))
    return list(Group).index(group), within


def _trained(name: str, runs: tuple[Run, ...], users: pl.Series) -> Trained:
    tables = [run.users.sort(C.USER_ID) for run in runs]
    for run, table in zip(runs, tables, strict=True):
        if not table[C.USER_ID].equals(users):
            raise ConfigError(
                f"{run.folder} was evaluated on {len(table)} other users than the rest, who are {len(users)}.",
                "Remove that folder and compare again: lookreel labels compare --help",
            )
    values = {
        metric.column: np.stack(
            [table[metric.column].cast(pl.Float64).fill_null(np.nan).to_numpy() for table in tables]
        )
        for metric in METRICS
    }
    return Trained(name, group_of(runs[0]), runs, values)
