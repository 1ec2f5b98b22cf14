"""Which URLs media may be fetched from: those of the places that a shop names, and none that only looks like one."""

import re
from dataclasses import dataclass
from urllib.parse import SplitResult, unquote, urlsplit

OPTION = "media.allowed"
HTTP = {"http": 80, "https": 443}
LOCAL = {"", "file", "local"}


@dataclass(frozen=True)
class Allowed:
    """Where media may be fetched from: *prefixes* such as `https://cdn.shop.example` or `s3://bucket/clips`.

    >>> Allowed(("s3://bucket/clips",)).permits("s3://bucket/clips/a.mp4")
    True
    >>> Allowed(("s3://bucket/clips",)).permits("s3://bucket/clips-of-others/a.mp4")
    False
    """

    prefixes: tuple[str, ...] = ()

    def permits(self, url: str) -> bool:
        """Whether *url* has the scheme, host and port of a prefix and lies in its folder, and has no trick in it."""
        parts = _plain_parts(url)
        return parts is not None and any(_covers(prefix, parts) for prefix in self.prefixes)


NOWHERE = Allowed()


def _covers(prefix: str, parts: SplitResult) -> bool:
    allowed = _plain_parts(prefix)
    if allowed is None or _host(allowed) != _host(parts):
        return False
    folder = allowed.path.rstrip("/")
    return parts.path == folder or parts.path.startswith(f"{folder}/")


def _host(parts: SplitResult) -> tuple[str, str, int | None]:
    """Scheme, host and port to compare. Names of buckets keep their case, names of hosts have none."""
    if parts.scheme not in HTTP:
        return parts.scheme, parts.netloc, None
    return parts.scheme, parts.hostname or "", parts.port or HTTP[parts.scheme]


def _plain_parts(url: str) -> SplitResult | None:
    """The parts of a URL that means the same to everybody who reads it, else nothing."""
    try:
        parts = urlsplit(url)
        usable = parts.scheme not in LOCAL and "@" not in parts.netloc and (parts.port or True)
    except ValueError:  # an impossible port or address
        return None
    return parts if usable and not _has_trick(url, parts.scheme) else None


def _has_trick(url: str, scheme: str) -> bool:
    """Whether some reader of the URL could take it for another. Only of http is a query known to name no place."""
    place = url.partition("?")[0] if scheme in HTTP else url  # a signed URL's query holds slashes as %2F
    meant, meant_place = _unquoted(url), _unquoted(place)
    tricks = (
        re.search(r"[\x00-\x1f\x7f\\]", meant),  # parsers drop some of these, and take \ for /
        meant != meant.strip(),
        "::" in re.sub(r"\[[\da-fA-F:.]*\]", "", meant_place, count=1),  # fsspec's chains; IPv6 stands in brackets
        {".", ".."} & set(re.split(r"[/?#]", meant_place)),
        re.search(r"%(2f|5c)", place, re.IGNORECASE),  # a slash to some servers, a letter to others
    )
    return any(tricks)


def _unquoted(url: str) -> str:
    """The URL without its %-signs, however often they were quoted again."""
    plain = unquote(url)
    return plain if plain == url else _unquoted(plain)
