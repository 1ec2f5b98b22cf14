"""`lookreel serve` as its operator starts it: real processes on a free loopback port, which tests may kill.

Linux only: which worker answers a connection, and how much memory it takes, is read from /proc.
"""

import http.client
import json
import os
import signal
import subprocess
import sys
import time
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from tests.indexing.kill import children
from tests.serving.redis_server import free_port
from tests.serving.site import ADMIN_KEY

ROOT = Path(__file__).parents[2]
SERVE = "from lookreel.cli import main; main()"
STARTS_WITHIN_S, ENDS_WITHIN_S, ANSWERS_WITHIN_S = 90.0, 20.0, 30.0
ESTABLISHED, LOOPBACK = "01", "0100007F"
LOST = (OSError, http.client.HTTPException)  # how a connection to a process that is killed ends


@dataclass(frozen=True)
class Answer:
    """What came back, and when it was asked for and there: seconds of the clock that all processes share."""

    status: int
    body: dict
    sent_s: float
    received_s: float


class Client:
    """One persistent connection, which one worker answers as long as it lasts."""

    def __init__(self, port):
        self.port, self._connection = port, None

    def ask(self, method, path, body=None):
        """The answer, whatever its status; one of `LOST` is raised where there is none. Nothing is tried twice."""
        headers = {"Authorization": f"Bearer {ADMIN_KEY}", "Content-Type": "application/json"}
        sent_s = time.monotonic()
        try:
            self.connect()
            self._connection.request(method, path, None if body is None else json.dumps(body), headers)
            answer = self._connection.getresponse()
            return Answer(answer.status, _body(answer), sent_s, time.monotonic())
        except LOST:
            self.close()
            raise

    def connect(self):
        if self._connection is None:
            self._connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=ANSWERS_WITHIN_S)
            self._connection.connect()

    def close(self):
        if self._connection:
            self._connection.close()
            self._connection = None

    def worker(self, pids):
        """Which of these processes has the other end of the connection."""
        own_port = self._connection.sock.getsockname()[1]
        return _owner(_inode(self.port, own_port), pids)


def _body(answer):
    content, kind = answer.read(), answer.headers.get_content_type()
    return json.loads(content) if kind == "application/json" else {"text": content.decode("utf-8", "replace")}


def _inode(port, own_port):
    """The number of the server's socket of a connection from *own_port*."""
    ends = (f"{LOOPBACK}:{port:04X}", f"{LOOPBACK}:{own_port:04X}", ESTABLISHED)
    rows = (line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:])
    return next((row[9] for row in rows if tuple(row[1:4]) == ends), None)


def _owner(inode, pids):
    return next((pid for pid in pids if f"socket:[{inode}]" in _open_files(pid)), None)


def _open_files(pid):
    try:
        return {os.readlink(file) for file in Path(f"/proc/{pid}/fd").iterdir()}
    except OSError:  # the process has ended, or the file was closed while we looked
        return set()


class ApiServer:
    """A server of *workers* processes; its state, and its log, are in *state*."""

    def __init__(self, snapshot, state, workers, events=""):
        self.state, self.n_workers, self.port = state, workers, free_port()
        self._options = ["--snapshot", snapshot, "--state", state, "--port", self.port, "--workers", workers]
        self._options += ["--events", events] if events else []
        self._process, self._clients = None, []

    def start(self):
        """Start it and wait until each worker is ready."""
        self.state.mkdir(parents=True, exist_ok=True)
        own = {"PYTHONPATH": str(ROOT), "LOOKREEL_ADMIN_KEYS": ADMIN_KEY, "LOOKREEL_SECRET": "a secret of the tests"}
        inherited = {name: value for name, value in os.environ.items() if not name.startswith("LOOKREEL_")}
        command = [sys.executable, "-c", SERVE, "serve", *map(str, self._options)]
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                command, cwd=self.state, env=inherited | own, stdout=log, stderr=log, start_new_session=True
            )
        self.clients()

    def client(self):
        """A new connection, which is closed when the server is stopped."""
        self._clients.append(Client(self.port))
        return self._clients[-1]

    def clients(self, within_s=STARTS_WITHIN_S):
        """A connection to each worker, which has answered on it that it is ready: the kernel chooses, so we try."""
        found, spare, give_up_s = {}, [], time.monotonic() + within_s
        while len(found) < self.n_workers:
            assert self._process.poll() is None, self.log()
            assert time.monotonic() < give_up_s, self.log()
            client = self.client()
            pid = _ready_worker(client, self.workers())
            if pid is None or pid in found:
                spare.append(client)
                time.sleep(0.02)
            else:
                found[pid] = client
        for client in spare:
            client.close()
        return list(found.values())

    def workers(self):
        """The processes that answer now."""
        return [pid for pid in children(self._process.pid) if b"spawn_main" in _command_line(pid)]

    def log(self):
        return self._log.read_text()

    @property
    def _log(self):
        return self.state / "server.log"

    def kill(self):
        """SIGKILL for the server and its workers at once, as when the machine goes down."""
        self._end(signal.SIGKILL)

    def stop(self):
        """End it as its operator does; what is left after that is killed."""
        for client in self._clients:
            client.close()
        if self._process:
            os.kill(self._process.pid, signal.SIGTERM)
            try:
                self._process.wait(ENDS_WITHIN_S)
            finally:
                self._end(signal.SIGKILL)

    def _end(self, sign):
        """Send a signal to the whole group, which is of our making: the server leads it."""
        if self._process:
            with suppress(ProcessLookupError):
                os.killpg(self._process.pid, sign)
            self._process.wait(ENDS_WITHIN_S)
            self._process = None


def _ready_worker(client, pids):
    """The process that answers a connection, once it is ready."""
    try:
        answer = client.ask("GET", "/readyz")
    except LOST:  # nobody listens yet
        return None
    return client.worker(pids) if answer.status == 200 else None


def _command_line(pid):
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return b""


@contextmanager
def running_server(snapshot, state, workers, events=""):
    """Yield a server whose workers are all ready; whatever happens, none of its processes is left behind."""
    server = ApiServer(snapshot, state, workers, events)
    try:
        server.start()
        yield server
    finally:
        server.stop()


def memory_mib(pid):
    """The proportional set size of a process: shared pages count in parts."""
    lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("Pss:")) / 1024


def mapped_objects(pid):
    """How many files of snapshots a process has mapped: those of versions that it let go of are not among them."""
    lines = Path(f"/proc/{pid}/maps").read_text().splitlines()
    return len({line.split()[4] for line in lines if "/objects/" in line})
