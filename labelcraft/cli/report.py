"""`lookreel labels report`."""

from pathlib import Path
from shlex import quote
from typing import TYPE_CHECKING, Annotated

import typer

from labelcraft.cli.options import REPORT, AsJson, require_extras

if TYPE_CHECKING:
    from rich.table import Table

    from labelcraft.report.build import Report


def add_report(app: typer.Typer) -> None:
    """Add the command to *app*."""

    @app.command("report")
    def report_command(
        folder: Annotated[Path, typer.Argument(help="Folder of a comparison.")] = Path("labels"),
        against: Annotated[
            str | None, typer.Option("--baseline", help="Which label the others are compared with; LabelCraft.")
        ] = None,
        seed: Annotated[int, typer.Option("--seed", min=0, help="Of the intervals' resamples.")] = 0,
        as_json: AsJson = False,
    ) -> None:
        """Write the report of a comparison again, of the runs that are there."""
        require_extras(*REPORT)
        print_report(folder, against, seed, as_json)


def print_report(folder: Path, against: str | None, seed: int, as_json: bool) -> None:
    """Write the report of *folder* and print what it says, and where it is."""
    from labelcraft.compare import load_runs
    from labelcraft.report.about import load_about
    from labelcraft.report.build import PAGE, write_report
    from retrieval.console import print_table, to_json

    about = load_about(folder)
    report = write_report(load_runs(folder), about, folder, against, seed)
    if as_json:
        print(to_json(report.numbers))
        return
    print_table(_table(report))
    print(f"{report.verdict.line}\nWrote {folder / PAGE}.")
    made = sorted((folder / "runs" / report.table.target).glob("*/label*"))
    print(f"Next: lookreel labels explain {quote(str(made[0]))} --out {quote(str(folder / 'explained'))}")


def _table(report: "Report") -> "Table":
    from rich.table import Table

    from labelcraft.report.aligned import METRICS, Group
    from labelcraft.report.verdict import standing_words, written

    table = Table("label", *(metric.title(report.about.k) for metric in METRICS), "epochs", "s a seed", box=None)
    for row in report.table.rows:
        cells = [
            f"{written(row.figures[m.column].estimate.mean, m)}"
            + (f" ({standing_words(row.standings[m.column], m)})" if m.column in row.standings else "")
            for m in METRICS
        ]
        seconds = f"{sum(row.effort.seconds) / len(row.effort.seconds):.0f}"
        trained = [", ".join(map(str, row.effort.best_epochs)), seconds]
        table.add_row(row.name, *cells, *(["", ""] if row.group is Group.REFERENCE else trained))
    return table
