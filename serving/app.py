"""The HTTP API: routes, errors and middleware around services that are given."""

import json
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException

from serving.errors import ApiError, unavailable
from serving.events.protocol import StoreDownError
from serving.gate import Gate
from serving.routes import admin, events, feeds, items, search, systems, users
from serving.services import Services

logger = logging.getLogger(__name__)
DESCRIPTION = "Short videos for a shop's vertical feed, recommended from what people looked at in its catalogue."
CODES = {400: "invalid_request", 404: "not_found", 405: "method_not_allowed", 413: "body_too_large", 416: "bad_range"}


def create_app(services: Services) -> FastAPI:
    """The app over *services*, which it starts and closes with itself."""

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        services.start()
        yield
        services.close()

    app = FastAPI(
        title="Lookreel",
        version="1",
        description=DESCRIPTION,
        lifespan=lifespan,
        generate_unique_id_function=lambda route: route.name,
        redirect_slashes=False,  # the address would be made of the request's own Host
        docs_url="/docs" if not services.settings.has_keys else None,
        redoc_url=None,
    )
    app.state.services = services
    feeds.add_feed_route(app)
    for module in (feeds, search, items, events, users, systems, admin):
        app.include_router(module.router)
    app.include_router(admin.products)
    app.include_router(systems.health)
    _handle_errors(app)
    limits = services.settings
    app.add_middleware(
        Gate,
        telemetry=services.telemetry,
        keys=services.keys,
        body_limit=limits.body_limit,
        upload_limit=limits.upload_limit,
    )
    return app


def _handle_errors(app: FastAPI) -> None:
    """Every error is answered in the same form."""

    @app.exception_handler(ApiError)
    async def api_error(request: Request, error: ApiError) -> Response:
        return _answer(error)

    @app.exception_handler(StoreDownError)
    async def store_down(request: Request, error: StoreDownError) -> Response:
        return _answer(unavailable("The event store does not answer; what was sent may not be stored."))

    @app.exception_handler(HTTPException)
    async def http_error(request: Request, error: HTTPException) -> Response:
        code = CODES.get(error.status_code, "error")
        return _answer(ApiError(error.status_code, code, str(error.detail), "", dict(error.headers or {})))

    @app.exception_handler(RequestValidationError)
    async def invalid(request: Request, error: RequestValidationError) -> Response:
        return _answer(_first_fault(error.errors()))


def _first_fault(faults: Any) -> ApiError:
    """The first thing wrong with a request, without the value that was sent."""
    fault = faults[0]
    place = ".".join(str(part) for part in fault["loc"])[:200]
    if fault["type"] == "json_invalid":
        return ApiError(400, "invalid_json", "The body is not JSON.")
    words = "there is no such field" if fault["type"] == "extra_forbidden" else fault["msg"]
    return ApiError(422, "invalid_request", f"{place}: {words}.")


def _answer(error: ApiError) -> Response:
    body = json.dumps(error.body())  # in ASCII, so that it can be written whatever text the request brought
    return Response(body, error.status, dict(error.headers), "application/json")
