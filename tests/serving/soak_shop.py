"""A shop of hand-made vectors whose versions differ, and what each of them must answer."""

from dataclasses import dataclass
from functools import cached_property, lru_cache

import numpy as np
import polars as pl

from indexing.publish import build_snapshot
from indexing.update import update_snapshot
from retrieval.schemas import Columns as C
from retrieval.snapshot import open_snapshot
from tests.stores import HandStore, vector_of, write_catalogue

N_PRODUCTS = 40
CHANGING = 7  # videos whose number ends in it have another vector in each generation
MARKETS = (["de"], ["de", "fr"], ["fr"])


class SoakShop:
    """Tables, stores and a snapshot in *root*. Each generation leaves a tenth of the videos out and changes others."""

    def __init__(self, root, n_videos):
        self.root, self.n_videos, self.snapshot = root, n_videos, root / "snapshot"
        self.products = [f"p{number}" for number in range(N_PRODUCTS)]
        self._stores = HandStore("videos", root / "videos"), HandStore("products", root / "products")

    def build(self):
        """The first version."""
        numbers = range(self.n_videos + self.shift)
        self._stores[0].write({f"v{number}": 0 for number in numbers})
        self._stores[1].write(dict.fromkeys(self.products, 0))
        self._write_tables(0)
        return build_snapshot(*self._folders, self.root / "shop", self.snapshot).version

    def publish(self, generation):
        """The version of a generation, live from now on."""
        ids = self._ids(generation)
        self._stores[0].write({video: generation for video in ids if is_changing(video)})
        self._write_tables(generation)
        return update_snapshot(self.snapshot, *self._folders, self.root / "shop").version

    @property
    def shift(self):
        return self.n_videos // 10

    @property
    def lasting(self):
        """The videos that every version has, with the same vector."""
        ids = (f"v{number}" for number in range(self.shift, self.n_videos))
        return [video for video in ids if not is_changing(video)]

    def nearest(self, product, n):
        """The *n* lasting videos that rank highest for who looked at a product."""
        vectors = np.array([vector_of(video, 0)[0] for video in self.lasting])
        best = np.argsort(-(vectors @ vector_of(product, 0)[0]), kind="stable")[:n]
        return [self.lasting[row] for row in best]

    @property
    def _folders(self):
        return self.root / "videos", self.root / "products"

    def _ids(self, generation):
        first = self.shift * (generation % 2)
        return [f"v{number}" for number in range(first, first + self.n_videos)]

    def _write_tables(self, generation):
        ids = self._ids(generation)
        file = write_catalogue(self.root / "shop", ids, self.products) / "videos.parquet"
        columns = {
            C.MARKETS: [MARKETS[int(video[1:]) % 3] for video in ids],
            C.CREATOR_ID: [f"c{int(video[1:]) % 97}" for video in ids],
            C.PRODUCT_IDS: [[self.products[int(video[1:]) % N_PRODUCTS]] for video in ids],
        }
        pl.read_parquet(file).with_columns(pl.Series(*column) for column in columns.items()).write_parquet(file)


def is_changing(video):
    return int(video[1:]) % 10 == CHANGING


@dataclass(frozen=True)
class Truth:
    """What one version holds, read from its files and not from who serves it."""

    rows: dict
    vectors: np.ndarray
    product_rows: dict
    product_vectors: np.ndarray
    markets: dict

    def scores_for(self, product):
        """The score of each video `(n_videos,)` for who touched this product and no other."""
        return self._scores(self.product_vectors[self.product_rows[product]])

    def scores_near(self, video):
        """The score of each video `(n_videos,)` beside this one."""
        return self._scores(self.vectors[self.rows[video]])

    def _scores(self, query):
        return self.vectors @ query

    @cached_property
    def ids(self):
        return frozenset(self.rows)


class Truths:
    """The truth of versions by name, the last few of them kept."""

    def __init__(self, snapshot):
        self.of = lru_cache(8)(lambda version: read_truth(snapshot, version))


def read_truth(snapshot, version):
    opened = open_snapshot(snapshot, version=version, index="exact", verify=False)
    return Truth(
        {video: row for row, video in enumerate(opened.video_ids.ids)},
        np.asarray(opened.space.video_vectors).astype(np.float32),
        {product: row for row, product in enumerate(opened.product_ids.ids)},
        np.asarray(opened.space.product_vectors).astype(np.float32),
        dict(zip(opened.video_ids.ids, opened.videos[C.MARKETS].to_list(), strict=True)),
    )
