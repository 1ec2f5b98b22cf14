"""Events as clients post them: JSON rows read one by one, each accepted or refused with a reason."""

import json
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, TypeGuard

from retrieval.log import to_us
from retrieval.schemas import EVENTS
from retrieval.tables import Columns as C
from serving.errors import ApiError, not_allowed
from serving.events.ids import event_id_of
from serving.events.protocol import Event, ProductEvent, Watch

NDJSON = "application/x-ndjson"
MAX_ID = 200  # characters
AHEAD_US = 300_000_000  # a client's clock may be so far before ours
LATE_US = 7 * 86_400_000_000  # older watches may be compacted any time, and would be lost on the way
FLAGS = (C.LIKED, C.COMMENTED, C.FOLLOWED, C.SHARED)
OF_PRODUCT = frozenset((C.EVENT_ID, C.USER_ID, C.PRODUCT_ID, C.EVENT, C.OCCURRED_AT, C.QUERY, C.SESSION_ID, C.MARKET))
OF_WATCH = frozenset((C.EVENT_ID, C.USER_ID, C.VIDEO_ID, C.FEED_ID, C.WATCH_TIME_S, C.OCCURRED_AT, *FLAGS))


class RefusedRowError(Exception):
    """A row cannot be stored; its text is the reason."""


@dataclass(frozen=True)
class Batch:
    """The events of a batch by their rows, and the reasons of the rows that are refused."""

    events: Mapping[int, Event]
    refused: Mapping[int, str]
    event_ids: Mapping[int, str]


def read_rows(body: bytes, content_type: str, most: int) -> list[Any]:
    """The rows of a posted batch: a JSON list or object, or an object a line; None for a line that is no JSON.

    Raises:
        ApiError: it is neither, or has more than *most* rows.
    """
    try:
        text = body.decode()
        if content_type.partition(";")[0].strip().lower() == NDJSON:
            # Not splitlines(): it also breaks at characters that may stand within a text of JSON, such as U+2028.
            lines = [line for line in text.split("\n") if line.strip()]
            _require_few(len(lines), most)
            rows = [_parse_line(line) for line in lines]
        else:
            rows = json.loads(text)
    except (ValueError, RecursionError):
        raise ApiError(400, "invalid_json", "The body is not JSON in UTF-8.", "Send a list of events.") from None
    rows = [rows] if isinstance(rows, dict) else rows
    if not isinstance(rows, list):
        raise not_allowed("The body is no list of events.", "Send a JSON list, or an object a line as NDJSON.")
    _require_few(len(rows), most)
    return rows


def _require_few(n_rows: int, most: int) -> None:
    if n_rows > most:
        raise ApiError(413, "too_many_events", f"The batch has {n_rows} events, more than {most}.", "Send it in parts.")


def _parse_line(line: str) -> Any:
    """The value of a line, None where it is no JSON: that row is refused, and not the whole batch."""
    try:
        return json.loads(line)
    except (ValueError, RecursionError):
        return None


def read_batch(rows: list[Any], now_us: int) -> Batch:
    """The events in *rows*, those that name a video being watches."""
    events: dict[int, Event] = {}
    refused: dict[int, str] = {}
    for number, row in enumerate(rows):
        try:
            events[number] = _read_event(row, now_us)
        except RefusedRowError as error:
            refused[number] = str(error)
    ids = {number: event.event_id for number, event in events.items()}
    told = {number: _given_id(rows[number]) for number in refused}
    return Batch(events, refused, ids | {number: event_id for number, event_id in told.items() if event_id})


def _read_event(row: Any, now_us: int) -> Event:
    if not isinstance(row, dict):
        raise RefusedRowError("the row is no JSON object")
    kinds = {C.PRODUCT_ID, C.VIDEO_ID} & set(row)
    if len(kinds) != 1:
        raise RefusedRowError("the row must name either a product_id or a video_id")
    if unknown := set(row) - (OF_PRODUCT if C.PRODUCT_ID in row else OF_WATCH):
        raise RefusedRowError(f"the row has the unknown field {min(unknown)[:50]!r}")
    user_id, occurred_us = _id(row, C.USER_ID), _time(row.get(C.OCCURRED_AT), now_us)
    if C.PRODUCT_ID in row:
        return _product_event(row, user_id, occurred_us)
    if occurred_us < now_us - LATE_US:
        raise RefusedRowError("the watch lies more than 7 days back")
    return _watch(row, user_id, occurred_us)


def _product_event(row: Mapping[str, Any], user_id: str, occurred_us: int) -> ProductEvent:
    product_id, kind = _id(row, C.PRODUCT_ID), row.get(C.EVENT, "view")
    if kind not in EVENTS:
        raise RefusedRowError(f"event is none of {', '.join(EVENTS)}")
    event_id = _event_id(row) or event_id_of(user_id, product_id, kind, occurred_us)
    return ProductEvent(event_id, user_id, product_id, kind, occurred_us)


def _watch(row: Mapping[str, Any], user_id: str, occurred_us: int) -> Watch:
    video_id, seconds = _id(row, C.VIDEO_ID), row.get(C.WATCH_TIME_S)
    if isinstance(seconds, bool) or not isinstance(seconds, int | float) or not 0 <= seconds <= sys.float_info.max:
        raise RefusedRowError("watch_time_s is no number of at least 0")
    flags = {name: row[name] for name in FLAGS if row.get(name) is not None}
    if not all(isinstance(flag, bool) for flag in flags.values()):
        raise RefusedRowError(f"{', '.join(FLAGS)} are true or false")
    feed_id = _id(row, C.FEED_ID) if row.get(C.FEED_ID) else ""
    event_id = _event_id(row) or event_id_of(user_id, f"{feed_id}/{video_id}", "watch", occurred_us)
    return Watch(event_id, user_id, video_id, feed_id, float(seconds), occurred_us, flags)


def _id(row: Mapping[str, Any], name: str) -> str:
    if not (is_id(value := row.get(name))):
        raise RefusedRowError(f"{name} is no text of 1 to {MAX_ID} characters")
    return str(value)


def is_id(value: Any) -> TypeGuard[str]:
    """Whether a value can be an id: a text that UTF-8 can hold, neither empty nor long."""
    if not isinstance(value, str) or not 0 < len(value) <= MAX_ID:
        return False
    try:
        value.encode()
    except UnicodeEncodeError:
        return False
    return True


def _event_id(row: Mapping[str, Any]) -> str:
    return _id(row, C.EVENT_ID) if row.get(C.EVENT_ID) is not None else ""


def _given_id(row: Any) -> str:
    value = row.get(C.EVENT_ID) if isinstance(row, dict) else None
    return value if is_id(value) else ""


def _time(value: Any, now_us: int) -> int:
    """When it happened, by default now."""
    if value is None:
        return now_us
    try:
        occurred_us = parse_time(value)
    except ValueError as error:
        raise RefusedRowError(f"occurred_at is {error}") from None
    if occurred_us > now_us + AHEAD_US:
        raise RefusedRowError("occurred_at lies in the future")
    return min(occurred_us, now_us)  # a clock that is a little ahead must not keep an event out of the next feed


def parse_time(value: str | float) -> int:
    """Microseconds since 1970 of ISO 8601 with a zone, or of seconds since 1970.

    Raises:
        ValueError: it is neither; says so in words that continue "it is …".

    >>> parse_time("1970-01-01T00:00:01Z"), parse_time(1.5)
    (1000000, 1500000)
    """
    if isinstance(value, int | float) and not isinstance(value, bool):
        if not 0 <= value < 253_402_300_800:  # the year 10000
            raise ValueError("no time since 1970")
        return round(value * 1e6)
    try:
        moment = datetime.fromisoformat(str(value))
    except ValueError:
        raise ValueError("neither ISO 8601 nor a number of seconds") from None
    if moment.tzinfo is None:
        raise ValueError("without a time zone; for UTC add Z")
    try:
        return max(0, to_us(moment.astimezone(UTC)))
    except OverflowError:
        raise ValueError("no time since 1970") from None
