"""Events: what users did in the catalogue, and what they watched."""

from functools import partial
from typing import Any

from fastapi import APIRouter, Depends, Request, Response

from serving.answers import EventsAnswer
from serving.events.protocol import ProductEvent, StoreDownError
from serving.feeds import require_live
from serving.incoming import NDJSON, Batch, read_batch, read_rows
from serving.live import Live
from serving.routes.common import Site, as_json, errors, needs
from serving.security import Role
from serving.services import Services

router = APIRouter(prefix="/v1", tags=["events"], dependencies=[Depends(needs(Role.WRITE))], responses=errors())
ROW = {
    "type": "object",
    "required": ["user_id"],
    "properties": {
        "event_id": {"type": "string", "description": "The same id is stored once."},
        "user_id": {"type": "string"},
        "product_id": {"type": "string", "description": "Of an interaction."},
        "event": {"type": "string", "description": "view, click, wishlist, add_to_cart, purchase …"},
        "video_id": {"type": "string", "description": "Of a watch."},
        "feed_id": {"type": "string", "description": "The feed that showed the video."},
        "watch_time_s": {"type": "number", "minimum": 0},
        "occurred_at": {"description": "ISO 8601 with a zone, or seconds since 1970; by default now."},
    },
}
BODY = {
    "requestBody": {
        "required": True,
        "content": {"application/json": {"schema": {"type": "array", "items": ROW}}, NDJSON: {"schema": ROW}},
    }
}


@router.post("/events", response_model=EventsAnswer, openapi_extra=BODY)
async def post_events(services: Site, request: Request) -> Response:
    """Store interactions and watches. Each row is accepted or refused with a reason; a known event_id changes nothing.

    What is answered as accepted survives a kill and counts in that user's next feed. After a 503 send it again: a store
    that was slow to answer may hold it, and takes an event_id once.
    """
    rows = read_rows(await request.body(), request.headers.get("content-type", ""), services.settings.max_events)
    return as_json(await services.storing.run(partial(_store, services, rows)))


def _store(services: Services, rows: list[Any]) -> dict[str, Any]:
    live, now_us = require_live(services.stage), services.now_us()
    batch = read_batch(rows, now_us)
    events = list(batch.events.values())
    try:
        new = services.store.put(events, now_us) if events else []
    except StoreDownError:
        services.telemetry.events.labels("not_stored").inc(len(events))
        raise
    unknown = _count_unknown(live, batch, new)
    counts = {"accepted": sum(new), "duplicate": len(new) - sum(new), "refused": len(batch.refused)}
    for outcome, count in counts.items():
        services.telemetry.events.labels(outcome).inc(count)
    services.telemetry.unknown.inc(unknown)
    refused = [
        {"row": row, "event_id": batch.event_ids.get(row), "reason": reason} for row, reason in batch.refused.items()
    ]
    return {
        "accepted": counts["accepted"],
        "duplicates": counts["duplicate"],
        "unknown_items": unknown,
        "refused": refused,
    }


def _count_unknown(live: Live, batch: Batch, new: list[bool]) -> int:
    """New events of items that the snapshot lacks: stored all the same, since the next one may have them."""
    known = {True: live.snapshot.product_ids, False: live.snapshot.video_ids}
    return sum(
        is_new
        and (event.product_id if isinstance(event, ProductEvent) else event.video_id)
        not in known[isinstance(event, ProductEvent)]
        for event, is_new in zip(batch.events.values(), new, strict=True)
    )
