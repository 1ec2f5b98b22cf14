"""The two clients: one waits, the other is awaited. All that they decide is decided in the modules beside this one."""

import asyncio
import inspect
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Iterable, Iterator
from contextlib import asynccontextmanager, contextmanager
from functools import update_wrapper
from pathlib import Path
from random import Random
from typing import Any, Concatenate, ParamSpec, Self, TypeVar, Unpack, get_args

import httpx

from serving.answers import EventsAnswer, FeedAnswer, SearchAnswer, Video
from serving.client import calls
from serving.client.calls import Call, FeedOptions, Filters
from serving.client.connection import LOCAL, Terms, Tries, headers_of, normal_url, request_of, settle
from serving.client.errors import Outcome, no_answer
from serving.client.paging import goes_on, is_shown
from serving.client.reading import require_media
from serving.client.retries import Retries
from serving.client.rows import MAX_ROWS, Row, add_up, iter_batches, with_event_ids

P = ParamSpec("P")
T = TypeVar("T")
PATIENT = Retries()
TIMEOUT_S = 12.0  # a little longer than the server's own 10 s, so that its answer arrives


def _waiting(build: Callable[P, Call[T]]) -> "Callable[Concatenate[Client, P], T]":
    def method(self: "Client", *args: P.args, **kwargs: P.kwargs) -> T:
        return self._run(build(*args, **kwargs))

    return _described(method, build)


def _awaited(build: Callable[P, Call[T]]) -> "Callable[Concatenate[AsyncClient, P], Coroutine[Any, Any, T]]":
    async def method(self: "AsyncClient", *args: P.args, **kwargs: P.kwargs) -> T:
        return await self._run(build(*args, **kwargs))

    return _described(method, build)


def _described(method: Callable[..., T], build: Callable[..., Any]) -> Callable[..., T]:
    """*method* with the name, the text and the arguments of *build*, so that `help` shows them."""
    update_wrapper(method, build)
    del method.__wrapped__  # type: ignore[attr-defined]  # a signature would be read off it, and it has no self
    own = inspect.signature(build)
    me = inspect.Parameter("self", inspect.Parameter.POSITIONAL_ONLY)
    (answer,) = get_args(own.return_annotation)
    shown = own.replace(parameters=[me, *own.parameters.values()], return_annotation=answer)
    setattr(method, "__signature__", shown)  # noqa: B010 - functions have no such attribute by their type
    return method


class Client:
    """Asks the API and waits for its answers, over connections that are kept; threads may share it.

    Failed calls are sent again as `Retries` has it; *timeout_s* bounds each wait for the network. The key is taken from
    the environment's LOOKREEL_API_KEY unless it is given.

    Every method raises `ApiCallError` where the API refuses or does not answer, and `ValueError` or `TypeError` for
    what cannot be asked.
    """

    def __init__(
        self,
        base_url: str = LOCAL,
        api_key: str | None = None,
        *,
        timeout_s: float = TIMEOUT_S,
        retries: Retries = PATIENT,
        transport: httpx.BaseTransport | None = None,
        sleep: Callable[[float], None] = time.sleep,
        clock: Callable[[], float] = time.monotonic,
        rng: Random | None = None,
    ) -> None:
        self.base_url = normal_url(base_url)
        self._terms, self._sleep = Terms(retries, timeout_s, clock, rng or Random()), sleep
        self._http = httpx.Client(base_url=self.base_url, headers=headers_of(api_key), transport=transport)

    def __repr__(self) -> str:
        return f"Client({self.base_url!r})"

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *failure: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the connections."""
        self._http.close()

    feed = _waiting(calls.feed)
    feed_for = _waiting(calls.feed_for)
    search = _waiting(calls.search)
    similar = _waiting(calls.similar)
    video = _waiting(calls.video)
    product = _waiting(calls.product)
    poster = _waiting(calls.poster)
    photo = _waiting(calls.photo)
    media = _waiting(calls.media)
    history = _waiting(calls.history)
    users = _waiting(calls.users)
    erase = _waiting(calls.erase)
    merge = _waiting(calls.merge)
    systems = _waiting(calls.systems)
    health = _waiting(calls.health)
    ready = _waiting(calls.ready)
    metrics = _waiting(calls.metrics)
    snapshot = _waiting(calls.snapshot)
    load = _waiting(calls.load)
    rollback = _waiting(calls.rollback)
    blocks = _waiting(calls.blocks)
    block = _waiting(calls.block)
    unblock = _waiting(calls.unblock)
    patch_products = _waiting(calls.patch_products)

    def search_image(
        self, picture: bytes | Path, *, k: int = 10, where: Filters | None = None, market: str | None = None
    ) -> SearchAnswer:
        """The videos nearest to a picture: a JPEG, PNG or WebP, or where it lies."""
        data = picture if isinstance(picture, bytes) else picture.read_bytes()
        return self._run(calls.search_image(data, k=k, where=where, market=market))

    def pages(self, user_id: str, *, again: bool = False, **options: Unpack[FeedOptions]) -> Iterator[FeedAnswer]:
        """The pages of a feed until nothing unseen is left; *again* goes on with what the user has seen before."""
        going = True
        while going:
            page = self.feed(user_id, **options)
            if is_shown(page, again=again):
                yield page
            options, going = {**options, "cursor": page.cursor}, goes_on(page, again=again)

    def videos(self, user_id: str, *, again: bool = False, **options: Unpack[FeedOptions]) -> Iterator[Video]:
        """The videos of a feed's pages one by one, *k* of them fetched at once."""
        for page in self.pages(user_id, again=again, **options):
            yield from page.videos

    def post_events(self, rows: Iterable[Row], *, batch_size: int = MAX_ROWS) -> EventsAnswer:
        """Store any number of events: each an `Interaction`, a `Watch`, or a row with fields of those names.

        A row without an event_id is given one before it is sent, so that it is stored once however often it is sent.
        Where a batch fails, those before it are stored: who means to post the same rows again keeps what
        `with_event_ids` makes of them.
        """
        batches = iter_batches(with_event_ids(rows), batch_size)
        return add_up([(batch, self._run(calls.post_batch(batch))) for batch in batches])

    @contextmanager
    def stream_media(self, video_id: str, start: int = 0, stop: int | None = None) -> Iterator[Iterator[bytes]]:
        """A video's file, or a part of it as for `media`, as an iterator of its pieces."""
        response = self._run(calls.media_stream(video_id, start, stop))
        try:
            yield require_media(response).iter_bytes()
        except httpx.RequestError as error:
            raise no_answer(error, self.base_url, 1) from error
        finally:
            response.close()

    def _run(self, call: Call[T]) -> T:
        tries = Tries(call, self._terms)
        while True:
            outcome = self._try(call, tries.timeout_s())
            if (wait_s := tries.wait_s(outcome)) is None:
                return settle(call, outcome, self.base_url, tries.tried)
            self._sleep(wait_s)

    def _try(self, call: Call[Any], timeout_s: float) -> Outcome:
        request = request_of(self._http, call, timeout_s)
        try:
            response = self._http.send(request, stream=call.stream, follow_redirects=call.elsewhere)
            if call.stream and not response.is_success:
                response.read()
        except httpx.RequestError as error:
            return error
        return response


class AsyncClient:
    """The same as `Client`, to be awaited: for asyncio, and one event loop."""

    def __init__(
        self,
        base_url: str = LOCAL,
        api_key: str | None = None,
        *,
        timeout_s: float = TIMEOUT_S,
        retries: Retries = PATIENT,
        transport: httpx.AsyncBaseTransport | None = None,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
        clock: Callable[[], float] = time.monotonic,
        rng: Random | None = None,
    ) -> None:
        self.base_url = normal_url(base_url)
        self._terms, self._sleep = Terms(retries, timeout_s, clock, rng or Random()), sleep
        self._http = httpx.AsyncClient(base_url=self.base_url, headers=headers_of(api_key), transport=transport)

    def __repr__(self) -> str:
        return f"AsyncClient({self.base_url!r})"

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *failure: object) -> None:
        await self.close()

    async def close(self) -> None:
        """Close the connections."""
        await self._http.aclose()

    feed = _awaited(calls.feed)
    feed_for = _awaited(calls.feed_for)
    search = _awaited(calls.search)
    similar = _awaited(calls.similar)
    video = _awaited(calls.video)
    product = _awaited(calls.product)
    poster = _awaited(calls.poster)
    photo = _awaited(calls.photo)
    media = _awaited(calls.media)
    history = _awaited(calls.history)
    users = _awaited(calls.users)
    erase = _awaited(calls.erase)
    merge = _awaited(calls.merge)
    systems = _awaited(calls.systems)
    health = _awaited(calls.health)
    ready = _awaited(calls.ready)
    metrics = _awaited(calls.metrics)
    snapshot = _awaited(calls.snapshot)
    load = _awaited(calls.load)
    rollback = _awaited(calls.rollback)
    blocks = _awaited(calls.blocks)
    block = _awaited(calls.block)
    unblock = _awaited(calls.unblock)
    patch_products = _awaited(calls.patch_products)

    async def search_image(
        self, picture: bytes | Path, *, k: int = 10, where: Filters | None = None, market: str | None = None
    ) -> SearchAnswer:
        """As `Client.search_image`."""
        data = picture if isinstance(picture, bytes) else await asyncio.to_thread(picture.read_bytes)
        return await self._run(calls.search_image(data, k=k, where=where, market=market))

    async def pages(
        self, user_id: str, *, again: bool = False, **options: Unpack[FeedOptions]
    ) -> AsyncIterator[FeedAnswer]:
        """As `Client.pages`."""
        going = True
        while going:
            page = await self.feed(user_id, **options)
            if is_shown(page, again=again):
                yield page
            options, going = {**options, "cursor": page.cursor}, goes_on(page, again=again)

    async def videos(
        self, user_id: str, *, again: bool = False, **options: Unpack[FeedOptions]
    ) -> AsyncIterator[Video]:
        """As `Client.videos`."""
        async for page in self.pages(user_id, again=again, **options):
            for video in page.videos:
                yield video

    async def post_events(self, rows: Iterable[Row], *, batch_size: int = MAX_ROWS) -> EventsAnswer:
        """As `Client.post_events`."""
        batches = iter_batches(with_event_ids(rows), batch_size)
        return add_up([(batch, await self._run(calls.post_batch(batch))) for batch in batches])

    @asynccontextmanager
    async def stream_media(
        self, video_id: str, start: int = 0, stop: int | None = None
    ) -> AsyncIterator[AsyncIterator[bytes]]:
        """As `Client.stream_media`."""
        response = await self._run(calls.media_stream(video_id, start, stop))
        try:
            yield require_media(response).aiter_bytes()
        except httpx.RequestError as error:
            raise no_answer(error, self.base_url, 1) from error
        finally:
            await response.aclose()

    async def _run(self, call: Call[T]) -> T:
        tries = Tries(call, self._terms)
        while True:
            outcome = await self._try(call, tries.timeout_s())
            if (wait_s := tries.wait_s(outcome)) is None:
                return settle(call, outcome, self.base_url, tries.tried)
            await self._sleep(wait_s)

    async def _try(self, call: Call[Any], timeout_s: float) -> Outcome:
        request = request_of(self._http, call, timeout_s)
        try:
            response = await self._http.send(request, stream=call.stream, follow_redirects=call.elsewhere)
            if call.stream and not response.is_success:
                await response.aread()
        except httpx.RequestError as error:
            return error
        return response
