"""Embedding stores written by hand, shard by shard, and tables that name their items: nothing is decoded or encoded."""

from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import polars as pl

from indexing.columns import S
from indexing.fusing import Shift
from indexing.manifest import StoreManifest, begin, read_state
from indexing.places import open_place
from indexing.store import commit_shard, finish
from retrieval.schemas import Columns as C

DIM = 8
FRAMES = 2
START = datetime(2026, 1, 1, tzinfo=UTC)
OPTIONS = {
    "videos": {"frames": FRAMES},
    "products": {"modality_shift": [0.0] * DIM, "fusion": {"photo": 0.5, "text": 0.5}},
}


def vector_of(item_id, content, n=1):
    """`(n, dim)` small whole numbers that an item's id and content decide: their products are exact in any order."""
    seed = [*item_id.encode(), content]
    return np.random.default_rng(seed).integers(-3, 4, (n, DIM)).astype(np.float32)


def poster_of(item_id, content, part):
    return f"{item_id}/{content}/{part}".encode()


@dataclass
class HandStore:
    """A store of *kind* at *path*; *present* are the frames that could be read of each video."""

    kind: str
    path: Path
    options: dict = field(default_factory=dict)
    fingerprint: str = "by-hand-1"
    present: tuple = (0, 1)

    def write(self, *shards, set_aside=()):
        """Append shards, each a mapping of item ids to the number of their content, and then what was *set_aside*."""
        place = open_place(self.path)
        options = {**OPTIONS[self.kind], **self.options}
        manifest = StoreManifest(self.kind, "by-hand", self.fingerprint, "fp32", DIM, options)
        if (self.path / "manifest.json").exists():
            manifest = replace(read_state(place), complete=False)
        begin(place, manifest)
        for shard in shards:
            number = read_state(place).next_shard
            commit_shard(place, number, *self._tables(shard, number), (), Shift())
        if set_aside:
            rows = [(item_id, f"{item_id}.mp4", "it is broken", "s") for item_id in set_aside]
            commit_shard(place, read_state(place).next_shard, pl.DataFrame(), pl.DataFrame(), rows, Shift())
        finish(place, pl.DataFrame(schema={"table": pl.String, "row": pl.Int64, "reason": pl.String}))
        return self

    def _tables(self, shard, number):
        ids = list(shard)
        shard_column = pl.lit(number, pl.Int32).alias(S.SHARD)
        items = pl.DataFrame(
            {
                S.ITEM_ID: ids,
                S.SIGNATURE: ids,
                S.CONTENT_HASH: [f"{item_id}-{content}" for item_id, content in shard.items()],
                S.N_PARTS: [len(self.present)] * len(ids),
            }
        )
        vectors = np.array([vector_of(*one)[0] for one in shard.items()], np.float32).reshape(-1, DIM)
        names = {"videos": (S.VECTOR,), "products": (S.PHOTO_VECTOR, S.TEXT_VECTOR)}[self.kind]
        items = items.with_columns(**dict.fromkeys(names, vectors)).with_columns(shard_column)
        return items, self._parts(shard).with_columns(shard_column)

    def _parts(self, shard):
        rows = [(item_id, content, part) for item_id, content in shard.items() for part in self.present]
        frames = [vector_of(item_id, content, FRAMES + 1)[1 + part] for item_id, content, part in rows]
        return pl.DataFrame(
            {
                S.ITEM_ID: [row[0] for row in rows],
                S.PART: [row[2] for row in rows],
                S.TIME_S: [row[2] + row[1] / 100 for row in rows],
                S.URI: [row[0] for row in rows],
                S.JPEG: [poster_of(*row) for row in rows],
                S.VECTOR: np.array(frames, np.float32).reshape(-1, DIM),
            },
            schema_overrides={S.PART: pl.Int64, S.TIME_S: pl.Float64},
        )


def write_catalogue(folder, videos, products, titles=None, popularity=None):
    """Tables of these ids, published a minute apart; *titles* by id, else the id. The log holds one view."""
    folder.mkdir(parents=True, exist_ok=True)
    named = titles or {}
    pl.DataFrame(
        {
            C.VIDEO_ID: videos,
            C.URI: [f"{video}.mp4" for video in videos],
            C.PUBLISHED_AT: [START + timedelta(minutes=int(video[1:])) for video in videos],
            C.TITLE: [named.get(video, video) for video in videos],
            C.HASHTAGS: [[named.get(video, video)] for video in videos],
        },
        schema_overrides={C.PUBLISHED_AT: pl.Datetime("us", "UTC")},
    ).write_parquet(folder / "videos.parquet")
    columns = {C.PRODUCT_ID: products, C.TITLE: [named.get(product, product) for product in products]}
    if popularity is not None:
        columns[C.POPULARITY] = [float(popularity[product]) for product in products]
    pl.DataFrame(columns).write_parquet(folder / "products.parquet")
    event = [("ann", products[0], "view", START + timedelta(days=30))]
    names = [C.USER_ID, C.PRODUCT_ID, C.EVENT, C.OCCURRED_AT]
    pl.DataFrame(event, schema=names, orient="row").write_parquet(folder / "interactions.parquet")
    return folder
