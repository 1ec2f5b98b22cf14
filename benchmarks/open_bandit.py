"""A policy's value from the other policy's log, on the Open Bandit rows, beside what it earned itself.

    python -m benchmarks.open_bandit --data FOLDER

The data (Saito et al. 2021; 10,000 rows a policy and campaign) name no users, so every row is its own. What the learned
policy would have done in a random row is not told; its share of each item at each position, over its own log, stands
for it. It learned as it went, so that is the policy of the average moment.
"""

import argparse
import sys
from pathlib import Path

import numpy as np
import polars as pl

from retrieval.metrics.cluster import Bootstrap
from retrieval.metrics.policy_value import LoggedChoices, PolicyValue, policy_value

LEARNED, RANDOM = "bts", "random"
CAMPAIGNS = ("men", "women")
CEILING = 100.0


def load_rows(folder: Path, policy: str, campaign: str) -> pl.DataFrame:
    columns = ["item_id", "position", "click", "propensity_score"]
    return pl.read_csv(folder / f"{policy}_{campaign}.csv", columns=columns)


def learned_value_log(folder: Path, campaign: str) -> LoggedChoices:
    """The random policy's log, asked about the learned one."""
    counts = load_rows(folder, LEARNED, campaign).group_by("item_id", "position").len()
    shares = counts.with_columns(target=pl.col("len") / pl.col("len").sum().over("position"))
    rows = load_rows(folder, RANDOM, campaign).join(shares, ["item_id", "position"], "left", maintain_order="left")
    return _choices(rows, rows["target"].fill_null(0.0).to_numpy())


def random_value_log(folder: Path, campaign: str) -> LoggedChoices:
    """The learned policy's log, asked about the random one, which says its probability in its own."""
    rows = load_rows(folder, LEARNED, campaign)
    uniform = load_rows(folder, RANDOM, campaign)["propensity_score"][0]
    return _choices(rows, np.full(len(rows), uniform))


def _choices(rows: pl.DataFrame, target: np.ndarray) -> LoggedChoices:
    reward, selection = (rows[name].cast(pl.Float64).to_numpy() for name in ("click", "propensity_score"))
    return LoggedChoices(reward, selection, target, np.arange(len(rows)), len(rows))


WAYS = ((LEARNED, learned_value_log), (RANDOM, random_value_log))


def told(value: PolicyValue) -> list[str]:
    """One line an estimator."""
    named = (
        ("IPS", value.ips),
        ("clipped", value.clipped),
        ("SNIPS", value.snips),
        ("SNIPS, delta", value.snips_delta),
    )
    return [f"{name:<13} {e.mean:.5f} [{e.low:.5f}, {e.high:.5f}] width {e.high - e.low:.5f}" for name, e in named]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="the folder of the campaigns' files")
    folder = parser.parse_args().data
    for campaign in CAMPAIGNS:
        for policy, log in WAYS:
            value = policy_value(log(folder, campaign), Bootstrap(1000), CEILING)
            earned = float(load_rows(folder, policy, campaign)["click"].to_numpy().mean())
            size = value.weights.effective_sample_size
            sys.stdout.write(f"{campaign}, {policy}: earned {earned:.5f}; effective sample size {size:.0f}, ")
            sys.stdout.write(f"largest weight {value.weights.largest:.0f}\n" + "\n".join(told(value)) + "\n")


if __name__ == "__main__":
    main()
