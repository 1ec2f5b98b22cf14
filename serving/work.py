"""Runs what takes time beside the event loop: so much at once, for so long, and no more."""

import asyncio
import time
from collections.abc import Callable
from concurrent.futures import Executor
from typing import TypeVar

from serving.errors import ApiError, unavailable
from serving.telemetry import Telemetry

T = TypeVar("T")


class Workshop:
    """Gives work to an executor while fewer than *queue_limit* pieces are under way, each for *time_limit_s*."""

    def __init__(self, executor: Executor, queue_limit: int, time_limit_s: float, telemetry: Telemetry) -> None:
        self._executor, self._queue_limit, self._time_limit_s = executor, queue_limit, time_limit_s
        self._telemetry = telemetry
        self._under_way = 0

    async def run(self, work: Callable[[], T]) -> T:
        """The result of *work*.

        Raises:
            ApiError: 503 when too much is waiting, or it took too long.
        """
        if self._under_way >= self._queue_limit:
            raise self._shed("busy", "Too many requests are waiting.")
        self._under_way += 1
        deadline = time.monotonic() + self._time_limit_s
        future = asyncio.get_running_loop().run_in_executor(self._executor, _until, deadline, work)
        future.add_done_callback(self._done)
        try:
            # Shielded, since a cancelled piece is not taken out of the executor: it counts until it has run.
            async with asyncio.timeout_at(asyncio.get_running_loop().time() + self._time_limit_s):
                return await asyncio.shield(future)
        except TimeoutError:
            raise self._shed("slow", "The answer took too long.") from None

    def close(self) -> None:
        """Wait for what is being done, and drop what waits."""
        self._executor.shutdown(wait=True, cancel_futures=True)

    def _done(self, future: "asyncio.Future[T]") -> None:
        self._under_way -= 1
        if not future.cancelled():
            future.exception()  # looked at: what nobody waits for any more must not be reported as forgotten

    def _shed(self, reason: str, message: str) -> ApiError:
        self._telemetry.shed.labels(reason).inc()
        return unavailable(message, reason)


def _until(deadline: float, work: Callable[[], T]) -> T:
    """Begin *work* only while somebody waits for it."""
    if time.monotonic() > deadline:
        raise TimeoutError
    return work()
