"""From the runs of a comparison to the files of its report: the page, its numbers, and a table for other tools."""

import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from labelcraft.report.about import About
from labelcraft.report.aligned import METRICS, Trained, align
from labelcraft.report.durations import Durations, duration_histograms
from labelcraft.report.numbers import Row, Table, make_table
from labelcraft.report.resampling import Resamples
from labelcraft.report.studies import AblationRow, Sweep, ablation_rows, tau_sweep
from labelcraft.report.verdict import Verdict, conclude
from labelcraft.report.words import without_nan
from labelcraft.runs import Run
from retrieval.folders import writing

PAGE, NUMBERS, TABLE = "report.html", "report.json", "table.csv"


@dataclass(frozen=True)
class Report:
    """What a report says, as numbers; the verdict first."""

    verdict: Verdict
    about: About
    table: Table
    durations: Durations
    ablations: tuple[AblationRow, ...]
    sweep: Sweep | None
    seed: int

    @property
    def numbers(self) -> dict[str, Any]:
        """Everything as plain values, null where there is no number."""
        plain: dict[str, Any] = without_nan(asdict(self))
        return plain


def make_report(trained: Mapping[str, Trained], about: About, target: str | None = None, seed: int = 0) -> Report:
    """The figures of aligned runs.

    Args:
        target: the label that all others are compared with; by default LabelCraft.
        seed: of the intervals' resamples.

    Raises:
        ConfigError: there is no label to report, or none called *target*.
    """
    resamples = Resamples(seed)
    table = make_table(trained, resamples, target)
    return Report(
        conclude(table, about.k, cut_short(table, about)),
        about,
        table,
        duration_histograms(trained),
        ablation_rows(table, trained, resamples),
        tau_sweep(table, about.tau),
        seed,
    )


def write_report(runs: Iterable[Run], about: About, folder: Path, target: str | None = None, seed: int = 0) -> Report:
    """Write the page, its numbers and the table to *folder*; what they say."""
    from labelcraft.report.page import render_page

    trained = align(runs)
    report = make_report(trained, about, target, seed)
    text = render_page(report, trained)
    with writing(folder / NUMBERS) as draft:
        draft.write_text(json.dumps(report.numbers, indent=1) + "\n")
    with writing(folder / TABLE) as draft:
        table_frame(report.table).write_csv(draft)
    with writing(folder / PAGE) as draft:
        draft.write_text(text, encoding="utf-8")
    return report


def cut_short(table: Table, about: About) -> int:
    """How many trainings ended at their last epoch although the best one was recent."""
    return sum(
        n >= about.options_for(row.name)["max_epochs"] and n - best < about.options_for(row.name)["patience"]
        for row in table.labels
        for best, n in zip(row.effort.best_epochs, row.effort.epochs, strict=True)
    )


def table_frame(table: Table) -> pl.DataFrame:
    """One line a name and metric: the figures that the page shows, empty where there is none."""
    lines = [_line(row, metric.column) for row in table.rows for metric in METRICS]
    return pl.DataFrame(lines, infer_schema_length=None).fill_nan(None)


def _line(row: Row, column: str) -> dict[str, Any]:
    figure, standing = row.figures[column], row.standings.get(column)
    estimate, as_one, effort = figure.estimate, figure.as_one, row.effort
    return {
        "name": row.name,
        "group": row.group.value,
        "metric": column,
        "mean": estimate.mean,
        "low": estimate.low,
        "high": estimate.high,
        "sd_users": estimate.sd,
        "sd_seeds": figure.sd_seeds,
        "users": estimate.n,
        "users_without_gain": estimate.skipped,
        "mean_without_gain_as_one": as_one.mean,
        "low_without_gain_as_one": as_one.low,
        "high_without_gain_as_one": as_one.high,
        "standing": standing.place.value if standing else None,
        "seeds": len(row.seeds),
        "mean_best_epoch": float(np.mean(effort.best_epochs)),
        "mean_seconds": float(np.mean(effort.seconds)),
    }
