"""Both clients of the API behind one interface, so that a test holds for either: what is awaited is waited for."""

import asyncio
import inspect
import os
import subprocess
from contextlib import contextmanager
from random import Random

import httpx

from serving.client import AsyncClient, Client
from tests.data import LOOKREEL
from tests.serving.redis_server import free_port
from tests.serving.site import ADMIN_KEY


class Loudest(Random):
    """Draws the longest wait that jitter allows."""

    def uniform(self, low, high):
        return high


class Time:
    """A clock that moves when somebody sleeps, and remembers for how long."""

    def __init__(self):
        self.now_s, self.slept = 0.0, []

    def __call__(self):
        return self.now_s

    def sleep(self, seconds):
        self.slept.append(seconds)
        self.now_s += seconds

    async def sleep_async(self, seconds):
        self.sleep(seconds)


class Waited:
    """An `AsyncClient` whose methods are run to their end; its iterators give lists."""

    def __init__(self, client, runner):
        self.client, self._runner = client, runner

    def __getattr__(self, name):
        value = getattr(self.client, name)
        return (lambda *args, **kwargs: self._wait(value(*args, **kwargs))) if callable(value) else value

    def __repr__(self):
        return repr(self.client)

    @contextmanager
    def stream_media(self, *args):
        async def read():
            async with self.client.stream_media(*args) as pieces:
                return [piece async for piece in pieces]

        yield self._runner.run(read())

    def _wait(self, given):
        if inspect.isasyncgen(given):
            return self._runner.run(_listed(given))
        return self._runner.run(_awaited(given))


async def _listed(pieces):
    return [piece async for piece in pieces]


async def _awaited(given):
    return await given


class Bridge(httpx.BaseTransport):
    """Leads to an app in this process through starlette's client."""

    def __init__(self, test_client):
        self._client = test_client

    def handle_request(self, request):
        answer = self._client.request(
            request.method,
            str(request.url),
            content=request.read(),
            headers=dict(request.headers),
            follow_redirects=False,
        )
        return httpx.Response(answer.status_code, headers=answer.headers.raw, content=answer.content)


@contextmanager
def open_client(kind, transport, time=None, **given):
    """A `Client` or the other, as *kind* says, that asks *transport* at http://shop.example."""
    time = time or Time()
    base_url = given.pop("base_url", "http://shop.example")
    shared = {"transport": transport, "clock": time, "rng": Loudest(), **given}
    if kind == "sync":
        with Client(base_url, sleep=time.sleep, **shared) as client:
            yield client
        return
    with asyncio.Runner() as runner:
        client = AsyncClient(base_url, sleep=time.sleep_async, **shared)
        yield Waited(client, runner)
        runner.run(client.close())


class Server:
    """`lookreel serve` with one worker on a free loopback port, which stays the same when it is started again."""

    def __init__(self, snapshot, state):
        self._state, self._process, port = state, None, free_port()
        self._command = [LOOKREEL, "serve", "--snapshot", snapshot, "--state", state, "--port", str(port)]
        self.url = f"http://127.0.0.1:{port}"

    def start(self):
        """Start it, and wait for nothing: who asks now finds nobody there yet."""
        self._state.mkdir(parents=True, exist_ok=True)
        own = {"LOOKREEL_ADMIN_KEYS": ADMIN_KEY, "LOOKREEL_SECRET": "a secret of the tests"}
        with (self._state / "server.log").open("ab") as log:
            self._process = subprocess.Popen(
                list(map(str, self._command)), cwd=self._state, env=os.environ | own, stdout=log, stderr=log
            )

    def kill(self):
        """SIGKILL, as the kernel does when memory runs out."""
        if self._process:
            self._process.kill()
            self._process.wait(10)
