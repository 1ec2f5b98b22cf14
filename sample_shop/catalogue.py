"""The shop's products, creators and videos, drawn from one seed.

Products fill the grid kind × colour evenly (600 products: five of each pair), so that every colour and kind can be
searched for. The finish is drawn independently of everything else: nothing but a photo tells it. Each part has a
stream of its own, so that more videos leave the products as they were.
"""

from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import accumulate

import numpy as np

from sample_shop.arrays import Bools, Floats, Ints
from sample_shop.creators import Creators, Videos, make_creators, make_videos
from sample_shop.vocabulary import BRANDS, COLOURS, FINISHES, KINDS, PATTERNS, STYLES, Clip, Creator, Garment

DEFAULT_START = datetime(2026, 3, 2, tzinfo=UTC)
DAY_US = 86_400_000_000

# The factors of taste, in the order of the columns of `Products.codes`.
FACTORS: dict[str, tuple[str, ...]] = {
    "kind": KINDS,
    "colour": COLOURS,
    "pattern": PATTERNS,
    "brand": BRANDS,
    "style": STYLES,
    "finish": FINISHES,
}
LEVELS = tuple(len(levels) for levels in FACTORS.values())
OFFSETS = np.array([0, *accumulate(LEVELS)][:-1], dtype=np.int64)
N_LEVELS = sum(LEVELS)
KIND, COLOUR, PATTERN, BRAND, STYLE, FINISH = range(len(FACTORS))


@dataclass(frozen=True)
class Currency:
    """A market's *code* of currency, and how many of it the catalogue's price of 1 makes there."""

    code: str
    rate: float


MARKETS = ("de", "fr", "pl")
CURRENCIES = {"de": Currency("EUR", 1.0), "fr": Currency("EUR", 1.05), "pl": Currency("PLN", 4.3)}
_PATTERN_SHARES = (0.46, 0.22, 0.16, 0.16)
_BASE_PRICES = (55.0, 19.0, 35.0, 45.0, 38.0, 28.0, 80.0, 22.0, 70.0, 60.0)


@dataclass(frozen=True)
class Products:
    """What the shop sells, one row each.

    *codes* `(n, 6)` are the levels of `FACTORS`; *popularity* is demand relative to an average product (long-tailed);
    *available* `(n, 3)` tells the markets of `MARKETS` with stock; *n_photos* is 1, or 2 for a few.
    """

    codes: Ints
    cut: Ints
    price: Floats
    popularity: Floats
    available: Bools
    n_photos: Ints

    def __len__(self) -> int:
        return len(self.codes)


@dataclass(frozen=True)
class Catalogue:
    """Products, creators and videos of one seed. The log's window is *days* long from *start_us* (UTC microseconds)."""

    seed: int
    start_us: int
    days: int
    products: Products
    creators: Creators
    videos: Videos

    @property
    def end_us(self) -> int:
        return self.start_us + self.days * DAY_US


def make_catalogue(
    seed: int, n_products: int, n_videos: int, days: int = 14, start: datetime = DEFAULT_START
) -> Catalogue:
    """The catalogue of a seed. Videos are published before and during the window that begins at *start*."""
    start_us = int(start.timestamp()) * 1_000_000
    products = make_products(np.random.default_rng([seed, 1]), n_products)
    creators = make_creators(np.random.default_rng([seed, 2]), max(1, round(n_videos / 20)), LEVELS)
    videos = make_videos(
        np.random.default_rng([seed, 3]),
        creators,
        products.codes,
        _standardised(np.log(products.popularity)),
        n_videos,
        (start_us, start_us + days * DAY_US),
    )
    return Catalogue(seed, start_us, days, products, creators, videos)


def make_products(rng: np.random.Generator, n_products: int) -> Products:
    """Products over the whole grid of kinds and colours; brands lean to one style and three colours each."""
    n_pairs = len(KINDS) * len(COLOURS)
    pair = rng.permutation(np.resize(rng.permutation(n_pairs), n_products))
    kind, colour = pair // len(COLOURS), pair % len(COLOURS)
    pattern = rng.choice(len(PATTERNS), n_products, p=_PATTERN_SHARES)
    style = rng.integers(len(STYLES), size=n_products)
    brand = _brands(rng, colour, style)
    finish = rng.integers(len(FINISHES), size=n_products)
    popularity = rng.lognormal(0.0, 1.0, n_products)
    return Products(
        codes=np.column_stack([kind, colour, pattern, brand, style, finish]).astype(np.int64),
        cut=rng.integers(2**31, size=n_products),
        price=np.round(np.array(_BASE_PRICES)[kind] * rng.lognormal(0.0, 0.35, n_products)) - 0.05,
        popularity=np.round(popularity / popularity.mean(), 4) + 1e-4,
        available=rng.random((n_products, len(MARKETS))) < 0.93,
        n_photos=1 + (rng.random(n_products) < 0.1).astype(np.int64),
    )


def attribute_matrix(products: Products) -> Floats:
    """One-hot attributes, `(n_products, 41)`: a taste vector times a row of it is the sum over the factors."""
    matrix = np.zeros((len(products), N_LEVELS))
    np.put_along_axis(matrix, products.codes + OFFSETS, 1.0, axis=1)
    return matrix


def video_attributes(catalogue: Catalogue) -> Floats:
    """The mean of `attribute_matrix` over each video's products, `(n_videos, 41)`."""
    rows = catalogue.videos.products  # (n_videos, 4), -1 where there is none
    shown = rows >= 0
    total = (attribute_matrix(catalogue.products)[rows] * shown[:, :, None]).sum(axis=1)
    return np.asarray(total / shown.sum(axis=1, keepdims=True))


def garment(products: Products, row: int) -> Garment:
    """The garment to draw for a product."""
    kind, colour, pattern, _, style, finish = products.codes[row].tolist()
    cut = int(products.cut[row])
    return Garment(KINDS[kind], COLOURS[colour], PATTERNS[pattern], STYLES[style], FINISHES[finish], cut)


def clips(catalogue: Catalogue) -> list[Clip]:
    """What to film: one clip per video, in the order of the videos."""
    videos = catalogue.videos
    styles = catalogue.creators.style.tolist()
    cast = [Creator(creator_id(i), STYLES[style], catalogue.seed * 1000 + i) for i, style in enumerate(styles)]
    return [
        Clip(
            video_id=video_id(row),
            creator=cast[videos.creator[row]],
            garments=tuple(garment(catalogue.products, p) for p in videos.products[row].tolist() if p >= 0),
            duration_s=float(videos.duration_s[row]),
            seed=catalogue.seed * 1_000_003 + row,
        )
        for row in range(len(videos))
    ]


def product_id(row: int) -> str:
    return f"p{row:05d}"


def video_id(row: int) -> str:
    return f"v{row:05d}"


def creator_id(row: int) -> str:
    return f"c{row:03d}"


def _brands(rng: np.random.Generator, colour: Ints, style: Ints) -> Ints:
    """A brand per product: four times as likely where its style fits, four times where one of its colours does."""
    brand_style = rng.permutation(np.arange(len(BRANDS)) % len(STYLES))
    brand_colours = np.stack([rng.permutation(len(COLOURS))[:3] for _ in BRANDS])  # (n_brands, 3)
    fits_style = style[:, None] == brand_style
    fits_colour = (colour[:, None, None] == brand_colours).any(axis=2)
    log_weight = np.log(4.0) * (fits_style.astype(np.float64) + fits_colour)
    return np.asarray(np.argmax(log_weight + rng.gumbel(size=log_weight.shape), axis=1))


def _standardised(x: Floats) -> Floats:
    spread = x.std()
    return np.asarray((x - x.mean()) / spread) if spread > 0 else np.zeros_like(x)
