"""Prometheus metrics. With several workers each writes to files of a shared folder, and any of them answers for all.

The folder is `PROMETHEUS_MULTIPROC_DIR`, which must be set before this module is first imported: `lookreel serve` does.
"""

import os
from pathlib import Path

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.multiprocess import MultiProcessCollector, mark_process_dead

FOLDER = "PROMETHEUS_MULTIPROC_DIR"
SECONDS = (0.001, 0.002, 0.003, 0.005, 0.0075, 0.01, 0.015, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5)
CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"


class Telemetry:
    """Every metric of the API, by name; one registry for each instance, so that tests do not add up."""

    def __init__(self) -> None:
        self.registry = own = CollectorRegistry()
        self.requests = Histogram(
            "lookreel_request_seconds", "Time to answer, by route and status.", ("route", "status"),
            buckets=SECONDS, registry=own,
        )  # fmt: skip
        self.stages = Histogram(
            "lookreel_stage_seconds", "Time of the stages of a feed: reading the user, ranking.", ("stage",),
            buckets=SECONDS, registry=own,
        )  # fmt: skip
        self.asked = Counter("lookreel_videos_asked", "Videos that feeds were asked for.", registry=own)
        self.returned = Counter("lookreel_videos_returned", "Videos that feeds returned.", registry=own)
        self.feeds = Counter("lookreel_feeds", "Feeds by what ranked them.", ("source",), registry=own)
        self.degraded = Counter("lookreel_feeds_degraded", "Feeds without the user's events.", registry=own)
        self.events = Counter("lookreel_events", "Events posted, by what became of them.", ("outcome",), registry=own)
        self.unknown = Counter(
            "lookreel_events_unknown_item", "Accepted events of items that the snapshot lacks.", registry=own
        )
        self.store_errors = Counter("lookreel_store_errors", "Failures of the event store.", registry=own)
        self.log_errors = Counter("lookreel_served_log_errors", "Failures of the served log.", registry=own)
        self.shed = Counter("lookreel_requests_shed", "Requests refused, by reason.", ("reason",), registry=own)
        self.swaps = Counter("lookreel_snapshot_swaps", "New versions met, by outcome.", ("outcome",), registry=own)
        # The number tells versions apart without a label: labels would grow by one with every publication.
        self.version = Gauge(
            "lookreel_snapshot_number", "The publication in service; the same in all workers but while they swap.",
            multiprocess_mode="liveall", registry=own,
        )  # fmt: skip
        self.loaded = Gauge(
            "lookreel_snapshot_loaded_timestamp_seconds", "When the version in service was loaded.",
            multiprocess_mode="liveall", registry=own,
        )  # fmt: skip
        self.counted = Gauge(
            "lookreel_snapshot_as_of_timestamp_seconds", "The time that the version's popularity counts to.",
            multiprocess_mode="liveall", registry=own,
        )  # fmt: skip
        self.store_up = Gauge(
            "lookreel_store_up", "1 while the event store answers.", multiprocess_mode="livemin", registry=own
        )

        self.store_stage, self.rank_stage = (self.stages.labels(stage) for stage in ("store", "rank"))

    def text(self) -> bytes:
        """All metrics of all workers, as Prometheus reads them."""
        if FOLDER not in os.environ:
            return generate_latest(self.registry)
        together = CollectorRegistry()
        MultiProcessCollector(together)  # type: ignore[no-untyped-call]
        return generate_latest(together)


def forget_dead_workers() -> None:
    """Drop the gauges of workers that were killed: who takes the place of one does it, since nobody else can."""
    for file in Path(os.environ[FOLDER]).glob("gauge_live*_*.db") if FOLDER in os.environ else ():
        pid = int(file.stem.rpartition("_")[2])
        if not _is_alive(pid):
            mark_process_dead(pid)  # type: ignore[no-untyped-call]


def _is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
