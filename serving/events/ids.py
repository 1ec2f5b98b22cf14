"""Names of events: of those that come without an id, and the short marks by which stores know an id again."""

import hashlib
import json

_MARK_BYTES = 16


def event_id_of(user_id: str, item_id: str, kind: str, occurred_us: int) -> str:
    """An id for an event without one: the same content has the same id, so a repeat is known.

    >>> event_id_of("ann", "p-red", "view", 1) == event_id_of("ann", "p-red", "view", 1)
    True
    """
    content = json.dumps([user_id, item_id, kind, occurred_us]).encode()  # a list, so that no two contents run together
    return hashlib.sha256(content).hexdigest()[:32]


def watch_id_of(feed_id: str, position: int) -> str:
    """An id for the watch of a feed's slot, for logs that number slots rather than events.

    >>> watch_id_of("f1", 2)
    'f1:2'
    """
    return f"{feed_id}:{position}"


def mark_of(event_id: str) -> bytes:
    """What a store keeps of an event id to know it again: 16 bytes, whatever the id's length.

    A hash rather than the id, so that it tells nothing of a user who was erased, while a retry of theirs stays known.
    """
    return hashlib.sha256(event_id.encode()).digest()[:_MARK_BYTES]
