"""A refinement with a scripted judge, for tests that kill it: `python -m tests.judge.killable_refine SHOP OUT`."""

import sys
from pathlib import Path

from judge.refine import refine
from tests.judge.pair_shop import make_refinement
from tests.judge.scripted import ScriptedJudge

# 20 queries, 5 products each, every question asked twice: 200 pairs, 100 judgments.
ROWS = tuple(
    (f"{turn}-{q}-{p}", f"query {q}", None, f"p{p}") for turn in (0, 1) for q in range(20) for p in (0, 1, 2, 3, 5)
)

if __name__ == "__main__":
    job = make_refinement(Path(sys.argv[1]), ScriptedJudge(seconds=0.002))
    sys.stdout.write("begins\n")
    sys.stdout.flush()
    refine(job, Path(sys.argv[2]))
