"""The grid search: its points, its choice, and that a killed search ends as an undisturbed one."""

import json
from dataclasses import replace

import pytest

from labelcraft import grid
from labelcraft.compare import CompareRequest, split_of
from labelcraft.grid import Chosen, load_chosen, n_points, next_trial, options_at, space_of, specs_of, with_chosen
from labelcraft.options import CraftOptions, TrainOptions
from labelcraft.train import Epoch
from retrieval.errors import ConfigError
from tests.labelcraft.watched_logs import OPTIONS, write_shop

EPOCH = Epoch(1, 0.5, 0.5, 1.0, 0.5, True, 1.0, {})
QUICK = TrainOptions(backbone="two_tower", max_epochs=1)


@pytest.fixture(name="shop", scope="module")
def _shop(tmp_path_factory):
    folder = tmp_path_factory.mktemp("shop")
    write_shop(folder)
    return folder


@pytest.fixture(name="request_")
def _request(shop, tmp_path):
    (tmp_path / grid.GRID).mkdir()
    craft = CraftOptions(users_a_step=4, start="")
    return CompareRequest(
        "impressions", shop, tmp_path, labels=("WT",), seeds=1, split=OPTIONS, options=QUICK, craft=craft
    )


def study_of(request, spec="WT"):
    space = space_of(spec, len(split_of(request.data, request.path, request.split).train))
    return grid._open_study(request, spec, space)


def told(study):
    return [(trial.params, trial.value) for trial in grid._ended(study)]


def test_the_grid_is_that_of_the_paper():
    assert n_points(space_of("WT", 10**6)) == 4 * 3 * 4
    assert n_points(space_of("WT+EF", 10**6)) == 4 * 3 * 4 * 3
    assert n_points(space_of("LabelCraft", 10**6)) == 4 * 3 * 4 * 11


def test_of_batches_that_hold_all_rows_one_is_tried():
    assert space_of("WT", 5000)["batch_size"] == (4096, 8192)
    assert space_of("WT", 100)["batch_size"] == (4096,)


def test_a_point_becomes_options():
    point = {"learning_rate": 0.1, "batch_size": 8192, "weight_decay": 0.0, "ratio": "1:2"}

    options = options_at(point, QUICK)

    assert options == replace(QUICK, learning_rate=0.1, batch_size=8192, weight_decay=0.0, task_weights=(1.0, 2.0))


def test_three_trials_choose_the_best_of_them(request_):
    progress = [next_trial(request_, "WT", 3) for _ in range(3)]

    chosen = load_chosen(request_, "WT")
    first, second, third = told(study_of(request_))
    best = max(first, second, third, key=lambda trial: trial[1])
    assert first[0] != second[0] != third[0] != first[0]
    assert [(one.done, one.asked) for one in progress] == [(1, 3), (2, 3), (3, 3)]
    assert (chosen.criterion, chosen.options) == (best[1], options_at(best[0], QUICK))
    assert (chosen.trials, chosen.pruned, chosen.tau) == (3, 0, None)


def test_a_killed_search_ends_as_an_undisturbed_one(request_, tmp_path):
    other = replace(request_, out=tmp_path / "other")
    (other.out / grid.GRID).mkdir(parents=True)
    next_trial(request_, "WT", 3)
    next_trial(request_, "WT", 3)
    next_trial(request_, "WT", 3)

    next_trial(other, "WT", 3)
    study_of(other).ask()  # a trial that is running, and whose process is no more
    next_trial(other, "WT", 3)
    next_trial(other, "WT", 3)

    assert told(study_of(other)) == told(study_of(request_))
    assert load_chosen(other, "WT") == load_chosen(request_, "WT")


def test_a_finished_search_is_not_made_again(request_):
    next_trial(request_, "WT", 1)
    before = told(study_of(request_))

    assert next_trial(request_, "WT", 1).done == 1
    assert told(study_of(request_)) == before


def test_more_trials_go_on_from_those_there_are(request_):
    next_trial(request_, "WT", 1)
    first = told(study_of(request_))

    next_trial(request_, "WT", 2)

    assert told(study_of(request_))[0] == first[0]
    assert load_chosen(request_, "WT").trials == 2


def test_a_small_grid_is_searched_whole_without_repeats(request_, monkeypatch):
    monkeypatch.setattr(grid, "RATES", (1e-2, 1e-3))
    monkeypatch.setattr(grid, "DECAYS", (0.0,))

    progress = [next_trial(request_, "WT", 30) for _ in range(2)]

    assert [(one.done, one.asked) for one in progress] == [(1, 2), (2, 2)]
    assert sorted(point["learning_rate"] for point, _ in told(study_of(request_))) == [1e-3, 1e-2]


def test_a_point_that_is_drawn_again_is_not_trained_again(request_, monkeypatch):
    monkeypatch.setattr(grid, "RATES", (1e-3,))
    monkeypatch.setattr(grid, "DECAYS", (0.0, 1e-6))
    monkeypatch.setattr(grid, "RANDOM_TRIALS", 0)
    monkeypatch.setattr(grid, "n_points", lambda space: 9)  # so that the sampler draws, and from two points
    trained = []
    monkeypatch.setattr(grid, "train", lambda *args, **kwargs: trained.append(1) or [EPOCH])

    next_trial(request_, "WT", 4)
    next_trial(request_, "WT", 4)
    next_trial(request_, "WT", 4)

    assert len(told(study_of(request_))) == 3
    assert len(trained) <= 2


def test_a_point_that_diverges_is_pruned_and_not_chosen(request_, monkeypatch):
    monkeypatch.setattr(grid, "RATES", (1e30, 1e-3))
    monkeypatch.setattr(grid, "DECAYS", (0.0,))

    next_trial(request_, "WT", 30)
    next_trial(request_, "WT", 30)

    chosen = load_chosen(request_, "WT")
    assert (chosen.pruned, chosen.options.learning_rate) == (1, 1e-3)


def test_a_search_of_other_options_is_refused(request_):
    next_trial(request_, "WT", 1)

    with pytest.raises(ConfigError, match="holds a search of other data or options"):
        next_trial(replace(request_, options=replace(QUICK, max_epochs=2)), "WT", 1)


def test_a_path_may_hold_what_addresses_may_not(request_, tmp_path):
    odd = replace(request_, out=tmp_path / "a?b#c")
    (odd.out / grid.GRID).mkdir(parents=True)

    next_trial(odd, "WT", 1)

    assert (odd.out / grid.GRID / "WT.db").is_file()
    assert json.loads((odd.out / grid.GRID / "WT.json").read_text())["trials"] == 1


def test_the_temperature_is_searched_for_labelcraft_alone(request_, monkeypatch):
    monkeypatch.setattr(grid, "RATES", (1e-3,))
    begun = replace(request_, craft=replace(request_.craft, start="D2Q"))  # labels from nothing need more than a step

    next_trial(begun, "LabelCraft", 1)

    chosen = load_chosen(begun, "LabelCraft")

    assert chosen.tau in grid.TAUS


def test_what_was_chosen_is_used_for_all_seeds(request_):
    best = Chosen("LabelCraft", replace(QUICK, learning_rate=0.1), 0.3, 0.5, 3, 0)
    asked = replace(request_, labels=("WT", "LabelCraft"), ablations=True)

    made = with_chosen(asked, {"LabelCraft": best})

    variants = {variant.name: variant for variant in made.variants}
    assert specs_of(asked) == ("WT", "LabelCraft")
    assert variants["LabelCraft"].craft.tau == 0.3
    assert made.options_for(variants["LabelCraft w/o B"], 4) == replace(QUICK, learning_rate=0.1, seed=4)
    assert made.options_for(variants["WT"], 4) == replace(QUICK, seed=4)
