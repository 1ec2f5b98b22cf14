import json
import math
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from labelcraft.evaluation.contestants import DELIVERED, Contestant, DeliveredScorer
from labelcraft.evaluation.counted import Odd
from labelcraft.evaluation.headline import headline_of
from labelcraft.evaluation.lists import Content
from labelcraft.evaluation.measuring import measure
from labelcraft.evaluation.results import Level
from labelcraft.evaluation.run import EvaluationRequest, evaluate
from labelcraft.evaluation.shown import load_grades
from retrieval.errors import ConfigError, StoreError, TableError
from retrieval.log import to_us
from retrieval.metrics.cluster import Bootstrap, Verdict
from retrieval.metrics.listwise import Form, Measure, compared
from retrieval.tables import Columns as C
from tests.commands import caller
from tests.labelcraft.evaluation import small_shop
from tests.labelcraft.evaluation.logs import opened, slot
from tests.shop import at


@pytest.fixture(scope="module")
def shop(tmp_path_factory):
    return small_shop.build(tmp_path_factory.mktemp("evaluated"))


def request(shop, **more):
    asked = {"tables": shop / "shop", "snapshot": shop / "snapshot", "split": small_shop.SPLIT, "k": 3} | more
    return EvaluationRequest(n_resamples=200, **asked)


@pytest.fixture(scope="module")
def evaluation(shop):
    return evaluate(request(shop, policy_value=True))


def main_of(system):
    return system.of(Measure.DCG, Form.IPS)


def test_weighted_and_naive_dcg_are_those_of_the_formula(tmp_path):
    slots = [slot("f", 1, "v0", watch_s=1.0), slot("f", 2, "v1"), slot("f", 3, "v2", reached=False)]
    log = opened(tmp_path, [*slots, slot("g", 1, "v3", user="bob")])

    measured = measure(log, [Contestant(DELIVERED, DELIVERED, DeliveredScorer())], k=2)
    found = compared(measured.sums, Bootstrap(100, 0))

    # f has its positive at rank 2 with q = 1/2, g at rank 1 with q = 1; two feeds.
    discount = 1 / math.log2(3)
    assert found.of(DELIVERED, Measure.DCG, Form.NAIVE).mean == pytest.approx((discount + 1) / 2)
    assert found.of(DELIVERED, Measure.DCG, Form.IPS).mean == pytest.approx((2 * discount + 1) / 2)
    assert measured.weights.effective_sample_size == pytest.approx((2 + 1) ** 2 / (4 + 1))
    assert (measured.n_feeds, measured.n_slots, len(measured.reached.label)) == (2, 4, 3)


def test_true_labels_need_no_weights(tmp_path):
    truth = pl.LazyFrame({C.FEED_ID: ["f"] * 2, C.POSITION: [1, 2], "label": [False, True]})
    slots = [slot("f", 1, "v0", watch_s=1.0), slot("f", 2, "v1", reached=False)]

    measured = measure(opened(tmp_path, slots, truth=truth), [Contestant(DELIVERED, DELIVERED, DeliveredScorer())], k=2)

    true = compared(measured.truth, Bootstrap(100, 0)).of(DELIVERED, Measure.DCG, Form.NAIVE)
    assert true.mean == pytest.approx(1 / math.log2(3))
    assert compared(measured.sums, Bootstrap(100, 0)).of(DELIVERED, Measure.DCG, Form.NAIVE).mean == 0.0


def test_the_parts_of_a_log_do_not_change_its_figures(tmp_path):
    slots = [slot(f"f{n}", p, f"v{p}", user=f"u{n % 4}", watch_s=n % 9) for n in range(30) for p in (1, 2, 3)]
    contestants = [Contestant(DELIVERED, DELIVERED, DeliveredScorer())]

    one, many = (measure(opened(tmp_path, slots, rows_per_part=rows), contestants, k=2) for rows in (10_000, 7))

    np.testing.assert_allclose(one.sums[DELIVERED].values, many.sums[DELIVERED].values)
    assert one.counts == many.counts
    assert sorted(one.reached.label.tolist()) == sorted(many.reached.label.tolist())


def test_every_system_is_compared_with_the_baseline_and_the_delivered_order_is_shown(evaluation):
    names = [one.name for one in evaluation.systems]

    assert names == ["random", "recency", "popularity", "multimodal", DELIVERED]
    assert main_of(evaluation.system("recency")).difference is None
    assert main_of(evaluation.system("multimodal")).difference is not None
    assert evaluation.about.n_feeds == 86
    # The feeds were delivered newest first.
    assert main_of(evaluation.system(DELIVERED)).value == main_of(evaluation.system("recency")).value


def test_moving_a_future_event_changes_no_figure(shop, evaluation):
    small_shop.write_interactions(shop / "shop", last=170.0)

    again = evaluate(request(shop, policy_value=True))
    small_shop.write_interactions(shop / "shop")

    assert again.numbers == evaluation.numbers


def test_a_policy_earns_what_was_watched_where_it_would_have_shown_the_same(evaluation):
    policy = evaluation.system("recency").policy

    # Known users reached the newest video before the split, so recency would begin with another one. The six new
    # users got what it shows, and watched all of it: three slots each, of 258 in 86 feeds.
    assert (policy.n_same, policy.n_slots) == (18, 258)
    assert policy.value.ips.mean == pytest.approx(18 / 258)
    assert policy.value.snips.mean == 1.0
    assert policy.mean_weight == pytest.approx(18 / 258)
    assert np.isfinite(policy.listwise.mean)


def test_policy_values_without_selection_propensities_are_refused(shop, tmp_path):
    tables = tmp_path / "shop"
    tables.mkdir()
    for file in (shop / "shop").glob("*.parquet"):
        frame = pl.read_parquet(file)
        frame.drop(C.SELECTION_PROPENSITY, strict=False).write_parquet(tables / file.name)

    with pytest.raises(ConfigError, match="nothing to weight by"):
        evaluate(request(shop, tables=tables, policy_value=True))


def test_a_training_is_compared_with_its_probabilities(shop, tmp_path):
    run = small_shop.write_run(tmp_path / "run", scale=1.0, bias=-0.5)

    found = evaluate(request(shop, systems=("recency",), runs={"vcg": run}))

    vcg = found.system("vcg")
    assert vcg.pointwise.calibration is not None
    assert vcg.pointwise.threshold == 0.5
    assert vcg.unscored == 86  # v5 has no vector: one slot of each of the 86 feeds
    assert vcg.shown.fallback_share == pytest.approx(26 / 46)  # twenty of forty and six new users are unknown to it
    assert any(one.what == Odd.UNSCORED and one.system == "vcg" for one in found.odd)


def test_a_training_that_saw_the_test_is_refused(shop, tmp_path):
    run = small_shop.write_run(tmp_path / "run", to_us(at(101)))

    with pytest.raises(ConfigError, match="has seen answers"):
        evaluate(request(shop, runs={"vcg": run}))


def write_scores(path, feeds, scores):
    pl.DataFrame({C.SYSTEM: "mine", C.FEED_ID: feeds, C.VIDEO_ID: "v5", C.SCORE: scores}).write_parquet(path)
    return path


def test_outside_scores_are_compared_and_what_is_odd_in_them_is_counted(shop, tmp_path):
    feeds = ["u00-4", "u01-4", "u01-4", "u02-4", "another"]
    file = write_scores(tmp_path / "scores.parquet", feeds, [0.5, 0.2, 0.3, float("nan"), 1.0])

    found = evaluate(request(shop, systems=("recency",), scores=file))

    odd = {one.what: one.n for one in found.odd if one.system == "mine"}
    assert odd[Odd.OTHER_FEEDS] == 1
    assert odd[Odd.BAD_SCORE] == 1
    assert odd[Odd.SCORED_TWICE] == 1
    assert odd[Odd.UNSCORED] == found.about.n_slots - 2
    assert found.system("mine").shown is None


def test_scores_of_other_feeds_alone_are_refused(shop, tmp_path):
    file = write_scores(tmp_path / "scores.parquet", ["another"], [1.0])

    with pytest.raises(ConfigError, match="are of other feeds"):
        evaluate(request(shop, systems=("recency",), scores=file))


def test_a_file_of_scores_without_a_column_is_refused(shop, tmp_path):
    pl.DataFrame({C.SYSTEM: ["mine"]}).write_parquet(tmp_path / "scores.parquet")

    with pytest.raises(TableError, match="has no column feed_id"):
        evaluate(request(shop, scores=tmp_path / "scores.parquet"))


@pytest.mark.parametrize(
    ("columns", "words"),
    [
        ({C.FEED_ID: [1]}, "column feed_id is Int64, not text"),
        ({C.SCORE: ["high"]}, "column score is String, not a number"),
        ({C.SYSTEM: pl.Series([None], dtype=pl.String)}, "has no scores of any system"),
    ],
)
def test_a_file_of_scores_of_another_form_is_refused(shop, tmp_path, columns, words):
    table = {C.SYSTEM: ["mine"], C.FEED_ID: ["u00-4"], C.VIDEO_ID: ["v5"], C.SCORE: [1.0]} | columns
    pl.DataFrame(table).write_parquet(tmp_path / "scores.parquet")

    with pytest.raises(TableError, match=words):
        evaluate(request(shop, systems=("recency",), scores=tmp_path / "scores.parquet"))


def test_scores_that_are_no_numbers_are_not_called_those_of_other_feeds(shop, tmp_path):
    file = write_scores(tmp_path / "scores.parquet", ["u00-4", "u01-4"], [float("nan"), None])

    with pytest.raises(ConfigError, match="The scores of mine are null or not finite, all 2 of them"):
        evaluate(request(shop, systems=("recency",), scores=file))


def test_a_log_of_which_no_feed_can_be_tested_is_refused_with_its_counts_and_a_cure(tmp_path):
    log = opened(tmp_path, [slot("f", 1, "v0", examination_propensity=0.0)])

    with pytest.raises(ConfigError, match="1 feeds with an examination propensity") as refused:
        measure(log, [Contestant(DELIVERED, DELIVERED, DeliveredScorer())], k=2)

    assert "--propensities FILE" in refused.value.cure


def test_a_baseline_that_is_not_compared_is_refused(shop):
    with pytest.raises(ConfigError, match="not among the systems"):
        evaluate(request(shop, systems=("random",)))


def test_visual_coherence_is_of_content_and_never_of_the_ranker(shop):
    products = small_shop.PRODUCTS
    content = Content(products, np.eye(3), "content-1", "content")

    found = evaluate(request(shop, systems=("recency",), content="content"), lambda place: content)

    assert 0 <= found.system("recency").shown.coherence[10].mean <= 1
    with pytest.raises(StoreError, match="grade itself"):
        evaluate(request(shop, content="x"), lambda place: replace(content, fingerprint="by-hand-1"))


def test_grades_are_joined_by_user_and_video(shop, tmp_path):
    grades = pl.DataFrame({C.USER_ID: ["u00", "u01"], C.VIDEO_ID: ["v0", "v0"], "expected": [4.0, 2.0]})
    grades.write_parquet(tmp_path / "grades.parquet")

    found = evaluate(request(shop, systems=("recency",), grades=tmp_path / "grades.parquet"))

    # v0 was never shown, so it is in everybody's list of the unseen.
    assert found.system("recency").shown.grades[10].mean == 3.0
    assert found.system("recency").shown.grades[10].n == 2


@pytest.fixture
def call(monkeypatch, capsys):
    return caller(monkeypatch, capsys)


def command(shop, *more):
    folders = ("--tables", shop / "shop", "--snapshot", shop / "snapshot")
    return ("evaluate", "run", *folders, "--split", small_shop.SPLIT, "-k", 3, "--resamples", 200, *more)


def test_grades_of_ids_that_are_no_text_are_refused_rather_than_matched_with_nobody(tmp_path):
    pl.DataFrame({C.USER_ID: [1], C.VIDEO_ID: ["v1"], "grade": [4]}).write_parquet(tmp_path / "grades.parquet")

    with pytest.raises(TableError, match="column user_id is Int64, not text"):
        load_grades(tmp_path / "grades.parquet")


def test_the_page_opens_with_the_verdict_and_is_whole_in_itself(shop, tmp_path, call):
    code, printed, _ = call(*command(shop, "--out", tmp_path / "report"))

    page = (tmp_path / "report" / "report.html").read_text()
    numbers = json.loads((tmp_path / "report" / "report.json").read_text())
    assert code == 0
    assert printed.startswith(numbers["headline"]["line"])
    assert page.index(numbers["headline"]["line"]) < page.index("<h1>")
    assert "<script" not in page
    assert "src=" not in page
    assert "<link" not in page


def test_a_broken_bound_exits_with_3_and_the_report_is_written(shop, tmp_path, call):
    gate = tmp_path / "gate.toml"
    gate.write_text('[gate]\nsystem = "recency"\nk = 3\ncoverage = { min = 2.0 }\n')

    code, printed, _ = call(*command(shop, "--gate", gate, "--out", tmp_path / "report"))

    assert code == 3
    assert "Gate for recency: shut: the share of videos that anybody is shown is" in printed
    assert (tmp_path / "report" / "report.html").exists()


def test_what_cannot_be_told_is_a_dash_and_draws_without_a_warning(shop, tmp_path, call):
    copied = shutil.copytree(shop / "shop", tmp_path / "shop")
    log = pl.read_parquet(copied / "impressions.parquet")
    unwatched = pl.when(C.REACHED).then(0.0).alias(C.WATCH_TIME_S)
    log.with_columns(unwatched).write_parquet(copied / "impressions.parquet")

    code, printed, _ = call(*command(shop, "--tables", copied, "--out", tmp_path / "report"))

    assert code == 0
    assert "nan" not in printed.split()
    assert "No watched video was observed in them." in printed


def test_json_is_the_report(shop, tmp_path, call):
    code, printed, _ = call(*command(shop, "--json", "--out", tmp_path / "report"))

    assert code == 0
    assert json.loads(printed) == json.loads(Path(tmp_path / "report" / "report.json").read_text())


def with_difference(system, mean, low, high, verdict, needed=None):
    """The system with another difference of its main figure."""
    ranked = tuple(
        replace(
            one,
            difference=replace(
                one.difference, estimate=replace(one.difference.estimate, mean=mean, low=low, high=high, n=1200),
                verdict=verdict, users_needed=needed,
            ),
        )
        for one in system.ranked
    )  # fmt: skip
    return replace(system, ranked=ranked)


def headline(evaluation, *difference):
    systems = (with_difference(evaluation.system("multimodal"), *difference), evaluation.system("recency"))
    return headline_of(systems, evaluation.about, evaluation.weights)


def test_the_line_says_better_with_its_interval(evaluation):
    found = headline(evaluation, 0.012, 0.004, 0.02, Verdict.BETTER)

    assert found.level is Level.BETTER
    assert found.line == "multimodal ranks better than recency: DCG@3 by IPS +0.012 [+0.004, +0.020], 1,200 users"


def test_the_line_says_that_nothing_is_as_good_as_the_baseline(evaluation):
    found = headline(evaluation, -0.1, -0.2, -0.05, Verdict.WORSE)

    assert found.level is Level.WORSE
    assert found.line.startswith("no system ranks as well as recency; multimodal comes nearest: DCG@3 by IPS −0.100")


def test_the_line_says_how_many_users_would_tell(evaluation):
    found = headline(evaluation, 0.01, -0.1, 0.1, Verdict.NOT_DISTINGUISHABLE, 43_210)

    assert found.level is Level.OPEN
    assert found.line.endswith("1,200 users; about 43,000 users would tell")
