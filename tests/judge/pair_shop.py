"""A shop of six products and pairs that ask about them, as tables on disk; p4 has no photo, p9 is in no table."""

import io
from datetime import UTC, datetime

import polars as pl
from PIL import Image

from judge.inputs import Source
from judge.pair_tasks import NoVideos
from judge.pairs import HISTORY_IDS, KIND, LABEL, WEIGHT, load_pairs
from judge.pictures import Photos
from judge.refine import Refinement
from judge.rubric import load_rubric
from retrieval.tables import Columns as C
from retrieval.tables import load_catalogue
from tests.judge.scripted import ScriptedJudge

NOON = datetime(2026, 1, 10, 12, tzinfo=UTC)
PRODUCTS = (
    ("p0", "Red striped dress", "dress", "red"),
    ("p1", "Blue plain coat", "coat", "blue"),
    ("p2", "Red dotted dress", "dress", "red"),
    ("p3", "Red bag", "bag", "red"),
    ("p4", "Green dress", "dress", "green"),
    ("p5", "Grey shoes", "shoes", "grey"),
)
# pair, query, history, product
PAIRS = (
    ("a", "red dress", None, "p0"),
    ("b", None, ["p1", "p0"], "p2"),
    ("c", "red  dress", None, "p3"),  # a's query, but for a space
    ("d", "coat", None, "p1"),
    ("e", None, ["p1", "p0", "p1"], "p1"),  # b's history, but for what is named again
    ("f", "red dress", None, "p0"),  # as a
    ("g", None, ["p0", "p1"], "p2"),  # b's history in another order
)


def photo(number):
    out = io.BytesIO()
    Image.new("RGB", (60, 80), (40 * number, 200 - 30 * number, 90)).save(out, "PNG")
    return out.getvalue()


def pairs_frame(rows=PAIRS):
    return pl.DataFrame(
        [(i, "browse" if q is None else "search", "u", q, h, p, 1.0, 1.0, NOON) for i, q, h, p in rows],
        schema={
            "pair_id": pl.String, KIND: pl.String, C.USER_ID: pl.String, C.QUERY: pl.String,
            HISTORY_IDS: pl.List(pl.String), C.PRODUCT_ID: pl.String, LABEL: pl.Float64, WEIGHT: pl.Float64,
            C.OCCURRED_AT: pl.Datetime("us", "UTC"),
        },
        orient="row",
    )  # fmt: skip


def write_shop(folder, rows=PAIRS):
    """Write tables, photos and pairs.parquet; return the folder."""
    folder.mkdir(parents=True, exist_ok=True)
    table = pl.DataFrame(PRODUCTS, schema=[C.PRODUCT_ID, C.TITLE, C.CATEGORY, C.COLOR], orient="row")
    uris = [[] if one == "p4" else [f"{one}.png"] for one in table[C.PRODUCT_ID]]
    table.with_columns(pl.Series(C.IMAGE_URIS, uris)).write_parquet(folder / "products.parquet")
    for number in range(len(PRODUCTS)):
        (folder / f"p{number}.png").write_bytes(photo(number))
    videos = pl.DataFrame({C.VIDEO_ID: ["v"], C.URI: ["v.mp4"], C.PUBLISHED_AT: [NOON]})
    videos.with_columns(pl.col(C.PUBLISHED_AT).cast(pl.Datetime("us", "UTC"))).write_parquet(folder / "videos.parquet")
    pairs_frame(rows).write_parquet(folder / "pairs.parquet")
    return folder


def make_refinement(folder, judge=None, **options):
    """The pairs that stand in *folder*, for a judge that looks at photos."""
    catalogue = load_catalogue(folder)
    source = Source(catalogue.products, catalogue.videos, Photos(folder), NoVideos())
    pairs = load_pairs(folder / "pairs.parquet")
    return Refinement(pairs, source, judge or ScriptedJudge(), load_rubric("pairs-1"), **options)
