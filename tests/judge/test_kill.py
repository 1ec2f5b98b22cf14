"""A judging run killed at random instants and started again, as often as `LOOKREEL_KILLS` says (ten by default)."""

import os
import random
import sys

import orjson

from judge.columns import J
from judge.run import run_job
from judge.store import JUDGMENTS, load_asked, load_judgments
from tests.judge.killable import job_in
from tests.judge.killing import killed_run

KILLS = int(os.environ.get("LOOKREEL_KILLS", "10"))
N_JUDGMENTS = 12 * 10
KILL_WITHIN_S = 0.2  # a run judges for 0.25 s: 120 times 2 ms, after what it takes to find out what is missing


def lines_of(out):
    """The whole lines: the kernel may cut the last one at the end of a page; its judgment was in flight."""
    path = out / JUDGMENTS
    return path.read_bytes().split(b"\n")[:-1] if path.exists() else []


def test_every_judgment_of_a_run_that_was_killed_again_and_again_stands_exactly_once(tmp_path):
    rng = random.Random(0)
    shop, folder, killed, midway, kept = tmp_path / "shop", 0, 0, 0, []
    while killed < KILLS:
        out = tmp_path / f"out{folder}"
        before = lines_of(out)
        killed += killed_run("tests.judge.killable", shop, out, rng.uniform(0, KILL_WITHIN_S))
        after = lines_of(out)
        kept.append(after[: len(before)] == before)
        midway += len(before) < len(after) < N_JUDGMENTS
        folder += len(after) == N_JUDGMENTS  # there is no more to kill there

    sys.stderr.write(f"{killed} kills, {midway} of them between two judgments, over {folder + 1} runs\n")
    assert all(kept)  # nothing that was judged is lost or changed
    assert midway
    for number in range(folder + 1):
        out = tmp_path / f"out{number}"
        run_job(job_in(shop), out)
        keys = [orjson.loads(line)[J.KEY] for line in lines_of(out)]
        assert len(keys) == len(set(keys)) == N_JUDGMENTS
        assert set(keys) == set(load_asked(out)[J.KEY]) == set(load_judgments(out)[J.KEY])
