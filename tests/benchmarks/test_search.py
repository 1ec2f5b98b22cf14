"""The search benchmark compares what it says it compares."""

import numpy as np
import pytest

from benchmarks.search import DIM, K, bandwidth_share, fp16_recall, make_crowd, measure_ways, open_ways, overlap
from retrieval.index.exact import ExactIndex


@pytest.fixture(name="crowd", scope="module")
def _crowd():
    return make_crowd(3000, 4)


@pytest.fixture(name="ways", scope="module")
def _ways(crowd):
    return dict(open_ways(crowd, quick=True))


def test_a_crowd_is_of_unit_vectors_the_same_for_the_same_seed(crowd):
    np.testing.assert_allclose(np.linalg.norm(crowd.vectors.astype(np.float32), axis=1), 1.0, atol=1e-3)
    assert crowd.vectors.tobytes() == make_crowd(3000, 4).vectors.tobytes()
    assert crowd.queries.shape == (4, DIM)


@pytest.mark.parametrize("share", [1.0, 0.3, 0.01])
@pytest.mark.parametrize("way", ["ours", "numpy", "flat_selector"])
def test_the_exhaustive_ways_find_the_best(way, share, crowd, ways):
    eligible = np.random.default_rng(1).random(3000) < share

    found = ways[way](crowd.queries[:1], eligible)

    expected = ExactIndex(crowd.vectors).search(crowd.queries[:1], K, eligible).rows
    assert np.sort(found).tolist() == np.sort(expected).tolist()


def test_each_way_is_a_figure_with_its_recall_and_ours_finds_all(crowd, ways):
    eligible = np.random.default_rng(1).random(3000) < 0.5

    measured = measure_ways(crowd, ways, "50%", eligible)

    assert measured.recall_of_ours == 1.0
    assert [figure.figure for figure in measured.figures] == [f"search_p50_3k_50%_{way}" for way in ways]
    assert all(figure.value > 0 for figure in measured.figures)


def test_overlap_is_the_share_of_what_there_was_to_find():
    # of {1, 2} one, of {3} (the other slot is empty) one
    assert overlap(np.array([[1, 9], [3, -1]]), np.array([[1, 2], [3, -1]])) == pytest.approx(2 / 3)


def test_rounding_to_fp16_costs_next_to_nothing():
    figure = fp16_recall(2000, 5)

    assert 0.99 < figure.value <= 1.0


def test_the_scan_is_held_against_a_plain_read(crowd, ways):
    figure = bandwidth_share(crowd, ways["ours"])

    assert figure.value > 0
    assert "GB/s" in figure.detail
