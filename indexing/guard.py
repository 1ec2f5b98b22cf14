"""Opens a version before it is published, and lets it pass only if what it shows keeps the bounds of a gate."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from indexing.versions import Publisher
from retrieval.config import Config
from retrieval.errors import SnapshotError
from retrieval.gate import Gate, GateError, Measures, Verdict, check, read_gate
from retrieval.measuring import measure
from retrieval.recommend import log_of
from retrieval.snapshot import Snapshot, open_described
from retrieval.systems import SystemConfig
from retrieval.tables import Tables


@dataclass(frozen=True)
class Guard:
    """A *gate*, and the *system* called *name* whose lists it looks at."""

    gate: Gate
    name: str
    system: SystemConfig

    def admit(self, publisher: Publisher, content: Mapping[str, Any], shop: Tables, at_us: int | None) -> Verdict:
        """What a version of *content* shows the users of *shop*, if it may be published.

        It is opened where its files lie, before any manifest names them. Where it may not, they go.

        Args:
            at_us: the time of asking, by default the end of the log.

        Raises:
            GateError: it breaks a bound; the version that is live stays so.
            SnapshotError: it has no vectors for the system.
        """
        try:
            verdict = self._judge(publisher, content, shop, at_us)
            if verdict.broken:
                raise GateError(verdict, "Mend what it shows, or change the bounds; nothing was published.")
        except BaseException:
            publisher.discard()
            raise
        return verdict

    def _judge(self, publisher: Publisher, content: Mapping[str, Any], shop: Tables, at_us: int | None) -> Verdict:
        live, why_not = self._open_live(publisher)
        preview = publisher.preview(content)
        opened = open_described(publisher.folder, preview, known=live, index=None, verify=False)
        measures = self._measure(opened, shop, at_us)
        beside = None
        if live is not None:
            try:
                beside = self._measure(live, shop, at_us)
            except SnapshotError as error:
                why_not = f"the live version cannot answer by {self.name}: {error.message}"
        return Verdict(self.name, measures, check(measures, self.gate.bounds, beside), beside, why_not)

    def _open_live(self, publisher: Publisher) -> tuple[Snapshot | None, str]:
        """The live version where a bound asks for it, and else why there is none."""
        if not self.gate.needs_live:
            return None, ""
        if publisher.live is None:
            return None, "there is no live version."
        try:
            return open_described(publisher.folder, publisher.live, known=None, index=None, verify=False), ""
        except SnapshotError as error:  # who builds anew needs it no more
            return None, f"the live version cannot be opened: {error.message}"

    def _measure(self, snapshot: Snapshot, shop: Tables, at_us: int | None) -> Measures:
        log = log_of(snapshot, shop, self.system)
        return measure(snapshot, log, self.system, log.end_us if at_us is None else at_us, self.gate.k, self.gate.users)


def open_guard(file: Path | None, config: Config) -> Guard | None:
    """The guard of a file of bounds, if one is named.

    Raises:
        ConfigError: the file or the system that it names cannot be used.
    """
    if file is None:
        return None
    gate = read_gate(file)
    name = gate.system or str(config["serving.system"])
    return Guard(gate, name, config.system(name))
