"""Builds a shop: tables, truth, photos and clips in one folder, whole or not at all."""

import json
import logging
import multiprocessing
import os
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import AbstractContextManager, contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path

import polars as pl
import pyarrow.parquet as pq  # type: ignore[import-untyped]  # ships no types

from retrieval.errors import UserFacingError
from retrieval.folders import building
from sample_shop.browsing import Interactions, make_interactions
from sample_shop.catalogue import DEFAULT_START, Catalogue, clips, garment, make_catalogue
from sample_shop.feed import Log, World, simulate_log
from sample_shop.frames import (
    appeal_frame,
    garments_frame,
    impressions_frame,
    interactions_frame,
    photo_uris,
    products_frame,
    users_frame,
    videos_frame,
)
from sample_shop.policies import Policy
from sample_shop.shoppers import drifted, make_shoppers
from sample_shop.truth import iter_truth, positions_frame, truth_size
from sample_shop.vocabulary import Garment
from sample_shop.watching import Dials

logger = logging.getLogger(__name__)

FORMAT_VERSION = 1
Progress = Callable[[str], AbstractContextManager[Callable[[int, int], None]]]
"""Opens a display for one stage; what it yields hears (done, total). `retrieval.console.progress` is one."""


@dataclass(frozen=True)
class ShopConfig:
    """What a shop is built from; the same values make the same tables, byte for byte.

    *policy* fills the feed whose log is written (not `SCORES`: a shop has none); *media* is false for tables alone.
    """

    videos: int = 600
    products: int = 600
    users: int = 400
    days: int = 14
    seed: int = 7
    media: bool = True
    policy: Policy = Policy.RECENCY
    explore_rate: float = 0.2
    dials: Dials = field(default_factory=Dials)


@dataclass(frozen=True)
class ShopSummary:
    """What was built, and how long it took. *unseen_share* is the least share of videos a shopper was not shown."""

    folder: str
    seed: int
    videos: int
    products: int
    users: int
    interactions: int
    impressions: int
    photos: int
    clips: int
    unseen_share: float
    seconds: float


@dataclass(frozen=True)
class Shop:
    """A shop in memory: its truth, and what was logged in it."""

    config: ShopConfig
    world: World
    interactions: Interactions
    log: Log


def build_shop(folder: Path, config: ShopConfig | None = None, progress: Progress | None = None) -> ShopSummary:
    """Write a shop to *folder* and return what is in it.

    Raises:
        UserFacingError: *folder* holds something already.
    """
    config, display, started = config or ShopConfig(), progress or _silent, time.monotonic()
    _refuse_taken(folder)
    with building(folder) as draft:
        shop = make_shop(config)
        write_tables(draft, shop, display)
        logger.info("tables: %d interactions, %d impressions", len(shop.interactions), len(shop.log))
        n_photos = _draw_photos(draft, shop.world.catalogue, display) if config.media else 0
        n_clips = _film(draft, shop.world.catalogue, display) if config.media else 0
    seconds = time.monotonic() - started
    logger.info("shop: %d photos, %d clips, %.1f s", n_photos, n_clips, seconds)
    return _summary(folder, shop, n_photos, n_clips, seconds)


def make_shop(config: ShopConfig) -> Shop:
    """The shop of a configuration, in memory."""
    catalogue = make_catalogue(config.seed, config.products, config.videos, config.days, DEFAULT_START)
    world = World(catalogue, make_shoppers(config.seed, catalogue, config.users))
    interactions = make_interactions(config.seed, catalogue, drifted(world.shoppers, config.dials.drift))
    log = simulate_log(
        config.seed, config.users, config.policy, config.dials, world=world, explore_rate=config.explore_rate
    )
    return Shop(config, world, interactions, log)


def write_tables(folder: Path, shop: Shop, display: Progress) -> None:
    """Write all tables of a shop, its truth, and `shop.json`."""
    config, world = shop.config, shop.world
    products = world.catalogue.products
    tables = {
        "products": products_frame(products),
        "videos": videos_frame(world.catalogue),
        "users": users_frame(world.shoppers),
        "interactions": interactions_frame(shop.interactions, world.catalogue, world.shoppers),
        "impressions": impressions_frame(shop.log, config.users, config.videos, config.policy),
        "truth_positions": positions_frame(config.dials),
        "truth_products": garments_frame(products),
        "truth_videos": appeal_frame(world.catalogue),
    }
    for name, frame in tables.items():
        frame.write_parquet(folder / f"{name}.parquet")
    _write_truth(folder / "truth.parquet", shop, display)
    described = {"format": FORMAT_VERSION, "start": DEFAULT_START.isoformat(), "config": asdict(config)}
    (folder / "shop.json").write_text(json.dumps(described, indent=2) + "\n", encoding="utf-8")


@dataclass(frozen=True)
class _Photo:
    garment: Garment
    seed: int
    path: Path


def draw_photo(photo: _Photo) -> None:
    """Draw one photo to its file; runs in a worker process."""
    from sample_shop.photo import product_photo

    product_photo(photo.garment, photo.seed).save(photo.path, quality=88)


def _draw_photos(folder: Path, catalogue: Catalogue, display: Progress) -> int:
    photos = [
        _Photo(garment(catalogue.products, row), catalogue.seed * 1_000_003 + 2 * row + angle, folder / uri)
        for row in range(len(catalogue.products))
        for angle, uri in enumerate(photo_uris(catalogue.products, row))
    ]
    (folder / "photos").mkdir()
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(_workers(), mp_context=context) as pool, display("product photos") as hear:
        for n_done, _ in enumerate(pool.map(draw_photo, photos, chunksize=8), start=1):
            hear(n_done, len(photos))
    return len(photos)


def _film(folder: Path, catalogue: Catalogue, display: Progress) -> int:
    from sample_shop.film import film_clips

    wanted = clips(catalogue)
    with display("clips") as hear:
        film_clips(wanted, folder / "clips", _workers(), lambda n_done: hear(n_done, len(wanted)))
    return len(wanted)


def _write_truth(path: Path, shop: Shop, display: Progress) -> None:
    """Write the table truth as row groups of one file, one block in memory at a time."""
    config, n_rows = shop.config, truth_size(shop.world, shop.log)
    writer, n_done = None, 0
    with display("truth") as hear:
        for block in iter_truth(config.seed, shop.world, config.dials, shop.log):
            table = block.to_arrow()
            writer = writer or pq.ParquetWriter(path, table.schema, compression="zstd")
            writer.write_table(table)
            n_done += len(block)
            hear(n_done, n_rows)
    if writer:
        writer.close()


def _refuse_taken(folder: Path) -> None:
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise UserFacingError(f"{folder} exists already and is not empty.", "Name another folder, or remove that one.")


def _workers() -> int:
    return os.cpu_count() or 1


@contextmanager
def _silent(stage: str) -> Iterator[Callable[[int, int], None]]:
    """Progress that nobody hears."""
    yield lambda done, total: None


def _summary(folder: Path, shop: Shop, n_photos: int, n_clips: int, seconds: float) -> ShopSummary:
    config, user = shop.config, pl.Series(shop.log.user)
    most_seen = 0 if user.is_empty() else int(user.value_counts()["count"].max())  # type: ignore[arg-type]
    return ShopSummary(
        folder=str(folder),
        seed=config.seed,
        videos=config.videos,
        products=config.products,
        users=config.users,
        interactions=len(shop.interactions),
        impressions=len(shop.log),
        photos=n_photos,
        clips=n_clips,
        unseen_share=1.0 - most_seen / config.videos,
        seconds=round(seconds, 1),
    )
