"""How long a snapshot takes to follow its tables, and what its deltas cost a search.

The stores are written directly, shard by shard as the embed job does: random unit vectors of 512, so nothing is decoded
or encoded. The bars: 1,000 videos into 100,000 in under a second, and a search at most 1.1 times as long at 1 % delta.
"""

import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from statistics import median
from typing import Any, TypeVar

import numpy as np
import polars as pl
from numpy.typing import NDArray

from benchmarks.report import Figure, run
from indexing.columns import S
from indexing.fusing import Shift
from indexing.manifest import StoreManifest, begin, read_state
from indexing.places import open_place
from indexing.publish import build_snapshot
from indexing.store import commit_shard, finish
from indexing.update import UpdateSummary, update_snapshot
from indexing.versions import rollback_snapshot
from retrieval.index import build_index, default_index_kind
from retrieval.index.protocol import VectorIndex
from retrieval.snapshot import open_snapshot
from retrieval.tables import Columns as C

DIM = 512
SHARD = 64  # items, as the embed job commits them
FRAMES, JPEG_BYTES = 8, 20_000  # of the videos that are added; a poster of the base is one frame of some bytes
START = datetime(2026, 1, 1, tzinfo=UTC)
K = 10
T = TypeVar("T")


@dataclass(frozen=True)
class Size:
    """How many videos and products there are before, how many videos are *added*, and how often it is measured."""

    videos: int
    products: int
    added: int
    updates: int
    searches: int


FULL = Size(100_000, 100_000, 1_000, 5, 300)
QUICK = Size(20_000, 5_000, 1_000, 3, 100)


@dataclass(frozen=True)
class Shop:
    """Stores, tables and a snapshot in *root*."""

    root: Path

    @property
    def snapshot(self) -> Path:
        return self.root / "snapshot"

    @property
    def sources(self) -> tuple[Path, Path, Path]:
        return self.root / "videos", self.root / "products", self.root / "shop"

    def update(self) -> UpdateSummary:
        return update_snapshot(self.snapshot, *self.sources)


def measure(quick: bool) -> list[Figure]:
    """Update, open and search."""
    size = QUICK if quick else FULL
    with tempfile.TemporaryDirectory() as folder:
        shop = Shop(Path(folder))
        make_shop(shop, size)
        added = _update_figures(shop, size)
        rollback_snapshot(shop.snapshot)
        return [*added, _slowdown(shop, size)]


def _update_figures(shop: Shop, size: Size) -> list[Figure]:
    """Add videos, over and over from the same version: in this process, as a command, and seen by a reader."""
    n = size.videos
    _write_tables(shop, _ids("v", n + size.added), _ids("p", size.products))
    _append(shop.root / "videos", _ids("v", n + size.added)[n:], FRAMES, JPEG_BYTES, seed=1)
    before, opening = _timed(lambda: open_snapshot(shop.snapshot))
    seconds = []
    for number in range(size.updates + 1):
        if number:
            rollback_snapshot(shop.snapshot)
        summary, spent = _timed(shop.update)
        seconds.append(spent)
    if summary.videos.added != size.added:
        raise RuntimeError(f"{summary.videos.added} videos were added, not {size.added}")
    _, refreshing = _timed(lambda: open_snapshot(shop.snapshot, known=before))
    rollback_snapshot(shop.snapshot)
    command = _command(shop)
    what = f"{size.added} new videos (8 frames, 8 JPEGs of 20 kB) into {n} videos and {size.products} products"
    return [
        Figure("update_1000_into_100k_seconds", median(seconds[1:]), "s", "lower", f"{what}, median of {size.updates}"),
        Figure("update_command_seconds", command, "s", "lower", f"{what}, the whole command with its start"),
        Figure(
            "refresh_seconds", refreshing, "s", "lower", "opening that version, knowing the one before, all verified"
        ),
        Figure("open_seconds", opening, "s", "lower", f"opening {n} videos of 1 frame, all verified"),
    ]


def _command(shop: Shop) -> float:
    videos, products, tables = map(str, shop.sources)
    options = ["--videos", videos, "--products", products, "--tables", tables, "--snapshot", str(shop.snapshot)]
    program = [sys.executable, "-c", "from lookreel.cli import main; main()", "index", "update", *options]
    _, seconds = _timed(lambda: subprocess.run(program, check=True, capture_output=True))
    return seconds


def _slowdown(shop: Shop, size: Size) -> Figure:
    """A 1 % delta and 1 % dead rows: half of the delta is new, half replaces; as many more are deleted."""
    n, half = size.videos, size.videos // 200
    ids = _ids("v", n + size.added)
    _append(shop.root / "videos", [*ids[:half], *ids[n : n + half]], FRAMES, 100, seed=2)
    _write_tables(shop, [*ids[: n - half], *ids[n : n + half]], _ids("p", size.products))
    shop.update()
    space = open_snapshot(shop.snapshot).space
    flat = build_index(default_index_kind(), np.asarray(space.video_vectors))
    queries = _unit_rows(np.random.default_rng(3), size.searches)[:, None]
    spent = [_searches(space.index, flat, query) for query in queries]
    ours, theirs = (median(times) for times in zip(*spent, strict=True))
    detail = (
        f"p50 of {size.searches} searches in turn, {n} videos with {2 * half} in a delta and {2 * half} dead: "
        f"{ours * 1e3:.2f} ms against {theirs * 1e3:.2f} ms of a flat {default_index_kind()} index of the living rows"
    )
    return Figure("search_delta_slowdown", ours / theirs, "times", "lower", detail)


def _searches(segmented: VectorIndex, flat: VectorIndex, query: NDArray[np.float32]) -> tuple[float, float]:
    """How long one search takes in either index; both must find the same."""
    found, ours = _timed(lambda: segmented.search(query, K))
    expected, theirs = _timed(lambda: flat.search(query, K))
    if (found.rows != expected.rows).any():
        raise RuntimeError("the segmented index and the flat one differ")
    return ours, theirs


def make_shop(shop: Shop, size: Size) -> None:
    """Write tables and stores of random unit vectors, and publish them."""
    videos, products = _ids("v", size.videos), _ids("p", size.products)
    _write_tables(shop, videos, products)
    _append(shop.root / "videos", videos, 1, 100, seed=0)
    _append(shop.root / "products", products, 1, 100, seed=5)
    build_snapshot(*shop.sources, shop.snapshot)


def _ids(letter: str, n: int) -> list[str]:
    return [f"{letter}{number:07d}" for number in range(n)]


def _write_tables(shop: Shop, videos: Sequence[str], products: Sequence[str]) -> None:
    folder = shop.root / "shop"
    folder.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(4)
    pl.DataFrame(
        {
            C.VIDEO_ID: videos,
            C.URI: [f"clips/{video}.mp4" for video in videos],
            C.PUBLISHED_AT: [START + timedelta(seconds=int(video[1:])) for video in videos],
            C.DURATION_S: rng.uniform(5, 60, len(videos)),
            C.TITLE: [f"A film of a dress, number {video}" for video in videos],
            C.PRODUCT_IDS: [[products[int(video[1:]) % len(products)]] for video in videos],
            C.MARKETS: [["de", "fr", "pl"][: 1 + int(video[1:]) % 3] for video in videos],
        },
        schema_overrides={C.PUBLISHED_AT: pl.Datetime("us", "UTC")},
    ).write_parquet(folder / "videos.parquet")
    titles = [f"A dress, number {product}" for product in products]
    pl.DataFrame({C.PRODUCT_ID: products, C.TITLE: titles}).write_parquet(folder / "products.parquet")
    names = [C.USER_ID, C.PRODUCT_ID, C.EVENT, C.OCCURRED_AT]
    event = [("ann", products[0], "view", START + timedelta(days=30))]
    pl.DataFrame(event, schema=names, orient="row").write_parquet(folder / "interactions.parquet")


def _append(path: Path, ids: Sequence[str], frames: int, jpeg_bytes: int, seed: int) -> None:
    """Append shards to the store at *path*, or begin it: the content of *ids* follows from *seed*."""
    place, rng = open_place(path), np.random.default_rng(seed)
    fusion = {"modality_shift": [0.0] * DIM, "fusion": {"photo": 1.0, "text": 1.0}}
    options: dict[str, Any] = {"frames": FRAMES} if path.name == "videos" else fusion
    manifest = StoreManifest(path.name, "random", "random-512", "fp32", DIM, options)
    if (path / "manifest.json").exists():
        manifest = replace(read_state(place), complete=False)
    begin(place, manifest)
    for number, start in enumerate(range(0, len(ids), SHARD), manifest.next_shard):
        some = ids[start : start + SHARD]
        items, parts = _items(path.name, some, frames, seed, rng), _parts(some, frames, jpeg_bytes, rng)
        shard = pl.lit(number, pl.Int32).alias(S.SHARD)
        commit_shard(place, number, items.with_columns(shard), parts.with_columns(shard), (), Shift())
    finish(place, pl.DataFrame(schema={"table": pl.String, "row": pl.Int64, "reason": pl.String}))


def _items(kind: str, ids: Sequence[str], frames: int, seed: int, rng: np.random.Generator) -> pl.DataFrame:
    hashes = [f"{seed}-{item_id}".ljust(64, "0") for item_id in ids]
    vectors = (S.VECTOR,) if kind == "videos" else (S.PHOTO_VECTOR, S.TEXT_VECTOR)
    about = {S.ITEM_ID: ids, S.SIGNATURE: hashes, S.CONTENT_HASH: hashes, S.N_PARTS: [frames] * len(ids)}
    return pl.DataFrame(about).with_columns(pl.Series(name, _unit_rows(rng, len(ids))) for name in vectors)


def _parts(ids: Sequence[str], frames: int, jpeg_bytes: int, rng: np.random.Generator) -> pl.DataFrame:
    n = len(ids) * frames
    return pl.DataFrame(
        {
            S.ITEM_ID: [item_id for item_id in ids for _ in range(frames)],
            S.PART: list(range(frames)) * len(ids),
            S.TIME_S: [part + 0.5 for part in range(frames)] * len(ids),
            S.URI: [""] * n,
            S.JPEG: [rng.bytes(jpeg_bytes) for _ in range(n)],
            S.VECTOR: _unit_rows(rng, n),
        }
    )


def _unit_rows(rng: np.random.Generator, n: int) -> NDArray[np.float32]:
    rows = rng.normal(size=(n, DIM)).astype(np.float32)
    unit: NDArray[np.float32] = rows / np.linalg.norm(rows, axis=1, keepdims=True)
    return unit


def _timed(work: Callable[[], T]) -> tuple[T, float]:
    started = time.perf_counter()
    result = work()
    return result, time.perf_counter() - started


if __name__ == "__main__":
    run(measure, "How fast a snapshot follows its tables, and what its deltas cost.")
