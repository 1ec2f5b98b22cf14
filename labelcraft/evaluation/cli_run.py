"""`lookreel evaluate run`."""

from collections.abc import Callable
from math import isfinite
from pathlib import Path
from shlex import quote
from typing import TYPE_CHECKING, Annotated

import typer

from retrieval.errors import ConfigError

if TYPE_CHECKING:
    from rich.table import Table

    from labelcraft.evaluation.lists import Content
    from labelcraft.evaluation.results import Evaluation

SYSTEMS = "random,recency,popularity,multimodal"


def add_run(app: typer.Typer, open_content: "Callable[[str], Content] | None") -> None:
    """Add the command to *app*."""

    @app.command("run")
    def run_command(
        tables: Annotated[Path | None, typer.Option("--tables", help="Folder of the shop's tables.")] = None,
        snapshot: Annotated[Path | None, typer.Option("--snapshot", help="Folder of the snapshot.")] = None,
        systems: Annotated[str, typer.Option("--systems", help="Systems of lookreel.toml or kinds.")] = SYSTEMS,
        runs: Annotated[
            list[str] | None, typer.Option("--runs", help="A training beside them, NAME=RUN; may be repeated.")
        ] = None,
        scores: Annotated[
            Path | None, typer.Option("--scores", help="Parquet of outside scores: system, feed_id, video_id, score.")
        ] = None,
        propensities: Annotated[
            Path | None, typer.Option("--propensities", help="From evaluate propensities; else the log's own column.")
        ] = None,
        content: Annotated[
            str | None, typer.Option("--content", help="Store of content embeddings, for visual coherence.")
        ] = None,
        grades: Annotated[Path | None, typer.Option("--grades", help="grades.parquet of a judge report.")] = None,
        baseline: Annotated[str, typer.Option("--baseline", help="What to compare with.")] = "recency",
        test_days: Annotated[
            float | None, typer.Option("--test-days", min=0, help="Test the last days of the log; 2 by default.")
        ] = None,
        split: Annotated[str | None, typer.Option("--split", help="Test from a time on, such as 2026-01-31.")] = None,
        k: Annotated[int, typer.Option("-k", min=1, help="How many ranks count.")] = 10,
        clip: Annotated[
            float, typer.Option("--clip", min=0, max=1, help="The clipped form divides by no less than this.")
        ] = 0.01,
        policy_value: Annotated[
            bool, typer.Option("--policy-value", help="Also what each policy would earn, by selection propensities.")
        ] = False,
        gate: Annotated[Path | None, typer.Option("--gate", help="TOML of bounds; a broken one exits 3.")] = None,
        users: Annotated[int, typer.Option("--users", min=1, help="For how many users lists are made.")] = 2000,
        resamples: Annotated[int, typer.Option("--resamples", min=100, help="Of the users, for intervals.")] = 1000,
        seed: Annotated[int, typer.Option("--seed", min=0, help="Of resamples and samples.")] = 0,
        out: Annotated[Path, typer.Option("--out", help="Folder of the report.")] = Path("evaluation"),
        as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
    ) -> None:
        """Compare systems on the feeds shown after a split: a page, and the same as JSON."""
        from labelcraft.evaluation.run import EvaluationRequest

        request = EvaluationRequest(
            tables, snapshot, parse_systems(systems), parse_runs(runs or []), scores, propensities, content, grades,
            baseline, test_days, split, k, clip, policy_value, gate, users, resamples, seed,
        )  # fmt: skip
        evaluation = _carried_out(request, open_content, out)
        _print(evaluation, out, as_json)
        if any(verdict.broken for verdict in evaluation.gates):
            from retrieval.gate import EXIT_GATE

            raise typer.Exit(EXIT_GATE)


def _carried_out(request: object, open_content: "Callable[[str], Content] | None", out: Path) -> "Evaluation":
    from labelcraft.evaluation.page import write_report
    from labelcraft.evaluation.run import EvaluationRequest, evaluate
    from labelcraft.report.drawing import require_plots
    from retrieval.console import progress
    from retrieval.errors import import_extra

    if not isinstance(request, EvaluationRequest):
        raise TypeError("no request")
    require_plots()
    import_extra("jinja2", "report")
    with progress("evaluating") as update:
        evaluation = evaluate(request, open_content, lambda _, done, total: update(done, total))
    write_report(evaluation, out)
    return evaluation


def parse_systems(text: str) -> tuple[str, ...]:
    """The names, in the order given.

    Raises:
        ConfigError: none is named.

    >>> parse_systems("recency, multimodal")
    ('recency', 'multimodal')
    """
    names = tuple(part.strip() for part in text.split(",") if part.strip())
    if not names:
        raise ConfigError("--systems names no system.", f"Give some, such as {SYSTEMS}.")
    return names


def parse_runs(texts: list[str]) -> dict[str, Path]:
    """Trainings by name.

    Raises:
        ConfigError: one is not written NAME=RUN, or a name stands twice.

    >>> parse_runs(["vcg=runs/a"])
    {'vcg': PosixPath('runs/a')}
    """
    runs: dict[str, Path] = {}
    for text in texts:
        name, sign, folder = text.partition("=")
        if not (name and sign and folder) or name in runs:
            why = "names a training that is there already" if name in runs else "is not written NAME=RUN"
            raise ConfigError(f"--runs {text} {why}.", "Write it as in --runs vcg=runs/vcg.")
        runs[name] = Path(folder)
    return runs


def _print(evaluation: "Evaluation", out: Path, as_json: bool) -> None:
    from labelcraft.evaluation.page import PAGE
    from retrieval.console import print_table, to_json

    if as_json:
        typer.echo(to_json(evaluation.numbers))
        return
    typer.echo(evaluation.headline.line)
    print_table(_table(evaluation))
    for detail in evaluation.headline.details:
        typer.echo(detail)
    for one in evaluation.odd:
        typer.echo(f"{one.n:,} {one.what}{f' ({one.system})' if one.system else ''}: {one.done}.")
    for reason, n in evaluation.set_aside.items():
        typer.echo(f"{n:,} rows set aside: {reason}.")
    for verdict in evaluation.gates:
        said = f"shut: {'; '.join(verdict.broken)}" if verdict.broken else "open"
        typer.echo(f"Gate for {verdict.system}: {said}.{f' {verdict.not_compared}.' if verdict.not_compared else ''}")
    typer.echo(f"Wrote {out / PAGE}.")
    about = evaluation.about
    command = f"lookreel evaluate propensities --tables {quote(about.tables)} --before {about.split:%Y-%m-%dT%H:%M:%SZ}"
    typer.echo(f"Next: {command} --out {quote(str(out))}")


def _table(evaluation: "Evaluation") -> "Table":
    from rich.table import Table

    from labelcraft.evaluation.headline import MAIN, interval_words
    from labelcraft.evaluation.page import verdict_words
    from retrieval.metrics.listwise import Form, Measure

    about = evaluation.about
    headings = (
        f"DCG@{about.k} by IPS",
        f"against {about.baseline}",
        "",
        f"NDCG@{about.k} by IPS",
        "AUC",
        "Gini",
        "median s",
    )
    table = Table("system", *headings, box=None, pad_edge=False)
    for system in evaluation.systems:
        main, ndcg, shown = system.of(*MAIN), system.of(Measure.NDCG, Form.IPS), system.shown
        table.add_row(
            system.name,
            interval_words(main.value, sign=False),
            interval_words(main.difference.estimate) if main.difference else "–",
            verdict_words(main.difference),
            _figure(ndcg.value.mean, 3),
            _figure(system.pointwise.auc.mean, 3),
            _figure(shown.exposure["gini"].mean, 2) if shown else "–",
            _figure(shown.duration_s.median, 1) if shown else "–",
        )
    return table


def _figure(value: float, digits: int) -> str:
    """Missing is not zero, and no word either.

    >>> _figure(0.5, 2), _figure(float("nan"), 2)
    ('0.50', '–')
    """
    return f"{value:.{digits}f}" if isfinite(value) else "–"
