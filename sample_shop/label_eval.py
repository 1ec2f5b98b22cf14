"""Labels on a feed whose truth is known: what their recommenders rank first, and how much users truly like it.

    python -m sample_shop.label_eval --out FOLDER

A random policy fills the feed of a simulated shop, with every bias at full strength; no clip is drawn. All labels are
trained and compared as by `lookreel labels compare`, whose page FOLDER then holds, and the true interest in the top 10
is printed beside the metrics, with the paired difference to LabelCraft's.
"""

import argparse
import json
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import polars as pl

from labelcraft.compare import ALL_LABELS, CompareRequest, compare, load_runs
from labelcraft.options import CraftOptions, TrainOptions
from labelcraft.runs import Run
from labelcraft.splits import HistoryRows, SplitOptions
from retrieval.console import progress
from retrieval.folders import writing
from retrieval.metrics.stats import Estimate, bootstrap_crossed
from retrieval.tables import Columns as C
from sample_shop.arrays import Floats
from sample_shop.catalogue import DAY_US
from sample_shop.feed import World, make_world, simulate_log, video_affinity
from sample_shop.frames import impressions_frame, products_frame, videos_frame
from sample_shop.policies import Policy
from sample_shop.watching import Dials, interest_of

LABELCRAFT = "LabelCraft"
HEADING = (
    "label            NWTG@10                  DS@10, s               NEG@10                   interest, LabelCraft −"
)
N_VIDEOS = 600
SPLIT = SplitOptions(days=(8, 3, 3), history_rows=HistoryRows.LIKED)
OPTIONS = TrainOptions(backbone="two_tower", learning_rate=3e-3, batch_size=1024, max_epochs=20, patience=4)
CRAFT = CraftOptions(tau_times=50.0)


@dataclass(frozen=True)
class Row:
    """One label: means over seeds and users with intervals, and *difference*, LabelCraft's true interest minus its."""

    label: str
    nwtg: Estimate
    ds: Estimate
    neg: Estimate
    interest: Estimate
    difference: Estimate


def write_tables(folder: Path, seed: int, n_users: int) -> World:
    """A simulated shop's tables without media, and its truth."""
    world = make_world(seed, n_users, N_VIDEOS)
    log = simulate_log(seed, n_users, Policy.RANDOM, Dials(), world=world)
    folder.mkdir(parents=True, exist_ok=True)
    tables = {
        "impressions": impressions_frame(log, n_users, N_VIDEOS, Policy.RANDOM),
        "videos": videos_frame(world.catalogue),
        "products": products_frame(world.catalogue.products),
    }
    for name, frame in tables.items():
        with writing(folder / f"{name}.parquet") as draft:
            frame.write_parquet(draft)
    return world


def true_interest(world: World, top: pl.DataFrame) -> pl.DataFrame:
    """The mean true interest of each user in its top k on the days they were shown, (user_id, interest)."""
    user, video = (_number(top[column]) for column in (C.USER_ID, C.VIDEO_ID))
    day = (top[C.SHOWN_AT].to_physical().to_numpy() - world.catalogue.start_us) // DAY_US
    interest = interest_of(video_affinity(world, 1.0, user, video, day))
    shown = top.select(C.USER_ID).with_columns(pl.Series("interest", interest))
    return shown.group_by(C.USER_ID, maintain_order=True).mean()


def _number(ids: pl.Series) -> np.ndarray:
    return ids.str.slice(1).cast(pl.Int64).to_numpy()


def rows_of(world: World, runs: Sequence[Run], seed: int) -> list[Row]:
    """The table, by label."""
    interest = {(run.name, run.seed): true_interest(world, run.top)["interest"].to_numpy() for run in runs}
    names = list(dict.fromkeys(run.name for run in runs))
    stacked = {name: np.stack([interest[key] for key in sorted(interest) if key[0] == name]) for name in names}
    return [_row(name, [run for run in runs if run.name == name], stacked, seed) for name in names]


def _row(name: str, runs: Sequence[Run], interest: dict[str, Floats], seed: int) -> Row:
    of_metric = [
        np.stack([run.users[metric].cast(pl.Float64).fill_null(np.nan).to_numpy() for run in runs])
        for metric in ("nwtg", "ds", "neg")
    ]
    rng = np.random.default_rng(seed)
    nwtg, ds, neg = (bootstrap_crossed(values, rng) for values in of_metric)
    seeds = min(len(interest[LABELCRAFT]), len(interest[name]))
    difference = bootstrap_crossed(interest[LABELCRAFT][:seeds] - interest[name][:seeds], rng)
    return Row(name, nwtg, ds, neg, bootstrap_crossed(interest[name], rng), difference)


def _told(row: Row) -> str:
    d = row.difference
    return (
        f"{row.label:<16} {row.nwtg.mean:.4f} [{row.nwtg.low:.4f}, {row.nwtg.high:.4f}]  {row.ds.mean:.3f} "
        f"[{row.ds.low:.3f}, {row.ds.high:.3f}]  {row.neg.mean:.4f} [{row.neg.low:.4f}, {row.neg.high:.4f}]  "
        f"{row.interest.mean:.4f}  {d.mean:+.4f} [{d.low:+.4f}, {d.high:+.4f}]"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True, help="where tables, runs and the page go")
    parser.add_argument("--seed", type=int, default=11, help="of the shop")
    parser.add_argument("--users", type=int, default=6000, help="how many shoppers it has")
    parser.add_argument("--seeds", type=int, default=3, help="how often each label is trained")
    parser.add_argument("--labels", default=",".join(ALL_LABELS), help="which, with commas; LabelCraft among them")
    parser.add_argument("--ablations", action="store_true", help="LabelCraft without each of its parts too")
    given = parser.parse_args()
    world = write_tables(given.out / "shop", given.seed, given.users)
    request = CompareRequest(
        "impressions", given.out / "shop", given.out / "labels", tuple(given.labels.split(",")), given.seeds,
        given.ablations, (), SPLIT, OPTIONS, CRAFT,
    )  # fmt: skip
    with progress("training") as update:
        compare(request, update)
    rows = rows_of(world, load_runs(request.out), given.seed)
    with writing(given.out / "truth.json") as draft:
        draft.write_text(json.dumps([asdict(row) for row in rows], indent=1) + "\n")
    sys.stdout.write("\n".join([HEADING, *map(_told, rows)]) + "\n")


if __name__ == "__main__":
    main()
