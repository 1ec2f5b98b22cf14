"""Labels beside the truth of a simulated feed."""

import numpy as np
import polars as pl
import pytest

from labelcraft.runs import Run
from retrieval.tables import Columns as C
from sample_shop.feed import make_world, outcomes, simulate_log
from sample_shop.frames import impressions_frame
from sample_shop.label_eval import N_VIDEOS, rows_of, true_interest, write_tables
from sample_shop.watching import Dials

N_USERS = 40


@pytest.fixture(name="world", scope="module")
def _world():
    return make_world(3, N_USERS, N_VIDEOS)


@pytest.fixture(name="shown", scope="module")
def _shown(world):
    log = simulate_log(3, N_USERS, "random", world=world)
    frame = impressions_frame(log, N_USERS, N_VIDEOS, "random").filter(pl.col(C.USER_ID) == "u00007").head(10)
    return log, frame


def test_interest_is_the_world_s_own_truth_on_the_day_of_showing(world, shown):
    log, frame = shown
    rows = np.flatnonzero(log.user == 7)[:10]

    interest = true_interest(world, frame)

    truth = outcomes(3, world, Dials(), log.user[rows], log.video[rows], log.day[rows]).interest
    assert interest[C.USER_ID].to_list() == ["u00007"]
    assert interest["interest"][0] == pytest.approx(truth.mean())


def test_the_difference_is_labelcraft_s_interest_minus_the_other_s(world, shown, tmp_path):
    _, frame = shown
    users = pl.DataFrame({C.USER_ID: ["u00007"], "nwtg": [0.5], "ds": [1.0], "neg": [None]})
    runs = [
        Run(name, 0, ({},), 1, 1.0, users, top, tmp_path)
        for name, top in (("LabelCraft", frame.head(5)), ("WT", frame.tail(5)))
    ]

    crafted, watched = rows_of(world, runs, seed=0)

    assert watched.difference.mean == pytest.approx(crafted.interest.mean - watched.interest.mean)
    assert crafted.difference.mean == 0.0
    assert watched.neg.n == 0
    assert watched.neg.skipped == 1


def test_tables_are_those_of_a_random_feed(tmp_path):
    write_tables(tmp_path, seed=3, n_users=N_USERS)

    impressions = pl.read_parquet(tmp_path / "impressions.parquet")
    assert impressions[C.SYSTEM].unique().to_list() == ["random"]
    assert impressions[C.USER_ID].n_unique() == N_USERS
    assert pl.read_parquet(tmp_path / "videos.parquet").height == N_VIDEOS
