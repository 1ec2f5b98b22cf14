"""Videos and products: their attributes, and their files."""

from functools import partial
from typing import Any

import polars as pl
from fastapi import APIRouter, Depends, Response
from fastapi.responses import FileResponse, RedirectResponse

from retrieval.tables import Columns as C
from serving.answers import ProductAnswer, VideoAnswer
from serving.errors import not_found
from serving.feeds import require_live
from serving.live import HIDDEN_COLUMNS, Live
from serving.media import Elsewhere, find_media
from serving.overlay import Offer, Overlay, available_products
from serving.routes.common import ItemId, Market, Site, as_json, errors, needs
from serving.security import Role
from serving.services import Services

router = APIRouter(tags=["items"], dependencies=[Depends(needs(Role.READ))])
FILE: dict[int | str, dict[str, Any]] = {
    200: {"description": "The file.", "content": {"video/*": {}, "image/*": {}}},
    206: {"description": "A part of the file.", "content": {"video/*": {}, "image/*": {}}},
    307: {"description": "The file lies elsewhere."},
}
POSTER: dict[int | str, dict[str, Any]] = {200: {"description": "A JPEG.", "content": {"image/jpeg": {}}}}
KEPT = {"Cache-Control": "private, max-age=3600"}


@router.get("/videos/{video_id}", response_model=VideoAnswer, responses=errors(404))
async def video(services: Site, video_id: ItemId) -> Response:
    """A video's attributes, but for where its file lies."""
    live, row = _video(services, video_id)
    return as_json({"video_id": video_id, "attributes": _attributes(live.snapshot.videos, row)})


@router.get("/videos/{video_id}/media", response_class=FileResponse, responses=errors(404, 416) | FILE)
async def media(services: Site, video_id: ItemId) -> Response:
    """A video's file, whole or in ranges."""
    live, row = _video(services, video_id)
    return _file(services, live.snapshot.videos[C.URI][row])


@router.get("/videos/{video_id}/poster", response_class=Response, responses=errors(404) | POSTER)
async def poster(services: Site, video_id: ItemId) -> Response:
    """A frame of the video's middle."""
    live, _ = _video(services, video_id)
    jpeg = await services.encoding.run(partial(live.snapshot.poster, video_id))
    if jpeg is None:
        raise not_found("The video has no poster.")
    return Response(jpeg, media_type="image/jpeg", headers=KEPT)


@router.get("/products/{product_id}", response_model=ProductAnswer, responses=errors(404))
async def product(services: Site, product_id: ItemId, market: Market = None) -> Response:
    """A product's attributes, and whether it can be had now."""
    stage = services.stage
    live, row = _product(services, product_id)
    products = live.snapshot.products
    offer = _offer(stage.overlay, product_id, market)
    price = products[C.PRICE][row] if C.PRICE in products.columns else None
    answer = {
        "product_id": product_id,
        "available": bool(available_products(live.shelf, stage.overlay, market)[row]),
        "price": price if offer.price is None else offer.price,
        "attributes": _attributes(products, row),
    }
    return as_json(answer)


@router.get("/products/{product_id}/photo", response_class=FileResponse, responses=errors(404, 416) | FILE)
async def photo(services: Site, product_id: ItemId) -> Response:
    """A product's first photo."""
    live, row = _product(services, product_id)
    products = live.snapshot.products
    photos = products[C.IMAGE_URIS][row] if C.IMAGE_URIS in products.columns else None
    if photos is None or not len(photos) or photos[0] is None:
        raise not_found("The product has no photo.")
    return _file(services, photos[0])


def _video(services: Services, video_id: str) -> tuple[Live, int]:
    """The snapshot and a video's row there, unless it is blocked: then nothing of it is shown."""
    stage = services.stage
    live = require_live(stage)
    row = live.snapshot.video_ids.row(video_id)
    if row is None or live.is_blocked(stage.overlay, video_id):
        raise not_found("There is no such video.")
    return live, row


def _product(services: Services, product_id: str) -> tuple[Live, int]:
    stage = services.stage
    live = require_live(stage)
    row = live.snapshot.product_ids.row(product_id)
    if row is None or product_id in stage.overlay.blocks.get("product", ()):
        raise not_found("There is no such product.")
    return live, row


def _offer(overlay: Overlay, product_id: str, market: str | None) -> Offer:
    """What was said last of the price: of the market, or else of all."""
    said = [overlay.offers.get((product_id, scope)) for scope in (market or "", "")]
    return next((offer for offer in said if offer and offer.price is not None), Offer())


def _file(services: Services, uri: str) -> Response:
    found = find_media(uri, services.settings.media, tuple(services.config["media.allowed"]))
    if isinstance(found, Elsewhere):
        return RedirectResponse(found.url)
    return FileResponse(found.path, media_type=found.media_type, headers=KEPT)


def _attributes(frame: pl.DataFrame, row: int) -> dict[str, Any]:
    columns = [name for name in frame.columns if name not in HIDDEN_COLUMNS]
    values = frame.select(columns).row(row, named=True)
    return {name: value.isoformat() if hasattr(value, "isoformat") else value for name, value in values.items()}
