"""The contract of every index: the values of brute force, under every filter, with ties broken by row."""

import numpy as np
import pytest

from retrieval.errors import ConfigError
from retrieval.index import BUILDERS, build_index
from retrieval.index.faiss import FaissIndex

DIM = 16
SHARES = [0.0, 0.002, 0.2, 0.5, 0.97, 1.0]


@pytest.fixture(name="vectors", scope="module")
def _vectors():
    return np.random.default_rng(1).normal(size=(1000, DIM)).astype(np.float16)


@pytest.fixture(name="queries", scope="module")
def _queries():
    return np.random.default_rng(2).normal(size=(7, DIM)).astype(np.float32)


def brute_force(vectors, query, k, eligible):
    """Sorted by hand in float64: (row, score) of the k best."""
    scores = [(-float(np.dot(vectors[row].astype(np.float64), query)), row) for row in np.flatnonzero(eligible)]
    return [(row, -score) for score, row in sorted(scores)[:k]]


@pytest.mark.parametrize("kind", BUILDERS)
@pytest.mark.parametrize("share", SHARES)
def test_search_gives_the_rows_and_scores_of_brute_force(kind, share, vectors, queries):
    eligible = np.random.default_rng(3).random(len(vectors)) < share
    expected = [brute_force(vectors, query, 10, eligible) for query in queries]

    found = build_index(kind, vectors).search(queries, 10, eligible)

    n = min(10, int(eligible.sum()))
    assert found.rows[:, :n].tolist() == [[row for row, _ in best] for best in expected]
    np.testing.assert_allclose(found.scores[:, :n], [[score for _, score in best] for best in expected], rtol=1e-5)
    assert (found.rows[:, n:] == -1).all()
    assert np.isneginf(found.scores[:, n:]).all()


@pytest.mark.parametrize("kind", BUILDERS)
@pytest.mark.parametrize("share", [0.3, 0.8, 1.0])
def test_ties_at_the_edge_go_to_the_lowest_rows(kind, share):
    vectors = np.ones((200, DIM), np.float16)
    vectors[150] *= 2
    eligible = np.random.default_rng(4).random(200) < share
    eligible[150] = True

    found = build_index(kind, vectors).search(np.ones((1, DIM), np.float32), 5, eligible)

    others = [row for row in np.flatnonzero(eligible) if row != 150]
    assert found.rows[0].tolist() == [150, *others[:4]]


@pytest.mark.parametrize("kind", BUILDERS)
def test_k_beyond_the_index_is_padded(kind, vectors, queries):
    found = build_index(kind, vectors[:3]).search(queries[:1], 5)

    assert sorted(found.rows[0, :3].tolist()) == [0, 1, 2]
    assert found.rows[0, 3:].tolist() == [-1, -1]


@pytest.mark.parametrize("kind", BUILDERS)
def test_no_query_gives_no_answer(kind, vectors):
    found = build_index(kind, vectors).search(np.empty((0, DIM), np.float32), 5)

    assert found.rows.shape == (0, 5)


def test_eligible_rows_all_at_the_bottom_are_still_found(vectors):
    query = np.ones((1, DIM), np.float32)
    order = np.argsort(vectors.astype(np.float32) @ query[0])
    eligible = np.zeros(len(vectors), bool)
    eligible[order[:450]] = True

    found = FaissIndex(vectors).search(query, 5, eligible)

    assert found.rows[0].tolist() == [row for row, _ in brute_force(vectors, query[0], 5, eligible)]


def test_unknown_kind_is_refused_with_the_known_ones(vectors):
    with pytest.raises(ConfigError, match="faiss-fp16"):
        build_index("annoy", vectors)
