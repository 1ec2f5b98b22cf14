"""A closed loop of HTTP requests over persistent connections, at as little cost as Python allows."""

import socket
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from threading import Lock

import numpy as np
from numpy.typing import NDArray


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
    """Send *requests* (such as "GET /healthz", with a body or none) in order over so many connections at once.

    Each has a thread with a blocking socket: an event loop would add a fifth of a millisecond to what is measured.
    """
    waiting, lock, replies = iter(requests), Lock(), list[Reply]()

    def client(_: int) -> None:
        with socket.create_connection(("127.0.0.1", port), timeout=60) as connection:
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            while True:
                with lock:
                    request = next(waiting, None)
                if request is None:
                    return
                replies.append(_ask(connection, *request))

    started = time.perf_counter()
    with ThreadPoolExecutor(connections) as pool:
        list(pool.map(client, range(connections)))
    seconds = time.perf_counter() - started
    failed = sum(reply.status != 200 for reply in replies)
    return Load(np.array([reply.took_ms for reply in replies]), failed, seconds)


def _ask(connection: socket.socket, target: str, body: bytes) -> Reply:
    """Send a request and read its answer; a closed connection is an error."""
    method, _, path = target.partition(" ")
    head = f"{method} {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n"
    request = f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body
    started = time.perf_counter()
    connection.sendall(request)
    answer = _receive(connection)
    while b"\r\n\r\n" not in answer:
        answer += _receive(connection)
    fields, _, content = answer.partition(b"\r\n\r\n")
    status_line, *named = fields.lower().split(b"\r\n")
    length = next(int(field.partition(b":")[2]) for field in named if field.startswith(b"content-length:"))
    while len(content) < length:
        content += _receive(connection)
    return Reply(int(status_line.split()[1]), content, (time.perf_counter() - started) * 1e3)


def _receive(connection: socket.socket) -> bytes:
    if not (part := connection.recv(65_536)):
        raise ConnectionError("the server closed the connection")
    return part
