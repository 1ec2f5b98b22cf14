"""Files read beside the encoder: spawned workers, a little ahead of its use."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Self, TypeVar

from indexing.cores import n_cores
from indexing.limits import DEFAULT_LIMITS, Limits
from indexing.media import ReadItem, Task, hash_task, read_task, signature_of, unread
from indexing.worker import Lost
from indexing.workers import WorkerPool
from retrieval.errors import import_extra

R = TypeVar("R")
AHEAD = 16  # tasks taken for each worker and not yet given to the consumer: some 50 MB of frames of 448 × 252
PRELOAD = ("indexing.media", "av")
LOST: Mapping[Callable[[Task], Any], Callable[[Task, str], Any]] = {
    read_task: unread,
    hash_task: lambda *_: "",
    signature_of: lambda *_: "",
}
"""What workers run, each with what stands for its result where a task gave none, from (task, reason)."""


@contextmanager
def reading(tasks: Iterable[Task], workers: int, limits: Limits = DEFAULT_LIMITS) -> Iterator[Iterator[ReadItem]]:
    """Yield what spawned workers read, in the order of *tasks* and only a little ahead of its use.

    Args:
        workers: how many processes; 0 means one for each core.
    """
    with ReaderPool(workers, limits) as pool:
        yield pool.read(tasks)


class ReaderPool:
    """Workers that read media for as long as it is open: job after job, on the same processes.

    A file that hangs, wants too much or kills its readers costs itself. An iterator may be left before its end; what
    was read ahead for it is dropped.

    Args:
        workers: how many processes; 0 means one for each core.

    Raises:
        UserFacingError: from the iterators, when workers cannot be started at all.
    """

    def __init__(self, workers: int, limits: Limits = DEFAULT_LIMITS) -> None:
        import_extra("av", "embed")
        n_workers = workers or n_cores()
        self._depth = AHEAD * n_workers
        self._pool = WorkerPool(n_workers, limits, PRELOAD)

    def read(self, tasks: Iterable[Task]) -> Iterator[ReadItem]:
        """What can be read of each task, or the reasons why not, in their order."""
        return self.map(read_task, tasks)

    def map(self, function: Callable[[Task], R], tasks: Iterable[Task]) -> Iterator[R]:
        """The results of one of the functions of `LOST`, in the order of *tasks*.

        `hash_task` tells of items at hand whether they are new without decoding them; `signature_of` is for remote
        media, where each signature costs a round trip.
        """
        lost = LOST[function]
        for task, outcome in self._pool.map(function, tasks, self._depth):
            yield lost(task, outcome.reason) if isinstance(outcome, Lost) else outcome

    def close(self) -> None:
        """End the workers, whatever they are at."""
        self._pool.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
