"""The last requests, kept to warm and to compare a new version with, also after a restart.

Each worker keeps its own and writes them down now and then: `requests-<host>-<pid>.jsonl`, a line for each request.
"""

import json
import logging
import os
import socket
import time
from collections import deque
from collections.abc import Callable, Iterable
from pathlib import Path

from retrieval.asking import Touch
from retrieval.folders import writing
from serving.compare import Recorded

logger = logging.getLogger(__name__)
KEPT = 256
OLD_S = 7 * 86_400.0  # files of workers that are long gone are removed
FILES = "requests-*.jsonl"


class Recorder:
    """The last `KEPT` requests of this worker; at first those that the folder holds of earlier ones."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._file = folder / f"requests-{socket.gethostname()}-{os.getpid()}.jsonl"
        self._requests: deque[Recorded] = deque(_read(folder), maxlen=KEPT)
        self._changed = False

    def add(self, request: Recorded) -> None:
        """Keep one more; one without a history tells nothing."""
        if len(request.history):
            self._requests.append(request)
            self._changed = True

    def all(self) -> list[Recorded]:
        return list(self._requests)

    def drop(self, forgotten: Callable[[Recorded], bool]) -> None:
        """Let go of requests, such as those of an erased user."""
        kept = [request for request in self.all() if not forgotten(request)]
        if len(kept) < len(self._requests):
            self._requests = deque(kept, maxlen=KEPT)
            self._changed = True

    def save(self) -> None:
        """Write them down if there are new ones; a disk that refuses costs only the next start's warmth."""
        if not self._changed:
            return
        self._changed = False
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            with writing(self._file) as draft:
                draft.touch(0o600)
                draft.write_text("".join(map(_line, self.all())))
        except OSError as error:
            logger.warning("Recorded requests are not kept: %s", error.strerror)


def _read(folder: Path) -> list[Recorded]:
    """What earlier workers wrote, the newest last."""
    found: list[Recorded] = []
    for file in folder.glob(FILES):
        try:
            if time.time() - file.stat().st_mtime > OLD_S:
                file.unlink()
                continue
            found += _parse(file.read_text().splitlines())
        except (OSError, ValueError, KeyError, TypeError):
            logger.warning("Recorded requests in %s cannot be read and are left out", file.name)
    return sorted(found, key=lambda request: request.at_us)[-KEPT:]


def _line(request: Recorded) -> str:
    history = [(touch.product_id, touch.event, touch.occurred_us) for touch in request.history]
    return json.dumps({"user_id": request.user_id, "at_us": request.at_us, "history": history}) + "\n"


def _parse(lines: Iterable[str]) -> list[Recorded]:
    rows = [json.loads(line) for line in lines]
    return [Recorded(r["user_id"], r["at_us"], tuple(Touch(*touch) for touch in r["history"])) for r in rows]
