"""When proposals of rounded scores are taken, held against a search that rounds as a GPU does."""

import numpy as np
import pytest

from retrieval.errors import MissingExtraError
from retrieval.index.exact import ExactIndex
from retrieval.index.gpu import MAX_K, only, proven_best, require_gpu
from retrieval.index.protocol import Neighbours

DIM = 8


@pytest.fixture(name="vectors", scope="module")
def _vectors():
    vectors = np.random.default_rng(1).normal(size=(5000, DIM))
    return (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float16)


def rounding_search(vectors):
    """As a GPU does it: the query becomes fp16."""
    index = ExactIndex(vectors)
    return lambda queries, depth: index.search(queries.astype(np.float16).astype(np.float32), depth)


@pytest.mark.parametrize("length", [0.01, 1.0, 300.0])
def test_proven_answers_are_those_of_the_oracle_whatever_the_query_s_length(length, vectors):
    queries = np.random.default_rng(2).normal(size=(20, DIM)).astype(np.float32) * np.float32(length)

    found = proven_best(rounding_search(vectors), vectors, 1.001, queries, 20, None, len(vectors))

    assert found.rows.tolist() == ExactIndex(vectors).search(queries, 20).rows.tolist()


def test_a_filter_leaves_out_the_ineligible_of_the_proposals(vectors):
    queries = np.random.default_rng(3).normal(size=(5, DIM)).astype(np.float32)
    eligible = np.arange(len(vectors)) % 2 == 0

    found = proven_best(rounding_search(vectors), vectors, 1.001, queries, 20, eligible, 2500)

    assert found.rows.tolist() == ExactIndex(vectors).search(queries, 20, eligible).rows.tolist()


def test_an_answer_is_not_taken_where_a_row_that_was_not_proposed_may_score_as_much():
    # The proposals' last score is 0.9995 for a unit query: a row left out may have 0.9995 + 2⁻¹⁰ = 1.00048, above 1.
    vectors = np.zeros((100, DIM), np.float16)
    vectors[:, 0] = 1.0
    query = np.eye(1, DIM, dtype=np.float32)

    found = proven_best(_fetch_first(0.9995), vectors, 1.0, query, 2, None, 100)

    assert (found.rows == -1).all()


def test_an_answer_is_taken_where_no_row_left_out_can_score_as_much():
    # 0.9985 + 2⁻¹⁰ = 0.99948 is below 1, the second score
    vectors = np.zeros((100, DIM), np.float16)
    vectors[:, 0] = 1.0
    query = np.eye(1, DIM, dtype=np.float32)

    found = proven_best(_fetch_first(0.9985), vectors, 1.0, query, 2, None, 100)

    assert found.rows.tolist() == [[0, 1]]


def test_more_than_a_gpu_selects_is_left_to_the_oracle(vectors):
    found = proven_best(rounding_search(vectors), vectors, 1.001, np.ones((1, DIM), np.float32), MAX_K + 1, None, 5000)

    assert (found.rows == -1).all()


def test_rows_that_are_not_eligible_or_not_there_become_none():
    rows = only(np.array([[2, 0, -1, 1]]), np.array([True, False, True]))

    assert rows.tolist() == [[2, 0, -1, -1]]


def test_without_a_gpu_the_cure_is_named():
    with pytest.raises(MissingExtraError, match=r"lookreel\[gpu\]"):
        require_gpu(0)


def _fetch_first(last):
    """Proposes the first rows in order, all with one score."""
    return lambda queries, depth: Neighbours(np.arange(depth)[None], np.full((1, depth), last, np.float32))
