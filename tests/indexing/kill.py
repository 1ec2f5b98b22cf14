"""A job that is killed at random instants and started again, for the test and for a longer run by hand.

`python -m tests.indexing.kill VIDEOS.parquet STORE --kills 20 --seed 1` does it on any table with the shipped model.
"""

import argparse
import os
import random
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

JOB = """
import sys
from pathlib import Path
from indexing.embed import EmbedOptions, embed_videos
from retrieval.encoder import open_encoder
if __name__ == "__main__":
    table, out, shard_size = Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3])
    embed_videos(table, out, open_encoder("sample"), EmbedOptions(frames=4, workers=2, shard_size=shard_size))
"""


def start(table: Path, out: Path, shard_size: int) -> "subprocess.Popen[bytes]":
    script = out.with_name("job.py")  # a file: spawned workers read the main module again
    script.write_text(JOB)
    arguments = [sys.executable, str(script), str(table), str(out), str(shard_size)]
    root = str(Path(__file__).parents[2])
    return subprocess.Popen(arguments, env={**os.environ, "PYTHONPATH": root}, stderr=subprocess.PIPE)


def children(pid: int) -> list[int]:
    """The processes that *pid* started, and theirs."""
    try:
        own = [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    except OSError:
        return []
    return own + [grandchild for child in own for grandchild in children(child)]


def run_with_kills(table: Path, out: Path, n_kills: int, seed: int, longest_s: float, shard_size: int) -> int:
    """Kill the job or one of its workers *n_kills* times at random, let the last run end, and return its exit code."""
    rng = random.Random(seed)
    job = start(table, out, shard_size)
    for number in range(n_kills):
        while number == 1 and job.poll() is None and not list(out.glob("items-*")):
            time.sleep(0.05)  # the first kill falls anywhere, the second in the midst of shards
        time.sleep(rng.uniform(0.0, longest_s))
        workers = children(job.pid)
        victim = rng.choice(workers) if workers and rng.random() < 0.5 else job.pid
        with suppress(ProcessLookupError):  # it had just ended by itself
            os.kill(victim, signal.SIGKILL)
        if victim == job.pid or job.poll() is not None:
            job.communicate()
            job = start(table, out, shard_size)
    _, errors = job.communicate(timeout=600)
    sys.stderr.write(errors.decode())
    return job.returncode


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("table", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--longest", type=float, default=6.0)
    parser.add_argument("--shard-size", type=int, default=16)
    given = parser.parse_args()
    sys.exit(run_with_kills(given.table, given.out, given.kills, given.seed, given.longest, given.shard_size))


if __name__ == "__main__":
    main()
