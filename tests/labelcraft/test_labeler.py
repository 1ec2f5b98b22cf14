"""The labelling model: what it reads, what it leaves out, and its range."""

import pytest
import torch

from labelcraft.models.labeler import FeedbackTensors, Labeler, LabelInputs
from retrieval.errors import ConfigError
from tests.labelcraft.small_models import SCALES, feedback


def labels(inputs: LabelInputs, given: FeedbackTensors) -> torch.Tensor:
    with torch.no_grad():
        return Labeler(2, SCALES, inputs, seed=3).double().eval()(given)


def changed(watch: float = 0.0, duration: float = 0.0, explicit: float = 0.0) -> FeedbackTensors:
    given = feedback(5)
    return FeedbackTensors(given.watch_s + watch, given.duration_s + duration, (given.explicit - explicit).abs())


def test_labels_are_between_0_and_1_even_of_very_long_watches():
    given = FeedbackTensors(torch.tensor([0.0, 1e5]), torch.tensor([0.0, 1e5]), torch.ones(2, 2))

    made = Labeler(2, SCALES).eval()(given)

    assert made.shape == (2,)
    assert ((made > 0) & (made < 1)).all()


@pytest.mark.parametrize("moved", [changed(watch=9.0), changed(duration=9.0), changed(explicit=1.0)])
def test_every_kind_of_feedback_moves_the_label(moved: FeedbackTensors):
    assert (labels(LabelInputs(), moved) - labels(LabelInputs(), feedback(5))).abs().min() > 0


@pytest.mark.parametrize(
    ("inputs", "moved"),
    [
        (LabelInputs(watch=False), changed(watch=9.0)),
        (LabelInputs(duration=False), changed(duration=9.0)),
        (LabelInputs(explicit=False), changed(explicit=1.0)),
    ],
)
def test_what_is_left_out_does_not_move_the_label(inputs: LabelInputs, moved: FeedbackTensors):
    torch.testing.assert_close(labels(inputs, moved), labels(inputs, feedback(5)), rtol=0, atol=0)


def test_only_durations_without_watch_or_explicit_feedback_can_be_read():
    assert labels(LabelInputs(watch=False, explicit=False), feedback(5)).unique().numel() == 5


def test_a_model_of_nothing_is_refused():
    with pytest.raises(ConfigError, match="without any input"):
        Labeler(0, SCALES, LabelInputs(watch=False, duration=False))


def test_an_unknown_duration_is_not_a_very_short_one():
    short, unknown = (FeedbackTensors(torch.ones(1), torch.tensor([d]), torch.zeros(1, 2)) for d in (1e-9, 0.0))
    model = Labeler(2, SCALES).eval()

    assert (model(short) - model(unknown)).abs().item() > 1e-3


def test_a_label_of_nothing_watched_is_not_fixed_at_a_half():
    nothing = FeedbackTensors(torch.zeros(1), torch.zeros(1), torch.zeros(1, 2))
    model = Labeler(2, SCALES).eval()

    torch.sigmoid(model(nothing)).sum().backward()

    assert model.layers[0].bias.grad is not None
    assert model(nothing).item() != 0.5


def test_the_seed_decides_the_weights():
    one, same, other = (Labeler(2, SCALES, seed=seed).state_dict() for seed in (1, 1, 2))

    torch.testing.assert_close(one, same, rtol=0, atol=0)
    assert not torch.equal(one["layers.0.weight"], other["layers.0.weight"])


def test_rows_are_taken_from_all_columns():
    given = feedback(5)

    taken = given[torch.tensor([4, 0])]

    assert taken.watch_s.tolist() == [given.watch_s[4], given.watch_s[0]]
    assert taken.explicit.tolist() == [given.explicit[4].tolist(), given.explicit[0].tolist()]
