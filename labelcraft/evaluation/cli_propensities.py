"""`lookreel evaluate propensities`."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from rich.table import Table

    from labelcraft.evaluation.propensities import Comparison, PropensityRequest

TOLD = (2, 5, 10)  # positions in the printed table


def add_propensities(app: typer.Typer) -> None:
    """Add the command to *app*."""

    @app.command("propensities")
    def propensities_command(
        tables: Annotated[Path, typer.Option("--tables", help="Folder of the shop's tables.")],
        out: Annotated[Path, typer.Option("--out", help="Folder of the curves and their picture.")],
        before: Annotated[
            str | None, typer.Option("--before", help="UTC time: only what was shown before it counts.")
        ] = None,
        test_days: Annotated[
            float | None, typer.Option("--test-days", min=0, help="Leave out the last days, as evaluation does; 2.")
        ] = None,
        method: Annotated[
            str,
            typer.Option(
                "--method",
                help="The curve to use: given, rates, pivot, adjacent-chain, all-pairs, regression-em, power, reach, "
                "immersive or immersive-power.",
            ),
        ] = "immersive",
        min_reaches: Annotated[
            int, typer.Option("--min-reaches", min=1, help="Curves end before a position reached less often.")
        ] = 100,
        as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
    ) -> None:
        """Estimate how likely each position of the feed is examined, by all methods side by side."""
        from labelcraft.evaluation.propensities import PropensityRequest, as_plain, compare_propensities
        from labelcraft.report.drawing import require_plots
        from retrieval.console import progress, to_json

        require_plots()
        request = PropensityRequest(tables, out, before, test_days, method, min_reaches)
        with progress("estimating") as update:
            comparison = compare_propensities(request, update)
        if as_json:
            typer.echo(to_json(as_plain(comparison)))
            return
        _print(comparison, request)


def _print(comparison: "Comparison", request: "PropensityRequest") -> None:
    from labelcraft.evaluation.propensities import FILE, PICTURE
    from retrieval.console import print_table
    from retrieval.log import from_us

    print_table(_table(comparison))
    for name, reason in comparison.failed.items():
        typer.echo(f"{name} has no curve: {reason}.")
    for one in comparison.odd:
        typer.echo(f"{one.n:,} {one.what}: {one.done}.")
    for reason, n in comparison.faults.items():
        typer.echo(f"{n:,} rows set aside: {reason}.")
    until = from_us(comparison.before_us).isoformat(timespec="minutes")
    typer.echo(f"Counted: {comparison.n_slots:,} slots of {comparison.n_feeds:,} feeds before {until}.")
    typer.echo(f"Wrote {request.out / FILE} and {request.out / PICTURE}; {comparison.chosen} is the curve to use.")
    given = f"--tables {request.tables} --propensities {request.out / FILE}"
    typer.echo(f"Next: lookreel evaluate run {given} --snapshot SNAPSHOT --out report")


def _table(comparison: "Comparison") -> "Table":
    from rich.table import Table

    table = Table(box=None, pad_edge=False)
    for heading in ("method", "positions", *(f"q at {p}" for p in TOLD), "last q", "farthest from the chosen"):
        table.add_column(heading, justify="left" if heading == "method" else "right", no_wrap=True)
    table.add_column("assumes")
    for name, one in comparison.curves.items():
        q = one.curve.q
        at = [f"{q[p - 1]:.3f}" if p <= len(q) else "–" for p in TOLD]
        gap = "chosen" if name == comparison.chosen else f"{comparison.gap(name):.1%}"
        table.add_row(name, str(len(q)), *at, f"{q[-1]:.3f}", gap, one.assumes)
    return table
