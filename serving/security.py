"""Who may ask for what, and how often: keys kept as hashes, roles, and a bucket of tokens for each key."""

import hmac
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import IntEnum
from hashlib import sha256

from retrieval.errors import ConfigError
from serving.errors import ApiError
from serving.settings import Settings

MIN_KEY = 16  # characters: shorter ones can be tried out
BURST_S = 2.0  # so many seconds' worth of requests may come at once


class Role(IntEnum):
    """What a key allows; each role allows what those before it do."""

    READ = 1
    WRITE = 2
    ADMIN = 3


@dataclass(frozen=True)
class KeyRing:
    """The *roles* of keys by SHA-256. Without any key everybody may read and write, nobody is an admin."""

    roles: Mapping[bytes, Role]

    def find(self, key: str | None) -> tuple[bytes, Role] | None:
        """The hash and role of a key, None for one that we did not give out."""
        if not self.roles:
            return b"", Role.WRITE
        asked = hash_key(key or "")
        # All are compared, each in constant time: how long it takes tells nothing of how near a guess was.
        found = [(known, role) for known, role in self.roles.items() if hmac.compare_digest(known, asked)]
        return found[0] if key and found else None

    def require(self, key: str | None, role: Role) -> bytes:
        """The hash of a key that allows *role*.

        Raises:
            ApiError: 401 for no key or an unknown one, 403 for one that does not allow it.
        """
        found = self.find(key)
        if found is None:
            raise ApiError(
                401, "unauthorized", "This needs a key, and none that we know was given.",
                "Send it as Authorization: Bearer KEY.", {"WWW-Authenticate": "Bearer"},
            )  # fmt: skip
        if found[1] < role:
            cure = f"Use a key from LOOKREEL_{role.name}_KEYS of the server's environment."
            raise ApiError(403, "forbidden", f"This needs the role {role.name.lower()}.", cure)
        return found[0]


def bearer_in(headers: Sequence[tuple[bytes, bytes]]) -> str | None:
    """The key in a request's head.

    >>> bearer_in([(b"host", b"shop"), (b"authorization", b"Bearer abc")])
    'abc'
    """
    for name, value in headers:
        if name == b"authorization":
            scheme, _, key = value.decode("latin-1").partition(" ")
            return key.strip() if scheme.lower() == "bearer" else None
    return None


def hash_key(key: str) -> bytes:
    """What is kept of a key."""
    return sha256(key.encode("utf-8", "surrogatepass")).digest()


def open_key_ring(settings: Settings) -> KeyRing:
    """The keys of the environment, several of a role separated by commas.

    Raises:
        ConfigError: a key is too short, or has two roles.
    """
    given = {Role.READ: settings.read_keys, Role.WRITE: settings.write_keys, Role.ADMIN: settings.admin_keys}
    roles: dict[bytes, Role] = {}
    for role, keys in given.items():
        for key in filter(None, (key.strip() for key in keys.get_secret_value().split(","))):
            if len(key) < MIN_KEY:
                raise ConfigError(
                    f"A key of LOOKREEL_{role.name}_KEYS has {len(key)} characters; at least {MIN_KEY} are needed.",
                    "Make one: python -c 'import secrets; print(secrets.token_urlsafe(24))'",
                )
            if roles.setdefault(hash_key(key), role) is not role:
                raise ConfigError(
                    f"A key of LOOKREEL_{role.name}_KEYS has another role too.", "Give each role its own."
                )
    return KeyRing(roles)


class RateLimit:
    """A bucket of tokens for each key: *rate* requests a second in the long run, and some at once.

    Each worker counts its own share of the requests, so *rate* is what is left for one of them. 0 is no limit.
    """

    def __init__(self, rate: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._rate, self._clock = rate, clock
        self._buckets: dict[bytes, tuple[float, float]] = {}

    def take(self, key: bytes) -> None:
        """Count a request.

        Raises:
            ApiError: 429, with the seconds after which the next is allowed.
        """
        if not self._rate:
            return
        now, most = self._clock(), max(1.0, self._rate * BURST_S)
        tokens, then = self._buckets.get(key, (most, now))
        tokens = min(most, tokens + (now - then) * self._rate)
        if tokens < 1.0:
            self._buckets[key] = (tokens, now)
            wait_s = max(1, round((1.0 - tokens) / self._rate + 0.5))
            headers = {"Retry-After": str(wait_s)}
            raise ApiError(429, "rate_limited", "This key asks too often.", f"Try again in {wait_s} s.", headers)
        self._buckets[key] = (tokens - 1.0, now)
