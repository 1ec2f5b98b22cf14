"""The composition root: everything that the API is made of, opened from settings."""

import logging
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import lru_cache, partial
from pathlib import Path
from typing import Any

from retrieval.config import Config, choose, load_config
from retrieval.errors import ConfigError, SnapshotError, UserFacingError
from serving.buckets import Experiment, bucket_of
from serving.compare import Bounds, Comparison, Recorded
from serving.erasure import Forgotten, forgotten
from serving.errors import ApiError, not_allowed, not_found, unavailable
from serving.events import open_event_store
from serving.events.guard import GuardedStore
from serving.events.protocol import Limits, OverlayEntry, StoreDownError, UserState
from serving.exposure import ServedLog, ServedPage
from serving.feeds import Chosen, FeedRequest, Page, fallback_of
from serving.follower import TICK_S, Choices, Follower
from serving.identity import user_hash
from serving.inputs import load_grades, read_experiment_of, secret_of
from serving.live import Live, Stage
from serving.overlay import HideWhen, Kind, erasure_notice
from serving.recorder import Recorder
from serving.security import KeyRing, RateLimit, open_key_ring
from serving.settings import Settings
from serving.telemetry import Telemetry, forget_dead_workers
from serving.work import Workshop

logger = logging.getLogger(__name__)
DAY_S = 86_400.0
SLOW_S, LOAD_S = 10.0, 300.0
ENCODE_S = 30.0  # the first search opens the model, and imports torch
MovePointer = Callable[[Path, str | None], str]
"""Makes a kept version of a snapshot live, by default the one before, and returns it."""


@dataclass(frozen=True)
class Parts:
    """What services are made of; tests replace some of them."""

    settings: Settings
    config: Config
    secret: bytes
    keys: KeyRing
    store: GuardedStore
    log: ServedLog
    recorder: Recorder
    telemetry: Telemetry
    grades: Mapping[tuple[str, str], int]
    experiment: Experiment | None
    move_pointer: MovePointer
    now_us: Callable[[], int]


class Services:
    """One worker's services.

    *ranking*, *encoding*, *storing* and *loading* run what takes time, each beside the others: a picture that is
    encoded, or a store that hangs, holds up no feed.
    """

    def __init__(self, parts: Parts) -> None:
        self.parts = parts
        self.settings, self.config, self.secret = parts.settings, parts.config, parts.secret
        self.store, self.keys, self.telemetry, self.grades = parts.store, parts.keys, parts.telemetry, parts.grades
        self.now_us = parts.now_us
        self.max_pages = parts.settings.max_pages
        self._forgotten: Forgotten | None = None
        self.follower = Follower(
            _choices(parts), parts.store, parts.recorder, parts.telemetry, parts.now_us, self._forget_erased
        )
        self.rate = RateLimit(parts.settings.rate_limit / parts.settings.workers)
        self.ranking = self._workshop("ranking", parts.settings.threads, parts.settings.time_limit_s)
        self.encoding = self._workshop("encoding", 1, ENCODE_S)
        self.storing = self._workshop("storing", 2, SLOW_S)
        self.loading = self._workshop("loading", 1, LOAD_S)
        self._chosen = lru_cache(1024)(self._choose)
        self._stopping = threading.Event()
        self._tickers = [
            threading.Thread(target=self._repeat, args=(look,), name=look.__name__, daemon=True)
            for look in (self.follower.refresh, self.follower.follow, self.follower.tidy)
        ]

    @property
    def stage(self) -> Stage:
        return self.follower.stage

    @property
    def systems(self) -> list[str]:
        return list(self.config.systems)

    def start(self) -> "Services":
        """Load the snapshot, and follow it from then on."""
        forget_dead_workers()
        self.follower.refresh()
        self.follower.follow()
        for ticker in self._tickers:
            ticker.start()
        return self

    def close(self) -> None:
        """Write down what waits, and end the threads."""
        self._stopping.set()
        for ticker in self._tickers:
            if ticker.is_alive():
                ticker.join(10)
        for workshop in (self.ranking, self.encoding, self.storing, self.loading):
            workshop.close()
        self.parts.recorder.save()
        self.parts.log.close()
        self.store.close()

    def require_ready(self) -> Live:
        """The snapshot in service.

        Raises:
            ApiError: none is yet.
        """
        if self.stage.live is None or self.stage.overlay.revision < 0:
            raise unavailable(self.follower.problem or "Nothing is loaded yet.")
        return self.stage.live

    def choose(self, user_id: str, name: str | None, choices: tuple[tuple[str, Any], ...]) -> Chosen:
        """The system that answers: the one that is named, that of the user's bucket, or the default one.

        Raises:
            ApiError: no such system, or a choice is not allowed.
        """
        experiment = self.parts.experiment
        if name is not None or experiment is None or not user_id:
            return self._chosen(name or str(self.config["serving.system"]), choices)
        bucket = bucket_of(experiment, user_id)
        chosen = self._chosen(experiment.systems[bucket], choices)
        return replace(chosen, bucket=bucket, experiment=experiment.name)

    def _choose(self, name: str, choices: tuple[tuple[str, Any], ...]) -> Chosen:
        try:
            system = self.config.system(name)
            return Chosen(name, choose(system, dict(choices)) if choices else system)
        except ConfigError as error:
            raise not_allowed(error.message, f"Use one of {', '.join(self.systems)}.") from None
        except ValueError as error:
            raise not_allowed(f"{error}.") from None

    def remembered(self, user_id: str, now_us: int) -> UserState:
        """What the event store knows of a user.

        Raises:
            StoreDownError: it does not answer.
        """
        return self.store.user(user_id, now_us)

    def served(self, page: ServedPage) -> None:
        """Write down what was served; the event loop may call this."""
        self.parts.log.keep(page)

    def observe(self, request: FeedRequest, page: Page, known: UserState, store_s: float, rank_s: float) -> None:
        """Count a page, and keep its request to warm the next version with."""
        telemetry = self.telemetry
        telemetry.store_stage.observe(store_s)
        telemetry.rank_stage.observe(rank_s)
        telemetry.asked.inc(request.k)
        telemetry.returned.inc(page.feed.returned)
        telemetry.feeds.labels(fallback_of(page) or "personal").inc()
        if page.degraded:
            telemetry.degraded.inc()
        if request.history is not None:
            return  # it was given to be answered, not to be kept
        # As of when the history was read: one of somebody who was erased since must go with them.
        read_us = self.now_us() - round((store_s + rank_s) * 1e6)
        self.parts.recorder.add(Recorded(request.user_id, read_us, known.history))

    def put_overlay(self, entries: Sequence[OverlayEntry]) -> None:
        """Change the overlay for all workers.

        Raises:
            StoreDownError: the store does not answer, and nothing was changed.
        """
        self.store.put_overlay(entries)

    def forget(self, user_id: str) -> list[str]:
        """Erase a user, and those merged into them, from everything that is online.

        Raises:
            StoreDownError: the store does not answer, and nothing was erased.
        """
        erased = self.store.erase(user_id, self.now_us())
        self._forget_erased()
        self._tell_of_erasure()
        self.parts.recorder.save()
        return erased

    def is_forgotten(self, user_id: str) -> bool:
        """Whether somebody is on the erasure list: a vector that a training gave them must not be used.

        So it is of everybody while the list could not be read.
        """
        return self._forgotten is None or self._forgotten.until_us(user_id) is not None

    def _tell_of_erasure(self) -> None:
        try:
            self.put_overlay([erasure_notice(self.now_us())])
        except StoreDownError:  # the user is erased, so this is no 503; other workers look again within `SAVE_S`
            logger.warning("Other workers hear of an erasure only when they look for it")

    def load_version(self, version: str, accept: bool) -> Comparison | None:
        """Make a kept version live, after a look at it.

        Raises:
            ApiError: 404, it is not kept or is damaged; 409, it breaks a bound and is not accepted by name.
        """
        try:
            examined = self.follower.examine(version)
        except UserFacingError as error:
            logger.warning("%s", error)
            raise not_found(f"There is no version {version} that can be served.") from None
        if examined.problem and not accept:
            cure = f"Accept it by name: accept={version}."
            raise ApiError(409, "bounds_broken", f"Version {version} is refused: {examined.problem}.", cure)
        # Also where we found no problem: another worker measures for itself, and might.
        reason = examined.problem or "loaded"
        self.store.put_overlay([OverlayEntry(Kind.ACCEPTED, version, "", "{}", reason, self.now_us())])
        self._move_pointer(version)
        return examined.comparison

    def roll_back(self) -> str:
        """Make the version live that was live before; going back is never refused for its bounds.

        Raises:
            ApiError: 409, there is none to go back to.
        """
        before = self._move_pointer(None)
        try:
            self.store.put_overlay([OverlayEntry(Kind.ACCEPTED, before, "", "{}", "rolled back", self.now_us())])
        except StoreDownError:  # the pointer has moved all the same: a 503 would say that nothing was changed
            logger.warning("Version %s is live again; that it is accepted could not be written down", before)
        return before

    def _move_pointer(self, version: str | None) -> str:
        try:
            return self.parts.move_pointer(self.settings.snapshot, version)
        except SnapshotError as error:
            logger.warning("%s", error)
            message = "The version cannot be made live: it is gone, or somebody is publishing just now."
            raise ApiError(409, "not_moved", message, "Look at GET /v1/admin/snapshot and try again.") from None

    def _workshop(self, name: str, threads: int, time_limit_s: float) -> Workshop:
        executor = ThreadPoolExecutor(threads, name)
        return Workshop(executor, self.settings.queue_limit, time_limit_s, self.telemetry)

    def _repeat(self, look: Callable[[], None]) -> None:
        while not self._stopping.wait(TICK_S):
            try:
                look()
            except Exception:  # the next tick may do better; a thread that ended would leave this worker behind
                logger.exception("Following the snapshot and the overlay failed")

    def _forget_erased(self) -> None:
        """Read the erasure list, and drop the recorded requests of users on it."""
        try:
            erasures = self.store.erasures()
        except StoreDownError:
            return
        self._forgotten = who = forgotten(erasures, partial(user_hash, self.secret))
        if who:
            self.parts.recorder.drop(lambda recorded: recorded.at_us < (who.until_us(recorded.user_id) or 0))


def open_services(
    settings: Settings, move_pointer: MovePointer, now_us: Callable[[], int] = lambda: time.time_ns() // 1000
) -> Services:
    """Open what *settings* name and return the services of one worker, not started yet.

    Args:
        move_pointer: how a version is made live.

    Raises:
        UserFacingError: something cannot be used.
    """
    config = load_config(settings.config)
    settings.state.mkdir(parents=True, exist_ok=True)
    telemetry = Telemetry()
    limits = Limits(history=config["serving.history"], seen_s=config["serving.seen_days"] * DAY_S)
    store = GuardedStore(open_event_store(settings.events_url, limits), telemetry.store_errors.inc)
    parts = Parts(
        settings,
        config,
        secret_of(settings),
        open_key_ring(settings),
        store,
        ServedLog(settings.state / "served", on_error=lambda _: telemetry.log_errors.inc()),
        Recorder(settings.state / "recordings"),
        telemetry,
        load_grades(settings.grades) if settings.grades else {},
        read_experiment_of(config),
        move_pointer,
        now_us,
    )
    return Services(parts)


def _choices(parts: Parts) -> Choices:
    config, settings = parts.config, parts.settings
    return Choices(
        settings.snapshot,
        settings.state,
        None if settings.index == "auto" else settings.index,
        HideWhen(config["serving.hide_when"]),
        Bounds(config["serving.min_overlap"], config["serving.max_skew_change"], config["serving.max_latency_ratio"]),
        config.system(config["serving.system"]),
    )
