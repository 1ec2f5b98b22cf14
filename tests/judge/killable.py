"""A judging run with a scripted judge, for tests that kill it: `python -m tests.judge.killable SHOP OUT`."""

import sys
from pathlib import Path

from judge.run import run_job
from tests.judge.scripted import ScriptedJudge, make_job, make_shop

N_USERS, K = 12, 5


def job_in(folder, seconds=0.0):
    shop = make_shop(folder, N_USERS, k=K)
    return make_job(shop, folder, ScriptedJudge(seconds=seconds), k=K)


if __name__ == "__main__":
    job = job_in(Path(sys.argv[1]), seconds=0.002)
    sys.stdout.write("begins\n")
    sys.stdout.flush()
    run_job(job, Path(sys.argv[2]))
