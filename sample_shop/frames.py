"""The shop as the tables of `retrieval.tables`: rows become ids, levels become words, hidden truth stays out."""

import numpy as np
import polars as pl

from retrieval.tables import Columns as C
from sample_shop.arrays import Bools, Ints
from sample_shop.browsing import EVENT_NAMES, Interactions
from sample_shop.catalogue import (
    BRAND,
    COLOUR,
    CURRENCIES,
    FACTORS,
    KIND,
    MARKETS,
    Catalogue,
    Products,
    creator_id,
    product_id,
    video_id,
)
from sample_shop.feed import Log
from sample_shop.shoppers import LANGUAGES, Shoppers
from sample_shop.vocabulary import BRANDS, COLOURS, KINDS, STYLES
from sample_shop.wording import product_description, product_title, query_text, video_hashtags, video_title


def user_id(row: int) -> str:
    return f"u{row:05d}"


def photo_uris(products: Products, row: int) -> list[str]:
    """Where a product's photos are, relative to the shop's folder."""
    return [f"photos/{product_id(row)}{suffix}.jpg" for suffix in ("", "_2")[: int(products.n_photos[row])]]


def clip_uri(row: int) -> str:
    """Where a video's clip is, relative to the shop's folder."""
    return f"clips/{video_id(row)}.mp4"


def products_frame(products: Products) -> pl.DataFrame:
    """The table products."""
    codes, rows = products.codes.tolist(), range(len(products))
    return pl.DataFrame(
        {
            C.PRODUCT_ID: [product_id(row) for row in rows],
            C.TITLE: [product_title(c) for c in codes],
            C.DESCRIPTION: [product_description(c) for c in codes],
            C.BRAND: [BRANDS[c[BRAND]] for c in codes],
            C.CATEGORY: [KINDS[c[KIND]] for c in codes],
            C.COLOR: [COLOURS[c[COLOUR]] for c in codes],
            C.PRICE: products.price,
            C.IMAGE_URIS: [photo_uris(products, row) for row in rows],
            C.AVAILABLE: products.available.any(axis=1),
            C.POPULARITY: products.popularity,
            C.LANGUAGE: ["en"] * len(products),
            C.OFFERS: [_offers(price, stock) for price, stock in zip(products.price, products.available, strict=True)],
        }
    )


def videos_frame(catalogue: Catalogue) -> pl.DataFrame:
    """The table videos."""
    videos, codes = catalogue.videos, catalogue.products.codes
    shown = [[p for p in row if p >= 0] for row in videos.products.tolist()]
    style, home = catalogue.creators.style[videos.creator], catalogue.creators.home[videos.creator]
    return pl.DataFrame(
        {
            C.VIDEO_ID: [video_id(row) for row in range(len(videos))],
            C.URI: [clip_uri(row) for row in range(len(videos))],
            C.PUBLISHED_AT: times(videos.published_us),
            C.DURATION_S: videos.duration_s,
            C.TITLE: [video_title(f, codes[p[0]].tolist()) for f, p in zip(videos.title_form, shown, strict=True)],
            C.CREATOR_ID: [creator_id(row) for row in videos.creator],
            C.BRAND: [BRANDS[codes[p[0], BRAND]] for p in shown],
            C.PRODUCT_IDS: [[product_id(row) for row in p] for p in shown],
            C.HASHTAGS: [video_hashtags(codes[p, KIND].tolist(), s) for p, s in zip(shown, style, strict=True)],
            C.MARKETS: [[m for m, on in zip(MARKETS, row, strict=True) if on] for row in videos.markets],
            C.LANGUAGE: [LANGUAGES[market] for market in home],
        }
    )


def users_frame(shoppers: Shoppers) -> pl.DataFrame:
    """The table users."""
    return pl.DataFrame(
        {
            C.USER_ID: [user_id(row) for row in range(len(shoppers))],
            C.MARKET: [MARKETS[market] for market in shoppers.market],
            C.LANGUAGE: list(shoppers.language),
            C.SEGMENT: list(shoppers.segment),
        }
    )


def interactions_frame(interactions: Interactions, catalogue: Catalogue, shoppers: Shoppers) -> pl.DataFrame:
    """The table interactions, in the order of time."""
    user = interactions.user
    return pl.DataFrame(
        {
            C.EVENT_ID: numbered("e", np.arange(len(user))),
            C.USER_ID: named([user_id(row) for row in range(len(shoppers))], user),
            C.PRODUCT_ID: named([product_id(r) for r in range(len(catalogue.products))], interactions.product),
            C.EVENT: named(list(EVENT_NAMES), interactions.event),
            C.OCCURRED_AT: times(interactions.occurred_us),
            C.SESSION_ID: numbered("s", interactions.session),
            C.QUERY: _queries(interactions),
            C.MARKET: named(list(MARKETS), shoppers.market[user]),
        }
    )


def impressions_frame(log: Log, n_users: int, n_videos: int, system: str) -> pl.DataFrame:
    """The table impressions; what was examined stays out."""
    return pl.DataFrame(
        {
            C.FEED_ID: numbered("f", log.feed),
            C.USER_ID: named([user_id(row) for row in range(n_users)], log.user),
            C.VIDEO_ID: named([video_id(row) for row in range(n_videos)], log.video),
            C.POSITION: log.position,
            C.SHOWN_AT: times(log.shown_us),
            C.REACHED: log.reached,
            C.WATCH_TIME_S: pl.Series(log.watch_time_s).fill_nan(None),
            C.LIKED: log.liked,
            C.COMMENTED: log.commented,
            C.FOLLOWED: log.followed,
            C.SHARED: log.shared,
            C.SYSTEM: pl.repeat(system, len(log), eager=True),
            C.SELECTION_PROPENSITY: log.selection_propensity,
            C.EXAMINATION_PROPENSITY: log.examination_propensity,
        }
    )


def times(us: Ints) -> pl.Series:
    """UTC timestamps from microseconds."""
    return pl.Series(us).cast(pl.Datetime("us", "UTC"))


def named(names: list[str], rows: Ints) -> pl.Series:
    """The name of each row."""
    return pl.Series(names, dtype=pl.String).gather(rows)


def numbered(prefix: str, rows: Ints) -> pl.Series:
    """Ids made of a letter and seven digits, or more where they are needed."""
    return pl.select(pl.lit(prefix) + pl.Series(rows).cast(pl.String).str.zfill(7)).to_series()


def _offers(price: float, available: Bools) -> list[dict[str, str | bool | float]]:
    return [
        {
            C.MARKET: market,
            C.AVAILABLE: bool(stock),
            C.PRICE: round(price * CURRENCIES[market].rate, 2),
            "currency": CURRENCIES[market].code,
        }
        for market, stock in zip(MARKETS, available, strict=True)
    ]


def _queries(interactions: Interactions) -> pl.Series:
    """The words searched for, null where the session was no search."""
    topics = np.column_stack([interactions.query_kind, interactions.query_colour, interactions.query_pattern])
    distinct, rows = np.unique(topics, axis=0, return_inverse=True)
    texts = [query_text(*topic) if topic[0] >= 0 else None for topic in distinct.tolist()]
    return pl.Series(texts, dtype=pl.String).gather(rows.ravel())


def garments_frame(products: Products) -> pl.DataFrame:
    """Hidden truth of the products: every attribute, the style and the finish with them."""
    columns = {
        name: named(list(levels), products.codes[:, factor]) for factor, (name, levels) in enumerate(FACTORS.items())
    }
    ids = [product_id(row) for row in range(len(products))]
    return pl.DataFrame({C.PRODUCT_ID: ids, **columns, "cut": products.cut})


def appeal_frame(catalogue: Catalogue) -> pl.DataFrame:
    """Hidden truth of the videos: quality, base popularity (standardised), and the creator's style."""
    videos = catalogue.videos
    return pl.DataFrame(
        {
            C.VIDEO_ID: [video_id(row) for row in range(len(videos))],
            "quality": videos.quality,
            C.POPULARITY: videos.popularity,
            "style": named(list(STYLES), catalogue.creators.style[videos.creator]),
        }
    )
