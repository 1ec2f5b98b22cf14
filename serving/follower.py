"""Keeps one worker at the state that all shall be in: the version that the pointer names, and the overlay.

Every worker follows on its own. What one of them decided of a version is written to the overlay, and the others do as
it says, so all decide alike; while the store is down each decides for itself.
"""

import json
import logging
import threading
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

from retrieval.errors import UserFacingError
from retrieval.folders import writing
from retrieval.snapshot import open_snapshot
from retrieval.snapshot_files import live_version, manifest_path
from retrieval.systems import SystemConfig
from serving.compare import Bounds, Comparison, compare, warm
from serving.events.guard import GuardedStore
from serving.events.protocol import OverlayEntry, StoreDownError
from serving.live import Live, Stage
from serving.overlay import HideWhen, Kind, Overlay, parse_overlay
from serving.recorder import Recorder
from serving.telemetry import Telemetry

logger = logging.getLogger(__name__)
TICK_S = 0.4
RETRY_S = 5.0  # between tries to open a version that could not be opened
SAVE_S = 20.0
CLEAN_S = 3600.0  # every user is looked at: 100,000 of them keep a Redis busy for 2 s


@dataclass(frozen=True)
class Choices:
    """What decides how versions are opened and judged."""

    snapshot: Path
    state: Path
    index: str | None
    hide_when: HideWhen
    bounds: Bounds
    config: SystemConfig


@dataclass(frozen=True)
class Examined:
    """A version opened and compared with the live one. *problem* says why it may not go live, "" where it may."""

    live: Live
    comparison: Comparison | None
    problem: str


@dataclass(frozen=True)
class Refused:
    """A version that may not go live, and why. It is not kept open: its index alone may be as large as the live one."""

    comparison: Comparison
    problem: str


class Follower:
    """Owns the *stage* of a worker, which it replaces whole; requests read it once each.

    Threads may `refresh`, `follow` and `tidy` side by side: to open a large version takes seconds, in which blocks must
    be heard of, and so does cleaning a store of many users.
    """

    def __init__(
        self,
        choices: Choices,
        store: GuardedStore,
        recorder: Recorder,
        telemetry: Telemetry,
        now_us: Callable[[], int],
        forget: Callable[[], None],
    ) -> None:
        self.stage = Stage(None, Overlay())
        self.refused: Refused | None = None
        self.problem = self._logged = ""
        self._choices, self._store, self._recorder, self._telemetry = choices, store, recorder, telemetry
        self._now_us, self._forget = now_us, forget
        self._failed, self._again_at = "", 0.0
        self._saved_at = self._cleaned_at = -CLEAN_S
        self._reading, self._changing, self._following = threading.Lock(), threading.Lock(), threading.Lock()

    def tick(self) -> None:
        """Look once for everything. What cannot be had now is tried again."""
        self.refresh()
        self.follow()
        self.tidy()

    def refresh(self) -> None:
        """Look whether the store answers, and for the overlay."""
        self._store.probe()
        self._telemetry.store_up.set(self._store.up)
        self._refresh_overlay()

    def follow(self) -> None:
        """Look for the pointer, and go where it points; who calls while another does waits, and then looks."""
        try:
            with self._following:
                self._follow_pointer()
        except UserFacingError as error:  # also of a version that lacks an attribute by which the system filters
            self._say("The live version cannot be opened; the log of this server says why.", error.message)

    def tidy(self) -> None:
        """Now and then, write down what the next start needs, and let go of what nobody needs any more."""
        now_s = time.monotonic()
        if now_s - self._saved_at > SAVE_S:
            self._saved_at = now_s
            self._keep_house()

    def examine(self, version: str) -> Examined:
        """Open, verify and warm a version, and compare it with the live one.

        Raises:
            UserFacingError: it is damaged, not there, or lacks what the default system asks for.
        """
        stage, choices, now_us = self.stage, self._choices, self._now_us()
        known = stage.live.snapshot if stage.live else None
        snapshot = open_snapshot(choices.snapshot, version=version, known=known, index=choices.index)
        new, requests = Live(snapshot, now_us, choices.hide_when).prepare(), self._recorder.all()
        warm(new, requests, stage.overlay, choices.config, now_us)
        if stage.live is None:
            return Examined(new, None, "")
        found = compare(new, stage.live, requests, stage.overlay, choices.config, now_us)
        # One of the same number is the live one, written anew by a purge: what was taken out must not stay for a bound.
        is_purged = snapshot.manifest.number == stage.live.snapshot.manifest.number
        return Examined(new, found, "" if is_purged else choices.bounds.broken_by(found))

    def _refresh_overlay(self) -> None:
        with self._reading:  # else an overlay that was read first might be put last
            self._read_overlay()

    def _read_overlay(self) -> None:
        try:
            revision = self._store.overlay_revision()
            if revision == self.stage.overlay.revision:
                return
            entries = self._store.overlay()
        except StoreDownError:
            if self.stage.overlay.revision < 0:
                self._put_overlay(*_read_copy(self._choices.state))
            return
        self._put_overlay(revision, entries)
        self._forget()
        _write_copy(self._choices.state, revision, entries)

    def _put_overlay(self, revision: int, entries: list[OverlayEntry]) -> None:
        overlay = parse_overlay(revision, entries)
        with self._changing:
            if self.stage.live:
                self.stage.live.allowed(overlay, None)  # worked out here, so that no request waits for it
            self.stage = Stage(self.stage.live, overlay)

    def _follow_pointer(self) -> None:
        version = live_version(self._choices.snapshot)
        stage = self.stage
        if stage.live and stage.live.snapshot.version == version:
            self.refused, self.problem, self._logged = None, "", ""
            return
        if (version == self._failed and time.monotonic() < self._again_at) or self._is_refused(version):
            return
        self._failed, self._again_at = version, time.monotonic() + RETRY_S  # unless this try ends well
        if stage.live is None:
            version = self._first(version)
        examined = self.examine(version)
        self._failed = ""
        if examined.comparison is None or self._decide(version, examined):
            self._put_live(examined.live)
        else:
            self.refused = Refused(examined.comparison, self._verdict_of(version) or examined.problem)
            self._telemetry.swaps.labels("refused").inc()
            problem = f"Version {version} is refused: {self.refused.problem}. Accept it by name, or roll back."
            self._say(problem, problem)

    def _is_refused(self, version: str) -> bool:
        refused = self.refused is not None and self.refused.comparison.version == version
        return refused and version not in self.stage.overlay.accepted

    def _first(self, version: str) -> str:
        """The version to start with: the live one, unless it is refused and the one before it is still there."""
        overlay = self.stage.overlay
        refused = [
            against for (of, against), verdict in overlay.verdicts.items() if of == version and verdict["problem"]
        ]
        if not refused or version in overlay.accepted:
            return version
        return refused[-1] if manifest_path(self._choices.snapshot, refused[-1]).exists() else version

    def _decide(self, version: str, examined: Examined) -> bool:
        """Whether a version goes live: as was decided before, or as we decide now for all workers."""
        if not self._choices.bounds.any or version in self.stage.overlay.accepted:
            return True
        try:
            self.put_verdict(examined, only_new=True)
            self._refresh_overlay()
        except StoreDownError:
            return not examined.problem
        return version in self.stage.overlay.accepted or not self._verdict_of(version)

    def put_verdict(self, examined: Examined, *, only_new: bool) -> None:
        """Write down what was found of a version, for all workers.

        Raises:
            StoreDownError: the store does not answer.
        """
        if examined.comparison is None:
            return
        value = json.dumps({"problem": examined.problem, **asdict(examined.comparison)})
        version, now_us = examined.comparison.version, self._now_us()
        entry = OverlayEntry(Kind.VERDICT, version, examined.comparison.against, value, examined.problem, now_us)
        self._store.put_overlay([entry], only_new=only_new)

    def _verdict_of(self, version: str) -> str:
        """Why a version was refused beside the live one, "" where it was not."""
        live = self.stage.live
        verdict = self.stage.overlay.verdicts.get((version, live.snapshot.version)) if live else None
        return str(verdict["problem"]) if verdict else ""

    def _put_live(self, live: Live) -> None:
        with self._changing:
            live.allowed(self.stage.overlay, None)
            before, self.stage = self.stage.live, Stage(live, self.stage.overlay)
        self.refused, self.problem, self._logged = None, "", ""
        version, telemetry = live.snapshot.version, self._telemetry
        telemetry.version.set(live.snapshot.manifest.number)
        telemetry.loaded.set(live.opened_us / 1e6)
        telemetry.counted.set(live.snapshot.statistics.as_of_us / 1e6)
        if before is not None:
            telemetry.swaps.labels("swapped").inc()
        logger.info("Version %s is live, after %s", version, before.snapshot.version if before else "none")

    def _keep_house(self) -> None:
        self._forget()
        self._recorder.save()
        try:
            self._store.drop_overlay(self._outdated())
            if time.monotonic() - self._cleaned_at > CLEAN_S:
                self._store.clean(self._now_us())
                self._cleaned_at = time.monotonic()
        except StoreDownError:
            logger.info("The event store is cleaned when it answers again")

    def _outdated(self) -> list[tuple[str, str, str]]:
        """What was decided of versions that are not kept any more."""
        decided = [entry for entry in self.stage.overlay.entries if entry.kind in (Kind.VERDICT, Kind.ACCEPTED)]
        gone = [entry for entry in decided if not manifest_path(self._choices.snapshot, entry.key).exists()]
        return [(entry.kind, entry.key, entry.market) for entry in gone]

    def _say(self, problem: str, logged: str) -> None:
        """Log a problem once, not at every tick; only what is *logged* may name paths, since answers tell the other."""
        if logged != self._logged:
            logger.warning("%s", logged)
        self.problem, self._logged = problem, logged


def _copy_of(state: Path) -> Path:
    return state / "overlay.json"


def _write_copy(state: Path, revision: int, entries: list[OverlayEntry]) -> None:
    """Keep the overlay on this host, for a start while the store is down."""
    try:
        with writing(_copy_of(state)) as draft:
            draft.write_text(json.dumps({"revision": revision, "entries": [asdict(entry) for entry in entries]}))
    except OSError as error:
        logger.warning("The overlay's copy is not written: %s", error.strerror)


def _read_copy(state: Path) -> tuple[int, list[OverlayEntry]]:
    """The overlay's copy; revision −1 where there is none: nothing is served then, since blocks may hold."""
    try:
        fields = json.loads(_copy_of(state).read_text())
        return int(fields["revision"]), [OverlayEntry(**entry) for entry in fields["entries"]]
    except (OSError, ValueError, KeyError, TypeError):
        return -1, []
