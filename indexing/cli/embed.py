"""`lookreel embed …`."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from indexing.cli.options import AsJson, Overwrite

if TYPE_CHECKING:
    from indexing.embed import EmbedSummary

embed_app = typer.Typer(help="Embed the media of a table into a store.", no_args_is_help=True)

Out = Annotated[Path | None, typer.Option("--out", help="Where the store goes; by default as in lookreel.toml.")]
Model = Annotated[
    str | None,
    typer.Option(help="sample, content, an open_clip NAME/TAG, hf-hub:… or local-dir:….", show_default="sample"),
]
Device = Annotated[str | None, typer.Option(help="auto, cpu, cuda …", show_default="auto")]
Workers = Annotated[int, typer.Option(min=0, help="Processes that read files; 0: one for each core.")]


@embed_app.command("videos")
def embed_videos_command(
    table: Annotated[Path, typer.Argument(help="videos.parquet")],
    out: Out = None,
    model: Model = None,
    frames: Annotated[int | None, typer.Option(min=1, help="Frames of each video.", show_default="8")] = None,
    device: Device = None,
    workers: Workers = 0,
    overwrite: Overwrite = False,
    as_json: AsJson = False,
) -> None:
    """Embed evenly sampled frames of every video, and their mean."""
    _embed("videos", table, out, model, frames, device, workers, overwrite, as_json)


@embed_app.command("products")
def embed_products_command(
    table: Annotated[Path, typer.Argument(help="products.parquet")],
    out: Out = None,
    model: Model = None,
    device: Device = None,
    workers: Workers = 0,
    overwrite: Overwrite = False,
    as_json: AsJson = False,
) -> None:
    """Embed the photos and the text of every product, and both fused."""
    _embed("products", table, out, model, None, device, workers, overwrite, as_json)


def _embed(
    kind: str, table: Path, out: Path | None, model: str | None, frames: int | None, device: str | None,
    workers: int, overwrite: bool, as_json: bool,
) -> None:  # fmt: skip
    from indexing.embed import EmbedOptions, embed_products, embed_videos
    from retrieval.config import load_config
    from retrieval.console import progress
    from retrieval.encoder import open_encoder
    from retrieval.folders import refuse_existing
    from retrieval.towers.product import FusionWeights

    config = load_config()
    target = config.path(kind, out)
    refuse_existing(target, replaces=kind if overwrite else "")
    encoder = open_encoder(model or config["encoder.model"], device or config["encoder.device"])
    options = EmbedOptions(
        frames=frames or config["embed.frames"],
        long_side=config["embed.long_side"],
        unit=config["embed.unit"],
        fusion=FusionWeights(config["embed.photo_weight"], config["embed.text_weight"]),
        workers=workers,
    )
    job = {"videos": embed_videos, "products": embed_products}[kind]
    with progress(f"embedding {kind}") as update:
        summary = job(table, target, encoder, options, overwrite=overwrite, progress=update)
    _report(kind, summary, as_json)


def _report(kind: str, summary: "EmbedSummary", as_json: bool) -> None:
    from retrieval.console import EXIT_QUARANTINED, to_json

    if as_json:
        print(to_json(summary))
    else:
        print(
            f"{summary.n_items} {kind} embedded in {summary.seconds:.1f} s into {summary.store}; "
            f"{summary.n_quarantined} files quarantined, {summary.n_rejected} rows rejected."
        )
        _print_reasons(summary.store / "quarantine.parquet")
        if summary.n_items:
            print("Next: lookreel index build --videos STORE --products STORE --tables DIR --out SNAPSHOT")
    raise typer.Exit(EXIT_QUARANTINED if summary.n_quarantined else 0)


def _print_reasons(quarantine: Path) -> None:
    """How many files each reason cost, with the first of them."""
    import polars as pl

    reasons = pl.read_parquet(quarantine).group_by("reason", maintain_order=True).agg(pl.len(), pl.col("uri").first())
    for reason, count, uri in reasons.iter_rows():
        print(f"  {count} × {reason} (first {uri})")
    if reasons.height:
        print(f"All of them: {quarantine}")
