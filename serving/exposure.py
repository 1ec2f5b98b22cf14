"""The served log: what every feed call delivered, written so that a feed neither waits for it nor fails by it."""

import errno
import logging
import math
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from json.encoder import encode_basestring_ascii as _text
from pathlib import Path

from serving.served_writer import ServedWriter

logger = logging.getLogger(__name__)
MAX_WAITING_ROWS = 100_000
MAX_HOLD_S = 0.1  # what a hanging disk costs one feed call; the next ones do not try
FOREVER = -1.0


@dataclass(frozen=True, slots=True)
class ServedPage:
    """One answer of a feed, as delivered. What was delivered was not always seen.

    *shown_us* is microseconds since 1970, UTC. *first_position* counts from 1 over the pages of a feed; *video_ids*,
    *scores* and *selection_propensities* are by slot, and the last two may be empty where they are unknown. *bucket*
    and *experiment* are empty where there is none.
    """

    feed_id: str
    request_id: str
    user_id: str
    shown_us: int
    system: str
    system_hash: str
    snapshot: str
    bucket: str
    experiment: str
    first_position: int
    video_ids: tuple[str, ...]
    scores: tuple[float, ...]
    selection_propensities: tuple[float, ...]


def page_line(page: ServedPage) -> bytes:
    """The page as one line of JSON, the keys being the fields' names; scores have nine significant digits.

    Put together by hand, since that takes two thirds of the time of `json.dumps`.

    Raises:
        ValueError: a score or propensity is not finite.
        TypeError: a text is not one.
    """
    if not math.isfinite(sum(page.scores) + sum(page.selection_propensities)):
        raise ValueError("a score or propensity is not finite")
    scores = ",".join([f"{score:.9g}" for score in page.scores])
    propensities = ",".join([f"{propensity:.17g}" for propensity in page.selection_propensities])
    return (
        f'{{"feed_id":{_text(page.feed_id)},"request_id":{_text(page.request_id)},"user_id":{_text(page.user_id)},'
        f'"shown_us":{page.shown_us},"system":{_text(page.system)},"system_hash":{_text(page.system_hash)},'
        f'"snapshot":{_text(page.snapshot)},"bucket":{_text(page.bucket)},"experiment":{_text(page.experiment)},'
        f'"first_position":{page.first_position},"video_ids":[{",".join(map(_text, page.video_ids))}],'
        f'"scores":[{scores}],"selection_propensities":[{propensities}]}}\n'
    ).encode()


@dataclass(frozen=True, slots=True)
class _Line:
    content: bytes
    rows: int


class ServedLog:
    """Appends served pages to files of one process: `served-<UTC date>-<host>-<pid>-<n>.jsonl`, readable by its owner.

    What a SIGKILL loses is at most *flush_rows* rows (with `keep`, also those that came while the thread was woken) and
    *flush_s* seconds; only while the disk refuses or holds up a write, what waits for it is lost as well: at most
    *max_waiting_rows* rows, and those beyond are dropped and counted.
    A power cut also loses what the kernel had not yet written: nothing here waits for the disk.

    *errors* counts what went wrong, *dropped_rows* the rows that will never be written.
    """

    def __init__(
        self,
        folder: Path,
        flush_rows: int = 100,
        flush_s: float = 1.0,
        rotate_bytes: int = 64 << 20,
        *,
        max_waiting_rows: int = MAX_WAITING_ROWS,
        on_error: Callable[[Exception], None] | None = None,
        now_us: Callable[[], int] = lambda: time.time_ns() // 1000,
    ) -> None:
        """Start the thread that flushes. The folder is made with the first write; *on_error* must not raise."""
        self._flush_rows, self._flush_s, self._max_rows = flush_rows, flush_s, max_waiting_rows
        self._on_error = on_error
        self._writer = ServedWriter(folder, rotate_bytes, now_us)
        self._pages: list[ServedPage] = []  # what no thread has taken yet
        self._lines: list[_Line] = []  # what could not be written; only touched by who holds _writing
        self._rows = 0  # of both
        self._buffering, self._writing = threading.Lock(), threading.Lock()
        self._wake, self._closed, self._failing = threading.Event(), False, False
        self.errors = self.dropped_rows = 0
        self._thread = threading.Thread(target=self._flush_often, name="served-log", daemon=True)
        self._thread.start()

    def append(self, page: ServedPage) -> None:
        """Log a page, and never raise.

        The call that makes *flush_rows* of them wait writes them itself, since no more may be lost. To wake the thread
        for it cost calls in a busy process more: they then waited for it to get its turn.
        """
        if self._buffer(page):
            self._write_out(MAX_HOLD_S)

    def keep(self, page: ServedPage) -> None:
        """Log a page as `append` does, but leave all writing to the thread: an event loop must not wait for a disk."""
        if self._buffer(page):
            self._wake.set()

    def flush(self) -> None:
        """Write what waits now. What cannot be written is counted as one error and waits for the next time."""
        self._write_out(FOREVER)

    def close(self) -> None:
        """Flush and end the thread. What still cannot be written is lost, and counted as dropped."""
        self._closed = True
        self._wake.set()
        self._thread.join()
        self.flush()
        with self._writing, self._buffering:
            self.dropped_rows += self._rows
            self._pages, self._lines, self._rows = [], [], 0
            self._writer.close()

    def _flush_often(self) -> None:
        while not self._closed:
            self._wake.wait(self._flush_s)
            self._wake.clear()
            if not self._closed:  # close() writes the rest
                self._write_out(FOREVER)

    def _buffer(self, page: ServedPage) -> bool:
        """Take a page in; True when so many rows wait that they are to be written now."""
        rows = len(page.video_ids)
        if not rows:
            return False
        with self._buffering:
            if self._rows + rows > self._max_rows:
                self.dropped_rows += rows
                return False
            self._pages.append(page)
            self._rows += rows
            waiting = self._rows
        return waiting >= self._flush_rows and not self._failing  # while it fails only the thread tries, no feed call

    def _write_out(self, wait_s: float) -> None:
        """Write what waits. While another thread is at it we wait *wait_s*; if it takes longer, the disk hangs."""
        if not self._writing.acquire(timeout=wait_s):
            self._failing = True
            return
        try:
            self._write_lines()
            self._failing = False
        except OSError as error:
            self._failing = True
            self._count(error)
        finally:
            self._writing.release()

    def _write_lines(self) -> None:
        self._lines += self._take_lines()
        written = self._writer.write([line.content for line in self._lines])
        with self._buffering:
            self._rows -= sum(line.rows for line in self._lines[:written])
        del self._lines[:written]
        if self._lines:
            raise OSError(errno.ENOSPC, "The disk took only a part of the served log")

    def _take_lines(self) -> list[_Line]:
        """The pages that wait as lines; one without a JSON form, such as a score of NaN, is counted and dropped."""
        with self._buffering:
            pages, self._pages = self._pages, []
        lines = []
        for page in pages:
            try:
                lines.append(_Line(page_line(page), len(page.video_ids)))
            except (ValueError, TypeError) as error:
                self._count(error, dropped=len(page.video_ids))
        return lines

    def _count(self, error: Exception, dropped: int = 0) -> None:
        logger.warning("Served log: %s", error)
        with self._buffering:
            self.errors += 1
            self.dropped_rows += dropped
            self._rows -= dropped
        if self._on_error is not None:
            self._on_error(error)
