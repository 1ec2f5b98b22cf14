"""What holds beside a snapshot: blocks, offers, and which versions may go live. Kept in the event store.

It is data about ids, not rows, so it outlives every swap, rollback and restart.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum
from functools import cached_property
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from retrieval.ids import IdMap
from retrieval.index.protocol import Mask
from retrieval.ragged import Ragged
from retrieval.tables import Columns as C
from serving.events.protocol import OverlayEntry


class Kind(StrEnum):
    """What an entry is about. The first four are blocks, the next two offers; *key* is the id, or the version.

    The last one names nobody: it changes with the erasure list, so that every worker reads that anew.
    Each field of an offer is an entry of its own: who writes one of them need not read the others, and lose what
    somebody else wrote meanwhile.
    """

    VIDEO = "video"
    CREATOR = "creator"
    BRAND = "brand"
    PRODUCT = "product"
    AVAILABLE = "available"
    PRICE = "price"
    VERDICT = "verdict"
    ACCEPTED = "accepted"
    ERASURE = "erasure"


BLOCKS = (Kind.VIDEO, Kind.CREATOR, Kind.BRAND, Kind.PRODUCT)
OFFERS = (Kind.AVAILABLE, Kind.PRICE)  # fields of an `Offer` by their names


class HideWhen(StrEnum):
    """A video is hidden when all of its products are out, when any is, or never for that reason."""

    ALL = "all"
    ANY = "any"
    NEVER = "never"


@dataclass(frozen=True)
class Offer:
    """What is known now of a product in a market, or in all; None leaves it as the snapshot says."""

    available: bool | None = None
    price: float | None = None


@dataclass(frozen=True, eq=False)
class Overlay:
    """The overlay at one *revision*. *offers* are by (product_id, market), "" for all markets.

    *verdicts* say what was found of a version beside another: (version, against).

    One is equal only to itself, so that what was worked out of it can be kept by it.
    """

    revision: int = -1
    blocks: Mapping[str, frozenset[str]] = field(default_factory=dict)
    offers: Mapping[tuple[str, str], Offer] = field(default_factory=dict)
    verdicts: Mapping[tuple[str, str], Mapping[str, Any]] = field(default_factory=dict)
    accepted: frozenset[str] = frozenset()
    entries: tuple[OverlayEntry, ...] = ()

    @cached_property
    def markets(self) -> frozenset[str]:
        """The markets that offers name."""
        return frozenset(market for _, market in self.offers)


def parse_overlay(revision: int, entries: Sequence[OverlayEntry]) -> Overlay:
    """The overlay that *entries* make."""
    keys = {kind: frozenset(e.key for e in entries if e.kind == kind) for kind in (*BLOCKS, Kind.ACCEPTED)}
    return Overlay(
        revision,
        {kind: keys[kind] for kind in BLOCKS},
        _offers(entries),
        {(e.key, e.market): json.loads(e.value) for e in entries if e.kind == Kind.VERDICT},
        keys[Kind.ACCEPTED],
        tuple(entries),
    )


def erasure_notice(at_us: int) -> OverlayEntry:
    """Tells all workers that the erasure list has changed."""
    return OverlayEntry(Kind.ERASURE, "users", "", "{}", "", at_us)


def _offers(entries: Sequence[OverlayEntry]) -> dict[tuple[str, str], Offer]:
    offers: dict[tuple[str, str], Offer] = {}
    for entry in entries:
        if entry.kind in OFFERS:
            name = (entry.key, entry.market)
            offers[name] = replace(offers.get(name, Offer()), **{entry.kind: json.loads(entry.value)})
    return offers


@dataclass(frozen=True, eq=False)
class Shelf:
    """What the overlay must know of a snapshot: its tables, and the products `Ragged` of each video by row.

    One is equal only to itself, as an `Overlay` is.
    """

    videos: pl.DataFrame
    products: pl.DataFrame
    product_ids: IdMap
    products_of: Ragged


def allowed_videos(shelf: Shelf, overlay: Overlay, market: str | None, hide_when: HideWhen) -> Mask | None:
    """False `(n_videos,)` for the videos that must not be shown in *market*; None where all may be."""
    hidden = blocked_videos(shelf.videos, overlay) | _sold_out(shelf, overlay, market, hide_when)
    return None if not hidden.any() else ~hidden


def blocked_videos(videos: pl.DataFrame, overlay: Overlay) -> Mask:
    """True `(n_videos,)` for those that are blocked by themselves, their creator or their brand."""
    hidden = np.zeros(videos.height, bool)
    for kind, column in ((Kind.VIDEO, C.VIDEO_ID), (Kind.CREATOR, C.CREATOR_ID), (Kind.BRAND, C.BRAND)):
        ids = overlay.blocks.get(kind)
        if ids and column in videos.columns:
            hidden |= videos[column].is_in(list(ids)).fill_null(False).to_numpy()
    return hidden


def _sold_out(shelf: Shelf, overlay: Overlay, market: str | None, hide_when: HideWhen) -> Mask:
    """True for the videos whose products are out; a video without products never is."""
    hidden = np.zeros(shelf.videos.height, bool)
    if hide_when is HideWhen.NEVER:
        return hidden
    out = ~available_products(shelf, overlay, market)
    with_products = shelf.products_of.lengths > 0
    if not out.any() or not with_products.any():
        return hidden
    reduce = np.logical_and if hide_when is HideWhen.ALL else np.logical_or
    starts = shelf.products_of.offsets[:-1][with_products]
    hidden[with_products] = reduce.reduceat(out[shelf.products_of.values], starts)
    return hidden


def available_products(shelf: Shelf, overlay: Overlay, market: str | None) -> Mask:
    """True `(n_products,)` where a product can be had: what was said last and closest to the market counts.

    That is the overlay's word on the market, then on all markets, then the table's offer, then its `available`.
    """
    available = _of_table(shelf.products, market)
    for scope in dict.fromkeys(("", market or "")):
        said = {product: o.available for (product, of), o in overlay.offers.items() if of == scope}
        told = {product: value for product, value in said.items() if value is not None}
        rows = shelf.product_ids.rows(told)
        values = np.fromiter(told.values(), bool, len(told))
        available[rows[rows >= 0]] = values[rows >= 0]
    blocked = shelf.product_ids.rows(overlay.blocks.get(Kind.PRODUCT, ()))
    available[blocked[blocked >= 0]] = False
    return available


def is_available(shelf: Shelf, overlay: Overlay, row: int, market: str | None) -> bool:
    """What `available_products` says of one product, without a look at the others."""
    product_id = shelf.product_ids.ids[row]
    names = {(product_id, scope) for scope in ("", market or "")}
    offers = {name: overlay.offers[name] for name in names if name in overlay.offers}
    alone = replace(shelf, products=shelf.products[row : row + 1], product_ids=IdMap([product_id]))
    return bool(available_products(alone, replace(overlay, offers=offers), market)[0])


def _of_table(products: pl.DataFrame, market: str | None) -> NDArray[np.bool_]:
    if C.AVAILABLE in products.columns:
        available = products[C.AVAILABLE].fill_null(True).to_numpy().copy()
    else:
        available = np.ones(products.height, bool)
    if market is None or C.OFFERS not in products.columns:
        return available
    offers = products.select(pl.int_range(pl.len()).alias("row"), C.OFFERS).explode(C.OFFERS, empty_as_null=False)
    here = offers.drop_nulls().unnest(C.OFFERS).filter(pl.col(C.MARKET) == market)
    if C.AVAILABLE in here.columns:
        told = here.drop_nulls(C.AVAILABLE)
        available[told["row"].to_numpy()] = told[C.AVAILABLE].to_numpy()
    return available
