"""The contract of an index, held by Milvus through its real client and milvus-lite."""

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from retrieval.errors import SnapshotError
from retrieval.index.exact import ExactIndex
from retrieval.index.milvus import MilvusIndex

pytest.importorskip("pymilvus", reason="the extra milvus is not installed")
pytest.importorskip("milvus_lite", reason="milvus-lite is not installed")

N_ITEMS = 17_000  # more than a server returns at once (16,384), and twice what one filter lists (8,192)


@pytest.fixture(name="vectors", scope="module")
def _vectors():
    return np.random.default_rng(1).normal(size=(N_ITEMS, 8)).astype(np.float16)


@pytest.fixture(name="queries", scope="module")
def _queries():
    return np.random.default_rng(2).normal(size=(3, 8)).astype(np.float32)


@pytest.fixture(name="uri", scope="module")
def _uri(tmp_path_factory):
    return str(tmp_path_factory.mktemp("milvus") / "videos.db")


@pytest.fixture(name="index", scope="module")
def _index(uri, vectors):
    index = MilvusIndex.build(uri, "videos", vectors)
    yield index
    index.close()


@pytest.mark.parametrize("share", [0.0, 0.001, 0.2, 0.6, 0.97, 1.0])
def test_search_gives_what_the_oracle_gives(share, index, vectors, queries):
    eligible = np.random.default_rng(3).random(N_ITEMS) < share
    expected = ExactIndex(vectors).search(queries, 30, eligible)

    found = index.search(queries, 30, eligible)

    assert found.rows.tolist() == expected.rows.tolist()
    np.testing.assert_allclose(found.scores, expected.scores, rtol=1e-5)


def test_eligible_rows_far_from_the_query_are_still_found(index, vectors, queries):
    order = np.argsort(vectors.astype(np.float32) @ queries[0])
    eligible = np.zeros(N_ITEMS, bool)
    eligible[order[:9000]] = True  # none of the 260 that are fetched: 100 · 17/9 · 1.3 + 16

    found = index.search(queries[:1], 100, eligible)

    assert found.rows.tolist() == ExactIndex(vectors).search(queries[:1], 100, eligible).rows.tolist()


def test_more_than_a_server_returns_at_once_is_still_returned(index, vectors, queries):
    found = index.search(queries[:1], N_ITEMS)

    assert np.sort(found.rows[0]).tolist() == list(range(N_ITEMS))
    np.testing.assert_allclose(found.scores, ExactIndex(vectors).search(queries[:1], N_ITEMS).scores, atol=1e-5)


def test_k_beyond_the_collection_is_padded(index, queries):
    found = index.search(queries, N_ITEMS + 2, np.arange(N_ITEMS) < 3)

    assert np.sort(found.rows[:, :3]).tolist() == [[0, 1, 2]] * 3
    assert (found.rows[:, 3:] == -1).all()


def test_no_query_gives_no_answer(index):
    assert index.search(np.empty((0, 8), np.float32), 5).rows.shape == (0, 5)


def test_more_queries_than_are_sent_at_once_are_answered_in_their_order(index, vectors):
    queries = np.random.default_rng(4).normal(size=(70, 8)).astype(np.float32)

    found = index.search(queries, 3)

    assert found.rows.tolist() == ExactIndex(vectors).search(queries, 3).rows.tolist()


def test_threads_that_search_at_once_get_their_own_answers(index, vectors):
    queries = np.random.default_rng(5).normal(size=(12, 8)).astype(np.float32)

    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(lambda query: index.search(query[None], 3).rows[0].tolist(), queries))

    assert found == ExactIndex(vectors).search(queries, 3).rows.tolist()


def test_a_collection_opened_again_holds_the_same(index, uri, queries):
    again = MilvusIndex.open(uri, "videos")

    assert (again.n_items, again.exact) == (N_ITEMS, True)
    assert again.search(queries, 5).rows.tolist() == index.search(queries, 5).rows.tolist()


def test_an_approximate_collection_says_so_and_replaces_the_one_before(uri, vectors):
    MilvusIndex.build(uri, "graph", vectors[:20])

    graph = MilvusIndex.build(uri, "graph", vectors[:100], "HNSW", {"M": 8, "efConstruction": 40}, {"ef": 64})

    assert (graph.n_items, graph.exact) == (100, False)
    assert graph.search(vectors[:1].astype(np.float32), 100, np.arange(100) < 40).rows.max() < 40


def test_a_collection_that_is_not_there_is_named(uri, index):
    with pytest.raises(SnapshotError, match="holds no collection nobody"):
        MilvusIndex.open(uri, "nobody")
