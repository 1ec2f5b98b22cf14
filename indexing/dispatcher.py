"""The thread that hands tasks to spawned workers, one each, and deals with what becomes of them.

It sits at all the pipes, so that a worker gets its next task the moment it answers, whatever the consumer is doing;
torch frees the interpreter while it computes, so this thread is never kept waiting for long. Each worker holds one
task, so that we know which one killed it.
"""

import logging
import pickle
import signal
import threading
import time
from collections import deque
from collections.abc import Sequence
from concurrent.futures import CancelledError, Future
from contextlib import suppress
from dataclasses import dataclass
from math import inf
from multiprocessing import get_context, resource_tracker
from multiprocessing.connection import Connection, wait
from multiprocessing.context import SpawnProcess
from typing import Any

from indexing.limits import Limits
from indexing.worker import Lost, OutOfMemory, serve
from retrieval.errors import UserFacingError

logger = logging.getLogger(__name__)
ATTEMPTS = 3  # a worker may be killed for another's sin, by an operator or by a system short of memory
MEMORY_ATTEMPTS = 2  # the second in a fresh worker, in case the first had leaked
FAILED_STARTS = 10  # in a row, none beginning in between: on a busy machine an operator may hit a few
TICK_S = 1.0  # how often we look up while there is work
START_S = 120.0  # from a start to the end of imports, on a machine that swaps


@dataclass
class Ticket:
    """A task under way: what the worker is sent, and where its result goes."""

    request: bytes
    future: Future[Any]
    attempts: int = 0


@dataclass
class _Worker:
    """A process and our end of its pipe. *deadline_s* is when it must have answered, on the monotonic clock."""

    process: SpawnProcess
    connection: Connection
    deadline_s: float
    ready: bool = False
    ticket: Ticket | None = None

    @property
    def idle(self) -> bool:
        return self.ready and self.ticket is None

    def dismissed(self, patience_s: float = 0.0) -> str:
        """End the process, after *patience_s* seconds to end by itself, and return how it ended, in words."""
        self.process.join(patience_s)
        self.process.kill()
        # Not join(): another thread that starts processes may reap ours, and join() then ends before the code is known.
        while (code := self.process.exitcode) is None:
            time.sleep(0.001)
        self.process.close()
        self.connection.close()
        return f"exit code {code}" if code >= 0 else f"signal {_SIGNALS.get(-code, -code)}"


_SIGNALS = {number.value: number.name.removeprefix("SIG") for number in signal.Signals}


class Dispatcher:
    """Hands tickets to workers and takes their answers. All but `add` and `stop` runs in the pool's thread."""

    def __init__(self, n_workers: int, limits: Limits, preload: Sequence[str]) -> None:
        self._n_workers = n_workers
        self._limits = limits
        self._preload = tuple(preload)
        self._waiting: deque[Ticket] = deque()
        self._workers: list[_Worker] = []
        self._failed_starts = 0
        self._stopping = False
        self._lock = threading.Lock()
        self._woken, self._wake = get_context("spawn").Pipe(duplex=False)

    def add(self, ticket: Ticket) -> None:
        with self._lock:
            if self._stopping:
                raise RuntimeError("the pool of workers is closed")
            self._waiting.append(ticket)
        self._rouse()

    def stop(self) -> None:
        with self._lock:
            self._stopping = True
        self._rouse()

    def release(self) -> None:
        self._woken.close()
        self._wake.close()

    def _rouse(self) -> None:
        with self._lock, suppress(OSError):  # closed already
            if not self._woken.poll():
                self._wake.send_bytes(b"")

    def run(self) -> None:
        _shield_children_from_ctrl_c()
        error: BaseException = CancelledError()
        try:
            while not self._stopping:
                self._employ()
                self._listen()
        except BaseException as failure:  # our own bug: whoever waits must hear of it
            error = failure
        finally:
            self.stop()
            self._fail_all(error)

    def _employ(self) -> None:
        """Give the idle something to do, and start workers for what is left."""
        for worker in [worker for worker in self._workers if worker.idle]:
            self._hand_next(worker)
        n_starting = sum(not worker.ready for worker in self._workers)
        for _ in range(min(self._n_workers - len(self._workers), len(self._waiting) - n_starting)):
            self._start()

    def _hand_next(self, worker: _Worker) -> None:
        ticket = self._next_ticket()
        if ticket is None:
            return
        ticket.attempts += 1
        worker.ticket = ticket
        worker.deadline_s = time.monotonic() + self._limits.seconds
        with suppress(OSError):  # it died while idle: the pipe's end says so too, and there it is dealt with
            worker.connection.send_bytes(ticket.request)

    def _next_ticket(self) -> Ticket | None:
        """The next that nobody has cancelled."""
        while self._waiting:
            ticket = self._waiting.popleft()
            if ticket.attempts or ticket.future.set_running_or_notify_cancel():
                return ticket
        return None

    def _start(self) -> None:
        context = get_context("spawn")
        ours, theirs = context.Pipe()
        process = context.Process(target=serve, args=(theirs, self._limits.memory_mb, self._preload), daemon=True)
        try:
            process.start()
        except OSError as error:  # no more processes, no more memory
            ours.close()
            self._count_failed_start(str(error))
        else:
            self._workers.append(_Worker(process, ours, time.monotonic() + START_S))
        finally:
            theirs.close()

    def _listen(self) -> None:
        """Wait until something happens, and deal with it."""
        began_s = time.monotonic()
        timeout_s = self._patience_s(began_s)
        heard = wait([self._woken, *(worker.connection for worker in self._workers)], timeout_s)
        if timeout_s is not None:
            self._excuse(time.monotonic() - began_s - timeout_s)
        if self._woken in heard:
            self._woken.recv_bytes()
        for worker in [worker for worker in self._workers if worker.connection in heard]:
            self._receive(worker)
        now_s = time.monotonic()
        for worker in [worker for worker in self._workers if worker.deadline_s < now_s]:
            self._give_up(worker)

    def _patience_s(self, now_s: float) -> float | None:
        """Until the next deadline, but no longer than a tick; for ever when there is nothing to do."""
        deadline_s = min((worker.deadline_s for worker in self._workers), default=inf)
        if deadline_s == inf and not self._waiting:
            return None
        return min(max(0.0, deadline_s - now_s), TICK_S)

    def _excuse(self, overslept_s: float) -> None:
        """Move the deadlines after a sleep that was not ours: Ctrl-Z stops workers too, for no fault of a file."""
        if overslept_s > TICK_S:
            for worker in self._workers:
                worker.deadline_s += overslept_s

    def _receive(self, worker: _Worker) -> None:
        try:
            message = worker.connection.recv_bytes()
        except (EOFError, OSError):
            self._bury(worker)
            return
        worker.deadline_s = inf
        if worker.ticket is None:
            worker.ready, self._failed_starts = True, 0
            return
        ticket, worker.ticket = worker.ticket, None
        self._settle(worker, ticket, pickle.loads(message))

    def _settle(self, worker: _Worker, ticket: Ticket, answer: Any) -> None:
        if not isinstance(answer, OutOfMemory):
            self._hand_next(worker)
            ticket.future.set_result(answer)
            return
        self._remove(worker)
        if ticket.attempts < MEMORY_ATTEMPTS:
            self._waiting.appendleft(ticket)
        else:
            ticket.future.set_result(Lost(self._limits.too_hungry))

    def _bury(self, worker: _Worker) -> None:
        how = self._remove(worker, patience_s=1.0)
        if worker.ticket is None:
            if not worker.ready:
                self._count_failed_start(how)
        elif worker.ticket.attempts < ATTEMPTS:
            self._waiting.appendleft(worker.ticket)
        else:
            worker.ticket.future.set_result(Lost(f"its reader died ({how})"))

    def _give_up(self, worker: _Worker) -> None:
        """Kill a worker that took too long."""
        self._remove(worker)
        if worker.ticket is None:
            self._count_failed_start(f"nothing within {START_S:g} s")
        else:
            worker.ticket.future.set_result(Lost(self._limits.too_slow))

    def _remove(self, worker: _Worker, patience_s: float = 0.0) -> str:
        self._workers.remove(worker)
        return worker.dismissed(patience_s)

    def _count_failed_start(self, how: str) -> None:
        self._failed_starts += 1
        if self._failed_starts < FAILED_STARTS:
            return
        self._failed_starts = 0
        self._n_workers = sum(worker.ready for worker in self._workers) or self._n_workers
        if any(worker.ready for worker in self._workers):
            logger.warning("only %d workers can be started (%s)", self._n_workers, how)
            return
        while ticket := self._next_ticket():
            ticket.future.set_exception(_cannot_start(how))

    def _fail_all(self, error: BaseException) -> None:
        for worker in self._workers:
            worker.dismissed()
            if worker.ticket is not None:
                worker.ticket.future.set_exception(error)
        while ticket := self._next_ticket():
            ticket.future.set_exception(error)


def _cannot_start(how: str) -> UserFacingError:
    return UserFacingError(
        f"The processes that read media end before they begin ({how}), {FAILED_STARTS} of them in a row.",
        "Free some memory or run with fewer --workers; a script of your own needs `if __name__ == '__main__':`.",
    )


def _shield_children_from_ctrl_c() -> None:
    """Block SIGINT in this thread: workers inherit that, also for the half second before they can ignore it."""
    resource_tracker.ensure_running()  # its own start would unblock SIGINT again
    if hasattr(signal, "pthread_sigmask"):
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
