"""Search by text or picture, and what is near a video."""

import logging
from collections.abc import Callable
from functools import partial
from typing import Annotated

from fastapi import APIRouter, Depends, Query, Request, Response

from retrieval.errors import MissingExtraError, UnknownItemError, UserFacingError
from retrieval.feed import Results
from retrieval.where import Filter
from serving.answers import SearchAnswer
from serving.bodies import SearchBody
from serving.errors import ApiError, not_allowed, not_found
from serving.feeds import parse_filters, require_live
from serving.media import IMAGES, require_image
from serving.pictures import read_picture
from serving.routes.common import ItemId, Market, Site, Where, as_json, errors, needs, require_k
from serving.security import Role
from serving.services import Services

logger = logging.getLogger(__name__)
router = APIRouter(prefix="/v1", tags=["search"], dependencies=[Depends(needs(Role.READ))])
K = Annotated[int, Query(ge=1)]
PICTURE = {
    "requestBody": {
        "required": True,
        "content": {kind: {"schema": {"type": "string", "format": "binary"}} for kind in IMAGES},
    }
}


@router.post("/search", response_model=SearchAnswer, responses=errors(501))
async def search_text(services: Site, body: SearchBody) -> Response:
    """The videos nearest to a text, each with its best moment."""
    if len(body.text) > services.settings.max_text:
        raise not_allowed(f"text is longer than {services.settings.max_text} characters.")
    if not body.text.strip():
        raise not_allowed("There is nothing to search for.", 'Name what you look for, such as "a red dress".')
    k, where = require_k(services, body.k), parse_filters(services.require_ready(), body.where)
    return await _encoded(services, partial(_by_text, services, body.text, k, where, body.market))


@router.post("/search/image", response_model=SearchAnswer, responses=errors(501), openapi_extra=PICTURE)
async def search_image(
    services: Site, request: Request, k: K = 10, where: Where = None, market: Market = None
) -> Response:
    """The videos nearest to a picture, which is the body: JPEG, PNG or WebP."""
    kind = require_image(request.headers.get("content-type", ""))
    picture, asked = await request.body(), require_k(services, k)
    filters = parse_filters(services.require_ready(), where or ())
    return await _encoded(services, partial(_by_picture, services, picture, kind, asked, filters, market))


@router.get("/videos/{video_id}/similar", response_model=SearchAnswer, responses=errors(404))
async def similar(services: Site, video_id: ItemId, k: K = 10, where: Where = None, market: Market = None) -> Response:
    """The videos nearest to a video, without itself."""
    filters = parse_filters(services.require_ready(), where or ())
    return as_json(
        await services.ranking.run(partial(_near, services, video_id, require_k(services, k), filters, market))
    )


async def _encoded(services: Services, work: Callable[[], dict[str, object]]) -> Response:
    """Run what needs the encoder, beside the feeds."""
    try:
        return as_json(await services.encoding.run(work))
    except MissingExtraError as error:
        raise ApiError(501, "not_installed", error.message, error.cure) from None
    except UserFacingError as error:
        logger.warning("%s", error)  # it may name paths, which are nothing for the client
        message = "The model that built the snapshot is not at hand."
        raise ApiError(501, "no_model", message, "Install it where this server runs; its log says more.") from None


Filters = tuple[Filter, ...]


def _by_text(services: Services, text: str, k: int, where: Filters, market: str | None) -> dict[str, object]:
    stage = services.stage
    live = require_live(stage)
    allowed = live.allowed(stage.overlay, market)
    return _results(partial(live.snapshot.search, text, k, where=where, allowed=allowed))


def _by_picture(
    services: Services, picture: bytes, kind: str, k: int, where: Filters, market: str | None
) -> dict[str, object]:
    stage = services.stage
    live = require_live(stage)
    image = read_picture(picture, kind, services.settings.pixel_limit)
    query = live.snapshot.encoder().encode_images([image])[0]
    return _results(partial(live.snapshot.nearest, query, k, where, allowed=live.allowed(stage.overlay, market)))


def _near(services: Services, video_id: str, k: int, where: Filters, market: str | None) -> dict[str, object]:
    stage = services.stage
    live = require_live(stage)
    if video_id not in live.snapshot.video_ids or live.is_blocked(stage.overlay, video_id):
        raise not_found("There is no such video.")
    allowed = live.allowed(stage.overlay, market)
    return _results(partial(live.snapshot.similar, video_id, k, where=where, allowed=allowed))


def _results(find: Callable[[], Results]) -> dict[str, object]:
    try:
        found = find()
    except UnknownItemError as error:
        raise not_allowed(error.message, error.cure) from None
    videos = [
        {"video_id": video.video_id, "rank": video.rank, "score": video.score, "moment_s": video.moment_s}
        for video in found.videos
    ]
    return {
        "snapshot": found.snapshot,
        "videos": videos,
        "returned": found.returned,
        "eligible": found.eligible,
        "exact": found.exact,
    }
