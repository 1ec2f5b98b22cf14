"""`lookreel experiment …`: parses, calls one function, prints and sets the exit code."""

from pathlib import Path
from shlex import quote
from typing import TYPE_CHECKING, Annotated

import typer

from retrieval.errors import ConfigError, import_extra

if TYPE_CHECKING:
    from collections.abc import Mapping

    from rich.table import Table

    from labelcraft.experiments.analysis import Analysis

WINSORISE_FROM = 50.0  # per cent; a cap below the median would be no cap


def make_app() -> typer.Typer:
    """The commands of experiments."""
    app = typer.Typer(help="What online experiments say.", no_args_is_help=True)

    @app.callback()
    def _experiment() -> None:
        """What online experiments say."""

    app.command("report")(report_command)
    return app


def report_command(
    impressions: Annotated[Path, typer.Option("--impressions", help="The feed's log, with a bucket for each user.")],
    videos: Annotated[
        Path | None, typer.Option("--videos", help="The table of videos; by default beside the log.")
    ] = None,
    experiment: Annotated[str | None, typer.Option("--experiment", help="Which, where the log has several.")] = None,
    control: Annotated[
        str | None, typer.Option("--control", help="Bucket to compare with; control, A or baseline.")
    ] = (None),
    primary: Annotated[
        str, typer.Option("--primary", help="The metric that decides: watched_50, watched_25, started, rate_25, …")
    ] = "watched_50",
    guards: Annotated[
        str | None,
        typer.Option("--guards", help="What must not get worse: feeds,skips,length,likes,COLUMN:lower, or none."),
    ] = None,
    margin: Annotated[float, typer.Option("--margin", min=0, help="Loss of a guard that is tolerated, in %.")] = 5.0,
    shares: Annotated[
        str | None, typer.Option("--shares", help="Expected, such as control=0.9,treatment=0.1; by default equal.")
    ] = None,
    before: Annotated[
        Path | None, typer.Option("--pre-period", help="Log of the time before, to adjust by (CUPED).")
    ] = None,
    start: Annotated[
        str | None, typer.Option("--start", help="UTC time the experiment began; earlier rows are the time before.")
    ] = None,
    end: Annotated[str | None, typer.Option("--end", help="UTC time it ended.")] = None,
    winsorise: Annotated[
        float, typer.Option("--winsorise", max=100, help="Cap users' watch time at this percentile of all users'.")
    ] = 100.0,
    resamples: Annotated[int, typer.Option("--resamples", min=0, help="Of the bootstrap; 0 leaves it out.")] = 1000,
    seed: Annotated[int, typer.Option("--seed", min=0, help="Of the bootstrap.")] = 0,
    out: Annotated[Path, typer.Option("--out", help="Folder of the report.")] = Path("experiment"),
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Compare the buckets of an experiment: uplifts with intervals, whether the assignment is sound, and guards."""
    for package in ("matplotlib", "jinja2"):
        import_extra(package, "report")
    if winsorise < WINSORISE_FROM:
        raise ConfigError(f"--winsorise is {winsorise:g}.", "Give a percentile from 50 to 100, such as 99.")
    import time

    from labelcraft.experiments.analysis import Options
    from labelcraft.experiments.counts import Source, columns_of, count
    from labelcraft.experiments.metrics import SUMS, parse_guards, parse_metric
    from labelcraft.experiments.report import NUMBERS, report_of, write_report
    from retrieval.console import print_table, to_json
    from retrieval.recommend import parse_at

    parse_metric(primary)
    watched = parse_guards(guards, columns_of(impressions))
    extra = tuple(dict.fromkeys(one.numerator for one in watched if one.numerator not in SUMS))
    source = Source(
        impressions, videos or impressions.with_name("videos.parquet"), experiment, before, parse_at(start),
        parse_at(end), time.time_ns() // 1000, extra,
    )  # fmt: skip
    counts = count(source)
    expected = parse_shares(shares) if shares is not None else configured_shares(counts.experiment)
    options = Options(control, primary, expected, margin / 100, winsorise / 100, resamples, seed)
    report = report_of(counts, watched, options)
    page = write_report(report, out)
    if as_json:
        print(to_json(report.numbers))
        return
    print_table(_table(report.analysis))
    print(f"{report.verdict.line}\nWrote {page} and {out / NUMBERS}.")
    hint = report.counts.earlier_rows and not report.analysis.is_adjusted
    print(f"Next: {_with_start(impressions, report.counts.first_us) if hint else f'open {quote(str(page))}'}")


def parse_shares(text: str) -> "Mapping[str, float]":
    """The share of each bucket.

    Raises:
        ConfigError: they are no shares.

    >>> parse_shares("control=0.9, treatment=0.1")
    {'control': 0.9, 'treatment': 0.1}
    """
    try:
        shares = {name.strip(): float(share) for name, share in (part.split("=") for part in text.split(","))}
    except ValueError:
        shares = {}
    if not shares or not all(0 < share < float("inf") for share in shares.values()):
        raise ConfigError(f"--shares is {text!r}.", "Write it as in --shares control=0.9,treatment=0.1")
    return shares


def configured_shares(experiment: str) -> "Mapping[str, float] | None":
    """The shares of lookreel.toml where its experiment is this one; none, for equal ones, where it is not."""
    from retrieval.config import load_config

    told = load_config().experiment or {}
    shares: Mapping[str, float] | None = told.get("shares") if experiment and told.get("name") == experiment else None
    return shares


def _with_start(impressions: Path, first_us: int) -> str:
    from retrieval.log import from_us

    start = from_us(first_us).strftime("%Y-%m-%dT%H:%M:%S")
    return f"lookreel experiment report --impressions {quote(str(impressions))} --start {start}"


def _table(analysis: "Analysis") -> "Table":
    from rich.table import Table

    from labelcraft.experiments.page import uplift_words, value_words
    from labelcraft.experiments.verdict import interval_words

    table = Table("bucket", "metric", analysis.control, "bucket's", "uplift", "95 % interval", "", box=None)
    for row in analysis.rows:
        up = row.shown
        table.add_row(
            row.treatment, row.metric.name, value_words(row.metric, up.control), value_words(row.metric, up.treatment),
            uplift_words(up), interval_words(up, sign=True) if up.is_known else "–",
            row.guarded.value if row.guarded else "significant" if row.is_significant else "",
        )  # fmt: skip
    return table
