"""Media from elsewhere, fetched into a file that is always removed.

https goes through httpx, where each redirect is seen before it is followed; all else through fsspec.
"""

import os
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from inspect import signature
from pathlib import Path
from typing import IO, Any
from urllib.parse import urljoin, urlsplit

from indexing.allowed import HTTP, OPTION
from indexing.allowed import Allowed as Allowed
from indexing.decode.protocol import UnreadableMediaError
from retrieval.errors import UserFacingError

DESCRIPTORS = Path("/proc/self/fd")  # where Linux lets a file be opened again that has no name
MEGABYTE = 1_000_000
CHUNK_BYTES = 1 << 20
MAX_REDIRECTS = 5
HTTP_TIMEOUT_S = 30.0
VALIDATORS = ("ETag", "etag", "mtime", "LastModified", "last_modified", "updated", "created")


@contextmanager
def fetched(url: str, allowed: Allowed, download_mb: int) -> Iterator[Path]:
    """Yield a file with the bytes of *url*, which is gone afterwards, however the process ends.

    Raises:
        UnreadableMediaError: it is not allowed, absent, empty, larger than *download_mb*, or cannot be fetched.
    """
    _refuse_unless(allowed.permits(url), url)
    with _scratch_file() as (file, path):
        with _in_words():
            _FETCHERS.get(urlsplit(url).scheme, _fetch_by_fsspec)(url, allowed, _Bounded(file, download_mb))
        file.flush()
        if path.stat().st_size == 0:
            raise UnreadableMediaError("the file is empty (0 bytes)")
        yield path


def state_of(url: str, allowed: Allowed) -> str:
    """What changes when the bytes behind *url* do, such as its ETag; empty where nobody says."""
    if not allowed.permits(url):
        return ""
    return _http_state(url, allowed) if urlsplit(url).scheme in HTTP else _fsspec_state(url)


def require_backends(allowed: Allowed) -> None:
    """Check that every scheme allowed can be read, so that a job can say it before it begins.

    Raises:
        UserFacingError: fsspec cannot open one, most often as it lacks the package for it.
    """
    for scheme in sorted({urlsplit(prefix).scheme for prefix in allowed.prefixes} - HTTP.keys()):
        try:
            _backend(scheme)
        except UnreadableMediaError as error:
            cure = f"Take the entry out of {OPTION} in lookreel.toml, or install the package if that is what lacks."
            raise UserFacingError(f"{OPTION} allows {scheme}://, but {error}.", cure) from error


def _refuse_unless(permitted: bool, url: str) -> None:
    if not permitted:
        parts = url.split("://", 1)
        where = f"{parts[0]}://{parts[-1].split('/')[0]}"
        raise UnreadableMediaError(f"{where} is not a place that {OPTION} in lookreel.toml lets media come from")


@contextmanager
def _in_words() -> Iterator[None]:
    """Whatever a backend raises becomes a reason; there are as many kinds as there are backends."""
    try:
        yield
    except (UnreadableMediaError, MemoryError):
        raise
    except FileNotFoundError as error:
        raise UnreadableMediaError("there is no such file") from error
    except Exception as error:
        raise UnreadableMediaError(f"it cannot be fetched: {str(error) or type(error).__name__}") from error


class _Bounded:
    """Writes chunks to *file*, up to *download_mb* in all."""

    def __init__(self, file: IO[bytes], download_mb: int) -> None:
        self._file = file
        self._download_mb = download_mb
        self._left = download_mb * MEGABYTE

    def write(self, chunk: bytes) -> None:
        self._left -= len(chunk)
        if self._left < 0:
            raise UnreadableMediaError(f"it is larger than {self._download_mb} MB")
        self._file.write(chunk)


@contextmanager
def _scratch_file() -> Iterator[tuple[IO[bytes], Path]]:
    """Yield a file to write and its path, whose name is taken off the disk at once where it can be opened without.

    A worker is killed rather than asked to leave, so nothing that it would still have to do can be relied on.
    """
    descriptor, name = tempfile.mkstemp(prefix="lookreel-")
    unnamed = DESCRIPTORS / str(descriptor)
    named = not unnamed.exists()
    try:
        with os.fdopen(descriptor, "wb") as file:
            if not named:
                os.unlink(name)
            yield file, Path(name) if named else unnamed
    finally:
        if named:
            os.unlink(name)


def _fetch_by_http(url: str, allowed: Allowed, target: _Bounded) -> None:
    with _http_response("GET", url, allowed) as response:
        for chunk in response.iter_bytes(CHUNK_BYTES):
            target.write(chunk)


@contextmanager
def _http_response(method: str, url: str, allowed: Allowed) -> Iterator[Any]:
    """The answer at the end of the redirects, each of which must be allowed too."""
    import httpx

    identity = {"Accept-Encoding": "identity"}  # the bytes as they are stored
    with httpx.Client(verify=_certificates(), timeout=HTTP_TIMEOUT_S, headers=identity) as client:
        for _ in range(MAX_REDIRECTS + 1):
            with client.stream(method, url) as response:
                if not response.has_redirect_location:
                    _refuse_status(response.status_code)
                    yield response
                    return
                url = urljoin(url, response.headers["Location"])
                _refuse_unless(allowed.permits(url), url)
    raise UnreadableMediaError(f"it redirects more than {MAX_REDIRECTS} times")


@cache
def _certificates() -> Any:
    """Read once: that costs some 20 ms."""
    import httpx

    return httpx.create_ssl_context()


def _refuse_status(status: int) -> None:
    if status in (404, 410):
        raise UnreadableMediaError("there is no such file")
    if status != 200:
        raise UnreadableMediaError(f"the server answered with status {status}")


def _http_state(url: str, allowed: Allowed) -> str:
    with _http_response("HEAD", url, allowed) as response:
        headers = response.headers
        changed = headers.get("ETag") or headers.get("Last-Modified")
        return f"{changed}:{headers.get('Content-Length', '')}" if changed else ""


def _fetch_by_fsspec(url: str, _: Allowed, target: _Bounded) -> None:
    filesystem = _backend(urlsplit(url).scheme)
    with filesystem.open(url, "rb") as source:
        while chunk := source.read(CHUNK_BYTES):
            target.write(chunk)


def _fsspec_state(url: str) -> str:
    about = _backend(urlsplit(url).scheme).info(url)
    changed = next((about[key] for key in VALIDATORS if about.get(key)), "")
    return f"{changed}:{about.get('size', '')}" if changed else ""


def _backend(scheme: str) -> Any:
    import fsspec

    try:
        # Those that need more than their name, such as ftp's host, are not even tried: when an ftp without one is
        # thrown away, it prints a trace.
        signature(fsspec.get_filesystem_class(scheme).__init__).bind(None)
        return fsspec.filesystem(scheme)
    except ImportError as error:
        raise UnreadableMediaError(f"a package for {scheme}:// is not installed ({error})") from error
    except Exception as error:  # as many kinds as there are backends; some have a hundred lines to say
        said = (str(error) or type(error).__name__).splitlines()[0]
        raise UnreadableMediaError(f"fsspec cannot open {scheme}:// ({said})") from error


_FETCHERS: dict[str, Callable[[str, Allowed, _Bounded], None]] = dict.fromkeys(HTTP, _fetch_by_http)
