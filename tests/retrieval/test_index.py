"""The contract of every index: complete answers under every filter, and from exact ones the values of brute force."""

import numpy as np
import pytest

from retrieval.index import BUILDERS, build_index
from retrieval.index.faiss_install import count_gpus

DIM = 16
SHARES = [0.0, 0.002, 0.05, 0.2, 0.5, 0.97, 1.0]
NO_GPU = pytest.mark.skipif(count_gpus() == 0, reason="FAISS sees no GPU here")
GPU_KINDS = [pytest.param(kind, marks=[pytest.mark.gpu, NO_GPU]) for kind in BUILDERS if kind.startswith("gpu")]
EXACT = ["exact", "faiss-fp16", "faiss-fp32"]
APPROXIMATE = ["faiss-int8", "faiss-ivf:nprobe=8", "faiss-hnsw:ef=64"]
ALL_KINDS = [*EXACT, *APPROXIMATE, *GPU_KINDS]


@pytest.fixture(name="vectors", scope="module")
def _vectors():
    return np.random.default_rng(1).normal(size=(1000, DIM)).astype(np.float16)


@pytest.fixture(name="queries", scope="module")
def _queries():
    return np.random.default_rng(2).normal(size=(7, DIM)).astype(np.float32)


@pytest.fixture(name="crowd", scope="module")
def _crowd():
    """12,000 vectors around 60 centres: so many that filters leave more than approximate indexes just multiply."""
    rng = np.random.default_rng(3)
    return (rng.normal(size=(60, DIM))[np.arange(12_000) % 60] + 0.2 * rng.normal(size=(12_000, DIM))).astype(
        np.float16
    )


@pytest.fixture(name="indexes", scope="module")
def _indexes(crowd):
    """The index of a kind over the crowd, built once."""
    built = {}
    return lambda kind: built[kind] if kind in built else built.setdefault(kind, build_index(kind, crowd))


def brute_force(vectors, query, k, eligible):
    """Sorted by hand in float64: (row, score) of the k best."""
    scores = [(-float(np.dot(vectors[row].astype(np.float64), query)), row) for row in np.flatnonzero(eligible)]
    return [(row, -score) for score, row in sorted(scores)[:k]]


def recall(found, vectors, queries, k, eligible):
    """The share of brute force's *k* best that was found."""
    expected = [{row for row, _ in brute_force(vectors, query, k, eligible)} for query in queries]
    return np.mean([len(best & set(rows.tolist())) / k for best, rows in zip(expected, found.rows, strict=True)])


@pytest.mark.parametrize("kind", [*EXACT, GPU_KINDS[0]])
@pytest.mark.parametrize("share", SHARES)
def test_an_exact_search_gives_the_rows_and_scores_of_brute_force(kind, share, vectors, queries):
    eligible = np.random.default_rng(3).random(len(vectors)) < share
    expected = [brute_force(vectors, query, 10, eligible) for query in queries]

    found = build_index(kind, vectors).search(queries, 10, eligible)

    n = min(10, int(eligible.sum()))
    assert found.rows[:, :n].tolist() == [[row for row, _ in best] for best in expected]
    np.testing.assert_allclose(found.scores[:, :n], [[score for _, score in best] for best in expected], rtol=1e-5)
    assert (found.rows[:, n:] == -1).all()
    assert np.isneginf(found.scores[:, n:]).all()


@pytest.mark.parametrize("kind", EXACT)
@pytest.mark.parametrize("share", [0.02, 0.3, 0.9])
@pytest.mark.parametrize("n_queries", [1, 24])
def test_an_exact_search_of_many_rows_is_that_of_brute_force_alone_and_in_a_batch(
    kind, share, n_queries, crowd, indexes
):
    queries = np.random.default_rng(5).normal(size=(n_queries, DIM)).astype(np.float32)
    eligible = np.random.default_rng(6).random(len(crowd)) < share

    found = indexes(kind).search(queries, 10, eligible)

    assert found.rows.tolist() == [[row for row, _ in brute_force(crowd, query, 10, eligible)] for query in queries]


@pytest.mark.parametrize("kind", EXACT)
@pytest.mark.parametrize("share", [0.1, 0.3, 0.8, 1.0])
def test_ties_at_the_edge_go_to_the_lowest_rows(kind, share):
    vectors = np.ones((200, DIM), np.float16)
    vectors[150] *= 2
    eligible = np.random.default_rng(4).random(200) < share
    eligible[150] = True

    found = build_index(kind, vectors).search(np.ones((1, DIM), np.float32), 5, eligible)

    others = [row for row in np.flatnonzero(eligible) if row != 150]
    assert found.rows[0].tolist() == [150, *others[:4]]


@pytest.mark.parametrize("kind", EXACT)
def test_ties_across_the_parts_of_a_large_index_go_to_the_lowest_rows(kind):
    vectors = np.ones((140_000, 4), np.float16)  # half of them are more than is decoded or gathered at once
    eligible = np.arange(140_000) % 2 == 1

    found = build_index(kind, vectors).search(np.ones((1, 4), np.float32), 3, eligible)

    assert found.rows.tolist() == [[1, 3, 5]]


@pytest.mark.parametrize("kind", EXACT)
@pytest.mark.parametrize("dim", [24, 40, 72, 100])  # FAISS adds in another order where 16 does not divide it
@pytest.mark.parametrize("share", [0.05, 0.4, 0.95, 1.0])
@pytest.mark.parametrize("n_queries", [1, 24])
def test_twins_at_the_edge_go_to_the_lowest_rows_in_any_dimension(kind, dim, share, n_queries):
    rng = np.random.default_rng(9)
    vectors = np.repeat(rng.normal(size=(300, dim)).astype(np.float16), 5, axis=0)[rng.permutation(1500)]
    queries = rng.normal(size=(n_queries, dim)).astype(np.float32)
    eligible = rng.random(1500) < share
    expected = [brute_force(vectors, query, 12, eligible) for query in queries]

    found = build_index(kind, vectors).search(queries, 12, eligible)

    assert found.rows.tolist() == [[row for row, _ in best] for best in expected]
    np.testing.assert_allclose(found.scores, [[score for _, score in best] for best in expected], rtol=1e-5)


@pytest.mark.parametrize("kind", ALL_KINDS)
def test_k_beyond_the_index_is_padded(kind, vectors, queries):
    found = build_index(kind, vectors[:3]).search(queries[:1], 5)

    assert sorted(found.rows[0, :3].tolist()) == [0, 1, 2]
    assert found.rows[0, 3:].tolist() == [-1, -1]
    assert np.isneginf(found.scores[0, 3:]).all()


@pytest.mark.parametrize("kind", ALL_KINDS)
def test_no_query_gives_no_answer(kind, vectors):
    found = build_index(kind, vectors).search(np.empty((0, DIM), np.float32), 5)

    assert found.rows.shape == found.scores.shape == (0, 5)


@pytest.mark.parametrize("kind", ALL_KINDS)
def test_where_nothing_is_eligible_the_answer_is_empty(kind, vectors, queries):
    found = build_index(kind, vectors).search(queries, 5, np.zeros(len(vectors), bool))

    assert (found.rows == -1).all()
    assert np.isneginf(found.scores).all()


@pytest.mark.parametrize("kind", EXACT)
def test_an_index_of_nothing_gives_nothing(kind, queries):
    found = build_index(kind, np.empty((0, DIM), np.float16)).search(queries, 5)

    assert (found.rows == -1).all()


@pytest.mark.parametrize("kind", ALL_KINDS)
@pytest.mark.parametrize("share", [0.0005, 0.01, 0.5, 0.9])
@pytest.mark.parametrize("k", [1, 100])
def test_an_answer_is_complete_under_a_filter_without_the_ineligible_or_twins(kind, share, k, crowd, indexes):
    eligible = np.random.default_rng(7).random(len(crowd)) < share
    n = min(k, int(eligible.sum()))

    found = indexes(kind).search(crowd[:5].astype(np.float32), k, eligible)

    assert (found.rows[:, :n] >= 0).all()
    assert eligible[found.rows[:, :n]].all()
    assert (found.rows[:, n:] == -1).all()
    assert [len(set(row.tolist())) for row in found.rows[:, :n]] == [n] * 5
    assert (np.diff(found.scores[:, :n]) <= 0).all()


@pytest.mark.parametrize("kind", ALL_KINDS)
def test_eligible_rows_far_from_the_query_are_still_found(kind, crowd, indexes):
    query = np.ones((1, DIM), np.float32)
    order = np.argsort(crowd.astype(np.float32) @ query[0])
    eligible = np.zeros(len(crowd), bool)
    eligible[order[:6000]] = True  # the lower half: all that a plain scan meets first is ineligible

    found = indexes(kind).search(query, 100, eligible)

    assert (found.rows >= 0).all()
    assert eligible[found.rows].all()


@pytest.mark.parametrize("kind", EXACT)
def test_exact_indexes_find_the_best_of_far_rows(kind, crowd, indexes):
    query = np.ones((1, DIM), np.float32)
    order = np.argsort(crowd.astype(np.float32) @ query[0])
    eligible = np.zeros(len(crowd), bool)
    eligible[order[:6000]] = True

    found = indexes(kind).search(query, 5, eligible)

    assert found.rows[0].tolist() == [row for row, _ in brute_force(crowd, query[0], 5, eligible)]


@pytest.mark.parametrize("kind", ALL_KINDS)
@pytest.mark.parametrize("share", [0.05, 0.6, 1.0])
def test_nearly_all_of_the_best_are_found_in_an_easy_crowd(kind, share, crowd, indexes):
    queries = crowd[:20].astype(np.float32)
    eligible = np.random.default_rng(8).random(len(crowd)) < share

    found = indexes(kind).search(queries, 10, eligible)

    assert recall(found, crowd, queries, 10, eligible) >= 0.95


@pytest.mark.parametrize("kind", ALL_KINDS)
def test_scores_are_the_inner_products_with_the_stored_values(kind, crowd, indexes):
    query = crowd[:1].astype(np.float32)

    found = indexes(kind).search(query, 20)

    np.testing.assert_allclose(found.scores[0], crowd[found.rows[0]].astype(np.float32) @ query[0], rtol=1e-5)


@pytest.mark.parametrize(
    ("kind", "exact"), [*((kind, True) for kind in EXACT), *((kind, False) for kind in APPROXIMATE)]
)
def test_an_index_says_whether_it_is_exact(kind, exact, indexes):
    assert indexes(kind).exact is exact
