"""A comparison's runs: made once, kept as files, taken up where they were left."""

import json
from dataclasses import replace

import numpy as np
import pytest

from labelcraft.compare import ALL_LABELS, CompareRequest, compare, load_runs
from labelcraft.labels.files import read_manifest
from labelcraft.options import CraftOptions, TrainOptions
from retrieval.errors import ConfigError
from tests.labelcraft.watched_logs import A_DAY, N_USERS, OPTIONS, split, write_shop

QUICK = TrainOptions(backbone="two_tower", learning_rate=1e-2, batch_size=256, max_epochs=2)


@pytest.fixture(name="request_", scope="module")
def _request(tmp_path_factory):
    folder = tmp_path_factory.mktemp("shop")
    write_shop(folder)
    return CompareRequest(
        "impressions", folder, folder / "out", labels=("WT", "LabelCraft"), seeds=2, split=OPTIONS, options=QUICK,
        craft=CraftOptions(users_a_step=8, start=""), processes=1,
    )  # fmt: skip


@pytest.fixture(name="out", scope="module")
def _out(request_):
    return compare(request_)


def test_every_label_is_trained_with_every_seed_and_references_stand_beside(out):
    runs = load_runs(out)

    learned = sorted((run.name, run.seed) for run in runs if not run.is_reference)
    assert learned == [("LabelCraft", 0), ("LabelCraft", 1), ("WT", 0), ("WT", 1)]
    assert {"random", "oracle of NWTG", "oracle of DS", "popularity"} <= {run.name for run in runs}


def test_a_run_has_a_row_for_each_test_user_and_its_top_k(out):
    run = next(run for run in load_runs(out) if run.name == "WT")

    assert run.users.height == N_USERS
    assert run.top.height == 10 * N_USERS
    assert run.top["rank"].to_list()[:10] == list(range(1, 11))
    # NWTG of the first user from its top list: gains over the best of its candidates
    watched = run.top["watch_time_s"].to_numpy()[:10]
    discount = 1 / np.log2(np.arange(10) + 2)
    parts = split()
    of_user = parts.data.log.feedback.watch_s[parts.test[:A_DAY]]
    ideal = np.sort(of_user)[::-1][:10] @ discount
    assert run.users["nwtg"][0] == pytest.approx(watched @ discount / ideal)


def test_what_is_there_is_not_trained_again(request_, out):
    seen = []
    before = [(file, file.stat().st_mtime_ns) for file in sorted(out.rglob("run.json"))]

    compare(request_, lambda done, total: seen.append((done, total)))

    assert seen == [(4, 4)]
    assert [(file, file.stat().st_mtime_ns) for file in sorted(out.rglob("run.json"))] == before


def test_more_seeds_join_the_runs_that_are_there(request_, out):
    seen = []

    compare(replace(request_, labels=("WT",), seeds=3), lambda done, total: seen.append((done, total)))

    assert seen == [(2, 3), (3, 3)]


def test_a_folder_of_another_comparison_is_refused(request_, out):
    with pytest.raises(ConfigError, match="other data or options"):
        compare(replace(request_, options=replace(QUICK, max_epochs=9)))


def test_a_saved_label_is_compared_by_its_folder(request_, out, tmp_path):
    saved = out / "runs" / "LabelCraft" / "0" / "label"
    asked = replace(request_, labels=(f"mine={saved}",), seeds=1, out=tmp_path)

    compare(asked)

    run = next(run for run in load_runs(tmp_path) if run.name == "mine")
    about = json.loads((run.folder / "run.json").read_text())
    assert about["spec"] == str(saved)
    assert len(about["epochs"]) == 2
    assert saved.is_dir()


def test_labelcraft_is_judged_by_a_recommender_fitted_to_its_final_labels(request_, out, tmp_path):
    saved = out / "runs" / "LabelCraft" / "0"

    given = compare(replace(request_, out=tmp_path / "given", labels=(f"given={saved / 'label'}",), seeds=1))

    by_folder = next(run for run in load_runs(given) if run.name == "given")
    by_name = next(run for run in load_runs(out) if (run.name, run.seed) == ("LabelCraft", 0))
    assert by_name.top.equals(by_folder.top)
    assert [epoch["number"] for epoch in json.loads((saved / "run.json").read_text())["refit"]] == [1, 2]


def test_without_a_refit_labelcraft_is_judged_by_the_recommender_it_was_learned_with(request_, out, tmp_path):
    joint = compare(
        replace(
            request_,
            out=tmp_path / "joint",
            labels=("LabelCraft",),
            seeds=1,
            craft=replace(request_.craft, refit=False),
        )
    )

    (run,) = (run for run in load_runs(joint) if run.name == "LabelCraft")
    refitted = next(run for run in load_runs(out) if (run.name, run.seed) == ("LabelCraft", 0))
    assert json.loads((run.folder / "run.json").read_text())["refit"] == []
    assert not run.top.equals(refitted.top)


def test_a_run_s_label_remembers_how_far_its_rows_reach(out):
    about = read_manifest(out / "runs" / "WT" / "0" / "label")["fitted_on"]

    parts = split()
    watched = parts.data.log.feedback.watch_s[parts.train_of_baselines]
    assert about["rows"] == len(watched)
    assert np.percentile(watched, 95) in about.values()


def test_a_training_in_progress_leaves_nothing_beside_a_finished_run(out):
    assert not list((out / "runs").rglob("*.training"))


def test_ablations_and_temperatures_are_variants_of_labelcraft(request_):
    made = replace(request_, labels=ALL_LABELS, ablations=True, taus=(0.0, 0.5)).variants

    names = [variant.name for variant in made]
    assert names[:10] == list(ALL_LABELS)
    assert names[10:] == [
        *(f"LabelCraft w/o {part}" for part in ("S", "B", "WI", "DI", "EI", "WO", "DO", "EO")),
        "LabelCraft τ=0",
        "LabelCraft τ=0.5",
    ]
    assert made[-1].craft.tau == 0.5


def test_an_empty_folder_holds_no_runs(tmp_path):
    with pytest.raises(ConfigError, match="no finished run"):
        load_runs(tmp_path)
