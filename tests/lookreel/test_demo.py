"""The demo at its smallest: everything it promises is there, and its figures are those of its lists."""

import json
import sys

import numpy as np
import polars as pl
import pytest
from PIL import Image

from indexing.store import open_store
from judge.judgments import load_judged
from lookreel.demo import DemoOptions, Places, judge_if_able, make_demo, make_room, run_demo
from lookreel.judged_demo import judged_words, recommend_to_held_out
from retrieval.errors import StoreError, UserFacingError
from retrieval.snapshot import open_snapshot
from retrieval.tables import load_tables
from sample_shop.compare import BASELINE, ORACLE, TRUE_INTEREST, compare, make_setting, rank_all

# Graded by metadata: the shipped judge has tests of its own, and .ci/wheel runs the demo with it.
SMALL = DemoOptions(videos=24, products=40, users=24, seed=5, judge="attributes", judged_users=5)


@pytest.fixture(name="demo", scope="module")
def _demo(tmp_path_factory):
    return make_demo(tmp_path_factory.mktemp("demo") / "demo", SMALL)


@pytest.fixture(name="setting", scope="module")
def _setting(demo):
    places = demo.places
    return make_setting(places.shop, load_tables(places.shop), open_snapshot(places.snapshot))


def test_it_leaves_a_picture_a_report_and_a_snapshot(demo):
    with Image.open(demo.places.sheet) as sheet:
        assert sheet.width > 800
        assert sheet.height > 500
    report = json.loads((demo.places.root / "manifest.json").read_text())
    assert report["options"]["seed"] == 5
    assert len(open_snapshot(demo.places.snapshot).video_ids) == 24


def test_true_interest_is_the_mean_over_each_list(demo, setting):
    rows = rank_all(setting, 10)["multimodal"]
    user = 3

    own = [setting.interest[user, row] for row in rows[user] if row >= 0]
    lists = [[setting.interest[u, row] for row in rows[u] if row >= 0] for u in range(len(rows))]

    assert len(own) == 10
    assert demo.comparison.of("multimodal", TRUE_INTEREST).value.mean == pytest.approx(
        np.mean([np.mean(values) for values in lists])
    )


def test_what_is_popular_is_counted_on_other_shoppers_than_those_asked(setting):
    log = setting.log
    asked = log.users.rows(setting.audience.user_ids)

    popular = rank_all(setting, 24)["popularity"][0]

    others = log.statistics(log.end_us, without_users=asked).video_popularity
    everybody = log.statistics(log.end_us).video_popularity
    unseen = [row for row in np.flatnonzero(setting.eligible) if row not in setting.audience.seen[0]]
    assert len(asked) == 12
    assert popular[popular >= 0].tolist() == sorted(unseen, key=lambda row: (-others[row], row))
    # Counting everybody would have given another list, so this test can tell.
    assert popular[popular >= 0].tolist() != sorted(unseen, key=lambda row: (-everybody[row], row))


def test_the_ranker_never_grades_itself(demo, setting):
    with pytest.raises(StoreError, match="would grade itself"):
        compare(setting, open_store(demo.places.products, "products"))


def test_nobody_is_recommended_what_they_saw_or_what_is_not_yet_published(setting):
    for rows in rank_all(setting, 10).values():
        for user in range(len(rows)):
            assert not set(rows[user]) & set(setting.audience.seen[user])
        assert setting.eligible[rows[rows >= 0]].all()


def test_no_system_is_truly_liked_more_than_the_oracle(demo):
    oracle = demo.comparison.of(ORACLE, TRUE_INTEREST).value.mean

    assert all(m.value.mean <= oracle for m in demo.comparison.measured if m.measure == TRUE_INTEREST)
    assert demo.comparison.of(BASELINE, TRUE_INTEREST).difference.mean == 0


def test_the_same_seed_compares_the_same(demo, setting):
    again = compare(setting, open_store(demo.places.content, "products"))

    assert again == demo.comparison


def test_a_folder_of_a_demo_may_be_made_again_and_no_other(demo, tmp_path, monkeypatch):
    (tmp_path / "thesis").mkdir()
    (tmp_path / "thesis/chapter.txt").write_text("mine")

    with pytest.raises(UserFacingError, match="no demo made it"):
        run_demo(tmp_path / "thesis", SMALL, as_json=False, say=print)

    assert (tmp_path / "thesis/chapter.txt").read_text() == "mine"
    assert Places(tmp_path).shop == tmp_path / "shop"


def test_the_judged_lists_are_those_of_the_comparison_for_the_held_out_shoppers_alone(setting):
    user = next(row for row, n in enumerate(setting.audience.events.lengths) if n > 0)
    compared = [setting.snapshot.videos["video_id"][int(row)] for row in rank_all(setting, 10)["multimodal"][user]]

    lists = recommend_to_held_out(setting)

    own = lists.filter(pl.col("user_id") == setting.audience.user_ids[user], pl.col("system") == "multimodal")
    assert own.sort("rank")["video_id"].to_list() == compared
    assert set(lists["user_id"]) == set(setting.audience.user_ids)
    assert set(lists["system"]) == {"multimodal", "recency"}


def test_as_many_shoppers_are_judged_as_were_asked_for_and_all_of_their_lists(demo):
    judged = load_judged(demo.places.judgments)

    assert judged["user_id"].n_unique() == 5
    assert judged.height == 5 * 2 * 10  # shoppers, systems, places
    assert judged["judge"].unique().to_list() == ["attributes"]


def test_what_the_judge_said_are_the_means_of_its_grades(demo):
    top = load_judged(demo.places.judgments).filter(pl.col("rank") <= 5)
    means = {
        system: top.filter(pl.col("system") == system).group_by("user_id").agg(pl.col("expected").mean())["expected"]
        for system in ("multimodal", "recency")
    }

    words = "\n".join(judged_words(demo.judged))

    assert f"multimodal  {means['multimodal'].mean():.2f} ± {means['multimodal'].std():.2f}" in words
    assert f"{means['multimodal'].mean() - means['recency'].mean():+.2f} [" in words
    assert f"{100 * (means['multimodal'].mean() / means['recency'].mean() - 1):+.0f} %" in words
    assert str(demo.places.judgments / "report.html") in words


def test_the_manifest_and_the_page_hold_what_the_judge_said(demo):
    page = (demo.places.judgments / "report.html").read_text()

    report = json.loads((demo.places.root / "manifest.json").read_text())

    assert report["judged"]["run"]["users"] == 5
    assert report["judged"]["report"]["scores"]["systems"] == ["recency", "multimodal"]
    assert report["judged"] == json.loads(json.dumps(demo.numbers["judged"]))
    assert "multimodal" in page


def test_without_a_package_the_comparison_stands_and_says_what_is_missing(demo, setting, monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib", None)

    judged, why = judge_if_able(demo.places, setting, SMALL)

    assert judged is None
    assert "matplotlib" in why


def test_a_judge_that_cannot_be_had_is_refused_before_anything_is_built(tmp_path):
    with pytest.raises(UserFacingError, match="no judge oracle"):
        make_demo(tmp_path / "demo", DemoOptions(judge="oracle"))

    assert not (tmp_path / "demo").exists()


def test_nobody_is_judged_where_no_shoppers_were_asked_for(demo, setting):
    nobody = DemoOptions(judged_users=0)

    assert judge_if_able(demo.places, setting, nobody) == (None, None)


def test_room_is_made_of_all_that_a_demo_made_and_nothing_else(tmp_path):
    made = ["shop", "stores", "snapshot", "judgments"]
    for name in [*made, "notes"]:
        (tmp_path / name).mkdir()
    (tmp_path / "recommendations.parquet").write_text("old")
    (tmp_path / "manifest.json").write_text('{"kind": "demo"}')

    make_room(tmp_path)

    assert sorted(path.name for path in tmp_path.iterdir()) == ["manifest.json", "notes"]
