"""`lookreel index tune`."""

import math
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from indexing.cli.options import AsJson

if TYPE_CHECKING:
    from indexing.tune import Tuning

Skip = Annotated[list[str] | None, typer.Option("--skip", help="Leave out an index, such as faiss-hnsw; repeatable.")]


def tune_command(
    snapshot: Annotated[Path | None, typer.Option(help="Snapshot whose vectors to measure on.")] = None,
    where: Annotated[list[str] | None, typer.Option("--where", help="Filter, as markets=de; repeatable.")] = None,
    max_ms: Annotated[float | None, typer.Option(min=0, help="Limit on p99 of one query, in milliseconds.")] = None,
    max_mb: Annotated[float | None, typer.Option(min=0, help="Limit on the memory it holds, in megabytes.")] = None,
    min_recall: Annotated[float, typer.Option(min=0, max=1, help="The share of the best it must find.")] = 0.99,
    k: Annotated[int, typer.Option("-k", "--k", min=1, help="How many videos a search returns.")] = 100,
    queries: Annotated[int, typer.Option(min=10, help="How many users to draw.")] = 100,
    skip: Skip = None,
    seed: Annotated[int, typer.Option(help="Of the drawn users.")] = 0,
    out: Annotated[Path, typer.Option("--out", help="Where the figures and the plot go.")] = Path("tune"),
    as_json: AsJson = False,
) -> None:
    """Measure every kind of index on a snapshot's own vectors, and choose the cheapest within limits."""
    import numpy as np

    from indexing.tune import FAMILIES, Limits, tune
    from indexing.tune_plot import plot_tuning, require_plots
    from retrieval.config import load_config
    from retrieval.console import progress, to_json
    from retrieval.snapshot import open_snapshot
    from retrieval.where import parse_where

    require_plots()  # said before the measuring, not after
    opened = open_snapshot(load_config().path("snapshot", snapshot), index="exact")
    eligible = opened.eligible(np.iinfo(np.int64).max, parse_where(where)) if where else None
    limits = Limits(math.inf if max_ms is None else max_ms, math.inf if max_mb is None else max_mb, min_recall)
    families = [family for family in FAMILIES if family not in (skip or ())]
    with progress("measuring indexes") as update:
        tuning = tune(
            np.asarray(opened.space.video_vectors), np.asarray(opened.space.product_vectors), eligible, limits,
            k=k, n_queries=queries, families=families, seed=seed, progress=update,
        )  # fmt: skip
    out.mkdir(parents=True, exist_ok=True)
    (out / "tune.json").write_text(to_json(tuning) + "\n")
    plot_tuning(tuning, limits, out / "recall_latency.png")
    print(to_json(tuning) if as_json else _table(tuning, out))


def _table(tuning: "Tuning", out: Path) -> str:
    head = f"{'index':<24}{'recall@' + str(tuning.k):>12}{'p50 ms':>10}{'p99 ms':>10}{'MB':>10}{'build s':>10}"
    rows = [
        f"{one.kind:<24}{one.recall:>12.4f}{one.p50_ms:>10.3f}{one.p99_ms:>10.3f}{one.memory_mb:>10.1f}{one.build_s:>10.2f}"
        for one in tuning.measured
    ]
    about = f"{tuning.n_eligible} of {tuning.n_videos} videos eligible, {tuning.n_queries} queries, one thread."
    choice = ["In lookreel.toml:", "[index]", f'kind = "{tuning.kind}"'] if tuning.kind else []
    return "\n".join([about, head, *rows, tuning.reason, *choice, f"Plot: {out / 'recall_latency.png'}"])
