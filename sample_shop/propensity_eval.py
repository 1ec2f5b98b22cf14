"""Estimated examination curves beside the true one, on feeds of a simulated shop under several policies.

    python -m sample_shop.propensity_eval --out FOLDER

Each policy fills the feeds of some seeds' shops, all biases at full strength; the logs are counted and the curves
estimated as by `lookreel evaluate propensities`. Printed are the errors of q against the true reach · attention, over
the positions with at least 1,000 reaches. The policy "interest" shows each shopper first what this shopper truly likes,
so that position says how relevant a slot is: no estimator's assumptions hold but those of the log's own values.
"""

import argparse
import json
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from labelcraft.evaluation.propensities import Comparison, compare_methods
from labelcraft.evaluation.slot_counts import CountedLog, count_slots
from retrieval.console import progress
from retrieval.folders import writing
from retrieval.metrics.propensity import Method
from sample_shop.arrays import Floats
from sample_shop.feed import World, make_world, simulate_log, video_affinity
from sample_shop.frames import impressions_frame, videos_frame
from sample_shop.policies import Policy
from sample_shop.watching import Dials, examination_probability

N_VIDEOS = 600
ENOUGH_REACHES = 1000
INTEREST = "interest"
POLICIES = (Policy.RANDOM.value, Policy.EXPLORE.value, Policy.RECENCY.value, INTEREST)
TOLERANCE = 0.1
_BLOCK_USERS = 1000
HEADING = (
    f"{'policy':<9} {'estimator':<16} {'bias at 2':>10} {'at 6':>7} {'at 12':>7} {'largest |bias|':>15} "
    f"{'largest error of a log':>23} {'intervals hold':>15}  within 10 %"
)


@dataclass(frozen=True)
class Errors:
    """One estimator on one policy: relative errors of q, over logs and positions with enough reaches.

    *bias* `(n_positions,)` is the mean over logs, *worst* the largest of any, *held* the share of the intervals (of
    positions from 2 on) that hold the truth, NaN without intervals; *n_logs* had a curve.
    """

    policy: str
    method: str
    bias: tuple[float, ...]
    worst: float
    held: float
    n_logs: int

    @property
    def largest_bias(self) -> float:
        return max(abs(value) for value in self.bias)


def counted_log(seed: int, world: World, policy: str) -> CountedLog:
    """The counts of a whole simulated log, by way of its tables."""
    n_users = len(world.shoppers)
    filled = interest_scores(world) if policy == INTEREST else policy
    log = simulate_log(seed, n_users, filled, world=world)
    with tempfile.TemporaryDirectory() as folder:
        impressions_frame(log, n_users, N_VIDEOS, policy).write_parquet(Path(folder) / "impressions.parquet")
        videos_frame(world.catalogue).write_parquet(Path(folder) / "videos.parquet")
        return count_slots(Path(folder), int(log.shown_us.max()) + 1)


def interest_scores(world: World) -> Floats:
    """What each shopper truly likes in the middle of the window, `(n_users, n_videos)`."""
    n_users, n_videos = len(world.shoppers), len(world.catalogue.videos)
    day = world.catalogue.days // 2
    scores = np.empty((n_users, n_videos))
    for first in range(0, n_users, _BLOCK_USERS):
        users = np.arange(first, min(first + _BLOCK_USERS, n_users))
        user, video = np.repeat(users, n_videos), np.tile(np.arange(n_videos), len(users))
        scores[users] = video_affinity(world, 1.0, user, video, np.full(len(user), day)).reshape(-1, n_videos)
    return scores


def errors_of(policy: str, method: str, comparisons: Sequence[Comparison]) -> Errors:
    """How far the curves of several logs are off."""
    found = [one.curves[method] for one in comparisons if method in one.curves]
    n = min(int((one.curve.reaches >= ENOUGH_REACHES).sum()) for one in found)
    true = examination_probability(np.arange(1, n + 1), Dials())
    relative = np.stack([one.curve.q[:n] / true - 1 for one in found])
    within = np.stack([(one.interval.low[:n] <= true) & (true <= one.interval.high[:n]) for one in found])
    known = np.isfinite([one.interval.low[:n] for one in found])[:, 1:]
    held = float(within[:, 1:][known].mean()) if known.any() else float("nan")
    bias = tuple(relative.mean(axis=0).tolist())
    return Errors(policy, method, bias, float(np.abs(relative).max()), held, len(found))


def told(row: Errors) -> str:
    """A line of the table."""
    at = [f"{row.bias[p - 1]:+.1%}" if p <= len(row.bias) else "–" for p in (2, 6, 12)]
    held = "–" if np.isnan(row.held) else f"{row.held:.0%}"
    return (
        f"{row.policy:<9} {row.method:<16} {at[0]:>10} {at[1]:>7} {at[2]:>7} {row.largest_bias:>15.1%} "
        f"{row.worst:>23.1%} {held:>15}  {'yes' if row.worst <= TOLERANCE else 'no'}"
    )


def evaluate(seeds: Sequence[int], n_users: int, policies: Sequence[str] = POLICIES) -> list[Errors]:
    """The errors of all estimators on logs of all policies, a log a seed and policy."""
    comparisons: dict[str, list[Comparison]] = {policy: [] for policy in policies}
    with progress("simulating") as update:
        for done, seed in enumerate(seeds):
            world = make_world(seed, n_users, N_VIDEOS)
            for place, policy in enumerate(policies):
                update(done * len(policies) + place, len(seeds) * len(policies))
                comparisons[policy].append(compare_methods(counted_log(seed, world, policy), Method.IMMERSIVE.value))
        update(len(seeds) * len(policies), len(seeds) * len(policies))
    return [
        errors_of(policy, method, comparisons[policy])
        for policy in policies
        for method in comparisons[policy][0].curves
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True, help="where the errors go, as JSON")
    parser.add_argument("--seed", type=int, default=31, help="of the first shop; the others follow")
    parser.add_argument("--seeds", type=int, default=5, help="how many shops")
    parser.add_argument("--users", type=int, default=8000, help="how many shoppers each has")
    parser.add_argument("--policies", default=",".join(POLICIES), help="which, with commas")
    given = parser.parse_args()
    rows = evaluate(range(given.seed, given.seed + given.seeds), given.users, given.policies.split(","))
    with writing(given.out / "errors.json") as draft:
        draft.write_text(json.dumps([asdict(row) for row in rows], indent=1) + "\n")
    sys.stdout.write("\n".join([HEADING, *map(told, rows)]) + "\n")


if __name__ == "__main__":
    main()
