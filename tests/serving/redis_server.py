"""A real redis-server on a free loopback port, which tests may kill and start again."""

import os
import shutil
import signal
import socket
import subprocess
import time
from contextlib import closing, contextmanager

import pytest
import redis

BINARY = shutil.which("redis-server") or shutil.which("valkey-server")
STARTS_WITHIN_S = 10.0


class RedisServer:
    """A server that keeps what it acknowledged in *folder*, on the same port whenever it is started."""

    def __init__(self, folder, *settings):
        self._folder, self._settings = folder, settings
        self._process = None
        self.port = free_port()
        self.url = f"redis://127.0.0.1:{self.port}/0"

    def start(self):
        """Start it and wait until it has read what it kept."""
        arguments = ["--port", str(self.port), "--bind", "127.0.0.1", "--dir", str(self._folder)]
        kept = ["--appendonly", "yes", "--save", "", *self._settings]
        with (self._folder / "redis.log").open("ab") as log:
            self._process = subprocess.Popen([BINARY, *arguments, *kept], stdout=log, stderr=log)
        give_up_s = time.monotonic() + STARTS_WITHIN_S
        while not self._answers():
            assert time.monotonic() < give_up_s, (self._folder / "redis.log").read_text()
            time.sleep(0.02)

    def kill(self):
        """SIGKILL, as the kernel does when memory runs out."""
        self._end(signal.SIGKILL)

    def stop(self):
        """End it as its operator does."""
        self._end(signal.SIGTERM)

    @contextmanager
    def frozen(self):
        """It accepts connections, but answers nothing."""
        os.kill(self._process.pid, signal.SIGSTOP)
        try:
            yield
        finally:
            os.kill(self._process.pid, signal.SIGCONT)

    def client(self):
        """A client of its own, to look at what is stored."""
        return closing(redis.Redis(port=self.port, decode_responses=True))

    def _end(self, sign):
        if self._process:
            os.kill(self._process.pid, sign)
            self._process.wait(STARTS_WITHIN_S)
            self._process = None

    def _answers(self):
        with self.client() as client:
            try:
                return client.ping()
            except redis.ConnectionError:  # not listening yet, or still reading its file
                return False


@contextmanager
def running_redis(folder, *settings):
    """Yield a running server; its *settings* are words of redis-server's command line."""
    if not BINARY:
        pytest.skip("needs redis-server or valkey-server on the path")
    server = RedisServer(folder, *settings)
    try:
        server.start()
        yield server
    finally:
        server.stop()


def free_port():
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return taken.getsockname()[1]
