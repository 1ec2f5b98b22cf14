"""Files read beside the encoder: spawned workers, a little ahead of its use."""

import os
from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from itertools import islice
from multiprocessing import get_context

from indexing.media import PhotosTask, ReadItem, VideoTask, read_task
from retrieval.errors import UserFacingError, import_extra

Task = VideoTask | PhotosTask
AHEAD = 16  # tasks in flight for each worker: enough to keep it busy, few enough to hold in memory


@contextmanager
def reading(tasks: Sequence[Task], workers: int) -> Iterator[Iterator[ReadItem]]:
    """Yield what spawned workers read, in the order of *tasks* and only a little ahead of its use."""
    import_extra("av", "embed")
    n_workers = workers or os.cpu_count() or 1
    with ProcessPoolExecutor(n_workers, mp_context=get_context("spawn")) as pool:
        yield _ahead(pool, iter(tasks), depth=AHEAD * n_workers)


def _result(future: Future[ReadItem]) -> ReadItem:
    try:
        return future.result()
    except BrokenProcessPool as error:
        raise UserFacingError(
            "A process that reads media was killed, most likely for want of memory; nothing was written.",
            "Run again with fewer --workers.",
        ) from error


def _ahead(pool: ProcessPoolExecutor, tasks: Iterator[Task], depth: int) -> Iterator[ReadItem]:
    pending: deque[Future[ReadItem]] = deque(pool.submit(read_task, task) for task in islice(tasks, depth))
    while pending:
        done = _result(pending.popleft())
        pending.extend(pool.submit(read_task, task) for task in islice(tasks, 1))
        yield done
