"""Feeds: of a user whose events we know, or of a history that comes with the request."""

from collections.abc import Callable, Coroutine, Mapping
from functools import partial
from typing import Annotated, Any
from urllib.parse import parse_qsl

from fastapi import APIRouter, Depends, FastAPI, Query, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.routing import APIRoute
from pydantic import ValidationError

from retrieval.asking import Touch
from retrieval.config import parse_half_life
from serving.answers import FeedAnswer
from serving.bodies import FeedBody, FeedQuery, FeedWishes
from serving.errors import not_allowed
from serving.feeds import FeedRequest, make_page, page_json, parse_filters, served_page
from serving.incoming import is_id, parse_time
from serving.routes.common import ItemId, Site, as_json, authorize, errors, needs, require_k
from serving.security import Role, bearer_in
from serving.services import Services

router = APIRouter(prefix="/v1", tags=["feeds"], dependencies=[Depends(needs(Role.READ))], responses=errors())
LISTS = frozenset(("where", "exclude"))
MAX_FIELDS = 1000


class FeedRoute(APIRoute):
    """The route of `user_feed`, with less machinery in between.

    FastAPI's own took a third of the time of a feed beside its search: it looks at every parameter by itself. Here the
    same model that documents them reads them at once.
    """

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """What answers a request."""

        async def handle(request: Request) -> Response:
            services: Services = request.app.state.services
            authorize(services, bearer_in(request.scope["headers"]), Role.READ)
            user_id = request.path_params["user_id"]
            if not is_id(user_id):
                raise not_allowed("user_id is no text of 1 to 200 characters.")
            return await user_feed(services, user_id, _read_query(request.scope["query_string"]))

        return handle


def add_feed_route(app: FastAPI) -> None:
    """Add the route of a user's feed: first and directly, so that no other is tried before it."""
    app.router.add_api_route(
        "/v1/users/{user_id}/feed",
        user_feed,
        methods=["GET"],
        response_model=FeedAnswer,
        responses=errors(),
        tags=["feeds"],
        dependencies=[Depends(needs(Role.READ))],
        route_class_override=FeedRoute,
    )


async def user_feed(services: Site, user_id: ItemId, wishes: Annotated[FeedQuery, Query()]) -> Response:
    """The next videos for a user, each with the products that brought it there.

    Without a cursor a new feed begins; with one, it goes on without repeats, also when the snapshot has changed.
    """
    return await _page(services, _request(services, wishes, user_id, None))


@router.post("/feed", response_model=FeedAnswer)
async def history_feed(services: Site, body: FeedBody) -> Response:
    """The next videos for a history of product events, without a user id; nothing of it is remembered."""
    most = services.settings.max_history
    if len(body.history) > most:
        raise not_allowed(f"The history has {len(body.history)} events, more than {most}.")
    return await _page(services, _request(services, body, "", _touches(body)))


def _read_query(query: bytes) -> FeedQuery:
    """The wishes in a URL; of what is named twice the last holds, but for lists."""
    try:
        pairs = parse_qsl(query.decode("latin-1"), keep_blank_values=True, max_num_fields=MAX_FIELDS)
    except ValueError:
        raise not_allowed(f"The query has more than {MAX_FIELDS} fields.") from None
    values: dict[str, Any] = {}
    for name, value in pairs:
        if name in LISTS:
            values.setdefault(name, []).append(value)
        else:
            values[name] = value
    if unknown := values.keys() - FeedQuery.model_fields.keys():
        raise not_allowed(
            f"There is no parameter {min(unknown)[:50]!r}.", f"Use one of {', '.join(FeedQuery.model_fields)}."
        )
    try:
        return FeedQuery.model_validate(values)
    except ValidationError as error:
        faults = error.errors(include_url=False, include_input=False, include_context=False)
        raise RequestValidationError([{**fault, "loc": ("query", *fault["loc"])} for fault in faults]) from None


def _request(services: Services, wishes: FeedWishes, user_id: str, history: tuple[Touch, ...] | None) -> FeedRequest:
    k = require_k(services, wishes.k)
    where = parse_filters(services.require_ready(), wishes.where)
    return FeedRequest(
        k, user_id, history, wishes.system, where, wishes.market, tuple(wishes.exclude), _choices(wishes),
        wishes.cursor, wishes.explain,
    )  # fmt: skip


async def _page(services: Services, request: FeedRequest) -> Response:
    page = await services.ranking.run(partial(make_page, services, request))
    answer = as_json(page_json(page, services.grades))
    services.served(served_page(page, request))  # only here: a page that was late is answered 503, and not served
    return answer


def _touches(body: FeedBody) -> tuple[Touch, ...]:
    try:
        return tuple(Touch(item.product_id, item.event, parse_time(item.occurred_at)) for item in body.history)
    except ValueError as error:
        raise not_allowed(f"A time of the history is {error}.") from None


CHOICES: Mapping[str, str] = {
    "half_life": "half_life_s",
    "diversity": "rules.diversity",
    "freshness": "rules.freshness",
    "cap_creator": "rules.cap_creator",
    "cap_brand": "rules.cap_brand",
    "collapse": "rules.collapse",
}


def _choices(wishes: FeedWishes) -> tuple[tuple[str, Any], ...]:
    """What the request changes of its system."""
    given = ((target, getattr(wishes, name)) for name, target in CHOICES.items())
    return tuple(
        (target, _half_life(value) if target == "half_life_s" else value)
        for target, value in given
        if value is not None
    )


def _half_life(text: str) -> float:
    try:
        return parse_half_life(text)
    except ValueError as error:
        raise not_allowed(f"half_life is {text[:20]!r}, not {error}.") from None
