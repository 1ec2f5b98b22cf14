"""Tables over material that nobody here made: filmed clips as videos, photographed clothes as products.

`python -m benchmarks.real_media DATA OUT` writes videos.parquet, products.parquet and interactions.parquet for the
folders `people_ccby` and `clothing_cc0` of DATA. The shoppers are made up, one for each kind of garment, who looked
at photos of that kind; everything else is as it was found.
"""

import csv
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import polars as pl

from retrieval.tables import Columns as C

END = datetime(2026, 6, 1, tzinfo=UTC)


def read_csv(path: Path) -> list[dict[str, str]]:
    """The rows of a CSV file by its header."""
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def outfit_groups(data: Path) -> dict[str, str]:
    """Which outfit each clip of `people_ccby` shows, by the clip's name."""
    return {row["clip"].removesuffix(".mp4"): row["outfit_group"] for row in read_csv(data / "people_ccby/outfits.csv")}


def write_tables(data: Path, out: Path, photos_of_each_kind: int = 20) -> None:
    """Write the three tables into *out*."""
    out.mkdir(parents=True, exist_ok=True)
    products = _products(data, photos_of_each_kind)
    _videos(data).write_parquet(out / "videos.parquet")
    products.write_parquet(out / "products.parquet")
    _interactions(products).write_parquet(out / "interactions.parquet")


def _videos(data: Path) -> pl.DataFrame:
    clips = sorted((data / "people_ccby").glob("*.mp4"))
    published = [END - timedelta(days=1, hours=number) for number in range(len(clips))]
    return pl.DataFrame(
        {
            C.VIDEO_ID: [clip.stem for clip in clips],
            C.URI: [str(clip.resolve()) for clip in clips],
            C.PUBLISHED_AT: published,
        }
    )


def _products(data: Path, of_each_kind: int) -> pl.DataFrame:
    """Photos of the validation split. The title is the kind alone, as a lazy catalogue would have it."""
    rows = [row for row in read_csv(data / "clothing_cc0/photos.csv") if row["split"] == "validation"]
    frame = pl.DataFrame(rows).group_by("label", maintain_order=True).head(of_each_kind)
    paths = [(data / "clothing_cc0" / path).resolve() for path in frame["path"]]
    return pl.DataFrame(
        {
            C.PRODUCT_ID: [path.stem for path in paths],
            C.TITLE: frame["label"],
            C.CATEGORY: frame["label"],
            C.IMAGE_URIS: [[str(path)] for path in paths],
        }
    )


def _interactions(products: pl.DataFrame) -> pl.DataFrame:
    place = pl.int_range(pl.len()).over(C.CATEGORY)
    return products.filter(place < 6).select(
        (pl.lit("likes-") + pl.col(C.CATEGORY)).alias(C.USER_ID),
        C.PRODUCT_ID,
        pl.lit("view").alias(C.EVENT),
        (pl.lit(END) - pl.duration(hours=pl.int_range(pl.len()) + 1)).alias(C.OCCURRED_AT),
    )


if __name__ == "__main__":
    write_tables(Path(sys.argv[1]), Path(sys.argv[2]))
