"""A small shop behind the API: a snapshot written by hand, services over it, and a client without a network."""

from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

import polars as pl
from starlette.testclient import TestClient

from indexing.publish import build_snapshot
from indexing.update import update_snapshot
from indexing.versions import rollback_snapshot
from retrieval.schemas import Columns as C
from serving.app import create_app
from serving.events.guard import GuardedStore
from serving.events.protocol import StoreDownError
from serving.services import Services, open_services
from serving.settings import Settings
from tests.stores import HandStore, write_catalogue

NOW = datetime(2026, 3, 1, tzinfo=UTC)
N_VIDEOS, N_PRODUCTS = 60, 20
ADMIN_KEY = "admin-key-for-tests"
ADMIN = {"Authorization": f"Bearer {ADMIN_KEY}"}


def video_ids(n=N_VIDEOS):
    return [f"v{number}" for number in range(n)]


def product_ids(n=N_PRODUCTS):
    return [f"p{number}" for number in range(n)]


def build_site(root, videos=None, products=None, *, content=0, **columns):
    """Stores, tables and a snapshot in *root*; *columns* are added to the videos' table."""
    videos, products = videos or video_ids(), products or product_ids()
    HandStore("videos", root / "videos").write(dict.fromkeys(videos, content))
    HandStore("products", root / "products").write(dict.fromkeys(products, 0))
    write_shop(root, videos, products, **columns)
    build_snapshot(root / "videos", root / "products", root / "shop", root / "snapshot")
    return root


def update_site(root, videos, new=()):
    """Publish a version of the snapshot in *root* that holds *videos*, of which the *new* ones have no vectors yet."""
    HandStore("videos", root / "videos").write(dict.fromkeys(new, 0))
    write_shop(root, videos, product_ids())
    return update_snapshot(root / "snapshot", root / "videos", root / "products", root / "shop").version


def write_shop(root, videos, products, **columns):
    """The shop's tables; *columns* are added to the videos' table."""
    write_catalogue(root / "shop", videos, products)
    table = pl.read_parquet(root / "shop/videos.parquet").with_columns(
        pl.Series(C.CREATOR_ID, [f"c{row % 7}" for row in range(len(videos))]),
        pl.Series(C.BRAND, [f"b{row % 3}" for row in range(len(videos))]),
        pl.Series(C.PRODUCT_IDS, [[products[row % len(products)]] for row in range(len(videos))]),
        pl.Series(C.MARKETS, [["de", "fr"][: 1 + row % 2] for row in range(len(videos))]),
    )
    table = table.with_columns(pl.Series(name, values) for name, values in columns.items())
    table.write_parquet(root / "shop/videos.parquet")


@dataclass
class Clock:
    """A time that tests move."""

    now_us: int = int(NOW.timestamp() * 1e6)

    def __call__(self) -> int:
        return self.now_us


def open_site(root: Path, clock=None, **settings):
    """Services over the snapshot in *root*, not started."""
    given = {
        "snapshot": root / "snapshot",
        "state": root / "state",
        "media": root / "shop",
        "config": root / "lookreel.toml",
        "secret": "a secret of the tests",
        **settings,
    }
    return open_services(Settings(**given), rollback_snapshot, clock or Clock())


class Breakable:
    """A store that a test can take away."""

    def __init__(self, store):
        self.store, self.down = store, False

    def __getattr__(self, name):
        def call(*args, **kwargs):
            if self.down and name != "close":
                raise StoreDownError("taken away")
            return getattr(self.store, name)(*args, **kwargs)

        return call


def open_breakable(root: Path, clock=None, **settings):
    """Services over the snapshot in *root*, not started, and their event store, which a test can take away."""
    parts = open_site(root, clock, **settings).parts
    breakable = Breakable(parts.store)
    return Services(replace(parts, store=GuardedStore(breakable, parts.telemetry.store_errors.inc))), breakable


@contextmanager
def serving(root: Path, clock=None, **settings):
    """A client of the API over the snapshot in *root*."""
    services = open_site(root, clock, **settings)
    with TestClient(create_app(services), raise_server_exceptions=False) as client:
        client.services = services
        yield client


def ids(answer):
    return [video["video_id"] for video in answer.json()["videos"]]
