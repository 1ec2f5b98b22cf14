"""What people did, as rows that the API takes: given an id each, and put together in batches that it allows."""

import json
import uuid
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields, is_dataclass
from datetime import date
from typing import Any, ClassVar, Protocol

from pydantic import BaseModel

from serving.answers import EventsAnswer

MAX_ROWS = 1000
MAX_BYTES = 1_000_000  # the server's limit, 1 MiB, less what stands around the rows


@dataclass(frozen=True)
class Interaction:
    """A touch of a product in the catalogue, now unless *occurred_at* says when."""

    user_id: str
    product_id: str
    event: str = "view"
    occurred_at: date | str | float | None = None
    event_id: str | None = None
    query: str | None = None
    session_id: str | None = None
    market: str | None = None


@dataclass(frozen=True)
class Watch:
    """How long a user watched a video of a feed, now unless *occurred_at* says when it ended."""

    user_id: str
    video_id: str
    watch_time_s: float
    feed_id: str | None = None
    occurred_at: date | str | float | None = None
    event_id: str | None = None
    liked: bool | None = None
    commented: bool | None = None
    followed: bool | None = None
    shared: bool | None = None


class SomeDataclass(Protocol):
    """Any dataclass whose fields are named as the API names them."""

    __dataclass_fields__: ClassVar[dict[str, Any]]


Row = SomeDataclass | BaseModel | Mapping[str, Any]


@dataclass(frozen=True)
class Batch:
    """Rows as the body of one request; *first_row* is where they begin in the whole."""

    first_row: int
    body: bytes


def row_of(item: Row) -> dict[str, Any]:
    """The fields that are given.

    >>> row_of(Watch("ann", "v1", 2.5))
    {'user_id': 'ann', 'video_id': 'v1', 'watch_time_s': 2.5}
    """
    if isinstance(item, BaseModel):
        given: Mapping[str, Any] = item.model_dump()
    elif isinstance(item, Mapping):
        given = item
    elif is_dataclass(item):
        given = {field.name: getattr(item, field.name) for field in fields(item)}
    else:
        raise TypeError(f"a row is a mapping or a dataclass, not {type(item).__name__}")
    return {name: value for name, value in given.items() if value is not None}


def with_event_ids(rows: Iterable[Row]) -> Iterator[dict[str, Any]]:
    """Rows that may be posted any number of times and are stored once.

    One with neither an event_id nor a time gets a new id; one with a time alone the server knows again by its content,
    whoever posts it.
    """
    for row in map(row_of, rows):
        known = row.get("event_id") or row.get("occurred_at") is not None
        yield row if known else row | {"event_id": str(uuid.uuid4())}


def to_json(value: Any) -> bytes:
    """JSON, times in ISO 8601."""
    return json.dumps(value, default=_iso, separators=(",", ":")).encode()


def iter_batches(rows: Iterable[Mapping[str, Any]], max_rows: int = MAX_ROWS) -> Iterator[Batch]:
    """Batches of at most *max_rows* rows and `MAX_BYTES` bytes, in order.

    >>> [batch.body for batch in iter_batches([{"a": 1}, {"a": 2}, {"a": 3}], 2)]
    [b'[{"a":1},{"a":2}]', b'[{"a":3}]']
    """
    if max_rows < 1:
        raise ValueError(f"a batch has at least 1 row, not {max_rows}")
    first, held, size = 0, list[bytes](), 0
    for row in map(to_json, rows):
        if held and (len(held) == max_rows or size + len(row) > MAX_BYTES):
            yield _batch(first, held)
            first, held, size = first + len(held), [], 0
        held.append(row)
        size += len(row) + 1
    if held:
        yield _batch(first, held)


def add_up(answers: Sequence[tuple[Batch, EventsAnswer]]) -> EventsAnswer:
    """The answers to batches as one: refused rows are counted through the whole."""
    refused = [
        row.model_copy(update={"row": batch.first_row + row.row}) for batch, answer in answers for row in answer.refused
    ]
    return EventsAnswer(
        accepted=sum(answer.accepted for _, answer in answers),
        duplicates=sum(answer.duplicates for _, answer in answers),
        unknown_items=sum(answer.unknown_items for _, answer in answers),
        refused=refused,
    )


def _batch(first_row: int, rows: Sequence[bytes]) -> Batch:
    return Batch(first_row, b"[" + b",".join(rows) + b"]")


def _iso(value: Any) -> str:
    if isinstance(value, date):  # datetimes are dates
        return value.isoformat()
    raise TypeError(f"{type(value).__name__} cannot be written as JSON")
