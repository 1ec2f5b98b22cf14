"""Users: what is remembered of them, and how it is moved and forgotten."""

from functools import partial
from typing import Annotated, Any

import numpy as np
from fastapi import APIRouter, Depends, Query, Response

from retrieval.log import from_us
from retrieval.towers.user import recency_weights
from serving.answers import ErasedAnswer, HistoryAnswer, MergedAnswer, UsersAnswer
from serving.errors import not_allowed
from serving.feeds import require_live
from serving.incoming import is_id
from serving.routes.common import ItemId, Site, as_json, errors, needs
from serving.security import Role
from serving.services import Services

router = APIRouter(prefix="/v1", tags=["users"], responses=errors())
SystemName = Annotated[str | None, Query(max_length=100)]
READ, WRITE = [Depends(needs(Role.READ))], [Depends(needs(Role.WRITE))]


@router.get("/users", response_model=UsersAnswer, dependencies=READ)
async def users(
    services: Site,
    prefix: Annotated[str, Query(max_length=200)] = "",
    limit: Annotated[int, Query(ge=1, le=1000)] = 20,
) -> Response:
    """Users that have events, by the beginning of their id."""
    if prefix and not is_id(prefix):
        raise not_allowed("prefix is no text that an id can begin with.")
    return as_json({"users": await services.storing.run(partial(services.store.users, prefix, limit))})


@router.get("/users/{user_id}/history", response_model=HistoryAnswer, dependencies=READ)
async def history(
    services: Site, user_id: ItemId, system: Annotated[str | None, Query(max_length=100)] = None
) -> Response:
    """What is remembered of a user, newest first, with the weight of each event in their vector."""
    return as_json(await services.storing.run(partial(_history, services, user_id, system)))


@router.delete("/users/{user_id}", response_model=ErasedAnswer, dependencies=WRITE)
async def erase(services: Site, user_id: ItemId) -> Response:
    """Forget a user at once, and note them for `lookreel users forget`, which clears the offline artefacts."""
    return as_json({"erased": await services.storing.run(partial(services.forget, user_id))})


@router.post("/users/{anonymous}/merge/{user_id}", response_model=MergedAnswer, dependencies=WRITE)
async def merge(services: Site, anonymous: ItemId, user_id: ItemId) -> Response:
    """Give what is remembered of an anonymous visitor to the user that they turned out to be."""
    if anonymous == user_id:
        raise not_allowed("A user cannot be merged into themselves.")
    work = partial(services.store.merge, anonymous, user_id, services.now_us())
    return as_json({"moved": await services.storing.run(work)})


def _history(services: Services, user_id: str, system: str | None) -> dict[str, Any]:
    chosen, now_us = services.choose(user_id, system, ()), services.now_us()
    known, snapshot = services.store.user(user_id, now_us), require_live(services.stage).snapshot
    newest_first = known.history[::-1]
    kinds = np.array([chosen.config.event_weights[event.event] for event in newest_first])
    age_s = np.array([max(0, now_us - event.occurred_us) / 1e6 for event in newest_first])
    weights = recency_weights(age_s, chosen.config.half_life_s, kinds)
    events = [
        {
            "product_id": event.product_id,
            "event": event.event,
            "occurred_at": from_us(event.occurred_us).isoformat(),
            "event_id": event.event_id,
            "known": event.product_id in snapshot.product_ids,
            "weight": float(weight),
        }
        for event, weight in zip(newest_first, weights, strict=True)
    ]
    return {
        "user_id": user_id,
        "market": known.market,
        "system": chosen.name,
        "half_life_s": chosen.config.half_life_s,
        "events": events,
        "seen": list(known.seen),
    }
