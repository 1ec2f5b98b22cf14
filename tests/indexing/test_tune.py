"""What the choice of an index rests on, and what it says where no index will do."""

import json
import math

import numpy as np
import pytest
import typer
from typer.testing import CliRunner

from indexing.cli.tune import tune_command
from indexing.embed import EmbedOptions, embed_products, embed_videos
from indexing.publish import build_snapshot
from indexing.tune import Limits, Measured, choose, draw_queries, recall, tune
from retrieval.errors import UnknownItemError
from retrieval.index.protocol import Neighbours
from tests import shop
from tests.encoders import MeanColourEncoder

NO_LIMITS = Limits(math.inf, math.inf, 0.0)


@pytest.fixture(name="vectors", scope="module")
def _vectors():
    return np.random.default_rng(1).normal(size=(6000, 16)).astype(np.float16)


def measured(kind, recall=1.0, p50_ms=2.0, p99_ms=3.0, memory_mb=10.0):
    return Measured(kind, recall, p50_ms, p99_ms, memory_mb, build_s=0.0)


def test_the_fastest_index_within_the_limits_is_chosen():
    kind, reason = choose(
        [
            measured("faiss-fp16", p50_ms=4.0),
            measured("slow", p50_ms=3.0),
            measured("fast", p50_ms=2.0),
            measured("blind", p50_ms=1.0, recall=0.5),
        ],
        Limits(min_recall=0.9),
    )

    assert kind == "fast"
    assert "fastest of the 3 within the limits" in reason


def test_where_exact_search_is_instant_it_is_chosen_before_a_faster_index():
    kind, reason = choose([measured("faiss-fp16", p50_ms=0.4), measured("fast", p50_ms=0.1)], NO_LIMITS)

    assert kind == "faiss-fp16"
    assert "Any index is instant at this size" in reason


def test_an_instant_index_over_a_limit_is_not_chosen():
    kind, _ = choose(
        [measured("faiss-fp16", p50_ms=0.4, memory_mb=20.0), measured("small", p50_ms=0.6)], Limits(max_mb=15.0)
    )

    assert kind == "small"


def test_the_limit_on_latency_is_held_to_the_99th_percentile():
    assert measured("one", p50_ms=1.0, p99_ms=3.0).misses(Limits(max_ms=2.0)) == (
        "p99 3.00 ms is 1.00 ms over --max-ms 2",
    )
    assert measured("one", p50_ms=1.0, p99_ms=2.0).misses(Limits(max_ms=2.0)) == ()


def test_where_no_index_will_do_the_nearest_says_which_limit_it_fails_by_how_much():
    kind, reason = choose(
        [
            measured("two-missed", p99_ms=2.1, memory_mb=10.5),
            measured("nearest", p99_ms=2.0, memory_mb=14.5),
            measured("further", p99_ms=2.0, memory_mb=40.0),
        ],
        Limits(max_ms=2.0, max_mb=10.0),
    )

    assert kind is None
    assert reason == "No index is within the limits; of nearest, the nearest, 14.5 MB is 4.5 MB over --max-mb 10."


def test_limits_of_nothing_and_all_are_still_answered():
    kind, reason = choose([measured("one", recall=0.5)], Limits(max_ms=0.0, max_mb=0.0, min_recall=1.0))

    assert kind is None
    assert "recall 0.5000 is 0.5000 under --min-recall 1" in reason


def test_recall_counts_what_scores_as_the_exact_kth_and_twins_alike():
    # two of three reach 0.5, of the second none of the two found; nothing found counts as missed
    found = Neighbours(np.array([[1, 2, 3], [4, 5, -1]]), np.array([[0.9, 0.5, 0.49], [0.2, 0.1, -np.inf]], np.float32))

    assert recall(found, np.array([0.5, 0.3], np.float32)) == pytest.approx(2 / 6)


def test_every_other_drawn_user_has_touched_one_product_and_the_rest_are_mixtures():
    products = np.eye(40, dtype=np.float16)

    users = draw_queries(products, 10, seed=3)

    touched = (users > 0).sum(axis=1)
    assert touched[::2].tolist() == [1] * 5
    assert (touched[1::2] >= 2).all()
    np.testing.assert_allclose(users.sum(axis=1), 1.0, rtol=1e-6)


def test_the_same_seed_draws_the_same_users():
    products = np.random.default_rng(2).normal(size=(50, 4)).astype(np.float16)

    assert draw_queries(products, 6, seed=1).tolist() == draw_queries(products, 6, seed=1).tolist()
    assert draw_queries(products, 6, seed=1).tolist() != draw_queries(products, 6, seed=2).tolist()


def test_exact_indexes_are_measured_as_exact_and_lists_as_what_they_miss(vectors):
    tuning = tune(vectors, vectors[:100], None, NO_LIMITS, k=10, n_queries=20)

    recalls = {one.kind: one.recall for one in tuning.measured}
    assert recalls["faiss-fp16"] == recalls["faiss-fp32"] == 1.0
    assert recalls["faiss-ivf:nprobe=1"] < recalls["faiss-ivf:nprobe=16"] < recalls["faiss-ivf:nprobe=150"] == 1.0
    assert recalls["faiss-hnsw:ef=64"] <= recalls["faiss-hnsw:ef=512"]
    assert all(0 < one.p50_ms <= one.p99_ms for one in tuning.measured)


def test_memory_is_that_of_the_codes(vectors):
    tuning = tune(vectors, vectors[:100], None, NO_LIMITS, k=5, n_queries=2, families=("faiss-fp16", "faiss-int8"))

    # 6,000 · 16 · 2 bytes and half of that, and a header
    assert [one.memory_mb for one in tuning.measured] == pytest.approx([0.192, 0.096], abs=0.001)


def test_a_filter_is_measured_with(vectors):
    eligible = np.arange(6000) < 300

    tuning = tune(vectors, vectors[:100], eligible, NO_LIMITS, k=500, n_queries=4, families=("faiss-ivf",))

    assert (tuning.n_eligible, tuning.k) == (300, 300)
    assert [one.recall for one in tuning.measured] == [1.0] * len(tuning.measured)  # so few are looked at exactly


def test_a_filter_that_nothing_passes_is_refused(vectors):
    with pytest.raises(UnknownItemError, match="No video passes"):
        tune(vectors, vectors[:5], np.zeros(6000, bool), NO_LIMITS)


def test_without_products_videos_stand_for_users(vectors):
    tuning = tune(vectors, vectors[:0], None, NO_LIMITS, k=1, n_queries=4, families=("faiss-fp16",))

    assert tuning.measured[0].recall == 1.0


@pytest.fixture(name="snapshot", scope="module")
def _snapshot(tmp_path_factory):
    root = tmp_path_factory.mktemp("tune")
    shop.write_shop(root / "shop")
    options = EmbedOptions(frames=2, workers=1)
    embed_videos(root / "shop/videos.parquet", root / "videos", MeanColourEncoder(), options)
    embed_products(root / "shop/products.parquet", root / "products", MeanColourEncoder(), options)
    build_snapshot(root / "videos", root / "products", root / "shop", root / "snapshot")
    return root / "snapshot"


@pytest.fixture(name="run")
def _run(snapshot, tmp_path):
    """Run the command on a snapshot of four videos."""
    app = typer.Typer()
    app.command()(tune_command)
    given = ["--snapshot", str(snapshot), "--out", str(tmp_path / "tune")]
    return lambda *args: CliRunner().invoke(app, [*given, *args], catch_exceptions=False)


def test_the_command_prints_a_table_and_the_line_for_the_project_file_and_draws(run, tmp_path):
    done = run("-k", "2", "--where", "markets=de")

    assert done.exit_code == 0
    assert "2 of 4 videos eligible" in done.stdout
    assert '[index]\nkind = "faiss-fp16"' in done.stdout
    assert (tmp_path / "tune/recall_latency.png").read_bytes().startswith(b"\x89PNG")


def test_the_command_s_json_is_what_it_writes(run, tmp_path):
    done = run("--json", "--skip", "faiss-hnsw", "--max-ms", "1000")

    answer = json.loads(done.stdout)
    assert answer == json.loads((tmp_path / "tune/tune.json").read_text())
    assert {one["kind"].partition(":")[0] for one in answer["measured"]} == {
        "faiss-fp32", "faiss-fp16", "faiss-int8", "faiss-ivf",
    }  # fmt: skip


def test_the_command_says_that_no_index_will_do(run):
    done = run("--max-mb", "0.000001")

    assert "No index is within the limits" in done.stdout
    assert "over --max-mb 1e-06" in done.stdout
    assert "lookreel.toml" not in done.stdout
