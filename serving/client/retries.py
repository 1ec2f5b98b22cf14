"""Whether a call is sent again, and after how long: decided from what is given, without a clock or a network."""

from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from enum import Enum, auto
from random import Random

import httpx

from serving.client.errors import Outcome

UNSENT = (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout)
BROKEN = (httpx.TimeoutException, httpx.NetworkError, httpx.RemoteProtocolError)
LIMITED = 429
BUSY = frozenset((502, 503, 504))  # 502 and 504 are a proxy's, while the server behind it starts


class Repeat(Enum):
    """When a call may be sent again: ALWAYS, only if it was not begun with (UNBEGUN), or NEVER."""

    ALWAYS = auto()
    UNBEGUN = auto()
    NEVER = auto()


@dataclass(frozen=True)
class Retries:
    """How patient a client is: so many *attempts* of a call, none of them begun after *total_s*.

    Between them it waits a random part of *first_wait_s*, of twice that, and so on up to *longest_wait_s* ("full
    jitter", so that clients do not come back all at once), after the seconds of a Retry-After.
    """

    attempts: int = 5
    total_s: float = 30.0
    first_wait_s: float = 0.25
    longest_wait_s: float = 8.0

    def __post_init__(self) -> None:
        waits_s = (self.total_s, self.first_wait_s, self.longest_wait_s)
        if self.attempts < 1 or not all(wait_s >= 0 for wait_s in waits_s):
            raise ValueError(f"attempts is at least 1 and seconds at least 0, unlike in {self}")

    def wait_s(self, repeat: Repeat, outcome: Outcome, tried: int, left_s: float, rng: Random) -> float | None:
        """Seconds until the next try, None where the outcome of *tried* tries stands.

        Args:
            left_s: what is left of the call's time. A server that asks for more than that is not asked again.
        """
        if tried >= self.attempts or not may_repeat(repeat, outcome):
            return None
        most_s = min(self.longest_wait_s, self.first_wait_s * 2.0 ** min(tried - 1, 30))
        wait_s = told_wait_s(outcome) + rng.uniform(0.0, most_s)
        return wait_s if wait_s < left_s else None


def may_repeat(repeat: Repeat, outcome: Outcome) -> bool:
    """Whether another try may end better, and does no harm."""
    if repeat is Repeat.NEVER:
        return False
    if isinstance(outcome, httpx.Response):
        status = outcome.status_code
        return status == LIMITED or (repeat is Repeat.ALWAYS and status in BUSY)
    return isinstance(outcome, UNSENT) or (repeat is Repeat.ALWAYS and isinstance(outcome, BROKEN))


def told_wait_s(outcome: Outcome) -> float:
    """The seconds of an answer's Retry-After, 0 where it has none that can be read.

    >>> told_wait_s(httpx.Response(503, headers={"Retry-After": "7"}))
    7.0
    """
    if not isinstance(outcome, httpx.Response):
        return 0.0
    told = outcome.headers.get("retry-after", "").strip()
    if told.isascii() and told.isdigit():
        return float(told)
    try:
        # A date is held against the server's own clock, which may differ from ours.
        until, now = parsedate_to_datetime(told), parsedate_to_datetime(outcome.headers.get("date", ""))
        return max(0.0, (until - now).total_seconds())
    except (ValueError, TypeError):
        return 0.0
