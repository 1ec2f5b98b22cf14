"""What the story is told with: the truth of delivered slots, an outside ranking, and the runs that are compared."""

import json

import polars as pl
import pytest

from labelcraft.evaluation.split_time import find_split
from retrieval.conventional import open_vectors
from retrieval.tables import Columns as C
from sample_shop.build import ShopConfig, build_shop
from sample_shop.policies import Policy
from sample_shop.vcg_eval import SHORTEST, TEST_DAYS, Places, train_runs, truth_of, write_scores


@pytest.fixture(name="places", scope="module")
def _places(tmp_path_factory):
    places = Places(tmp_path_factory.mktemp("story"))
    build_shop(places.shop, ShopConfig(60, 60, 120, seed=3, media=False, policy=Policy.EXPLORE))
    return places


def test_the_truth_of_a_slot_is_what_was_watched_where_it_was_examined(places):
    slots = pl.read_parquet(places.shop / "impressions.parquet")
    videos = pl.read_parquet(places.shop / "videos.parquet").select(C.VIDEO_ID, C.DURATION_S)

    joined = slots.join(truth_of(places).collect(), on=[C.FEED_ID, C.POSITION]).join(videos, on=C.VIDEO_ID)

    watched = pl.col(C.WATCH_TIME_S) >= 0.5 * pl.col(C.DURATION_S)
    assert joined.height == slots.height
    assert joined["label"].null_count() == 0
    assert joined.filter(watched)["label"].all()
    # of what was not looked at, some would have been watched
    assert joined.filter(~pl.col(C.REACHED))["label"].sum() > 0


def test_the_outside_ranking_puts_the_shorter_video_higher(places):
    scores = pl.read_parquet(write_scores(places))
    videos = pl.read_parquet(places.shop / "videos.parquet").select(C.VIDEO_ID, C.DURATION_S)

    joined = scores.join(videos, on=C.VIDEO_ID)

    assert scores[C.SYSTEM].unique().to_list() == [SHORTEST]
    assert joined[C.SCORE].equals(-joined[C.DURATION_S], check_names=False)


def test_runs_know_nothing_of_the_test_days_and_are_made_once(places):
    runs = train_runs(places, {"conventional": "W50"}, seed=3)
    made = (runs["conventional"] / "manifest.json").stat().st_mtime_ns

    again = train_runs(places, {"conventional": "W50"}, seed=3)

    split = find_split(places.shop / "impressions.parquet", test_days=TEST_DAYS)
    assert open_vectors(runs["conventional"]).trained_before_us == split.at_us
    assert (again["conventional"] / "manifest.json").stat().st_mtime_ns == made
    assert json.loads((runs["conventional"] / "metrics.json").read_text())["label"] == "W50"
