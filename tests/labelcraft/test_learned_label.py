"""The learned label: saved and opened like any other, and equal to the model it was made of."""

from pathlib import Path

import numpy as np
import pytest
import torch

from labelcraft.feedback import Feedback
from labelcraft.labels.files import open_label, save_label
from labelcraft.labels.learned import LearnedLabel
from labelcraft.labels.protocol import Head, State
from labelcraft.models.labeler import FeedbackTensors, Labeler, LabelInputs
from retrieval.errors import ConfigError, TableError
from tests.labelcraft.small_models import SCALES

KINDS = ("liked", "shared")
FEEDBACK = Feedback(
    np.array([0.0, 12.5, 90.0, 700.0]),
    np.array([0.0, 30.0, 45.0, 300.0]),
    np.array([[False, False], [True, False], [False, True], [True, True]]),
    KINDS,
)


def label(inputs: LabelInputs | None = None, head: Head = Head.MSE) -> LearnedLabel:
    return LearnedLabel(Labeler(2, SCALES, inputs, seed=4), KINDS, head)


def test_a_saved_label_labels_as_before(tmp_path: Path):
    saved = label(head=Head.BCE)
    save_label(saved, tmp_path / "label")

    opened = open_label(tmp_path / "label")

    assert (opened.name, opened.head) == ("LabelCraft", Head.BCE)
    np.testing.assert_array_equal(opened.transform(FEEDBACK), saved.transform(FEEDBACK))


def test_what_the_model_reads_is_saved_too(tmp_path: Path):
    save_label(label(LabelInputs(duration=False)), tmp_path / "label")

    opened = open_label(tmp_path / "label")

    assert isinstance(opened, LearnedLabel)
    assert opened.labeler.inputs == LabelInputs(duration=False)


def test_labels_are_those_of_the_model():
    made = label()

    values = made.transform(FEEDBACK)

    with torch.no_grad():
        expected = made.labeler.eval()(FeedbackTensors.of(FEEDBACK))
    np.testing.assert_array_equal(values, expected.double().numpy())
    np.testing.assert_array_equal(made.to_unit(values), values)
    assert ((values > 0) & (values < 1)).all()


def test_many_rows_are_labelled_a_part_at_a_time(monkeypatch: pytest.MonkeyPatch):
    at_once = label().transform(FEEDBACK)
    monkeypatch.setattr("labelcraft.labels.learned.ROWS", 3)

    np.testing.assert_allclose(label().transform(FEEDBACK), at_once, rtol=1e-6)


def test_labels_are_those_of_evaluation_whatever_the_model_is_doing():
    made = label()
    made.labeler.train()

    values = made.transform(FEEDBACK[slice(0, 1)])

    np.testing.assert_allclose(values, made.transform(FEEDBACK)[:1], rtol=1e-6)
    assert made.labeler.training


def test_no_rows_have_no_labels():
    assert label().transform(FEEDBACK[slice(0, 0)]).shape == (0,)


def test_other_explicit_kinds_are_refused():
    other = Feedback(FEEDBACK.watch_s, FEEDBACK.duration_s, FEEDBACK.explicit, ("shared", "liked"))

    with pytest.raises(TableError, match="of the explicit feedback liked, shared, but the log holds shared, liked"):
        label().transform(other)


def test_it_is_not_fitted_to_rows():
    with pytest.raises(ConfigError, match="is learned"):
        label().fit(FEEDBACK)


def test_arrays_of_another_model_are_refused():
    state = label().state()

    with pytest.raises(ValueError, match="not those of a labelling model"):
        LearnedLabel.from_state(State({**state.fields, "kinds": ["liked"]}, state.arrays))
