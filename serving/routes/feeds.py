"""Feeds: of a user whose events we know, or of a history that comes with the request."""

from functools import partial
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Query, Response

from retrieval.asking import Touch
from retrieval.config import parse_half_life
from serving.answers import FeedAnswer, FeedBody
from serving.errors import not_allowed
from serving.feeds import FeedRequest, make_page, page_json, parse_filters
from serving.incoming import parse_time
from serving.routes.common import ItemId, Market, Site, Where, as_json, errors, needs, require_k
from serving.security import Role
from serving.services import Services

router = APIRouter(tags=["feeds"], dependencies=[Depends(needs(Role.READ))], responses=errors())
Share = Annotated[float | None, Query(ge=0, le=1)]
Excluded = Annotated[list[str], Query(default_factory=list, max_length=500, description="Videos to leave out.")]
Cap = Annotated[int | None, Query(ge=0, le=1000)]


@router.get("/users/{user_id}/feed", response_model=FeedAnswer)
async def user_feed(
    services: Site,
    user_id: ItemId,
    where: Where,
    exclude: Excluded,
    k: Annotated[int, Query(ge=1)] = 10,
    system: Annotated[str | None, Query(max_length=100)] = None,
    market: Market = None,
    half_life: Annotated[str | None, Query(max_length=20, description="Such as 3d or 12h.")] = None,
    diversity: Share = None,
    freshness: Annotated[float | None, Query(ge=0, le=10)] = None,
    cap_creator: Cap = None,
    cap_brand: Cap = None,
    collapse: Share = None,
    explain: bool = True,
    cursor: Annotated[str | None, Query(max_length=20_000)] = None,
) -> Response:
    """The next videos for a user, each with the products that brought it there.

    Without a cursor a new feed begins; with one, it goes on without repeats, also when the snapshot has changed.
    """
    choices = _choices(half_life, diversity, freshness, cap_creator, cap_brand, collapse)
    request = FeedRequest(
        require_k(services, k), user_id, None, system, parse_filters(services.require_ready(), where), market,
        tuple(exclude), choices, cursor, explain,
    )  # fmt: skip
    return await _page(services, request)


@router.post("/feed", response_model=FeedAnswer)
async def history_feed(services: Site, body: FeedBody) -> Response:
    """The next videos for a history of product events, without a user id; nothing of it is remembered."""
    limits = services.settings
    if len(body.history) > limits.max_history or len(body.exclude) > limits.max_history or len(body.where) > 20:
        raise not_allowed(f"history, exclude or where is longer than {limits.max_history}, {limits.max_history} or 20.")
    choices = _choices(body.half_life, body.diversity, body.freshness, body.cap_creator, body.cap_brand, body.collapse)
    request = FeedRequest(
        require_k(services, body.k), "", _touches(body), body.system,
        parse_filters(services.require_ready(), body.where), body.market, tuple(body.exclude), choices, body.cursor,
        body.explain,
    )  # fmt: skip
    return await _page(services, request)


async def _page(services: Services, request: FeedRequest) -> Response:
    page = await services.ranking.run(partial(make_page, services, request))
    return as_json(page_json(page, services.grades))


def _touches(body: FeedBody) -> tuple[Touch, ...]:
    try:
        return tuple(Touch(item.product_id, item.event, parse_time(item.occurred_at)) for item in body.history)
    except ValueError as error:
        raise not_allowed(f"A time of the history is {error}.") from None


def _choices(
    half_life: str | None,
    diversity: float | None,
    freshness: float | None,
    cap_creator: int | None,
    cap_brand: int | None,
    collapse: float | None,
) -> tuple[tuple[str, Any], ...]:
    """What the request changes of its system."""
    given = {
        "half_life_s": _half_life(half_life),
        "rules.diversity": diversity,
        "rules.freshness": freshness,
        "rules.cap_creator": cap_creator,
        "rules.cap_brand": cap_brand,
        "rules.collapse": collapse,
    }
    return tuple((name, value) for name, value in given.items() if value is not None)


def _half_life(text: str | None) -> float | None:
    try:
        return None if text is None else parse_half_life(text)
    except ValueError as error:
        raise not_allowed(f"half_life is {text[:20]!r}, not {error}." if text else "half_life is empty.") from None
