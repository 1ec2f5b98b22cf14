"""The scan by int8 finds what a plain scan finds, to the bit, or says that it cannot tell."""

import numpy as np
import pytest

from retrieval.index.coarse import FIRST, make_coarse_scan
from retrieval.index.exact import ExactIndex
from retrieval.index.faiss import FaissIndex, scan
from retrieval.index.faiss_install import load_faiss
from retrieval.index.planner import CACHED_ITEMS

N = CACHED_ITEMS + 4000
RNG = np.random.default_rng(0)


def spread(dim):
    return RNG.normal(size=(N, dim)) / np.sqrt(dim)


def clustered(dim):
    """Around 30 centres, with a common direction and one dimension that is large in all, as in CLIP."""
    vectors = 0.3 * spread(dim) + spread(dim)[np.arange(N) % 30] + 0.5
    vectors[:, 3] += 9.0
    return vectors


def with_copies(dim):
    """Every vector stands twice, so each list has equals, also at its end."""
    vectors = spread(dim)
    vectors[1::2] = vectors[::2]
    return vectors


def constant_in_places(dim):
    vectors = spread(dim)
    vectors[:, :4] = 0.25
    vectors[::3] = 0.0
    return vectors


SHAPES = [spread, clustered, with_copies, constant_in_places]


@pytest.fixture(name="index", scope="module", params=[(shape, dim) for shape in SHAPES for dim in (24, 64)])
def _index(request):
    shape, dim = request.param
    return FaissIndex(shape(dim).astype(np.float16))


def queries_of(index, n=20):
    """Means of three vectors each, as users' are, and one that points away from all."""
    vectors = index._vectors
    asked = vectors[RNG.integers(N, size=(n, 3))].astype(np.float32).mean(axis=1)
    return np.concatenate([asked, -asked[:1]])


@pytest.mark.parametrize("k", [1, 10, 100])
@pytest.mark.parametrize("share", [1.0, 0.6])
def test_a_search_gives_the_rows_and_scores_of_a_plain_scan(index, k, share):
    eligible = np.random.default_rng(1).random(N) < share
    plain = FaissIndex(index._vectors[eligible])
    plain._coarse = None
    rows = np.flatnonzero(eligible)

    for query in queries_of(index):
        found, expected = index.search(query[None], k, eligible), plain.search(query[None], k)

        np.testing.assert_array_equal(found.rows, rows[expected.rows])
        np.testing.assert_array_equal(found.scores, expected.scores)


def test_most_queries_are_answered_by_it_and_not_by_the_plain_scan(index):
    answered = [index._coarse.candidates(query, 10) is not None for query in queries_of(index)]

    assert np.mean(answered) > 0.9


def test_what_it_leaves_out_is_never_among_the_best(index):
    oracle = ExactIndex(index._vectors)

    for query in queries_of(index):
        candidates = index._coarse.candidates(query, 10)

        best = set(oracle.search(query[None], 10).rows[0].tolist())
        assert candidates is None or best <= set(candidates.tolist())


def test_a_coarse_score_is_wrong_by_no_more_than_the_bound(index):
    coarse, exact = index._coarse, index._vectors.astype(np.float64)

    for query in queries_of(index, 5):
        step, whole, error = coarse._rounded(query)
        scores, rows = coarse.index.search(whole[None], N)
        difference = exact[rows[0]] @ query.astype(np.float64) - step * scores[0]

        # The same for all but for the error: what the mean of the vectors adds.
        assert np.ptp(difference) <= 2 * error


def test_vectors_that_int8_cannot_tell_apart_are_left_to_the_plain_scan():
    vectors = np.ones((N, 16)) + 1e-3 * RNG.normal(size=(N, 16))
    vectors[0] = -1000.0  # stretches every dimension's scale over all the others
    index = FaissIndex(vectors.astype(np.float16))
    query = np.ones((1, 16), np.float32)

    found = index.search(query, 10)

    assert index._coarse.candidates(query[0], 10) is None
    expected = scan(index._index, query, 10)
    np.testing.assert_array_equal(found.rows, expected.rows)


@pytest.mark.parametrize("query", [np.zeros(24), np.full(24, np.inf), np.full(24, 1e-45)])
def test_a_query_that_has_no_scale_is_left_to_the_plain_scan(query):
    coarse = make_coarse_scan(load_faiss(), spread(24).astype(np.float16))

    with np.errstate(invalid="ignore"):
        assert coarse.candidates(query.astype(np.float32), 10) is None


def test_more_than_it_fetches_is_left_to_the_plain_scan(index):
    few = index.search(queries_of(index)[:1], 3000)

    assert (few.rows >= 0).all()
    assert index._coarse.candidates(queries_of(index)[0], 3000) is None


def test_few_vectors_are_scanned_as_they_are():
    assert FaissIndex(spread(16)[: FIRST * 2].astype(np.float16))._coarse is None
