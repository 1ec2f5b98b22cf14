"""One OpenAI-compatible server: requests and their retries, and what its errors mean. The only user of `openai`."""

import logging
import random
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any, TypeVar
from urllib.parse import urlsplit

from judge.endpoint_reply import shorten
from retrieval.errors import UserFacingError, import_extra

T = TypeVar("T")

logger = logging.getLogger(__name__)

KEYS = ("LOOKREEL_JUDGE_KEY", "OPENAI_API_KEY")
NO_KEY = "none"  # the client wants one; servers without a key ignore it
OF_ONE_REQUEST = {400, 413, 422}  # it is too long, or holds what the server does not take
TRY_AGAIN = {408, 409, 425, 429}  # and all from 500
_CUT = "complete message body"  # what httpx says of an answer that ends before its end
KEPT = "what is judged is kept."


class RefusedError(Exception):
    """The server does not take this one request; the text is what it said."""


class CutShortError(Exception):
    """The answer was cut, each time that it was asked for."""


class StoppedError(Exception):
    """Nobody waits for the answer any more."""


@dataclass(frozen=True)
class Patience:
    """How often a request is tried, and how long is waited: *backoff_s* before the second try, then twice as long."""

    attempts: int = 6
    backoff_s: float = 1.0
    longest_s: float = 60.0
    timeout_s: float = 120.0

    def wait_s(self, n_failures: int, asked_s: float | None, jitter: float) -> float:
        """How long to wait after so many failures.

        Args:
            asked_s: how long the server asked for.
            jitter: 0 to 1, so that not all come back at once.

        >>> Patience().wait_s(3, None, jitter=1.0), Patience().wait_s(1, 7.0, jitter=0.5)
        (4.0, 7.0)
        """
        own = self.backoff_s * 2.0 ** (n_failures - 1) * (0.5 + jitter / 2)
        return min(self.longest_s, own if asked_s is None else max(own, asked_s))


@dataclass(frozen=True)
class Address:
    """Where a server is, and which of its models is asked for."""

    url: str
    model: str

    @property
    def host(self) -> str:
        return urlsplit(self.url).netloc

    @property
    def name(self) -> str:
        return f"endpoint:{self.url},{self.model}"


def parse_address(spec: str) -> Address:
    """The address in `endpoint:<url>,<model>`, the first word optional; a URL without a path gets `/v1`.

    Raises:
        UserFacingError: it is none, or its URL holds a key or password, which would be written to the judgments.
    """
    url, _, model = spec.removeprefix("endpoint:").partition(",")
    parts = urlsplit(url.strip())
    if parts.username or parts.password or parts.query or parts.fragment:
        raise UserFacingError(
            "The URL of an endpoint holds no user, key or query: it is written to each judgment.",
            f"Put the key into the environment variable {KEYS[0]}.",
        )
    if parts.scheme not in ("http", "https") or not parts.hostname or not model.strip():
        raise UserFacingError(
            f"{spec} is not an endpoint.",
            "Write endpoint:<url>,<model>, such as endpoint:http://localhost:8000/v1,my-model.",
        )
    return Address(f"{parts.scheme}://{parts.netloc}{parts.path.rstrip('/') or '/v1'}", model.strip())


class Server:
    """Sends requests, each until it is answered or has failed too often. For several threads."""

    def __init__(self, address: Address, key: str | None, patience: Patience, rng: random.Random) -> None:
        self._openai = import_extra("openai", extra="judge")
        self._address, self._patience, self._rng, self._key = address, patience, rng, key
        self._client = self._openai.OpenAI(
            base_url=address.url, api_key=key or NO_KEY, max_retries=0, timeout=patience.timeout_s
        )

    def models(self) -> Sequence[Mapping[str, Any]]:
        """What the server says of its models; nothing where it has no list.

        Raises:
            UserFacingError: it is down, or refuses the key.
        """
        try:
            body = self._try(lambda: self._client.get("/models", cast_to=object), threading.Event(), lambda _: None)
        except (RefusedError, CutShortError, self._openai.NotFoundError, ValueError):
            return []
        data = body.get("data") if isinstance(body, dict) else None
        return [one for one in data if isinstance(one, dict)] if isinstance(data, list) else []

    def complete(
        self,
        messages: Sequence[Mapping[str, Any]],
        fields: Mapping[str, Any],
        stop: threading.Event,
        failed: Callable[[bool], None],
    ) -> bytes:
        """The body of the answer to a chat.

        Args:
            failed: called after each try that failed, with whether the server may have worked on it.

        Raises:
            RefusedError: the server does not take this request.
            CutShortError: its answer was cut.
            StoppedError: *stop* was set.
            UserFacingError: the server is down, fails, refuses the key or has no such model.
        """
        create = self._client.chat.completions.with_raw_response.create
        model = self._address.model

        def ask() -> bytes:
            # All fields go this way: the client's own types know only what OpenAI's server takes.
            answer = create(model=model, messages=messages, extra_body=dict(fields))
            body = bytes(answer.http_response.content)
            return self._hide_key(body)

        try:
            return self._try(ask, stop, failed)
        except self._openai.NotFoundError as error:
            raise UserFacingError(
                f"{self._address.url} has no model {model}: {self._said(error)}",
                f"Name one that it serves{self._known()}, and check the path of the URL.",
            ) from error

    def close(self) -> None:
        """Close the connections; requests on their way fail."""
        self._client.close()

    def _try(self, ask: Callable[[], T], stop: threading.Event, failed: Callable[[bool], None]) -> T:
        error: Exception | None = None
        for n_failures in range(self._patience.attempts):
            if error is not None:
                wait_s = self._patience.wait_s(n_failures, _asked_s(error), self._rng.random())
                logger.debug("waiting %.1f s for %s after %s", wait_s, self._address.host, type(error).__name__)
                if stop.wait(wait_s):
                    raise StoppedError
            try:
                return ask()
            except self._openai.APIConnectionError as caught:  # a timeout is one too
                error = caught
            except self._openai.APIStatusError as caught:
                self._check(caught)
                error = caught
            failed(isinstance(error, self._openai.APITimeoutError) or _was_cut(error))
        raise self._gave_up(error) from error

    def _check(self, error: Any) -> None:
        """Raise what a second try would not change."""
        if error.status_code in OF_ONE_REQUEST:
            raise RefusedError(self._said(error)) from error
        if error.status_code in (401, 403):
            given = f"the key in {KEYS[0]} or {KEYS[1]}" if self._key else "a request without a key"
            raise UserFacingError(
                f"{self._address.host} refuses {given} ({error.status_code}).",
                f"Set the environment variable {KEYS[0]} to a key that it takes and run again: {KEPT}",
            ) from None
        if error.status_code == 404:
            raise error
        if error.status_code not in TRY_AGAIN and error.status_code < 500:
            raise UserFacingError(
                f"{self._address.url} answered {error.status_code}: {self._said(error)}",
                f"Mend that and run again: {KEPT}",
            ) from error

    def _gave_up(self, error: Any) -> Exception:
        tries = f"{self._patience.attempts} tries"
        if _was_cut(error):
            return CutShortError(f"the connection was cut within the answer, in {tries}")
        if isinstance(error, self._openai.APITimeoutError):
            what = f"did not answer within {self._patience.timeout_s:g} s"
        elif isinstance(error, self._openai.APIConnectionError):
            what = f"cannot be reached: {shorten(str(error.__cause__ or error))}"
        else:
            what = f"answered {error.status_code}: {self._said(error)}"
        return UserFacingError(
            f"{self._address.url} {what}, in {tries}.", f"Look after the server and run again: {KEPT}"
        )

    def _said(self, error: Any) -> str:
        """What the server said, without the key, which some repeat."""
        body = error.body if isinstance(error.body, dict) else {}
        parts = (str(body.get(name) or "") for name in ("param", "message"))
        said = ": ".join(part for part in parts if part) or error.response.text or error.message
        return shorten(said.replace(self._key, "[key]") if self._key else said, 1000)

    def _hide_key(self, body: bytes) -> bytes:
        return body.replace(self._key.encode(), b"[key]") if self._key else body

    def _known(self) -> str:
        try:
            names = [str(one.get("id")) for one in self.models()]
        except UserFacingError:
            names = []
        return f" ({', '.join(names[:10])})" if names else ""


def _was_cut(error: Exception) -> bool:
    return _CUT in str(error.__cause__ or "")


def _asked_s(error: Any) -> float | None:
    """The seconds in `Retry-After`, a number or a date; None where there is no such header."""
    response = getattr(error, "response", None)
    text = response.headers.get("retry-after", "") if response is not None else ""
    try:
        return max(0.0, float(text))
    except ValueError:
        pass
    try:
        return max(0.0, (parsedate_to_datetime(text) - datetime.now(UTC)).total_seconds())
    except (ValueError, TypeError):
        return None
