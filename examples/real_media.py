"""Tables over material that nobody here made: filmed clips as videos, photographed clothes as products.

`python examples/real_media.py DATA OUT` writes videos.parquet, products.parquet and interactions.parquet for the
folders `people_ccby` and `clothing_cc0` of DATA. The shoppers are made up, one for each kind of garment, who looked
at photos of that kind; everything else is as it was found. A shop's own export looks much like this.
"""

import argparse
import csv
from datetime import UTC, datetime, timedelta
from pathlib import Path

import polars as pl

from retrieval.tables import Columns as C

END = datetime(2026, 6, 1, tzinfo=UTC)


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
    with (data / "clothing_cc0/photos.csv").open(newline="") as file:
        rows = [row for row in csv.DictReader(file) if row["split"] == "validation"]
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
    parser = argparse.ArgumentParser(description="Tables over real clips and photos.")
    parser.add_argument("data", type=Path, help="holds people_ccby/ and clothing_cc0/")
    parser.add_argument("out", type=Path, help="where the tables go")
    given = parser.parse_args()
    write_tables(given.data, given.out)
    print(f"Next: lookreel tables check {given.out}")
