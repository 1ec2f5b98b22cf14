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

import numpy as np

from tests.serving.api_server import ROOT, mapped_objects, memory_mib, running_server
from tests.serving.soak_driver import ABSENT, SHOWN, Plan
from tests.serving.soak_shop import SoakShop

N_HOT = 4
BLOCKED_WITHIN_S = 2.0
GROWTH = 1.1
DRIVERS, CONNECTIONS = 2, 4
FAULTS_TOLD = 10
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


@dataclass(frozen=True)
class Block:
    """A video was blocked from *acked_s* until *lifted_s*, when its lifting was asked for; all is over at *over_s*."""

    video: str
    put_s: float
    acked_s: float
    lifted_s: float
    over_s: float


@dataclass(frozen=True)
class Memory:
    """Proportional set size of all workers in MiB, and mapped files of the snapshot of the worker with most."""

    at_s: float
    mib: float
    mapped: int


@dataclass(frozen=True)
class Report:
    """What a run found; *faults* is empty where every promise was kept."""

    faults: list
    requests: int
    seconds: float
    latency_ms: dict
    swaps: int
    versions_answering: int
    workers_answering: int
    chains_across_versions: int
    longest_chain: int
    events: int
    blocks: int
    blocks_seen_before: int
    block_p50_s: float
    block_max_s: float
    memory_mib: dict
    mapped_files: dict


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
    return _report(operator, found, lasted_s)


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


def _report(operator, found, lasted_s):
    times = {}
    for one in found:
        for kind, values in one["times_ms"].items():
            times.setdefault(kind, []).extend(values)
    sightings = [sighting for one in found for sighting in one["sightings"]]
    spread_s = [spread_of(block, sightings) for block in operator.blocks]
    faults = [fault for one in found for fault in one["faults"]] + operator.faults
    faults += _block_faults(operator.blocks, sightings, spread_s)
    memory, mapped = _quarters([(m.at_s, m.mib) for m in operator.memory]), [m.mapped for m in operator.memory]
    faults += [f"memory grew: {memory}"] if not memory["ratio"] <= GROWTH else []
    versions = {version for one in found for version in one["versions"]}
    workers = {worker for one in found for worker in one["workers"]}
    faults += [] if len(workers) == operator.options.workers else [f"only {len(workers)} workers answered"]
    return Report(
        faults,
        sum(map(len, times.values())),
        round(lasted_s, 1),
        {kind: _quantiles(values) for kind, values in sorted(times.items())},
        operator.swaps,
        len(versions),
        len(workers),
        sum(one["chains_across"] for one in found),
        max((one["longest_chain"] for one in found), default=0),
        sum(one["events"] for one in found),
        len(operator.blocks),
        sum(_was_shown_before(block, sightings) for block in operator.blocks),
        round(float(np.median(spread_s or [np.nan])), 3),
        round(max(spread_s, default=np.nan), 3),
        memory,
        {"first": mapped[0], "last": mapped[-1], "most": max(mapped)} if mapped else {},
    )


def spread_of(block, sightings):
    """Seconds from the answer that a video is blocked to the last answer that still shows it."""
    shown_s = [
        received_s
        for video, what, _, received_s in sightings
        if (video, what) == (block.video, SHOWN) and block.acked_s < received_s < block.lifted_s
    ]
    return max(shown_s, default=block.acked_s) - block.acked_s


def _was_shown_before(block, sightings):
    """Whether the video was shown in the seconds before: only then the block is seen to work."""
    return any(
        (video, what) == (block.video, SHOWN) and block.put_s - 5 < received_s < block.put_s
        for video, what, _, received_s in sightings
    )


def _block_faults(blocks, sightings, spread_s):
    late = [
        f"{block.video} was shown {seconds:.2f} s after it was blocked"
        for block, seconds in zip(blocks, spread_s, strict=True)
        if seconds > BLOCKED_WITHIN_S
    ]
    absent = [(video, sent_s, received_s) for video, what, sent_s, received_s in sightings if what == ABSENT]
    return late + [
        f"{video} was not found although it was not blocked"
        for video, sent_s, received_s in absent
        if not any(
            block.video == video and block.put_s < received_s and sent_s < block.over_s + BLOCKED_WITHIN_S
            for block in blocks
        )
    ]


def _quarters(measured):
    """The means of the second and of the last quarter of the time, and their ratio."""
    times, values = np.array(measured).reshape(-1, 2).T
    quarter = np.floor(4 * (times - times[0]) / max(np.ptp(times), 1e-9)).clip(0, 3)
    second, last = values[quarter == 1].mean(), values[quarter == 3].mean()
    means = {"first": values[0], "second_quarter": second, "last_quarter": last, "most": values.max()}
    return {name: round(float(value), 1) for name, value in means.items()} | {"ratio": round(float(last / second), 3)}


def _quantiles(values):
    p50, p99, most = np.quantile(values, [0.5, 0.99, 1.0])
    return {"n": len(values), "p50": round(float(p50), 1), "p99": round(float(p99), 1), "max": round(float(most), 1)}


def table(report):
    """The report for people."""
    kinds = [
        f"  {kind:<12} {q['n']:>8} {q['p50']:>8} {q['p99']:>8} {q['max']:>8}" for kind, q in report.latency_ms.items()
    ]
    about = {name: value for name, value in asdict(report).items() if name not in ("latency_ms", "faults")}
    rest = [f"  {name.replace('_', ' '):<24} {value}" for name, value in about.items()]
    faults = [f"  {len(report.faults)} faults", *(f"    {fault}" for fault in report.faults[:FAULTS_TOLD])]
    heading = f"  {'request':<12} {'n':>8} {'p50 ms':>8} {'p99 ms':>8} {'max ms':>8}"
    return "\n".join([heading, *kinds, *rest, *faults])


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
