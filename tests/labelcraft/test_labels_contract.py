"""What holds of every label that is fitted on rows."""

import numpy as np
import pytest

from labelcraft.feedback import Feedback
from labelcraft.labels.protocol import Head, Invertible, unit_labels
from labelcraft.labels.registry import LABELS, make_label
from retrieval.errors import TableError
from tests.labelcraft.feedback_rows import drawn, feedback, real_rows

EVERY = pytest.mark.parametrize("name", list(LABELS))
FITTED = pytest.mark.parametrize("name", [name for name in LABELS if name != "EF"])
TRAINING = drawn(5000, seed=0)
LATER = drawn(400, seed=1)


@EVERY
def test_units_are_of_float32_between_0_and_1_and_differ(name):
    units = unit_labels(make_label(name).fit(TRAINING), LATER)

    assert units.dtype == np.float32
    assert units.shape == (400,)
    assert units.min() >= 0
    assert units.max() <= 1
    assert units.std() > 0.05


@EVERY
def test_a_label_says_its_name_and_head(name):
    label = make_label(name)

    assert label.name == name
    assert label.head in Head


@FITTED
def test_fitting_returns_a_new_label_and_leaves_the_old_alone(name):
    label = make_label(name)

    fitted = label.fit(TRAINING)

    assert fitted is not label
    with pytest.raises(ValueError, match=f"{name} was not fitted"):
        label.transform(LATER)
    with pytest.raises(ValueError, match=f"{name} was not fitted"):
        label.state()


@EVERY
def test_rows_that_come_later_change_no_label(name):
    label = make_label(name).fit(TRAINING)
    before = label.transform(LATER[:100])

    moved = feedback([9e5] * 400, [1e4] * 400)
    label.transform(moved)
    together = label.transform(joined(LATER[:100], moved))

    np.testing.assert_array_equal(together[:100], before)


def joined(first, second):
    return Feedback(
        np.concatenate([first.watch_s, second.watch_s]),
        np.concatenate([first.duration_s, second.duration_s]),
        np.concatenate([first.explicit, second.explicit]),
        first.kinds,
    )


@EVERY
def test_the_order_of_training_rows_does_not_matter(name):
    order = np.random.default_rng(2).permutation(len(TRAINING))

    shuffled = make_label(name).fit(TRAINING[order])

    expected = make_label(name).fit(TRAINING).transform(LATER)
    np.testing.assert_allclose(shuffled.transform(LATER), expected, rtol=1e-12, atol=1e-12)


@EVERY
def test_no_rows_have_no_labels(name):
    label = make_label(name).fit(TRAINING)

    assert unit_labels(label, LATER[:0]).shape == (0,)


@FITTED
def test_no_training_row_is_said_with_its_cure(name):
    with pytest.raises(TableError, match=f"{name} cannot be fitted: there is no training row.\nGive a longer log"):
        make_label(name).fit(LATER[:0])


@FITTED
def test_one_training_row_is_enough_to_label_any_other(name):
    label = make_label(name).fit(feedback([4.0], [10.0]))

    units = unit_labels(label, LATER)

    assert np.isfinite(units).all()


@EVERY
def test_labels_that_can_be_inverted_say_so(name):
    assert isinstance(make_label(name), Invertible) == (name in {"WT", "PCR", "D2Q", "DVR"})


@EVERY
def test_real_rows_are_labelled_from_those_before_them(name):
    rows = real_rows()

    units = unit_labels(make_label(name).fit(rows[:30_000]), rows[30_000:])

    assert units.shape == (11_828,)
    assert np.isfinite(units).all()
    assert 0 <= units.min() < units.max() <= 1
