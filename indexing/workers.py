"""A pool of spawned workers that may hang or die: each costs its task at most, and another takes its place."""

import pickle
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future
from itertools import islice
from multiprocessing.util import Finalize
from typing import Self, TypeVar

from indexing.dispatcher import Dispatcher, Ticket
from indexing.limits import Limits
from indexing.worker import Lost

T = TypeVar("T")
R = TypeVar("R")


class WorkerPool:
    """Runs module-level functions of a task in spawned processes, which start when there is work for them.

    Args:
        n_workers: how many at most.
        preload: modules that a worker imports before its first task's time begins to count.
    """

    def __init__(self, n_workers: int, limits: Limits, preload: Sequence[str] = ()) -> None:
        self._dispatcher = Dispatcher(n_workers, limits, preload)
        self._thread = threading.Thread(target=self._dispatcher.run, name="workers", daemon=True)
        # Also for a pool that nobody closes: before multiprocessing ends the workers under the dispatcher's eyes.
        self._end = Finalize(self, _end, args=(self._dispatcher, self._thread), exitpriority=10)

    def submit(self, function: Callable[[T], R], task: T) -> "Future[R | Lost]":
        """The result to be of *function*, or `Lost` where the task raised, hung, or killed its workers.

        Waiting for it raises `UserFacingError` when no worker can be started.
        """
        future: Future[R | Lost] = Future()
        self._dispatcher.add(Ticket(pickle.dumps((function, task), protocol=5), future))
        if not self._thread.ident:
            self._thread.start()
        return future

    def map(self, function: Callable[[T], R], tasks: Iterable[T], depth: int) -> Iterator[tuple[T, "R | Lost"]]:
        """Each of *tasks* with its result, in their order; at most *depth* are taken ahead of the consumer.

        The iterator may be left before its end; what was submitted for it is cancelled.
        """
        source = iter(tasks)
        pending: deque[tuple[T, Future[R | Lost]]] = deque()
        try:
            while True:
                room = depth - len(pending)
                pending.extend((task, self.submit(function, task)) for task in islice(source, room))
                if not pending:
                    return
                task, future = pending.popleft()
                yield task, future.result()
        finally:
            for _, future in pending:
                future.cancel()

    def close(self) -> None:
        """End all workers at once, whatever they are at."""
        self._end()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def _end(dispatcher: Dispatcher, thread: threading.Thread) -> None:
    dispatcher.stop()
    if thread.ident:
        thread.join()
    dispatcher.release()
