"""What the routes share: services, roles, answers, and the documentation of errors."""

from collections.abc import Awaitable, Callable, Mapping
from typing import Annotated, Any

import orjson
from fastapi import Depends, Path, Query, Request, Response, Security
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer

from serving.answers import ErrorAnswer
from serving.errors import ApiError
from serving.security import Role
from serving.services import Services

BEARER = HTTPBearer(auto_error=False, description="A key of the environment; none is needed where none is set.")
ERRORS: Mapping[int, str] = {
    400: "The body, the cursor or the range cannot be read.",
    401: "No key that we know was given.",
    403: "The key does not allow this.",
    404: "Nothing of that name is here.",
    409: "It would break the bounds of lookreel.toml.",
    413: "The body is too large.",
    415: "The body's type or encoding is not read.",
    416: "The file has no such range.",
    422: "The request asks for what cannot be asked.",
    429: "The key asks too often.",
    431: "The head is too large.",
    500: "Something went wrong on our side.",
    501: "An optional part is not installed.",
    503: "Not now: try again after the seconds of Retry-After.",
}
EVERYWHERE = (400, 401, 403, 413, 415, 422, 429, 431, 500, 503)


def errors(*more: int) -> dict[int | str, dict[str, Any]]:
    """The documentation of the errors that every route may answer with, and of *more*."""
    statuses = sorted({*EVERYWHERE, *more})
    return {status: {"model": ErrorAnswer, "description": ERRORS[status]} for status in statuses}


async def services_of(request: Request) -> Services:
    """The services that the app was made with."""
    services: Services = request.app.state.services
    return services


Site = Annotated[Services, Depends(services_of)]
ItemId = Annotated[str, Path(min_length=1, max_length=200)]
Market = Annotated[str | None, Query(min_length=1, max_length=50, description="Whose availability and taste count.")]
Where = Annotated[
    list[str] | None, Query(max_length=20, description="A filter such as markets:de or markets:de,fr; may be repeated.")
]


def needs(role: Role) -> Callable[..., Awaitable[None]]:
    """A dependency that lets through who has a key of *role*, as often as that key may ask."""

    async def check(
        request: Request, credentials: Annotated[HTTPAuthorizationCredentials | None, Security(BEARER)]
    ) -> None:
        authorize(request.app.state.services, credentials.credentials if credentials else None, role)

    return check


def authorize(services: Services, key: str | None, role: Role) -> None:
    """Let through who has a key of *role*, as often as that key may ask.

    Raises:
        ApiError: 401, 403 or 429.
    """
    services.rate.take(services.keys.require(key, role))


def as_json(value: Any) -> Response:
    """An answer that is written already: no model is made of it. What JSON does not know, such as a span, is a text."""
    return Response(orjson.dumps(value, str), media_type="application/json")


def require_k(services: Services, k: int) -> int:
    """*k*, if so many may be asked for.

    Raises:
        ApiError: it is more than the limit.
    """
    if k > services.settings.max_k:
        raise ApiError(422, "invalid_request", f"k is {k}, more than {services.settings.max_k}.", "Ask for pages.")
    return k
