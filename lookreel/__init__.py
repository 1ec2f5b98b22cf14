"""Lookreel: short videos recommended from what people looked at in a shop's catalogue."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from labelcraft.evaluation.results import Evaluation
    from lookreel.evaluating import EvaluationRequest, evaluate
    from retrieval.errors import UserFacingError
    from retrieval.feed import Feed, RankedVideo, Reason, Results
    from retrieval.snapshot import HistoryEvent, Snapshot, open_snapshot
    from retrieval.systems import SystemConfig, SystemKind
    from serving.client import ApiCallError, AsyncClient, Client, Interaction, Retries, Watch, with_event_ids

__all__ = [
    "ApiCallError",
    "AsyncClient",
    "Client",
    "Evaluation",
    "EvaluationRequest",
    "Feed",
    "HistoryEvent",
    "Interaction",
    "RankedVideo",
    "Reason",
    "Results",
    "Retries",
    "Snapshot",
    "SystemConfig",
    "SystemKind",
    "UserFacingError",
    "Watch",
    "evaluate",
    "open_snapshot",
    "with_event_ids",
]

_HOMES = {
    "labelcraft.evaluation.results": ("Evaluation",),
    "lookreel.evaluating": ("EvaluationRequest", "evaluate"),
    "retrieval.errors": ("UserFacingError",),
    "retrieval.feed": ("Feed", "RankedVideo", "Reason", "Results"),
    "retrieval.snapshot": ("HistoryEvent", "Snapshot", "open_snapshot"),
    "retrieval.systems": ("SystemConfig", "SystemKind"),
    "serving.client": ("ApiCallError", "AsyncClient", "Client", "Interaction", "Retries", "Watch", "with_event_ids"),
}
_HOME_OF = {name: module for module, names in _HOMES.items() for name in names}


def __getattr__(name: str) -> Any:
    """Import a public name when it is first used: `lookreel --help` need not wait for numpy."""
    if name not in _HOME_OF:
        raise AttributeError(f"module 'lookreel' has no attribute {name!r}")
    return getattr(import_module(_HOME_OF[name]), name)
