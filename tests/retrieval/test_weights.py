"""What is left of a sample by weighting it."""

import numpy as np
import pytest

from retrieval.metrics.weights import Weights


def test_equal_weights_keep_the_sample_and_one_large_one_takes_it():
    assert Weights.of(np.full(7, 3.0)).effective_sample_size == pytest.approx(7)
    assert Weights.of(np.array([1e6, 1.0, 1.0])).effective_sample_size == pytest.approx(1, abs=1e-5)


def test_only_weights_above_the_ceiling_are_cut():
    assert Weights.of(np.array([1.0, 2.0, 4.0]), ceiling=2.0).share_clipped == pytest.approx(1 / 3)


def test_parts_add_up():
    first, second = np.array([1.0, 5.0]), np.array([2.0])

    assert Weights.of(first, 4) + Weights.of(second, 4) == Weights.of(np.concatenate([first, second]), 4)


def test_nothing_has_no_size():
    assert np.isnan(Weights().effective_sample_size)
    assert np.isnan(Weights().share_clipped)
