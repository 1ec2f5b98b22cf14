"""The ways to rank, and whether this worker is well."""

from dataclasses import asdict
from typing import Any

from fastapi import APIRouter, Depends, Response

from serving.answers import HealthAnswer, SystemsAnswer
from serving.routes.common import Site, as_json, errors, needs
from serving.security import Role
from serving.telemetry import CONTENT_TYPE

router = APIRouter(prefix="/v1", tags=["systems"], dependencies=[Depends(needs(Role.READ))], responses=errors())
health = APIRouter(tags=["health"])
METRICS: dict[int | str, dict[str, Any]] = {200: {"description": "Prometheus text.", "content": {"text/plain": {}}}}


@router.get("/systems", response_model=SystemsAnswer)
async def systems(services: Site) -> Response:
    """The systems that a feed may be asked of."""
    experiment = services.parts.experiment
    listed = [
        {"name": name, "kind": system.kind.value, "hash": system.hash, "options": asdict(system)}
        for name, system in services.config.systems.items()
    ]
    answer = {
        "default": services.config["serving.system"],
        "experiment": experiment.name if experiment else None,
        "systems": listed,
    }
    return as_json(answer)


@health.get("/healthz", response_model=HealthAnswer, responses=errors())
async def healthz() -> Response:
    """Whether the process answers at all."""
    return as_json({"status": "ok"})


@health.get("/readyz", response_model=HealthAnswer, responses=errors())
async def readyz(services: Site) -> Response:
    """Whether feeds can be served. Without the event store they can, degraded."""
    live = services.require_ready()
    return as_json({"status": "ok", "snapshot": live.snapshot.version, "events": services.store.up})


@health.get("/metrics", dependencies=[Depends(needs(Role.READ))], response_class=Response, responses=errors() | METRICS)
async def metrics(services: Site) -> Response:
    """All metrics of all workers of this host, for Prometheus."""
    return Response(services.telemetry.text(), media_type=CONTENT_TYPE)
