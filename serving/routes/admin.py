"""What an operator changes while feeds are served: versions, blocks, and offers of products."""

import json
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any

from fastapi import APIRouter, Depends, Response

from retrieval.errors import SnapshotError
from retrieval.log import from_us
from retrieval.snapshot_files import live_version, version_names
from serving.answers import Block, BlocksAnswer, LoadedAnswer, PatchedAnswer, SnapshotAnswer
from serving.bodies import BlockBody, Kind, LoadBody, ProductsPatch
from serving.errors import not_found
from serving.events.protocol import OverlayEntry
from serving.feeds import require_live
from serving.overlay import BLOCKS, OFFERS
from serving.routes.common import ItemId, Site, as_json, errors, needs
from serving.security import Role
from serving.services import Services

router = APIRouter(prefix="/v1/admin", tags=["admin"], dependencies=[Depends(needs(Role.ADMIN))])
products = APIRouter(prefix="/v1", tags=["items"], dependencies=[Depends(needs(Role.WRITE))], responses=errors())


@router.get("/snapshot", response_model=SnapshotAnswer, responses=errors())
async def snapshot(services: Site) -> Response:
    """What this worker serves, and what it should."""
    return as_json(await services.storing.run(partial(_snapshot, services)))


@router.post("/snapshot", response_model=LoadedAnswer, responses=errors(404, 409))
async def load(services: Site, body: LoadBody) -> Response:
    """Verify, warm and compare a kept version, and make it live."""
    found = await services.loading.run(partial(services.load_version, body.version, body.accept == body.version))
    return as_json({"version": body.version, "comparison": asdict(found) if found else None})


@router.post("/rollback", response_model=LoadedAnswer, responses=errors(404, 409))
async def rollback(services: Site) -> Response:
    """Make the version live that was live before."""
    return as_json({"version": await services.loading.run(services.roll_back), "comparison": None})


@router.get("/blocks", response_model=BlocksAnswer, responses=errors())
async def blocks(services: Site) -> Response:
    """All blocks, as the store holds them."""
    entries = await services.storing.run(services.store.overlay)
    return as_json({"blocks": [_block(entry) for entry in entries if entry.kind in BLOCKS]})


@router.put("/blocks", response_model=Block, responses=errors())
async def block(services: Site, body: BlockBody) -> Response:
    """Block a video, a creator, a brand or a product: within 2 seconds no worker shows it, whatever the snapshot."""
    entry = OverlayEntry(body.kind, body.key, "", "{}", body.reason, services.now_us())
    await services.storing.run(partial(services.put_overlay, [entry]))
    return as_json(_block(entry))


@router.delete("/blocks/{kind}/{key:path}", response_model=BlocksAnswer, responses=errors(404))
async def unblock(services: Site, kind: Kind, key: ItemId) -> Response:
    """Lift a block, and return those that are left."""
    if not await services.storing.run(partial(services.store.drop_overlay, [(kind, key, "")])):
        raise not_found("There is no such block.")
    return await blocks(services)


@products.patch("/products", response_model=PatchedAnswer)
async def patch_products(services: Site, body: ProductsPatch) -> Response:
    """Say that products are or are not to be had, or what they cost now: within 2 seconds every worker knows.

    A field that is null is lifted: the snapshot's value holds again.
    """
    return as_json(await services.storing.run(partial(_patch, services, body)))


def _block(entry: OverlayEntry) -> dict[str, str]:
    since = from_us(entry.at_us).isoformat()
    return {"kind": entry.kind, "key": entry.key, "reason": entry.reason, "since": since}


def _patch(services: Services, body: ProductsPatch) -> dict[str, Any]:
    """Write the fields that were given, and drop those given as null; what was said before of the others stays.

    Where the store fails between the two, what was written holds, and the same patch again does the rest.
    """
    known, now_us = require_live(services.stage).snapshot.product_ids, services.now_us()
    told = {
        (field, patch.product_id, patch.market or ""): getattr(patch, field)
        for patch in body.products
        for field in OFFERS
        if field in patch.model_fields_set
    }
    said = {name: value for name, value in told.items() if value is not None}
    services.put_overlay([OverlayEntry(*name, json.dumps(value), body.reason, now_us) for name, value in said.items()])
    if lifted := [name for name in told if name not in said]:
        services.store.drop_overlay(lifted)
    names = {(patch.product_id, patch.market) for patch in body.products}
    return {"changed": len(names), "unknown_products": sorted({key for key, _ in names if key not in known})}


def _pointer(path: Path) -> str:
    """The version that the pointer names, "" where it cannot be read; then the follower tells the problem."""
    try:
        return live_version(path)
    except SnapshotError:
        return ""


def _snapshot(services: Services) -> dict[str, Any]:
    live, path, follower = require_live(services.stage), services.settings.snapshot, services.follower
    refused = follower.refused
    return {
        "live": live.snapshot.version,
        "pointer": _pointer(path),
        "loaded_at": from_us(live.opened_us).isoformat(),
        "as_of": from_us(live.snapshot.statistics.as_of_us).isoformat(),
        "versions": sorted(version_names(path)),
        "problem": refused.problem if refused else follower.problem,
        "comparison": asdict(refused.comparison) if refused else None,
    }
