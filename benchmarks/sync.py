"""How long a new row of the table takes to be served, with `lookreel sync --watch 30s` at work.

A shop of 100,000 videos gets one new video a second. A process of its own syncs; this one writes the rows and looks
every second which videos the live snapshot has. The 100,000 that are there are written into the store directly; the new
ones are real clips, each of other bytes, decoded and embedded with the shipped model.
"""

import os
import struct
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import polars as pl

from benchmarks.report import Figure, run
from indexing.columns import S
from indexing.embed import EmbedOptions, embed_products, wanted_store
from indexing.fusing import Shift
from indexing.job import Part
from indexing.manifest import begin
from indexing.places import Place, open_place
from indexing.publish import build_snapshot
from indexing.store import commit_shard, finish
from indexing.work import Work, video_work
from retrieval.encoder import Encoder, open_encoder
from retrieval.log import to_us
from retrieval.snapshot import Snapshot, open_snapshot
from retrieval.tables import Columns as C
from sample_shop.build import ShopConfig, build_shop

START = datetime(2026, 1, 1, tzinfo=UTC)
SHARD = 64  # items, as the embed job commits them
N_CLIPS = 12


@dataclass(frozen=True)
class Size:
    """*videos* that are there, seconds in which one comes each, and how often sync looks."""

    videos: int
    seconds: int
    watch: str


FULL, QUICK = Size(100_000, 180, "30s"), Size(5_000, 20, "5s")


@dataclass
class Shop:
    """Tables, clips, stores and a snapshot in *root*; *videos* is the table as it stands."""

    root: Path
    videos: pl.DataFrame
    _arrived: dict[str, float] = field(default_factory=dict)
    served: dict[str, float] = field(default_factory=dict)

    @property
    def tables(self) -> Path:
        return self.root / "shop"

    def add(self, number: int) -> None:
        """A new clip, and its row in the table, written as exporters do: beside it, then renamed."""
        uri, video_id = f"clips/new-{number}.mp4", f"new-{number}"
        clips = sorted((self.tables / "clips").glob("v*.mp4"))
        (self.tables / uri).write_bytes(clips[number % len(clips)].read_bytes() + _free_box(number))
        now = pl.lit(datetime.now(UTC)).cast(self.videos[C.PUBLISHED_AT].dtype).alias(C.PUBLISHED_AT)
        row = self.videos.head(1).with_columns(pl.lit(video_id).alias(C.VIDEO_ID), pl.lit(uri).alias(C.URI), now)
        self.videos = pl.concat([self.videos, row])
        self.save()
        self._arrived[video_id] = time.monotonic()

    def save(self) -> None:
        draft = self.tables / "videos.parquet.new"
        self.videos.write_parquet(draft)
        os.replace(draft, self.tables / "videos.parquet")

    def look(self, snapshot: Snapshot) -> Snapshot:
        """The live snapshot; what it has newly got, and may be in a feed now, is served from now on."""
        live = open_snapshot(self.root / "snapshot", known=snapshot)
        eligible, now = live.eligible(to_us(datetime.now(UTC)), ()), time.monotonic()
        for video_id in self._arrived.keys() - self.served.keys():
            row = live.video_ids.row(video_id)
            if row is not None and eligible[row]:
                self.served[video_id] = now - self._arrived[video_id]
        return live


def _free_box(number: int) -> bytes:
    """A box that players skip: the same film, another file."""
    return struct.pack(">I4sI", 12, b"free", number)


def measure(quick: bool) -> list[Figure]:
    """Rows for some minutes, then a wait until the last is served."""
    size = QUICK if quick else FULL
    with tempfile.TemporaryDirectory() as folder:
        shop = _made(Path(folder), size)
        with _syncing(shop, size):
            _run(shop, size)
        n_videos = len(open_snapshot(shop.root / "snapshot").video_ids)
    if n_videos != size.videos + size.seconds:
        raise RuntimeError(f"{n_videos} videos are served, not {size.videos + size.seconds}")
    waits = np.array(list(shop.served.values()))
    what = f"one new video a second for {size.seconds} s into {size.videos}, watched every {size.watch}"
    told = f"{what}; median {np.median(waits):.1f} s, longest {waits.max():.1f} s, n {len(waits)}"
    return [Figure("row_to_served_seconds_p95", float(np.quantile(waits, 0.95)), "s", "lower", told)]


def _run(shop: Shop, size: Size) -> None:
    live, started = open_snapshot(shop.root / "snapshot"), time.monotonic()
    number = 0
    while len(shop.served) < size.seconds:
        if number < size.seconds and time.monotonic() - started >= number:
            shop.add(number)
            number += 1
            continue
        live = shop.look(live)
        time.sleep(max(0.0, min(1.0, started + number - time.monotonic())) if number < size.seconds else 1.0)
        if time.monotonic() - started > size.seconds + 300:
            raise RuntimeError(f"only {len(shop.served)} of {size.seconds} videos were served")


@contextmanager
def _syncing(shop: Shop, size: Size) -> Iterator[None]:
    options = [
        "--tables", shop.tables, "--videos", shop.root / "videos", "--products", shop.root / "products",
        "--snapshot", shop.root / "snapshot", "--watch", size.watch,
    ]  # fmt: skip
    program = [sys.executable, "-c", "from lookreel.cli import main\nif __name__ == '__main__': main()", "sync"]
    process = subprocess.Popen([*program, *map(str, options)], cwd=shop.root)
    try:
        yield
    finally:
        process.terminate()
        process.wait()


def _made(root: Path, size: Size) -> Shop:
    shop_folder, encoder = root / "shop", open_encoder()
    build_shop(shop_folder, ShopConfig(N_CLIPS, 60, 20, seed=5))
    row = pl.read_parquet(shop_folder / "videos.parquet").head(1)
    ids = [f"there-{number}" for number in range(size.videos)]
    times = [START + timedelta(seconds=number) for number in range(size.videos)]
    videos = pl.concat([row] * size.videos).with_columns(
        pl.Series(C.VIDEO_ID, ids),
        pl.Series(C.URI, [f"clips/{name}.mp4" for name in ids]),
        pl.Series(C.PUBLISHED_AT, times).cast(row[C.PUBLISHED_AT].dtype),
    )
    shop = Shop(root, videos)
    shop.save()
    embed_products(shop_folder / "products.parquet", root / "products", encoder)
    _write_store(root / "videos", video_work(shop_folder / "videos.parquet", encoder, EmbedOptions()), encoder)
    (shop_folder / "impressions.parquet").unlink(missing_ok=True)  # of other videos
    build_snapshot(root / "videos", root / "products", shop_folder, root / "snapshot")
    return shop


def _write_store(path: Path, work: Work, encoder: Encoder) -> None:
    """The store that embedding would have made, of random vectors: the files are not there, as their signatures say."""
    place, rng = open_place(path), np.random.default_rng(0)
    begin(place, wanted_store(work, encoder, Part()))
    ids = [item.item_id for item in work.items]
    for number, start in enumerate(range(0, len(ids), SHARD)):
        _write_shard(place, number, ids[start : start + SHARD], encoder.dim, rng)
    finish(place, work.rejected)


def _write_shard(place: Place, number: int, ids: Sequence[str], dim: int, rng: np.random.Generator) -> None:
    n = len(ids)
    shard = pl.Series(S.SHARD, [number] * n, dtype=pl.Int32)
    vectors = rng.normal(size=(n, dim)).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    items = pl.DataFrame(
        {
            S.ITEM_ID: ids, S.SIGNATURE: [""] * n, S.CONTENT_HASH: [f"made-{name}" for name in ids],
            S.N_PARTS: [1] * n, S.DURATION_S: [8.0] * n, S.WIDTH: [270] * n, S.HEIGHT: [480] * n,
            S.PARTIAL: [False] * n, S.VECTOR: vectors,
        }
    )  # fmt: skip
    parts = pl.DataFrame(
        {
            S.ITEM_ID: ids, S.PART: [0] * n, S.TIME_S: [4.0] * n, S.URI: [""] * n, S.JPEG: [b""] * n, S.VECTOR: vectors,
        }
    )  # fmt: skip
    commit_shard(place, number, items.with_columns(shard), parts.with_columns(shard), (), Shift())


if __name__ == "__main__":
    run(measure, __doc__ or "")
