"""A judging run killed at random instants and started again, as often as `LOOKREEL_KILLS` says (ten by default)."""

import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import orjson

from judge.columns import J
from judge.run import run_job
from judge.store import JUDGMENTS, load_asked, load_judgments
from tests.judge.killable import job_in

KILLS = int(os.environ.get("LOOKREEL_KILLS", "10"))
ROOT = Path(__file__).resolve().parents[2]
RUN_S = 0.3  # how long a run takes once it began: 90 judgments of 2 ms and what is around them


def killed_run(shop, out, after_s):
    """Start a run, kill it *after_s* seconds after it began, and return whether that was before its end."""
    command = [sys.executable, "-m", "tests.judge.killable", str(shop), str(out)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, cwd=ROOT) as process:
        process.stdout.readline()
        time.sleep(after_s)
        process.send_signal(signal.SIGKILL)
        return process.wait() == -signal.SIGKILL


def lines_of(out):
    path = out / JUDGMENTS
    return path.read_bytes().splitlines(keepends=True) if path.exists() else []


def test_every_judgment_of_a_run_that_was_killed_again_and_again_stands_exactly_once(tmp_path):
    rng = random.Random(0)
    shop, done, killed, kept = tmp_path / "shop", 0, 0, []
    while killed < KILLS:  # a run that ends before its kill starts anew in another folder
        out = tmp_path / f"out{done}"
        before = lines_of(out)
        # Some kills come before the first judgment, some late: a whole run would end before most of them.
        if killed_run(shop, out, rng.uniform(0, RUN_S / 3)):
            killed += 1
        else:
            done += 1
        after = lines_of(out)
        kept.append(after[: len(before)] == before and len(after) >= len(before))

    assert all(kept)  # nothing that was judged is lost or judged again
    for number in range(done + 1):
        out = tmp_path / f"out{number}"
        run_job(job_in(shop), out)
        keys = [orjson.loads(line)[J.KEY] for line in lines_of(out)]
        assert len(keys) == len(set(keys)) == 12 * 10
        assert set(keys) == set(load_asked(out)[J.KEY]) == set(load_judgments(out)[J.KEY])
