"""Load on a real server while versions swap, blocks come and go and events flow: for the test and for longer runs.

`python -m tests.serving.soak --seconds 600 --workers 4 [--json]` prints what it found; it exits 1 where a promise of
the API was broken. Memory is flat where the workers' mean of the last quarter of the time is at most 1.1 times that of
the second; the first is for warming up.
"""

import argparse
import json
import subprocess
import sys
import tempfile
import threading
import time
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

from tests.serving.api_server import ROOT, mapped_objects, memory_mib, running_server
from tests.serving.soak_driver import Plan
from tests.serving.soak_report import Block, Memory, make_report, table
from tests.serving.soak_shop import SoakShop

N_HOT = 4
DRIVERS, CONNECTIONS = 2, 4
ENDS_WITHIN_S = 60.0


@dataclass(frozen=True)
class Options:
    """How long and how hard; *events* is the event store's URL, by default SQLite beside the server's state."""

    seconds: float = 600.0
    workers: int = 4
    swap_s: float = 20.0
    block_s: float = 4.0
    videos: int = 3000
    think_s: float = 0.012
    events: str = ""


class Repeated(threading.Thread):
    """Calls *step* every *every_s* until stopped; what it raises is a fault of the run."""

    def __init__(self, step, every_s, faults):
        super().__init__(name=step.__name__)
        self._step, self._every_s, self._faults, self._stopping = step, every_s, faults, threading.Event()

    def run(self):
        due_s = time.monotonic() + self._every_s
        while not self._stopping.wait(max(0.0, due_s - time.monotonic())):
            due_s += self._every_s
            try:
                self._step()
            except Exception as error:  # told at the end: the load goes on
                self._faults.append(f"{self.name}: {error!r}")

    def stop(self):
        self._stopping.set()
        self.join()


class Operator:
    """Who swaps versions, blocks videos and looks at the memory."""

    def __init__(self, shop, server, hot, options):
        self.shop, self.server, self.options = shop, server, options
        self.faults, self.blocks, self.memory, self.swaps = [], [], [], 0
        self._hot = [video for videos in hot.values() for video in videos]
        self._generation, self._standing = 0, None
        self._pids = server.workers()
        self._swapping, self._blocking = server.client(), server.client()

    def swap(self):
        """Publish the next generation; each third time go back to the one before instead, over HTTP."""
        self.swaps += 1
        if self.swaps % 3 == 0:
            self._require(self._swapping.ask("POST", "/v1/admin/rollback"))
        else:
            self._generation += 1
            self.shop.publish(self._generation)

    def block(self):
        """Lift the block that stands, and block the next video, each in its turn."""
        self.lift()
        video = self._hot[len(self.blocks) % len(self._hot)]
        body = {"kind": "video", "key": video, "reason": "a test"}
        answer = self._require(self._blocking.ask("PUT", "/v1/admin/blocks", body))
        self._standing = (video, answer.sent_s, answer.received_s)

    def lift(self):
        if self._standing:
            answer = self._require(self._blocking.ask("DELETE", f"/v1/admin/blocks/video/{self._standing[0]}"))
            self.blocks.append(Block(*self._standing, answer.sent_s, answer.received_s))
            self._standing = None

    def measure(self):
        """Look at the workers, which must be those of the beginning."""
        if self.server.workers() != self._pids:
            raise AssertionError(f"workers are {self.server.workers()}, not {self._pids}")
        mib = sum(map(memory_mib, self._pids))
        self.memory.append(Memory(time.monotonic(), mib, max(map(mapped_objects, self._pids))))

    def _require(self, answer):
        if answer.status != 200:
            raise AssertionError(f"{answer.status}: {answer.body}")
        return answer

    @contextmanager
    def working(self):
        """Do all of it until the block ends."""
        options = self.options
        repeated = [
            Repeated(self.swap, options.swap_s, self.faults),
            Repeated(self.block, options.block_s, self.faults),
            Repeated(self.measure, min(5.0, options.seconds / 40), self.faults),
        ]
        for one in repeated:
            one.start()
        try:
            yield
        finally:
            for one in repeated:
                one.stop()
            self.lift()


def run_soak(root, options):
    """Build a shop in *root*, serve it, load it, and report."""
    shop = SoakShop(root, options.videos)
    shop.build()
    hot = {product: shop.nearest(product, 1) for product in shop.products[:N_HOT]}
    with running_server(shop.snapshot, root / "state", options.workers, options.events) as server:
        operator = Operator(shop, server, hot, options)
        started_s = time.monotonic()
        with ExitStack() as stack:
            plans = _plans(root, shop, server, hot, options, started_s + options.seconds)
            drivers = [stack.enter_context(_driver(root, plan)) for plan in plans]
            with operator.working():
                for driver in drivers:
                    driver.wait(options.seconds + ENDS_WITHIN_S)
            operator.faults += [f"a driver ended with {one.returncode}" for one in drivers if one.returncode]
        lasted_s = time.monotonic() - started_s
    found = [
        one for plan in plans if Path(plan.findings).exists() for one in json.loads(Path(plan.findings).read_text())
    ]
    return make_report(operator, found, lasted_s)


def _plans(root, shop, server, hot, options, until_s):
    hidden = {video for videos in hot.values() for video in videos}
    lasting = [video for video in shop.lasting if video not in hidden][::7]
    return [
        Plan(
            f"d{number}", server.port, str(shop.snapshot), hot, shop.products, lasting, server.workers(), until_s,
            options.think_s, CONNECTIONS, str(root / f"findings-{number}.json"),
        )
        for number in range(DRIVERS)
    ]  # fmt: skip


@contextmanager
def _driver(root, plan):
    file = root / f"plan-{plan.name}.json"
    file.write_text(json.dumps(asdict(plan)))
    process = subprocess.Popen([sys.executable, "-m", "tests.serving.soak_driver", str(file)], cwd=ROOT)
    try:
        yield process
    finally:
        process.kill()
        process.wait()


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    for name, default in asdict(Options()).items():
        parser.add_argument(f"--{name.replace('_s', '-s')}", type=type(default), default=default, dest=name)
    parser.add_argument("--json", action="store_true", help="print JSON")
    given = vars(parser.parse_args())
    as_json = given.pop("json")
    with tempfile.TemporaryDirectory() as folder:
        report = run_soak(Path(folder), Options(**given))
    sys.stdout.write((json.dumps(asdict(report), indent=1) if as_json else table(report)) + "\n")
    sys.exit(1 if report.faults else 0)


if __name__ == "__main__":
    main()
