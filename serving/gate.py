"""What every request passes first and last: bounds on its head and body, its time, and the answer to our own faults."""

import json
import logging
from time import perf_counter

from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from serving.errors import ApiError
from serving.security import KeyRing, Role, bearer_in
from serving.telemetry import Telemetry

logger = logging.getLogger(__name__)
MAX_HEADERS, MAX_HEAD_BYTES = 100, 32_768
UPLOADS = frozenset(("/v1/search/image",))
OPEN = frozenset(("/healthz", "/readyz", "/openapi.json", "/docs"))
PLAIN = (b"", b"identity")


class Gate:
    """An ASGI middleware; a plain one, since Starlette's base class costs a task for each request."""

    def __init__(self, app: ASGIApp, telemetry: Telemetry, keys: KeyRing, body_limit: int, upload_limit: int) -> None:
        self._app, self._telemetry, self._keys = app, telemetry, keys
        self._body_limit, self._upload_limit = body_limit, upload_limit

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        started, sender = perf_counter(), _Sender(send)
        limit = self._upload_limit if scope["path"] in UPLOADS else self._body_limit
        try:
            _check_head(scope["headers"], limit)
            if scope["path"] not in OPEN:
                # What the key allows is the route's to say; of whom has none not even the body is read.
                self._keys.require(bearer_in(scope["headers"]), Role.READ)
            await self._app(scope, _Bounded(receive, limit), sender)
        except ApiError as error:
            await _answer(sender, error)
        except ClientDisconnect:
            pass  # nobody is left to be answered
        except Exception:  # the last place before the client: any fault of ours, and its trace is for our log alone
            logger.exception("%s failed", _route_of(scope))
            await _answer(sender, ApiError(500, "internal_error", "Something went wrong on our side."))
        seconds = perf_counter() - started
        self._telemetry.requests.labels(_route_of(scope), str(sender.status)).observe(seconds)


class _Bounded:
    """Receives a body up to a number of bytes: one that is sent in chunks does not say its length before."""

    def __init__(self, receive: Receive, limit: int) -> None:
        self._receive, self._left, self._limit = receive, limit, limit

    async def __call__(self) -> Message:
        message = await self._receive()
        self._left -= len(message.get("body", b""))
        if self._left < 0:
            raise HTTPException(413, f"The body is larger than {self._limit} bytes.")
        return message


class _Sender:
    """Sends an answer, and remembers its status."""

    def __init__(self, send: Send) -> None:
        self._send = send
        self.status = 0

    async def __call__(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.status = message["status"]
            message["headers"].append((b"x-content-type-options", b"nosniff"))
        await self._send(message)


def _check_head(headers: list[tuple[bytes, bytes]], limit: int) -> None:
    if len(headers) > MAX_HEADERS or sum(len(name) + len(value) for name, value in headers) > MAX_HEAD_BYTES:
        raise ApiError(431, "head_too_large", f"The head has more than {MAX_HEADERS} fields or {MAX_HEAD_BYTES} bytes.")
    for name, value in headers:
        if name == b"content-encoding" and value.strip().lower() not in PLAIN:
            raise ApiError(415, "unsupported_encoding", "Bodies are read only as they are.", "Send it uncompressed.")
        if name == b"content-length" and (not value.isdigit() or int(value[:20]) > limit):
            raise ApiError(413, "body_too_large", f"The body is larger than {limit} bytes.", "Send less at once.")


async def _answer(sender: _Sender, error: ApiError) -> None:
    if sender.status:
        return  # the answer has begun: all that is left is to end it
    body = json.dumps(error.body()).encode()
    headers = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())]
    headers += [(name.lower().encode(), value.encode()) for name, value in error.headers.items()]
    await sender({"type": "http.response.start", "status": error.status, "headers": headers})
    await sender({"type": "http.response.body", "body": body})


def _route_of(scope: Scope) -> str:
    """The route's own path, not the request's: that would name users, and be without end."""
    return getattr(scope.get("route"), "path", "none")
