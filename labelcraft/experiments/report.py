"""From sums per user to the files of an experiment's report: the page, its numbers, a table and the forest plot."""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import polars as pl

from labelcraft.experiments.analysis import Analysis, Options, Role, Row, analyse
from labelcraft.experiments.counts import Counts
from labelcraft.experiments.metrics import Metric
from labelcraft.experiments.verdict import Verdict, conclude
from labelcraft.report.words import without_nan
from retrieval.folders import writing

PAGE, NUMBERS, TABLE, FOREST = "report.html", "report.json", "table.csv", "forest.png"


@dataclass(frozen=True)
class Report:
    """What an experiment says; the verdict first."""

    verdict: Verdict
    analysis: Analysis
    counts: Counts

    @property
    def numbers(self) -> dict[str, Any]:
        """Everything but the users' own sums as plain values, null where there is no number."""
        counts, analysis = self.counts, self.analysis
        plain: dict[str, Any] = without_nan(
            {
                "verdict": {**asdict(self.verdict), "line": self.verdict.line},
                "experiment": analysis.experiment,
                "control": analysis.control,
                "users": dict(zip(analysis.buckets, analysis.n_users, strict=True)),
                "rows": frame_of(analysis).to_dicts(),
                "assignment": asdict(analysis.assignment),
                "options": asdict(analysis.options),
                "watch_time_cap_s": analysis.cap_s,
                "users_before": analysis.n_before,
                "log": {
                    "rows": counts.rows,
                    "first_us": counts.first_us,
                    "last_us": counts.last_us,
                    "left_out": [asdict(one) for one in counts.left_out],
                    "users_in_several_buckets": counts.crossed,
                    "starts_of_unknown_length": dict(counts.unlengthed),
                },
            }
        )
        return plain


def report_of(counts: Counts, guards: Sequence[Metric], options: Options) -> Report:
    """What the sums of an experiment say.

    Raises:
        ConfigError: the buckets cannot be compared as asked.
    """
    analysis = analyse(counts, guards, options)
    return Report(conclude(analysis, counts), analysis, counts)


def write_report(report: Report, folder: Path) -> Path:
    """Write the page, its numbers, the table and the forest plot of each bucket to *folder*; the path of the page."""
    from labelcraft.experiments.page import plot_png, render_page

    text = render_page(report)
    with writing(folder / NUMBERS) as draft:
        draft.write_text(json.dumps(report.numbers, indent=1) + "\n")
    with writing(folder / TABLE) as draft:
        frame_of(report.analysis).write_csv(draft)
    for place, treatment in enumerate(report.analysis.treatments):
        file = folder / (FOREST if len(report.analysis.treatments) == 1 else f"forest-{place + 1}.png")
        with writing(file) as draft:
            draft.write_bytes(plot_png(report.analysis, treatment))
    with writing(folder / PAGE) as draft:
        draft.write_text(text, encoding="utf-8")
    return folder / PAGE


def frame_of(analysis: Analysis) -> pl.DataFrame:
    """One line a bucket and metric: the figures that the page shows, empty where there is none."""
    lines = [_line(analysis, row) for row in analysis.rows]
    return pl.DataFrame(lines, infer_schema_length=None).fill_nan(None)


def _line(analysis: Analysis, row: Row) -> dict[str, Any]:
    booted = row.booted or (float("nan"), float("nan"))
    return {
        "bucket": row.treatment,
        "metric": row.metric.key,
        "name": row.metric.name,
        "role": row.role.value,
        "control_value": row.plain.control,
        "treatment_value": row.plain.treatment,
        "uplift": row.shown.uplift,
        "low": row.shown.low,
        "high": row.shown.high,
        "p": row.shown.p,
        "p_holm": row.p_holm if row.role is not Role.GUARD else float("nan"),
        "is_significant": row.is_significant,
        "is_adjusted": row.adjusted is not None,
        "plain_uplift": row.plain.uplift,
        "plain_low": row.plain.low,
        "plain_high": row.plain.high,
        "bootstrap_low": booted[0],
        "bootstrap_high": booted[1],
        "guard": row.guarded.value if row.guarded else None,
        "detectable_uplift": row.shown.detectable,
        "users_to_tell": row.more_users,
    }
