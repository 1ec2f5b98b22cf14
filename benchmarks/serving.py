"""The API under load beside raw FAISS over the same vectors: what a feed costs more than its search.

One worker on one core; what drives it runs on another, in a process of its own. Raw search and feeds take turns on the
server's core, so that both meet the same machine. The shop is synthetic: random unit vectors of 512 dimensions, users
with 50 products each.
"""

import json
import os
import random
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from benchmarks.load import Load, run_load
from benchmarks.report import Figure, run
from benchmarks.update import Shop, Size, make_shop
from retrieval.index.faiss_install import load_faiss
from retrieval.snapshot import open_snapshot

K = 10
EVENTS = 50  # products of each user
DAY_S = 86_400
BATCH = 1000  # events posted at once
AT_ONCE = 4  # connections, for throughput
SERVER_CORE = 0  # also that of raw search
CLIENT_CORE = 1 if (os.cpu_count() or 1) > 1 else 0


@dataclass(frozen=True)
class Scale:
    """How much is measured: *rounds* of *requests* feeds and as many raw searches each, in turn."""

    videos: int
    products: int
    users: int
    rounds: int
    requests: int


FULL = Scale(100_000, 20_000, 400, 5, 600)
QUICK = Scale(20_000, 2_000, 50, 2, 100)


def measure(quick: bool) -> list[Figure]:
    """Build, serve, fill, and take turns."""
    scale = QUICK if quick else FULL
    with tempfile.TemporaryDirectory() as folder:
        shop = Shop(Path(folder))
        make_shop(shop, Size(scale.videos, scale.products, 0, 0, 0))
        with served(shop) as port:
            _fill(port, scale)
            return _figures(scale, *_take_turns(shop, port, scale))


def _take_turns(shop: Shop, port: int, scale: Scale) -> tuple[NDArray[np.float64], list[Load], list[Load], Load]:
    """Raw searches, feeds one by one, feeds of four at once, and at last a mix of what clients do."""
    raw, alone, crowded, rng = [], [], [], random.Random(0)
    feeds = [_feed(rng, scale) for _ in range(scale.requests)]
    pin(CLIENT_CORE)
    run_load(port, feeds[:50], 1)  # warms what both sides keep
    with get_context("spawn").Pool(1) as pool:
        for number in range(scale.rounds):
            raw.append(pool.apply(raw_search_ms, (str(shop.snapshot), scale.requests, number)))
            alone.append(run_load(port, feeds, 1))
            crowded.append(run_load(port, feeds, AT_ONCE))
    mixed = run_load(port, [_mixed(rng, scale) for _ in range(scale.requests)], AT_ONCE)
    return np.concatenate(raw), alone, crowded, mixed


def _figures(
    scale: Scale, raw: NDArray[np.float64], alone: list[Load], crowded: list[Load], mixed: Load
) -> list[Figure]:
    took = np.concatenate([load.took_ms for load in alone])
    n, rate = len(took), sum(len(load.took_ms) for load in crowded) / sum(load.seconds for load in crowded)
    raw_rate = 1000 / raw.mean()
    p50, p95, p99 = np.percentile(took, [50, 95, 99])
    raw50, raw95, raw99 = np.percentile(raw, [50, 95, 99])
    what = f"{scale.videos} videos of 512, {EVENTS} products a user, k {K}, n {n}"
    tail = (p99 / p50) / (raw99 / raw50)
    failed = sum(load.failed for load in (*alone, *crowded, mixed))
    asked = sum(len(load.took_ms) for load in (*alone, *crowded, mixed))
    return [
        Figure("feed_p50_over_raw_ms", p50 - raw50, "ms", "lower", f"{what}: {p50:.2f} ms, raw {raw50:.2f} ms"),
        Figure(
            "feed_rate_vs_raw", rate / raw_rate, "share", "higher",
            f"{AT_ONCE} at once {rate:.0f}/s, raw {raw_rate:.0f}/s",
        ),
        Figure(
            "feed_p99_over_p50", tail, "times", "lower",
            f"p50, p95, p99 {p50:.2f}, {p95:.2f}, {p99:.2f} ms; raw {raw50:.2f}, {raw95:.2f}, {raw99:.2f} ms",
        ),
        Figure("feed_failed_share", failed / asked, "share", "lower", f"of {asked} requests"),
        Figure(
            "mixed_p50_ms", mixed.percentile(50), "ms", "lower",
            f"{AT_ONCE} at once; 70 % feeds, 10 % each filtered, similar, events: "
            f"p99 {mixed.percentile(99):.2f} ms, {mixed.rate:.0f}/s",
        ),
    ]  # fmt: skip


def raw_search_ms(snapshot: str, n: int, seed: int) -> NDArray[np.float64]:
    """Milliseconds `(n,)` of single searches by FAISS alone, on the server's core: what no service can be below."""
    pin(SERVER_CORE)
    faiss, vectors = load_faiss(), np.asarray(open_snapshot(snapshot, verify=False).space.video_vectors)
    index = faiss.IndexScalarQuantizer(vectors.shape[1], faiss.ScalarQuantizer.QT_fp16, faiss.METRIC_INNER_PRODUCT)
    index.add_sa_codes(np.ascontiguousarray(vectors).view(np.uint8))
    faiss.omp_set_num_threads(1)
    queries = np.random.default_rng(seed).normal(size=(n + 20, 1, vectors.shape[1])).astype(np.float32)
    took = []
    for query in queries:
        started = time.perf_counter()
        index.search(query, K)
        took.append((time.perf_counter() - started) * 1e3)
    return np.array(took[20:])


@contextmanager
def served(shop: Shop, **environment: str) -> Iterator[int]:
    """Serve a shop with one worker on one core, and yield its port."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    program = f"import os; os.sched_setaffinity(0, {{{SERVER_CORE}}}); from lookreel.cli import main; main()"
    options = ["--snapshot", str(shop.snapshot), "--state", str(shop.root / "state"), "--port", str(port)]
    server = subprocess.Popen(
        [sys.executable, "-c", program, "serve", *options],
        env={**os.environ, **environment}, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    try:
        _wait_ready(port, server)
        yield port
    finally:
        server.send_signal(signal.SIGTERM)
        server.wait(30)


def _wait_ready(port: int, server: "subprocess.Popen[bytes]", limit_s: float = 120) -> None:
    until = time.monotonic() + limit_s
    while time.monotonic() < until and server.poll() is None:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/readyz"):
                return
        except (urllib.error.URLError, ConnectionError):
            time.sleep(0.2)
    raise RuntimeError("the server did not become ready")


def _fill(port: int, scale: Scale) -> None:
    """Post the users' events: `EVENTS` products each, within the last month."""
    rng, now = random.Random(1), time.time()
    events = [
        {
            "event_id": f"{user}-{number}",
            "user_id": f"u{user}",
            "product_id": f"p{rng.randrange(scale.products):07d}",
            "occurred_at": now - rng.random() * 30 * DAY_S,
        }
        for user in range(scale.users)
        for number in range(EVENTS)
    ]
    batches = [json.dumps(events[start : start + BATCH]).encode() for start in range(0, len(events), BATCH)]
    if run_load(port, [("POST /v1/events", batch) for batch in batches], 1).failed:
        raise RuntimeError("events were not stored")


def _feed(rng: random.Random, scale: Scale) -> tuple[str, bytes]:
    return f"GET /v1/users/u{rng.randrange(scale.users)}/feed?k={K}", b""


def _mixed(rng: random.Random, scale: Scale) -> tuple[str, bytes]:
    """What clients do, by the last digit of a number."""
    kind, user = rng.randrange(10), rng.randrange(scale.users)
    if kind == 0:
        return f"GET /v1/users/u{user}/feed?k={K}&where=markets:fr", b""
    if kind == 1:
        return f"GET /v1/videos/v{rng.randrange(scale.videos):07d}/similar?k={K}", b""
    if kind == 2:
        event = {"user_id": f"u{user}", "product_id": f"p{rng.randrange(scale.products):07d}"}
        return "POST /v1/events", json.dumps([event]).encode()
    return _feed(rng, scale)


def pin(core: int) -> None:
    """Keep this process to one core."""
    os.sched_setaffinity(0, {core})


if __name__ == "__main__":
    run(measure, __doc__.splitlines()[0])
