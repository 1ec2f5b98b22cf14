"""`lookreel embed …`."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from indexing.cli.options import AsJson, Overwrite

if TYPE_CHECKING:
    from indexing.cli.embedding import EmbedRequest
    from indexing.embed import EmbedSummary
    from indexing.estimate import Estimate

embed_app = typer.Typer(help="Embed the media of a table into a store.", no_args_is_help=True)

Out = Annotated[str | None, typer.Option("--out", help="Folder or fsspec URL of the store; else as in lookreel.toml.")]
Model = Annotated[
    str | None,
    typer.Option(help="sample, content, an open_clip NAME/TAG, hf-hub:… or local-dir:….", show_default="sample"),
]
Device = Annotated[str | None, typer.Option(help="auto, cpu, cuda …", show_default="auto")]
PrecisionOption = Annotated[
    str | None, typer.Option("--precision", help="auto, bf16 or fp32; a store keeps its own.", show_default="auto")
]
Workers = Annotated[int, typer.Option(min=0, help="Processes that read files; 0: one for each core.")]
EngineOption = Annotated[str, typer.Option("--engine", help="local, or ray: the same shards as tasks of a cluster.")]
RayAddress = Annotated[str, typer.Option("--ray-address", help="The cluster, with --engine ray.")]
ShardOption = Annotated[str | None, typer.Option("--shard", help="i/n: an independent part; join with embed merge.")]
PlanOption = Annotated[bool, typer.Option("--plan", help="Embed a sample of 1 % and say what all would cost.")]
Retry = Annotated[bool, typer.Option("--retry", help="Try again what an earlier run set aside.")]


@embed_app.command("videos")
def embed_videos_command(
    table: Annotated[Path, typer.Argument(help="videos.parquet")],
    out: Out = None,
    model: Model = None,
    frames: Annotated[int | None, typer.Option(min=1, help="Frames of each video.", show_default="8")] = None,
    device: Device = None,
    precision: PrecisionOption = None,
    workers: Workers = 0,
    engine: EngineOption = "local",
    ray_address: RayAddress = "auto",
    shard: ShardOption = None,
    plan: PlanOption = False,
    retry: Retry = False,
    overwrite: Overwrite = False,
    as_json: AsJson = False,
) -> None:
    """Embed evenly sampled frames of every video, and their mean. A run that was stopped goes on where it was."""
    from indexing.cli.embedding import EmbedRequest

    _embed(EmbedRequest(
        "videos", table, out, model, device, precision, workers, engine, ray_address, shard, retry, overwrite, frames
    ), plan, as_json)  # fmt: skip


@embed_app.command("products")
def embed_products_command(
    table: Annotated[Path, typer.Argument(help="products.parquet")],
    out: Out = None,
    model: Model = None,
    device: Device = None,
    precision: PrecisionOption = None,
    workers: Workers = 0,
    engine: EngineOption = "local",
    ray_address: RayAddress = "auto",
    shard: ShardOption = None,
    plan: PlanOption = False,
    retry: Retry = False,
    overwrite: Overwrite = False,
    as_json: AsJson = False,
) -> None:
    """Embed the photos and the text of every product, and both fused. A run that was stopped goes on where it was."""
    from indexing.cli.embedding import EmbedRequest

    _embed(EmbedRequest(
        "products", table, out, model, device, precision, workers, engine, ray_address, shard, retry, overwrite
    ), plan, as_json)  # fmt: skip


@embed_app.command("merge")
def embed_merge(
    parts: Annotated[list[str], typer.Argument(help="The stores that embed --shard 1/n … n/n made.")],
    out: Annotated[str, typer.Option("--out", help="Folder or fsspec URL of the whole store.")],
    as_json: AsJson = False,
) -> None:
    """Join the parts of one job to the store that an undivided run would have made."""
    from indexing.merge import merge_parts
    from retrieval.console import to_json

    manifest = merge_parts(parts, out)
    if as_json:
        print(to_json({"store": out, "n_items": manifest.n_items, "n_quarantined": manifest.n_quarantined}))
        return
    print(f"{manifest.n_items} {manifest.kind} of {len(parts)} parts in {out}.")
    print("Next: lookreel index build --videos STORE --products STORE --tables DIR --out SNAPSHOT")


def _embed(request: "EmbedRequest", plan: bool, as_json: bool) -> None:
    from indexing.cli.embedding import estimate_job, run_job

    if plan:
        _print_estimate(request.kind, estimate_job(request), as_json)
    else:
        _report(request.kind, run_job(request), as_json)


def _print_estimate(kind: str, estimate: "Estimate", as_json: bool) -> None:
    from retrieval.console import to_json

    if as_json:
        print(to_json(estimate))
        return
    print(
        f"{estimate.n_pending} of {estimate.n_items} {kind} are to be embedded; a sample of {estimate.n_sample} took "
        f"{estimate.sample_seconds:.1f} s ({estimate.items_per_s:.1f}/s)."
    )
    print(
        f"All would take about {_span(estimate.hours)} on {estimate.cores} cores, {estimate.core_hours:.2f} core-hours;"
        f" it would read {_size(estimate.read_bytes)} and write {_size(estimate.written_bytes)}."
    )
    print("Next: the same command without --plan.")


def _span(hours: float) -> str:
    return f"{hours:.1f} hours" if hours >= 1 else f"{hours * 60:.1f} minutes"


def _size(n_bytes: float) -> str:
    return f"{n_bytes / 1e9:.1f} GB" if n_bytes >= 1e9 else f"{n_bytes / 1e6:.1f} MB"


def _report(kind: str, summary: "EmbedSummary", as_json: bool) -> None:
    from retrieval.console import EXIT_QUARANTINED, to_json

    if as_json:
        print(to_json(summary))
    else:
        print(
            f"{summary.n_new} {kind} embedded in {summary.seconds:.1f} s; {summary.store} holds {summary.n_items}. "
            f"{summary.n_quarantined} files quarantined, {summary.n_rejected} rows rejected."
        )
        if summary.n_absent:
            print(f"{summary.n_absent} files are not there now; what was embedded of them stays.")
        for line in _reasons(summary.reasons):
            print(line)
        if summary.n_quarantined:
            print(f"All of them: {summary.store}/quarantine.parquet")
        if summary.n_items:
            print("Next: lookreel index build --videos STORE --products STORE --tables DIR --out SNAPSHOT")
    raise typer.Exit(EXIT_QUARANTINED if summary.n_quarantined else 0)


def _reasons(reasons: Sequence[tuple[str, int, str]]) -> list[str]:
    """How many files each reason cost, with the first of them."""
    return [f"  {count} × {reason} (first {uri})" for reason, count, uri in reasons]
