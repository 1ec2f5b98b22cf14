"""The cursor of a feed: what was served so far, signed, so that the next page needs no memory of ours.

It holds four bytes for each video served, not a place in a ranking: the next page may come from another snapshot or
another worker, and still repeats nothing.
"""

import base64
import binascii
import hmac
import struct
import zlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from hashlib import blake2b

import numpy as np
from numpy.typing import NDArray

from retrieval.ragged import spans

HEAD = struct.Struct("<B16s8sB")
VERSION = 1
MAC_BYTES = 16
Keys = NDArray[np.uint32]
"""Of videos `(n,)`: with 200 of a million served, one of the others is taken for served in 5 % of feeds."""


class CursorError(Exception):
    """It was not made by us, or not for this feed."""


@dataclass(frozen=True)
class Cursor:
    """Where a feed stands. *asker* tells whose it is, *served* `(n,)` are the keys of its videos in order.

    *again* says that nothing unseen was left, so that it goes on with what the user has seen before.
    """

    feed_id: str
    asker: bytes
    served: Keys
    again: bool = False


def asker_of(user_id: str, system: str) -> bytes:
    """Eight bytes that bind a cursor to a user and the name of a system."""
    return blake2b(f"{system}\0{user_id}".encode(), digest_size=8).digest()


def video_keys(video_ids: Iterable[str]) -> Keys:
    """The keys of videos by their ids.

    >>> video_keys(["v1", "v2"]).tolist() == [zlib.crc32(b"v1"), zlib.crc32(b"v2")]
    True
    """
    return np.fromiter((zlib.crc32(video_id.encode()) for video_id in video_ids), np.uint32)


def sign(cursor: Cursor, secret: bytes) -> str:
    """The text that is given to the client."""
    head = HEAD.pack(VERSION, bytes.fromhex(cursor.feed_id), cursor.asker, cursor.again)
    body = head + cursor.served.astype("<u4").tobytes()
    return base64.urlsafe_b64encode(body + _mac(body, secret)).rstrip(b"=").decode()


def read_cursor(text: str, secret: bytes, asker: bytes) -> Cursor:
    """The cursor in a client's text.

    Raises:
        CursorError: it is not ours, or belongs to another user or system.
    """
    try:
        signed = base64.b64decode(text.encode("ascii") + b"=" * (-len(text) % 4), b"-_", validate=True)
    except (binascii.Error, UnicodeEncodeError):
        raise CursorError("The cursor is damaged.") from None
    body, mac = signed[:-MAC_BYTES], signed[-MAC_BYTES:]
    if not hmac.compare_digest(_mac(body, secret), mac) or len(body) < HEAD.size or (len(body) - HEAD.size) % 4:
        raise CursorError("The cursor is damaged, or was signed with another secret.")
    version, feed_id, owner, again = HEAD.unpack_from(body)
    if version != VERSION:
        raise CursorError("The cursor is of another version.")
    if owner != asker:
        raise CursorError("The cursor belongs to another user or system.")
    return Cursor(feed_id.hex(), owner, np.frombuffer(body, "<u4", offset=HEAD.size), bool(again))


def advance(cursor: Cursor, video_ids: Sequence[str], *, again: bool) -> Cursor:
    """The cursor behind the page that showed *video_ids*."""
    return Cursor(cursor.feed_id, cursor.asker, np.concatenate([cursor.served, video_keys(video_ids)]), again)


def _mac(body: bytes, secret: bytes) -> bytes:
    return hmac.digest(secret, b"cursor" + body, "sha256")[:MAC_BYTES]


class KeyIndex:
    """Finds the rows of keys among all videos of a snapshot."""

    def __init__(self, video_ids: Sequence[str]) -> None:
        keys = video_keys(video_ids)
        self._order = np.argsort(keys, kind="stable")
        self._sorted = keys[self._order]

    def rows(self, keys: Keys) -> NDArray[np.int64]:
        """All rows whose key is among *keys*: those that share one, too, and none for a video that is gone.

        >>> KeyIndex(["a", "b", "c"]).rows(video_keys(["c", "x", "a"])).tolist()
        [0, 2]
        """
        unique = np.unique(keys)
        first = np.searchsorted(self._sorted, unique, "left")
        last = np.searchsorted(self._sorted, unique, "right")
        return np.sort(self._order[spans(first, last - first)])
