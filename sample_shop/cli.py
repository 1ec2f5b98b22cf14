"""`lookreel shop`: builds the sample shop."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from sample_shop.build import ShopSummary
    from sample_shop.watching import Dials

app = typer.Typer(name="shop", help="A small seeded shop with known truth.", no_args_is_help=True)


@app.callback()
def shop() -> None:
    """A small seeded shop with known truth."""


@app.command()
def build(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="Where it goes: a new or an empty folder.")],
    videos: Annotated[int, typer.Option(min=1, help="How many videos.")] = 600,
    products: Annotated[int, typer.Option(min=1, help="How many products.")] = 600,
    users: Annotated[int, typer.Option(min=1, help="How many shoppers.")] = 400,
    days: Annotated[int, typer.Option(min=1, max=366, help="How many days the log lasts.")] = 14,
    seed: Annotated[int, typer.Option(min=0, help="The same seed makes the same shop.")] = 7,
    policy: Annotated[str, typer.Option(help="What fills the feed: recency, random or explore.")] = "recency",
    dial: Annotated[
        list[str] | None, typer.Option(metavar="NAME=VALUE", help="Turn a bias: position=0 is off. Repeatable.")
    ] = None,
    no_media: Annotated[bool, typer.Option("--no-media", help="Tables alone, no photos and clips.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print what was built as JSON.")] = False,
) -> None:
    """Build a shop: tables, truth, product photos and filmed clips."""
    from retrieval.console import progress, to_json
    from sample_shop.build import ShopConfig, build_shop
    from sample_shop.options import parse_dials, parse_policy

    dials, chosen = parse_dials(dial or []), parse_policy(policy)
    config = ShopConfig(videos, products, users, days, seed, media=not no_media, policy=chosen, dials=dials)
    summary = build_shop(folder, config, progress)
    print(to_json(summary) if as_json else describe(summary, dials))


def describe(summary: "ShopSummary", dials: "Dials") -> str:
    """What was built, and what to do next, in a few lines."""
    media = f"{summary.photos:,} photos, {summary.clips:,} clips" if summary.photos else "no photos, no clips"
    turned = f" Dials: {dials}." if dials != type(dials)() else ""
    lines = [
        f"{summary.folder}: built in {summary.seconds:.1f} s from seed {summary.seed}.{turned}",
        f"  {summary.products:,} products, {summary.videos:,} videos, {summary.users:,} shoppers; {media}",
        f"  {summary.interactions:,} catalogue events, {summary.impressions:,} impressions; "
        f"every shopper has at least {summary.unseen_share:.0%} of the videos unseen",
    ]
    if summary.photos:
        table, store = Path(summary.folder) / "products.parquet", Path(summary.folder) / "stores" / "products"
        lines.append(f"Next: lookreel embed products {table} --out {store}")
    else:
        lines.append(f"Next: lookreel tables check {summary.folder}")
    return "\n".join(lines)
