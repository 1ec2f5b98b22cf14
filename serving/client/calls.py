"""Every route of the API as a value: what is sent, and how its answer is read. Nothing here touches the network."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Generic, TypedDict, TypeVar, Unpack
from urllib.parse import quote

import httpx

from serving import answers as a
from serving.bodies import Kind
from serving.client.reading import content_of, media_of, model_of, require_success, text_of
from serving.client.retries import Repeat
from serving.client.rows import Batch, Row, row_of, to_json

T = TypeVar("T")
Filters = Mapping[str, str | Sequence[str]]
"""Values that an attribute may have, such as `{"markets": ("de", "fr"), "language": "en"}`; every one must fit."""

LOAD_S = 310.0  # the server itself gives up on a version after 300 s


@dataclass(frozen=True)
class Call(Generic[T]):
    """One request, and *read*, which makes its answer of the response.

    *path* is quoted. *timeout_s* is that of a call which may take longer than others. *stream* leaves the body unread.
    *elsewhere* lets the server send us to where a file lies.
    """

    method: str
    path: str
    read: Callable[[httpx.Response], T]
    params: tuple[tuple[str, str], ...] = ()
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes | None = None
    repeat: Repeat = Repeat.ALWAYS
    timeout_s: float = 0.0
    stream: bool = False
    elsewhere: bool = False


class FeedOptions(TypedDict, total=False):
    """What a feed may be asked with; what is absent is as the server's system has it.

    *half_life* is such as `"3d"` or `"12h"`. *diversity* and *collapse* (nearer than this is the same) lie in 0 to 1,
    *freshness* in 0 to 10, the caps are videos of one creator or brand, 0 for any number. *explain* False leaves the
    reasons out. *cursor* goes on behind a page, for the same user and system.
    """

    k: int
    system: str | None
    where: Filters | None
    market: str | None
    exclude: Sequence[str] | None
    half_life: str | None
    diversity: float | None
    freshness: float | None
    cap_creator: int | None
    cap_brand: int | None
    collapse: float | None
    explain: bool
    cursor: str | None


def feed(user_id: str, **options: Unpack[FeedOptions]) -> Call[a.FeedAnswer]:
    """A page of the feed of a user whose events the server knows; for *options* see `FeedOptions`."""
    return Call("GET", _path("users", user_id, "feed"), model_of(a.FeedAnswer), _params(_feed_fields(options)))


def feed_for(history: Sequence[Row], **options: Unpack[FeedOptions]) -> Call[a.FeedAnswer]:
    """A page of a feed for a history (product_id, occurred_at, event), of which the server remembers nothing."""
    body = {"history": [row_of(item) for item in history], **_feed_fields(options)}
    return _posting("feed", model_of(a.FeedAnswer), body)


def search(text: str, *, k: int = 10, where: Filters | None = None, market: str | None = None) -> Call[a.SearchAnswer]:
    """The videos nearest to a text."""
    body = _given({"text": text, "k": k, "where": _filters(where), "market": market})
    return _posting("search", model_of(a.SearchAnswer), body)


def search_image(
    picture: bytes, *, k: int = 10, where: Filters | None = None, market: str | None = None
) -> Call[a.SearchAnswer]:
    """The videos nearest to a picture: the bytes of a JPEG, PNG or WebP."""
    params, headers = _params({"k": k, "where": _filters(where), "market": market}), {"Content-Type": _kind_of(picture)}
    return Call("POST", _path("search", "image"), model_of(a.SearchAnswer), params, headers, picture)


def similar(
    video_id: str, *, k: int = 10, where: Filters | None = None, market: str | None = None
) -> Call[a.SearchAnswer]:
    """The videos nearest to a video, without itself."""
    params = _params({"k": k, "where": _filters(where), "market": market})
    return Call("GET", _path("videos", video_id, "similar"), model_of(a.SearchAnswer), params)


def video(video_id: str) -> Call[a.VideoAnswer]:
    """A video's attributes."""
    return Call("GET", _path("videos", video_id), model_of(a.VideoAnswer))


def product(product_id: str, *, market: str | None = None) -> Call[a.ProductAnswer]:
    """A product's attributes, and whether it can be had now."""
    return Call("GET", _path("products", product_id), model_of(a.ProductAnswer), _params({"market": market}))


def poster(video_id: str) -> Call[bytes]:
    """A JPEG of the video's middle."""
    return Call("GET", _path("videos", video_id, "poster"), content_of("image/"))


def photo(product_id: str) -> Call[bytes]:
    """A product's first photo."""
    return Call("GET", _path("products", product_id, "photo"), content_of("image/"), elsewhere=True)


def media(video_id: str, start: int = 0, stop: int | None = None) -> Call[bytes]:
    """A video's file, or its bytes from *start* up to *stop*, which is left out, as in a slice."""
    return Call("GET", _path("videos", video_id, "media"), media_of, headers=_range(start, stop), elsewhere=True)


def media_stream(video_id: str, start: int = 0, stop: int | None = None) -> Call[httpx.Response]:
    """The same as a response whose body is still to be read."""
    path, headers = _path("videos", video_id, "media"), _range(start, stop)
    return Call("GET", path, require_success, headers=headers, stream=True, elsewhere=True)


def post_batch(batch: Batch) -> Call[a.EventsAnswer]:
    """Store a batch of events; each has its id, so that it may be sent again."""
    return Call("POST", _path("events"), model_of(a.EventsAnswer), headers=_JSON, body=batch.body)


def history(user_id: str, *, system: str | None = None) -> Call[a.HistoryAnswer]:
    """What is remembered of a user, newest first, weighted as the system does."""
    return Call("GET", _path("users", user_id, "history"), model_of(a.HistoryAnswer), _params({"system": system}))


def users(prefix: str = "", *, limit: int = 20) -> Call[a.UsersAnswer]:
    """Users that have events, by the beginning of their id."""
    return Call("GET", _path("users"), model_of(a.UsersAnswer), _params({"prefix": prefix, "limit": limit}))


def erase(user_id: str) -> Call[a.ErasedAnswer]:
    """Forget a user, and all who were merged into them."""
    return Call("DELETE", _path("users", user_id), model_of(a.ErasedAnswer))


def merge(anonymous: str, user_id: str) -> Call[a.MergedAnswer]:
    """Give what is remembered of an anonymous visitor to a user; where an answer was lost, the next says 0 moved."""
    return Call("POST", _path("users", anonymous, "merge", user_id), model_of(a.MergedAnswer))


def systems() -> Call[a.SystemsAnswer]:
    """The ways to rank that a feed may be asked of."""
    return Call("GET", _path("systems"), model_of(a.SystemsAnswer))


def health() -> Call[a.HealthAnswer]:
    """Whether the process answers at all; asked once, whatever the retries."""
    return Call("GET", "/healthz", model_of(a.HealthAnswer), repeat=Repeat.NEVER)


def ready() -> Call[a.HealthAnswer]:
    """Whether feeds can be served, an error if not; asked once, whatever the retries."""
    return Call("GET", "/readyz", model_of(a.HealthAnswer), repeat=Repeat.NEVER)


def metrics() -> Call[str]:
    """All metrics, as Prometheus reads them."""
    return Call("GET", "/metrics", text_of)


def snapshot() -> Call[a.SnapshotAnswer]:
    """What the worker that answers serves, and what it should."""
    return Call("GET", _path("admin", "snapshot"), model_of(a.SnapshotAnswer))


def load(version: str, *, accept: str | None = None) -> Call[a.LoadedAnswer]:
    """Make a kept version live; one that breaks the bounds only where *accept* names it again."""
    body = _given({"version": version, "accept": accept})
    return _posting("admin/snapshot", model_of(a.LoadedAnswer), body, timeout_s=LOAD_S)


def rollback() -> Call[a.LoadedAnswer]:
    """Make the version live that was live before. Not sent again where it may have been done: twice goes further."""
    return Call("POST", _path("admin", "rollback"), model_of(a.LoadedAnswer), repeat=Repeat.UNBEGUN, timeout_s=LOAD_S)


def blocks() -> Call[a.BlocksAnswer]:
    """All blocks, oldest first."""
    return Call("GET", _path("admin", "blocks"), model_of(a.BlocksAnswer))


def block(kind: Kind, key: str, reason: str) -> Call[a.Block]:
    """Show a video, a creator, a brand or a product no more, whatever the snapshot."""
    body = to_json({"kind": kind, "key": key, "reason": reason})
    return Call("PUT", _path("admin", "blocks"), model_of(a.Block), headers=_JSON, body=body)


def unblock(kind: Kind, key: str) -> Call[a.BlocksAnswer]:
    """Lift a block. Not sent again where it may have been done: the second time there is no such block."""
    path = f"{_path('admin', 'blocks', kind)}/{_quote(key)}"  # the last part of this one may hold slashes
    return Call("DELETE", path, model_of(a.BlocksAnswer), repeat=Repeat.UNBEGUN)


def patch_products(products: Sequence[Row], *, reason: str = "") -> Call[a.PatchedAnswer]:
    """Say that products are to be had or not, or what they cost: rows of product_id, market, available, price.

    An absent field stays as it is; one that a mapping has as None is lifted, and the snapshot's value holds again.

    >>> patch_products([{"product_id": "p7", "price": None}]).body
    b'{"products":[{"product_id":"p7","price":null}],"reason":""}'
    """
    rows = [dict(item) if isinstance(item, Mapping) else row_of(item) for item in products]
    body = to_json({"products": rows, "reason": reason})
    return Call("PATCH", _path("products"), model_of(a.PatchedAnswer), headers=_JSON, body=body)


_JSON = {"Content-Type": "application/json"}
_PICTURES = ((b"\xff\xd8\xff", "image/jpeg"), (b"\x89PNG\r\n\x1a\n", "image/png"), (b"RIFF", "image/webp"))


def _posting(
    path: str, read: Callable[[httpx.Response], T], body: Mapping[str, Any], timeout_s: float = 0.0
) -> Call[T]:
    return Call("POST", f"/v1/{path}", read, headers=_JSON, body=to_json(body), timeout_s=timeout_s)


def _path(*parts: str) -> str:
    return "/v1/" + "/".join(map(_part, parts))


def _part(text: str) -> str:
    """A part of a path. A slash is refused: servers take it for one though it is quoted, and `v1/media` for a route."""
    if not text or "/" in text:
        raise ValueError(f"an id in an address is not empty and holds no slash, unlike {text!r}")
    return _quote(text)


def _quote(text: str) -> str:
    """Quoted, dots too where there is nothing else: they would be taken for the folder above.

    >>> _quote("50 %"), _quote("..")
    ('50%20%25', '%2E%2E')
    """
    return quote(text, safe="") if text.strip(".") else "%2E" * len(text)


def _feed_fields(options: FeedOptions) -> dict[str, Any]:
    if unknown := set(options) - set(FeedOptions.__annotations__):
        raise TypeError(f"a feed has no option {min(unknown)!r}; there are {', '.join(FeedOptions.__annotations__)}")
    exclude = options.get("exclude")
    return _given({**options, "where": _filters(options.get("where")), "exclude": list(exclude) if exclude else None})


def _filters(where: Filters | None) -> list[str] | None:
    """Filters as a URL has them.

    >>> _filters({"markets": ("de", "fr"), "language": "en"})
    ['markets:de,fr', 'language:en']
    """
    if not where:
        return None
    listed = {name: [values] if isinstance(values, str) else list(values) for name, values in where.items()}
    if any("," in value for values in listed.values() for value in values) or any(":" in name for name in listed):
        raise ValueError("a filter's values hold no comma, and its name no colon: they could not be told apart")
    return [f"{name}:{','.join(values)}" for name, values in listed.items()]


def _given(fields: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in fields.items() if value is not None}


def _params(fields: Mapping[str, Any]) -> tuple[tuple[str, str], ...]:
    """Fields as a URL has them: lists as repeats.

    >>> _params({"k": 3, "where": ["a:b", "c:d"], "explain": False, "market": None})
    (('k', '3'), ('where', 'a:b'), ('where', 'c:d'), ('explain', 'false'))
    """
    pairs = [(name, value if isinstance(value, list) else [value]) for name, value in _given(fields).items()]
    return tuple((name, _text(value)) for name, values in pairs for value in values)


def _text(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _range(start: int, stop: int | None) -> dict[str, str]:
    """The header that asks for a part; none for the whole.

    >>> _range(0, 100), _range(100, None), _range(0, None)
    ({'Range': 'bytes=0-99'}, {'Range': 'bytes=100-'}, {})
    """
    if start < 0 or (stop is not None and stop <= start):
        raise ValueError(f"a range begins at 0 or later and ends behind its start, unlike {start} to {stop}")
    if start == 0 and stop is None:
        return {}
    return {"Range": f"bytes={start}-{'' if stop is None else stop - 1}"}


def _kind_of(picture: bytes) -> str:
    kind = next((kind for magic, kind in _PICTURES if picture.startswith(magic)), "")
    if not kind:
        raise ValueError("the picture is neither JPEG, PNG nor WebP")
    return kind
