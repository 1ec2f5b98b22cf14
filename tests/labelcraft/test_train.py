"""Training by any label: it learns, it stops, it keeps the best, and it goes on where it was killed."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from numpy.testing import assert_allclose

from labelcraft.evaluate import candidates, measure, score
from labelcraft.labels.registry import make_label
from labelcraft.learners import LEAST_SPREAD, Crafting, Supervised, fit_labeler
from labelcraft.models.labeler import FeedbackTensors
from labelcraft.objectives import Objective
from labelcraft.optimizer import Adam
from labelcraft.options import Ablation, CraftOptions, TrainOptions
from labelcraft.runs import given_labels
from labelcraft.train import Epoch, State, train
from retrieval.errors import ConfigError, ModelError
from tests.labelcraft.watched_logs import split

QUICK = TrainOptions(backbone="two_tower", learning_rate=1e-2, batch_size=128, max_epochs=3)
CRAFT = CraftOptions(labeler_rate=1e-3, users_a_step=8, start="")  # beginning as another label takes seconds


@pytest.fixture(name="parts", scope="module")
def _parts():
    return split()


def supervised(parts, spec="WT", options=QUICK):
    return Supervised(parts, given_labels(spec, parts), options)


def weights(learner):
    return torch.cat([value.flatten().double() for module in learner.modules.values() for value in module.parameters()])


def epoch(number, criterion, may_be_best=True):
    return Epoch(number, criterion, 0.0, 0.0, 0.0, may_be_best, 0.0, {})


@pytest.mark.parametrize("spec", ["WT", "WT+EF"])
def test_a_recommender_learns_what_is_watched_longer(parts, spec):
    learner = supervised(parts, spec, replace(QUICK, max_epochs=6))
    asked = candidates(parts, parts.test)
    before = measure(asked, score(learner.model, asked, learner.weights)).means[0]

    train(parts, learner, replace(QUICK, max_epochs=6))

    assert measure(asked, score(learner.model, asked, learner.weights)).means[0] > before + 0.05


def test_labelcraft_raises_the_objective_of_its_hold_out_users(parts):
    options = replace(QUICK, max_epochs=6)

    epochs = train(parts, Crafting(parts, options, CRAFT), options)

    assert epochs[-1].noted["watch"] > epochs[0].noted["watch"] + 0.02
    assert epochs[-1].noted["labels_std"] > LEAST_SPREAD


def test_running_statistics_follow_the_labelling_model_while_it_moves(parts):
    learner = Crafting(parts, QUICK, replace(CRAFT, labeler_rate=1e-2))
    batch_norm = learner.labeler.layers[-1]
    rows = learner.rows[:128]

    learner.step(rows, 0)

    # momentum 0.1 from a mean of 0, once for the gradient and once for the labels after the update
    moved = batch_norm.running_mean.item()
    assert batch_norm.num_batches_tracked.item() == 2
    before, after = (_logits_mean(Crafting(parts, QUICK, CRAFT), rows), _logits_mean(learner, rows))
    assert moved == pytest.approx(0.9 * 0.1 * before + 0.1 * after, rel=1e-4)


def _logits_mean(learner, rows):
    with torch.no_grad():
        layers = learner.labeler.layers[:-1]
        given = FeedbackTensors.of(learner._split.data.log.feedback[rows])
        return layers(learner.labeler._read(given)).mean().item()


@pytest.mark.parametrize("make", [supervised, lambda parts: Crafting(parts, QUICK, CRAFT)])
def test_a_training_that_was_killed_ends_with_the_same_weights(parts, tmp_path, make):
    undisturbed, killed, resumed = make(parts), make(parts), make(parts)

    def kill(done):
        if done.number == 2:
            raise KeyboardInterrupt

    train(parts, undisturbed, QUICK)
    with pytest.raises(KeyboardInterrupt):
        train(parts, killed, QUICK, tmp_path, kill)
    epochs = train(parts, resumed, QUICK, tmp_path)

    assert [e.number for e in epochs] == [1, 2, 3]
    assert torch.equal(weights(undisturbed), weights(resumed))


def test_a_finished_training_is_not_repeated(parts, tmp_path):
    first, again = supervised(parts), supervised(parts)
    train(parts, first, QUICK, tmp_path)

    train(parts, again, QUICK, tmp_path, lambda done: pytest.fail("an epoch was run"))

    assert torch.equal(weights(first), weights(again))


def test_a_checkpoint_of_other_options_is_refused(parts, tmp_path):
    train(parts, supervised(parts), QUICK, tmp_path)

    with pytest.raises(ModelError, match="other options"):
        train(parts, supervised(parts), replace(QUICK, max_epochs=4), tmp_path)


def test_a_checkpoint_of_other_labels_is_refused(parts, tmp_path):
    train(parts, supervised(parts, "WT"), QUICK, tmp_path / "given")
    train(parts, Crafting(parts, QUICK, CRAFT), QUICK, tmp_path / "learned")

    with pytest.raises(ModelError, match="other options"):
        train(parts, supervised(parts, "D2Q"), QUICK, tmp_path / "given")
    with pytest.raises(ModelError, match="other options"):
        train(parts, Crafting(parts, QUICK, replace(CRAFT, tau=0.9)), QUICK, tmp_path / "learned")


def test_a_damaged_checkpoint_is_refused(parts, tmp_path):
    train(parts, supervised(parts), QUICK, tmp_path)
    (tmp_path / "3-checkpoint.safetensors").write_bytes(b"no tensors")

    with pytest.raises(ModelError, match="damaged"):
        train(parts, supervised(parts), QUICK, tmp_path)


def test_the_best_epoch_is_left_in_the_learner(parts):
    learner, kept = supervised(parts), {}

    epochs = train(parts, learner, QUICK, on_epoch=lambda done: kept.update({done.number: weights(learner)}))

    best = max(epochs, key=lambda e: e.criterion).number
    assert torch.equal(weights(learner), kept[best])


def test_training_stops_when_nothing_better_came_for_long_enough():
    state = State([epoch(1, 0.1), epoch(2, 0.3), epoch(3, 0.2), epoch(4, 0.30005)])

    assert state.is_over(replace(QUICK, patience=2, max_epochs=9))  # a rise below min_gain is none
    assert not state.is_over(replace(QUICK, patience=3, max_epochs=9))
    assert state.is_over(replace(QUICK, patience=9, max_epochs=4))


def test_an_epoch_whose_labels_collapsed_is_not_the_best():
    state = State([epoch(1, 0.1), epoch(2, 0.9, may_be_best=False), epoch(3, 0.2)])

    assert state.best_epoch.number == 3


def test_collapsed_labels_are_taken_back_and_learned_more_slowly(parts):
    learner = Crafting(parts, QUICK, CRAFT)
    learner.step(learner.rows[:64], 0)
    spread = learner.labels_of(learner.rows).std()
    with torch.no_grad():
        for parameter in learner.labeler.parameters():
            parameter.zero_()

    sound, _ = learner.end_epoch()

    assert not sound
    assert learner.labels_of(learner.rows).std() == pytest.approx(spread, abs=0.1)
    assert learner.optimizers["labeler"].learning_rate == CRAFT.labeler_rate / 2


def test_the_labelling_model_begins_as_the_label_it_is_given(parts):
    feedback = parts.data.log.feedback[parts.train]
    label = make_label("D2Q").fit(feedback)
    learner = Crafting(parts, QUICK, CRAFT)
    before = np.corrcoef(learner.labels_of(parts.train), label.transform(feedback))[0, 1]

    fit_labeler(learner.labeler, label, feedback, seed=0)

    assert np.corrcoef(learner.labels_of(parts.train), label.transform(feedback))[0, 1] > max(before + 0.2, 0.8)


def test_a_learned_label_trains_another_recommender(parts):
    crafting = Crafting(parts, QUICK, CRAFT)
    train(parts, crafting, QUICK)
    feedback = parts.data.log.feedback[parts.train]

    labels = crafting.label.transform(feedback)

    assert_allclose(labels, crafting.labels_of(parts.train), atol=1e-6)
    assert Supervised(parts, (crafting.label,), QUICK).step(parts.train[:64], 0)["loss"] > 0


def test_baselines_train_on_the_hold_out_rows_and_labelcraft_does_not(parts):
    assert set(parts.holdout) <= set(supervised(parts).rows)
    assert not set(parts.holdout) & set(Crafting(parts, QUICK, CRAFT).rows)
    assert not set(parts.stop) & set(supervised(parts).rows)


@pytest.mark.parametrize(
    ("ablation", "expected"),
    [("WO", (False, True, True)), ("EO", (True, False, True)), ("DO", (True, True, False)), ("", (True, True, True))],
)
def test_an_ablation_takes_away_the_objective_that_it_names(ablation, expected):
    objective = CraftOptions(ablation=Ablation(ablation)).objective(10)

    assert (objective.watch, objective.explicit, objective.spread) == expected
    assert isinstance(objective, Objective)


@pytest.mark.parametrize(
    ("ablation", "expected"),
    [("WI", (False, True, True)), ("DI", (True, False, True)), ("EI", (True, True, False)), ("B", (True, True, True))],
)
def test_an_ablation_takes_away_the_input_that_it_names(ablation, expected):
    inputs = CraftOptions(ablation=Ablation(ablation)).inputs

    assert (inputs.watch, inputs.duration, inputs.explicit) == expected


def test_without_balancing_all_objectives_weigh_alike(parts):
    learner = Crafting(parts, QUICK, replace(CRAFT, ablation=Ablation.BALANCING, tau_times=100.0))

    noted = learner.step(learner.rows[:64], 0)

    assert noted["watch_weight"] == pytest.approx(1 / 3)


def test_without_scaling_seconds_are_the_objective(parts):
    learner = Crafting(parts, QUICK, replace(CRAFT, ablation=Ablation.SCALING))

    assert learner.step(learner.rows[:64], 0)["watch"] > 1.0  # seconds, about ten


def test_a_k_that_no_user_reaches_is_refused(parts):
    with pytest.raises(ConfigError, match="No hold-out user"):
        Crafting(parts, replace(QUICK, k=50), CRAFT)
    with pytest.raises(ConfigError, match="No stopping user"):
        train(parts, supervised(parts), replace(QUICK, k=50))


def test_more_tasks_than_weights_are_refused(parts):
    with pytest.raises(ConfigError, match="2 tasks and 1 weights"):
        supervised(parts, "WT+EF", replace(QUICK, task_weights=(1.0,)))


def test_the_preconditioner_is_that_of_the_steps_before():
    layer = torch.nn.Linear(1, 1, bias=False)
    optimizer = Adam(layer, 0.1)
    assert optimizer.preconditioner() is None

    optimizer.step({"weight": torch.tensor([[2.0]])})

    # v̂ = (1 − β₂) g² / (1 − β₂) = 4, so P = 1/(2 + ε)
    assert optimizer.preconditioner()["weight"].item() == pytest.approx(0.5)


def test_an_optimizer_goes_on_from_its_state():
    first, second = torch.nn.Linear(2, 1), torch.nn.Linear(2, 1)
    second.load_state_dict(first.state_dict())
    one, other = Adam(first, 0.1), Adam(second, 0.1)
    gradients = {name: torch.ones_like(value) for name, value in first.named_parameters()}
    one.step(gradients)
    one.slow_down()
    second.load_state_dict(first.state_dict())

    other.take(one.state())
    one.step(gradients)
    other.step(gradients)

    assert other.learning_rate == 0.05
    assert torch.equal(first.weight, second.weight)


def test_feedback_of_a_row_becomes_its_label(parts):
    learner = Crafting(parts, QUICK, CRAFT)
    given = FeedbackTensors.of(parts.data.log.feedback[parts.train[:5]])
    learner.labeler.eval()

    assert_allclose(learner.labeler(given).detach(), learner.labels_of(parts.train[:5]), atol=1e-6)
