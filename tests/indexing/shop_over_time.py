"""A shop whose catalogue changes at random, and what a snapshot of it must equal: one built from nothing."""

from dataclasses import dataclass, field
from datetime import timedelta

import numpy as np

from indexing.publish import build_snapshot
from indexing.update import update_snapshot
from retrieval.snapshot import HistoryEvent, open_snapshot
from tests.stores import DIM, START, HandStore, write_catalogue

QUERIES = np.random.default_rng(0).integers(-3, 4, (6, DIM)).astype(np.float32)
MANY = 40


@dataclass
class Half:
    """The videos or the products: ids in the order of the table, and what the store holds under each."""

    letter: str
    store: HandStore
    rng: np.random.Generator
    living: list = field(default_factory=list)
    broken: list = field(default_factory=list)
    deleted: list = field(default_factory=list)
    content: dict = field(default_factory=dict)
    n: int = 0

    def change(self):
        """Add, replace, delete, break, mend and bring back some items at random."""
        returning = self._some(self.deleted, 1, share=0.3)
        mended = self._some(self.broken, 1, share=0.5)
        replaced = self._some(self.living, 2)
        deleted = [one for one in self._some(self.living, 3) if one not in replaced]
        broken = [one for one in self._some(self.living, 1, share=0.3) if one not in replaced + deleted]
        added = [f"{self.letter}{self.n + i:04d}" for i in range(int(self.rng.integers(0, 4)))]
        self.n += len(added)
        self.living = [one for one in self.living if one not in deleted + broken] + returning + mended + added
        self.deleted = [one for one in self.deleted if one not in returning] + deleted
        self.broken = [one for one in self.broken if one not in mended] + broken
        self.embed(replaced + mended + added, broken)

    def embed(self, ids, set_aside=()):
        self.content |= {one: self.content.get(one, -1) + 1 for one in ids}
        half = len(ids) // 2
        shards = [{one: self.content[one] for one in some} for some in (ids[:half], ids[half:]) if some]
        self.store.write(*shards, set_aside=set_aside)

    def _some(self, of, at_most, share=0.8):
        n = int(self.rng.integers(0, at_most + 1)) if self.rng.random() < share else 0
        return [of[i] for i in sorted(self.rng.permutation(len(of))[:n])]


class ShopOverTime:
    """A shop in *root* with *n* videos and as many products to begin with."""

    def __init__(self, root, seed, n=MANY):
        self.root, self.rng = root, np.random.default_rng(seed)
        self.videos = Half("v", HandStore("videos", root / "videos"), self.rng)
        self.products = Half("p", HandStore("products", root / "products"), self.rng)
        self.titles = {}
        for half in (self.videos, self.products):
            half.living, half.n = [f"{half.letter}{i:04d}" for i in range(n)], n
            half.embed(half.living)
        self.write()

    @property
    def sources(self):
        return self.root / "videos", self.root / "products", self.root / "shop"

    @property
    def snapshot(self):
        return self.root / "snapshot"

    def write(self):
        videos, products = self.videos.living + self.videos.broken, self.products.living + self.products.broken
        return write_catalogue(self.root / "shop", videos, products, self.titles)

    def change(self):
        """Change items, and the title of one video that stays."""
        for half in (self.videos, self.products):
            half.change()
        self.titles[self.videos.living[0]] = f"title {self.rng.integers(1000)}"
        self.write()

    def build(self):
        return build_snapshot(*self.sources, self.snapshot)

    def update(self, **how):
        return update_snapshot(self.snapshot, *self.sources, **how)

    def built_anew(self):
        """What the same tables and stores give from nothing."""
        folder = self.root / f"anew-{self.rng.integers(1 << 40)}"
        build_snapshot(*self.sources, folder)
        return open_snapshot(folder)


def require_equal(snapshot, other):
    """Ids, attributes, vectors, frames, searches under every filter and feeds are those of *other*."""
    assert snapshot.videos.equals(other.videos)
    assert snapshot.products.equals(other.products)
    for name in ("video_vectors", "frame_vectors", "frame_times_s", "product_vectors"):
        ours, theirs = (np.asarray(getattr(one.space, name)) for one in (snapshot, other))
        np.testing.assert_array_equal(ours, theirs, err_msg=name)
    assert snapshot.space.index.n_items == other.space.index.n_items
    for share in (0.0, 0.1, 0.5, 0.9, 1.0):
        eligible = np.random.default_rng(1).random(len(other.videos)) < share
        ours, theirs = (one.space.index.search(QUERIES, 7, eligible) for one in (snapshot, other))
        np.testing.assert_array_equal(ours.rows, theirs.rows)
        np.testing.assert_array_equal(ours.scores, theirs.scores)
    for product in other.product_ids.ids[:5]:
        history = [HistoryEvent(product, START + timedelta(days=1))]
        asked = {"k": 5, "at": START + timedelta(days=60)}
        assert snapshot.feed(history, **asked).videos == other.feed(history, **asked).videos
