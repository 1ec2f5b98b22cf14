"""The studies beside the comparison: what each part of LabelCraft does, and what τ does."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

import numpy as np

from labelcraft.options import Ablation
from labelcraft.report.aligned import LEARNED, METRICS, WITHOUT, Group, Trained, tau_of
from labelcraft.report.numbers import Difference, Figure, Table, subtract
from labelcraft.report.resampling import Resamples
from labelcraft.runs import DS, NEG, NWTG
from retrieval.metrics.stats import Estimate

MEANINGS: Mapping[Ablation, str] = {
    Ablation.SCALING: "seconds are not scaled",
    Ablation.BALANCING: "objectives weigh the same",
    Ablation.WATCH_INPUT: "labels do not see watch time",
    Ablation.DURATION_INPUT: "labels do not see duration",
    Ablation.EXPLICIT_INPUT: "labels do not see explicit feedback",
    Ablation.WATCH_OBJECTIVE: "no objective of watch time",
    Ablation.SPREAD_OBJECTIVE: "no objective of spread",
    Ablation.EXPLICIT_OBJECTIVE: "no objective of explicit feedback",
}
OWN: Mapping[Ablation, tuple[str, ...]] = {
    Ablation.SCALING: (NWTG, DS),  # large seconds weigh little in eq. 12, so that explicit feedback is all that counts
    Ablation.BALANCING: (NWTG, DS, NEG),
    Ablation.WATCH_INPUT: (NWTG,),
    Ablation.DURATION_INPUT: (DS,),
    Ablation.EXPLICIT_INPUT: (NEG,),
    Ablation.WATCH_OBJECTIVE: (NWTG,),
    Ablation.SPREAD_OBJECTIVE: (DS,),
    Ablation.EXPLICIT_OBJECTIVE: (NEG,),
}
"""The metrics that should fall without each part, as section 4.3 argues; of several, more than half should."""


class Move(StrEnum):
    """How a metric moved when a part was taken away."""

    FALLS = "falls"
    FALLS_WITHIN = "falls, within its interval"
    RISES_WITHIN = "rises, within its interval"
    RISES = "rises"
    UNKNOWN = "has no value"


@dataclass(frozen=True)
class Moved:
    """LabelCraft without a part minus LabelCraft, on one metric; *is_own* where this metric should fall."""

    difference: Difference
    move: Move
    is_own: bool


@dataclass(frozen=True)
class AblationRow:
    """One ablation: its figures and moves by column, and whether its own metrics moved as expected."""

    name: str
    part: Ablation
    meaning: str
    figures: Mapping[str, Figure]
    moves: Mapping[str, Moved]
    as_expected: bool


@dataclass(frozen=True)
class TauPoint:
    """The figures of LabelCraft with one temperature, by column."""

    tau: float
    figures: Mapping[str, Figure]


@dataclass(frozen=True)
class Sweep:
    """What τ does, ascending, and the best other label by column: its name and mean."""

    points: tuple[TauPoint, ...]
    best_others: Mapping[str, tuple[str, float]]


def ablation_rows(table: Table, trained: Mapping[str, Trained], resamples: Resamples) -> tuple[AblationRow, ...]:
    """The paper's table 3, with what each ablation should move. Without LabelCraft itself there is none."""
    if LEARNED not in trained:
        return ()
    rows = []
    for row in table.of_group(Group.ABLATION):
        part = Ablation(row.name.removeprefix(WITHOUT))
        moves = {m.column: _moved(trained, row.name, m.column, part, resamples) for m in METRICS}
        rows.append(AblationRow(row.name, part, MEANINGS[part], row.figures, moves, _as_expected(moves)))
    return tuple(rows)


def tau_sweep(table: Table, tau: float) -> Sweep | None:
    """What τ does; the plain LabelCraft stands at its own *tau*. None where there are fewer than two points."""
    points = {tau_of(row.name): row.figures for row in table.of_group(Group.TEMPERATURE)}
    for row in table.labels:
        if row.name == LEARNED:
            points[tau] = row.figures
    if len(points) < 2:
        return None
    ordered = tuple(TauPoint(at, points[at]) for at in sorted(points))
    return Sweep(ordered, {m.column: best for m in METRICS if (best := _best_other(table, m.column))})


def move_of(estimate: Estimate) -> Move:
    """The difference in words.

    >>> move_of(Estimate(-0.2, 1.0, -0.3, 0.1, 50))
    <Move.FALLS_WITHIN: 'falls, within its interval'>
    """
    if estimate.n == 0:
        return Move.UNKNOWN
    if estimate.mean < 0:
        return Move.FALLS if estimate.excludes_zero else Move.FALLS_WITHIN
    return Move.RISES if estimate.excludes_zero else Move.RISES_WITHIN


def _moved(trained: Mapping[str, Trained], name: str, column: str, part: Ablation, resamples: Resamples) -> Moved:
    difference = subtract(trained[name], trained[LEARNED], column, resamples)
    return Moved(difference, move_of(difference.estimate), column in OWN[part])


def _as_expected(moves: Mapping[str, Moved]) -> bool:
    """Whether more than half of the metrics that should fall do, be it within their intervals."""
    own = [moved.move in (Move.FALLS, Move.FALLS_WITHIN) for moved in moves.values() if moved.is_own]
    return 2 * sum(own) > len(own)


def _best_other(table: Table, column: str) -> tuple[str, float] | None:
    means = {row.name: row.figures[column].estimate.mean for row in table.labels if row.name != LEARNED}
    known = {name: mean for name, mean in means.items() if np.isfinite(mean)}
    best = max(known, key=lambda name: known[name], default=None)
    return None if best is None else (best, known[best])
