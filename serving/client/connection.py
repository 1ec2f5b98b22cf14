"""What both clients share: where they ask, with which key, for how long, and how one try is made of a call."""

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from random import Random
from typing import Any, TypeVar
from urllib.parse import urlsplit

import httpx

from serving.client.calls import Call
from serving.client.errors import Outcome, no_answer
from serving.client.retries import Retries

T = TypeVar("T")
LOCAL = "http://127.0.0.1:8000"
KEY = "LOOKREEL_API_KEY"
CONNECT_S = 3.0
SHORTEST_S = 0.05  # a try that was begun is given so much, however late it is


@dataclass(frozen=True)
class Terms:
    """How patient a client is, on which clock. *timeout_s* bounds each wait for the network within a try."""

    retries: Retries
    timeout_s: float
    clock: Callable[[], float]
    rng: Random


def normal_url(text: str) -> str:
    """An address as scheme, host and perhaps a folder.

    Raises:
        ValueError: it is none of HTTP, or holds what an address of ours does not.

    >>> normal_url(" https://shop.example/lookreel/v1/ ")
    'https://shop.example/lookreel'
    """
    url = urlsplit(text.strip())
    if url.scheme not in ("http", "https") or not url.hostname:
        raise ValueError(f"base_url begins with http:// or https:// and a host, as {LOCAL}")
    if url.username is not None or url.query or url.fragment:
        raise ValueError("base_url holds neither a user, a query nor a fragment; a key is given as api_key")
    return f"{url.scheme}://{url.netloc}{url.path.rstrip('/').removesuffix('/v1').rstrip('/')}"


def headers_of(api_key: str | None, environment: Mapping[str, str] = os.environ) -> dict[str, str]:
    """The header that shows the key, which is that of the environment unless it is given.

    Raises:
        ValueError: no header can hold it; it is not repeated here.
    """
    key = (environment.get(KEY, "") if api_key is None else api_key).strip()
    if not all("!" <= character <= "~" for character in key):
        raise ValueError("the API key holds a character that is not allowed in one")
    return {"Authorization": f"Bearer {key}"} if key else {}


def request_of(http: httpx.Client | httpx.AsyncClient, call: Call[Any], timeout_s: float) -> httpx.Request:
    """What is sent.

    Raises:
        ValueError: its address is too long for any server.
    """
    timeout = httpx.Timeout(timeout_s, connect=min(timeout_s, CONNECT_S))
    try:
        return http.build_request(
            call.method, call.path, params=call.params, headers=call.headers, content=call.body, timeout=timeout
        )
    except httpx.InvalidURL:
        raise ValueError("the address of the request is too long: leave out fewer videos, or use a cursor") from None


def settle(call: Call[T], outcome: Outcome, base_url: str, tried: int) -> T:
    """What a call comes to, of the last of its tries.

    Raises:
        ApiCallError: the server refuses it, or nothing came that can be used.
    """
    if isinstance(outcome, httpx.Response):
        return call.read(outcome)
    raise no_answer(outcome, base_url, tried) from outcome


class Tries:
    """Counts the tries of one call, and their time."""

    def __init__(self, call: Call[Any], terms: Terms) -> None:
        self.tried = 0
        self._repeat, self._terms = call.repeat, terms
        self._each_s = call.timeout_s or terms.timeout_s
        self._deadline = terms.clock() + max(terms.retries.total_s, call.timeout_s)

    def timeout_s(self) -> float:
        """How long the next try may wait for the network."""
        return max(SHORTEST_S, min(self._each_s, self._left_s()))

    def wait_s(self, outcome: Outcome) -> float | None:
        """Count a try; return the seconds until the next one, None where its outcome stands."""
        self.tried += 1
        return self._terms.retries.wait_s(self._repeat, outcome, self.tried, self._left_s(), self._terms.rng)

    def _left_s(self) -> float:
        return self._deadline - self._terms.clock()
