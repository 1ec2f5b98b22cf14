"""Videos and products: their attributes, and their files."""

from functools import partial
from typing import Any

import polars as pl
from fastapi import APIRouter, Depends, Response
from fastapi.responses import FileResponse, RedirectResponse
from starlette.datastructures import Headers
from starlette.types import Message, Receive, Scope, Send

from retrieval.tables import Columns as C
from serving.answers import ProductAnswer, VideoAnswer
from serving.errors import ApiError, not_found
from serving.feeds import require_live
from serving.live import HIDDEN_COLUMNS, Live, Stage
from serving.media import Elsewhere, find_media
from serving.overlay import Overlay, is_available
from serving.routes.common import ItemId, Market, Site, as_json, errors, needs
from serving.security import Role
from serving.services import Services

router = APIRouter(prefix="/v1", tags=["items"], dependencies=[Depends(needs(Role.READ))])
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
    jpeg = await services.storing.run(partial(live.snapshot.poster, video_id))
    if jpeg is None:
        raise not_found("The video has no poster.")
    return Response(jpeg, media_type="image/jpeg", headers=KEPT)


@router.get("/products/{product_id}", response_model=ProductAnswer, responses=errors(404))
async def product(services: Site, product_id: ItemId, market: Market = None) -> Response:
    """A product's attributes, and whether it can be had now."""
    stage = services.stage
    live, row = _product(stage, product_id)
    answer = {
        "product_id": product_id,
        "available": is_available(live.shelf, stage.overlay, row, market),
        "price": _price(live, stage.overlay, row, market),
        "attributes": _attributes(live.snapshot.products, row),
    }
    return as_json(answer)


@router.get("/products/{product_id}/photo", response_class=FileResponse, responses=errors(404, 416) | FILE)
async def photo(services: Site, product_id: ItemId) -> Response:
    """A product's first photo."""
    live, row = _product(services.stage, product_id)
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


def _product(stage: Stage, product_id: str) -> tuple[Live, int]:
    live = require_live(stage)
    row = live.snapshot.product_ids.row(product_id)
    if row is None or product_id in stage.overlay.blocks.get("product", ()):
        raise not_found("There is no such product.")
    return live, row


def _price(live: Live, overlay: Overlay, row: int, market: str | None) -> float | None:
    """The overlay's price in the market, then in all markets, then that of the table's offer, then its `price`."""
    product = live.snapshot.products.row(row, named=True)
    told = [overlay.offers.get((product[C.PRODUCT_ID], scope)) for scope in (market or "", "")]
    offers = [offer for offer in product.get(C.OFFERS) or () if offer and offer.get(C.MARKET) == market]
    prices = [offer.price for offer in told if offer] + [offer.get(C.PRICE) for offer in offers]
    return next((price for price in prices if price is not None), product.get(C.PRICE))


class _Ranged(FileResponse):
    """A file, or the part of it that a Range asks for; what is wrong with a Range is told as every other error."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def checked(message: Message) -> None:
            if message.get("status") in (400, 416):
                ranges = Headers(raw=message["headers"]).get("content-range")
                headers = {"Content-Range": ranges} if ranges else {}
                raise ApiError(message["status"], "bad_range", "The file has no such range.", "", headers)
            await send(message)

        await super().__call__(scope, receive, checked)


def _file(services: Services, uri: str) -> Response:
    found = find_media(uri, services.settings.media, tuple(services.config["media.allowed"]))
    if isinstance(found, Elsewhere):
        return RedirectResponse(found.url)
    return _Ranged(found.path, media_type=found.media_type, headers=KEPT)


def _attributes(frame: pl.DataFrame, row: int) -> dict[str, Any]:
    columns = [name for name in frame.columns if name not in HIDDEN_COLUMNS]
    return frame.select(columns).row(row, named=True)
