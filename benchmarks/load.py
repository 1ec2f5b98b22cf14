"""A closed loop of HTTP requests over persistent connections, at as little cost as Python allows."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Ask = Callable[[str, bytes], Awaitable["Reply"]]
"""Sends a request of a method-and-path and a body, and waits for the answer."""


@dataclass(frozen=True)
class Reply:
    """An answer: its status, its body, and the milliseconds that it took."""

    status: int
    body: bytes
    took_ms: float


@dataclass(frozen=True)
class Load:
    """What a load measured: *took_ms* `(n,)` of the requests, how many *failed*, and the *seconds* of all of it."""

    took_ms: NDArray[np.float64]
    failed: int
    seconds: float

    @property
    def rate(self) -> float:
        """Requests a second."""
        return len(self.took_ms) / self.seconds

    def percentile(self, share: float) -> float:
        return float(np.percentile(self.took_ms, share))


def run_load(port: int, requests: Sequence[tuple[str, bytes]], connections: int) -> Load:
    """Send *requests* (such as "GET /healthz", with a body or none) in order over so many connections at once."""
    return asyncio.run(_run(port, requests, connections))


async def _run(port: int, requests: Sequence[tuple[str, bytes]], connections: int) -> Load:
    waiting, replies = iter(requests), list[Reply]()

    async def client() -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        for target, body in waiting:
            replies.append(await _ask(reader, writer, target, body))
        writer.close()
        await writer.wait_closed()

    started = time.perf_counter()
    await asyncio.gather(*(client() for _ in range(connections)))
    seconds = time.perf_counter() - started
    failed = sum(reply.status != 200 for reply in replies)
    return Load(np.array([reply.took_ms for reply in replies]), failed, seconds)


async def _ask(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, target: str, body: bytes) -> Reply:
    method, _, path = target.partition(" ")
    head = f"{method} {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n"
    started = time.perf_counter()
    writer.write(f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body)
    answer = await reader.readuntil(b"\r\n\r\n")
    status_line, *fields = answer.decode("latin-1").lower().split("\r\n")
    length = next(int(field.partition(":")[2]) for field in fields if field.startswith("content-length:"))
    content = await reader.readexactly(length)
    return Reply(int(status_line.split()[1]), content, (time.perf_counter() - started) * 1e3)
