"""The page's HTTP side: the page itself, what each item shows, and the answers. For one person on this machine.

Other sites that the same browser visits can neither read nor write here: the Host must be this machine, what changes
something needs a token that only the page holds, and nothing may be embedded elsewhere.
"""

import hmac
import html
from dataclasses import asdict
from importlib.resources import files
from typing import Annotated, Any

from fastapi import APIRouter, Depends, FastAPI, Header, HTTPException, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from pydantic import BaseModel, ConfigDict, Field
from starlette.datastructures import MutableHeaders
from starlette.exceptions import HTTPException as StarletteHTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from judge.labelling.desk import Desk, Shown
from retrieval.errors import UserFacingError

TOKEN_HEADER = "X-Lookreel-Token"
LOOPBACK = ("127.0.0.1", "localhost", "[::1]")
MAX_BODY = 1_000  # bytes; an answer has about 30
HEADERS = {
    "content-security-policy": "default-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "cross-origin-resource-policy": "same-origin",
    "cross-origin-opener-policy": "same-origin",
    "referrer-policy": "no-referrer",
    "x-content-type-options": "nosniff",
    "cache-control": "no-store",  # what shoppers looked at is not left in the browser's folder
}
TYPES = {"page.css": "text/css", "page.js": "text/javascript", "icon.svg": "image/svg+xml"}
MAGIC = {b"\xff\xd8\xff": "image/jpeg", b"\x89PNG\r\n": "image/png", b"GIF8": "image/gif", b"RIFF": "image/webp"}


class Graded(BaseModel):
    """What the page posts: a *grade*, or null for an item that is skipped, and how long it was looked at."""

    model_config = ConfigDict(extra="forbid", strict=True)

    grade: Annotated[int, Field(ge=1, le=5)] | None
    seconds: Annotated[float, Field(ge=0, le=86_400, allow_inf_nan=False)]


def create_app(desk: Desk, token: str) -> FastAPI:
    """The app of one desk."""
    app = FastAPI(title="Lookreel labels", docs_url=None, redoc_url=None, openapi_url=None)
    app.include_router(_page_routes(token))
    app.include_router(_item_routes(desk))
    app.include_router(_answer_routes(desk, token))
    app.add_middleware(Guard)
    app.add_exception_handler(StarletteHTTPException, _refuse)
    app.add_exception_handler(RequestValidationError, _refuse_fault)
    app.add_exception_handler(OSError, _refuse_disk)
    return app


class Guard:
    """Answers only to this machine's own names, with headers that keep the page to itself."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        async def send_guarded(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message).update(HEADERS)
            await send(message)

        fault = _fault_of(Request(scope))
        answer = fault if fault is not None else self._app
        await answer(scope, receive, send_guarded)


def _fault_of(request: Request) -> Response | None:
    host = request.headers.get("host", "").lower()
    name = host if host.endswith("]") else host.rpartition(":")[0] or host
    if name not in LOOPBACK:
        return _said(421, "This page answers only to 127.0.0.1 and localhost.")
    length = request.headers.get("content-length", "0")
    if "transfer-encoding" in request.headers or not length.isdecimal() or int(length) > MAX_BODY:
        return _said(413, f"A body is at most {MAX_BODY} bytes and says its length.")
    return None


def _page_routes(token: str) -> APIRouter:
    router, folder = APIRouter(), files("judge.labelling") / "page"
    page = (folder / "page.html").read_text(encoding="utf-8").replace("{{token}}", html.escape(token))

    @router.get("/")
    def index() -> Response:
        return Response(page, media_type="text/html")

    @router.get("/page/{name}")
    def asset(name: str) -> Response:
        if name not in TYPES:
            raise HTTPException(404, "There is no such file.")
        return Response((folder / name).read_bytes(), media_type=TYPES[name])

    return router


def _item_routes(desk: Desk) -> APIRouter:
    router = APIRouter()

    def shown(place: int) -> Shown:
        found = desk.shown(place)
        if found is None:
            raise HTTPException(404, f"There is no item {place}.")
        return found

    ShownHere = Annotated[Shown, Depends(shown)]

    @router.get("/api/state")
    def state() -> dict[str, Any]:
        return _state(desk)

    @router.get("/api/items/{place}")
    def item(place: int, here: ShownHere) -> dict[str, Any]:
        return _item(desk, place, here)

    @router.get("/api/items/{place}/photos/{number}")
    def photo(number: int, here: ShownHere) -> Response:
        return _picture([product.photo for product in here.task.history], number)

    @router.get("/api/items/{place}/frames/{number}")
    def frame(number: int, here: ShownHere) -> Response:
        return _picture(here.video.frames, number)

    return router


def _answer_routes(desk: Desk, token: str) -> APIRouter:
    def check_token(given: Annotated[str, Header(alias=TOKEN_HEADER)] = "") -> None:
        if not hmac.compare_digest(given.encode(), token.encode()):
            raise HTTPException(403, "This needs the page's own token: reload the page.")

    router = APIRouter(dependencies=[Depends(check_token)])

    @router.post("/api/items/{place}/grade")
    def grade(place: int, graded: Graded) -> dict[str, Any]:
        if desk.shown(place) is None:
            raise HTTPException(404, f"There is no item {place}.")
        desk.answer(place, graded.grade, graded.seconds)
        return _state(desk)

    @router.post("/api/undo")
    def undo() -> dict[str, Any]:
        place = desk.undo()
        if place is None:
            raise HTTPException(409, "There is no answer to undo.")
        return {**_state(desk), "undone": place}

    return router


def _state(desk: Desk) -> dict[str, Any]:
    session = desk.session
    return {
        **asdict(session.progress),
        "place": session.next_place,
        "grader": desk.grader,
        "categories": [asdict(category) for category in sorted(desk.rubric.categories, key=lambda one: -one.score)],
    }


def _item(desk: Desk, place: int, here: Shown) -> dict[str, Any]:
    """All that a grader may see, and no id: an id could tell a system, a rank or a repeat."""
    answer = desk.session.answers.get(desk.session.queue[place])
    at = f"/api/items/{place}"
    products = [
        {"title": product.title, "photo": f"{at}/photos/{n}" if _picture_type(product.photo) else None}
        for n, product in enumerate(here.task.history)
    ]
    frames = [{"src": f"{at}/frames/{n}", "time_s": time_s} for n, time_s in enumerate(here.video.times_s)]
    return {
        "place": place,
        "changed": here.changed,
        "products": products,
        "video": {"title": here.video.title, "frames": frames},
        "answer": None if answer is None else {"grade": answer.grade},
    }


def _picture_type(data: bytes | None) -> str | None:
    return next((kind for magic, kind in MAGIC.items() if data and data.startswith(magic)), None)


def _picture(pictures: tuple[bytes, ...] | list[bytes | None], number: int) -> Response:
    data = pictures[number] if 0 <= number < len(pictures) else None
    kind = _picture_type(data)
    if data is None or kind is None:
        raise HTTPException(404, f"There is no picture {number}.")
    return Response(data, media_type=kind)


def _said(status: int, sentence: str) -> Response:
    return JSONResponse({"error": sentence}, status)


async def _refuse(request: Request, error: Exception) -> Response:
    if not isinstance(error, StarletteHTTPException):
        raise error
    return _said(error.status_code, str(error.detail))


async def _refuse_fault(request: Request, error: Exception) -> Response:
    fault = error.errors()[0] if isinstance(error, RequestValidationError) else {"type": "json_invalid"}
    return _said(
        422, "The body is not JSON." if fault["type"] == "json_invalid" else f"{fault['loc'][-1]}: {fault['msg']}."
    )


async def _refuse_disk(request: Request, error: Exception) -> Response:
    return _said(507, f"The answer could not be kept: {error}.")


def check_grader(name: str) -> str:
    """The name of a grader, without the space around it.

    Raises:
        UserFacingError: it is empty or long, or holds what cannot be shown.
    """
    clean = name.strip()
    if not clean or len(clean) > 80 or not clean.isprintable():
        raise UserFacingError(
            f"--grader is {name!r}, which is no name.", "Give 1 to 80 characters, such as your initials."
        )
    return clean
