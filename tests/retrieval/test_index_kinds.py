"""How kinds are written, what their options do, and what an install of FAISS must look like."""

import os
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from retrieval.errors import ConfigError, MissingExtraError
from retrieval.index import IndexKind, build_index, default_index_kind, parse_kind
from retrieval.index.approximate import HnswIndex, IvfIndex, count_lists, lists_to_scan, sample_of
from retrieval.index.exact import ExactIndex
from retrieval.index.faiss import FaissIndex, use_threads
from retrieval.index.faiss_install import installed_distributions, load_faiss, refuse_mixed


@pytest.fixture(name="vectors", scope="module")
def _vectors():
    return np.random.default_rng(1).normal(size=(9000, 16)).astype(np.float16)


def test_a_kind_is_read_with_its_options():
    assert parse_kind("faiss-hnsw:ef=64,links=16") == IndexKind("faiss-hnsw", {"ef": 64, "links": 16})


@pytest.mark.parametrize(
    ("kind", "says"),
    [
        (
            "annoy",
            "no index kind annoy.\nUse one of auto, exact, faiss-fp16, faiss-fp32, faiss-int8, faiss-ivf, faiss-hnsw",
        ),
        ("faiss-ivf:ef=5", "no option 'ef'.\nUse nprobe or lists, as in faiss-ivf:nprobe=16"),
        ("faiss-fp16:nprobe=5", "no option 'nprobe'.\nWrite faiss-fp16 alone"),
        ("faiss-ivf:nprobe=many", "nprobe of faiss-ivf is 'many'.\nWrite a whole number"),
        ("faiss-ivf:nprobe=0", "nprobe of faiss-ivf is '0'"),
        ("faiss-ivf:nprobe", "nprobe of faiss-ivf is ''"),
    ],
)
def test_an_unknown_kind_or_option_is_refused_with_the_known_ones(kind, says, vectors):
    with pytest.raises(ConfigError) as refused:
        build_index(kind, vectors)

    assert says in str(refused.value)


def test_the_default_is_faiss_where_it_is_installed_and_no_gpu_is_there():
    assert default_index_kind() in ("faiss-fp16", "gpu-fp16")
    assert build_index("auto", np.ones((3, 4), np.float16)).exact


def test_all_lists_scanned_find_what_the_oracle_finds(vectors):
    queries = np.random.default_rng(2).normal(size=(10, 16)).astype(np.float32)

    found = build_index("faiss-ivf:nprobe=64,lists=64", vectors).search(queries, 10)

    assert found.rows.tolist() == ExactIndex(vectors).search(queries, 10).rows.tolist()


def test_one_list_finds_less_than_sixteen_lists(vectors):
    queries = np.random.default_rng(2).normal(size=(30, 16)).astype(np.float32)
    exact = ExactIndex(vectors).search(queries, 10).rows

    one, sixteen = (build_index(f"faiss-ivf:nprobe={n},lists=64", vectors).search(queries, 10).rows for n in (1, 16))

    assert (one == exact).mean() + 0.3 < (sixteen == exact).mean()


def test_few_eligible_rows_are_looked_at_exactly_whatever_the_lists(vectors):
    queries = np.random.default_rng(2).normal(size=(30, 16)).astype(np.float32)
    eligible = np.arange(len(vectors)) % 45 == 0  # 200: a list in 200 would become 45 of 200

    found = build_index("faiss-ivf:nprobe=1,lists=200", vectors).search(queries, 3, eligible)

    assert found.rows.tolist() == ExactIndex(vectors).search(queries, 3, eligible).rows.tolist()


def test_a_narrow_walk_of_a_graph_finds_less_than_a_wide_one(vectors):
    queries = np.random.default_rng(2).normal(size=(30, 16)).astype(np.float32)
    exact = ExactIndex(vectors).search(queries, 1).rows

    narrow, wide = (build_index(f"faiss-hnsw:ef={ef},links=4", vectors).search(queries, 1).rows for ef in (1, 200))

    assert (narrow == exact).mean() + 0.3 < (wide == exact).mean()


def test_a_graph_is_walked_as_wide_as_it_is_told_to_be_without_another_build(vectors):
    queries = np.random.default_rng(2).normal(size=(30, 16)).astype(np.float32)
    exact = ExactIndex(vectors).search(queries, 1).rows
    graph = HnswIndex(vectors, ef=1, links=4)

    wide = graph.keeping(200)

    assert (graph.search(queries, 1).rows == exact).mean() + 0.3 < (wide.search(queries, 1).rows == exact).mean()


def test_a_graph_is_walked_wider_as_fewer_are_eligible(vectors):
    queries = np.random.default_rng(2).normal(size=(30, 16)).astype(np.float32)
    eligible = np.arange(len(vectors)) % 4 == 0  # 2,250: more than are just multiplied
    graph = HnswIndex(vectors, ef=30, links=8)

    found = graph.search(queries, 5, eligible)

    expected = ExactIndex(vectors).search(queries, 5, eligible)
    assert (found.scores >= expected.scores[:, -1:] - 1e-4).mean() > 0.92  # 30 candidates find 0.85, 120 find 0.97


def test_int8_orders_its_candidates_by_the_stored_values(vectors):
    query = np.random.default_rng(3).normal(size=(1, 16)).astype(np.float32)

    found = build_index("faiss-int8", vectors).search(query, 50)

    assert found.rows.tolist() == ExactIndex(vectors).search(query, 50).rows.tolist()


def test_int8_proposes_more_than_it_is_asked_for():
    rng = np.random.default_rng(4)
    vectors = (1 + 0.05 * rng.normal(size=(2000, 16))).astype(np.float16)
    vectors[:2] = [[-3.0], [3.0]]  # they stretch the range, so that 8 bits tell the others apart badly
    queries = rng.normal(size=(20, 16)).astype(np.float32)

    found = build_index("faiss-int8", vectors).search(queries, 20)

    # the 20 that seem best are 87 % right here
    assert np.sort(found.rows).tolist() == np.sort(ExactIndex(vectors).search(queries, 20).rows).tolist()


def test_lists_are_as_many_as_can_be_trained():
    # 4 · √10,000 = 400, but 250 of 40 vectors; 8,000 for four million
    assert [count_lists(n) for n in (1, 80, 10_000, 4_000_000)] == [1, 2, 250, 8000]
    assert IvfIndex(np.ones((90, 4), np.float16)).lists == 2


def test_lists_scanned_grow_as_fewer_are_eligible_up_to_all():
    assert lists_to_scan(16, 1000, 10, n_eligible=10_000, n_items=100_000) == 160
    assert lists_to_scan(16, 1000, 10, n_eligible=1_000, n_items=100_000) == 1000


def test_a_sample_is_that_many_different_rows_the_same_each_time():
    vectors = np.arange(100, dtype=np.float16)[:, None]

    sample = sample_of(vectors, 90)

    assert len(np.unique(sample)) == 90
    assert sample.tolist() == sample_of(vectors, 90).tolist()


def test_the_number_of_threads_is_that_of_the_calling_thread():
    faiss = load_faiss()
    use_threads(faiss, 1, 1_000_000)

    with ThreadPoolExecutor(1) as pool:
        pool.submit(faiss.omp_set_num_threads, 7).result()

    assert faiss.omp_get_max_threads() == 1


@pytest.mark.parametrize("kind", ["faiss-int8", "faiss-ivf", "faiss-hnsw"])
def test_an_index_is_built_on_all_cores_after_a_single_query_too(kind, vectors):
    faiss = load_faiss()
    use_threads(faiss, 1, 1_000_000)

    build_index(kind, vectors[:100])

    assert faiss.omp_get_max_threads() == len(os.sched_getaffinity(0))


def test_searches_in_many_threads_answer_each_their_own_query(vectors):
    index = FaissIndex(vectors)
    queries = np.random.default_rng(4).normal(size=(40, 16)).astype(np.float32)
    eligible = np.random.default_rng(5).random(len(vectors)) < 0.3

    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(lambda query: index.search(query[None], 5, eligible).rows[0].tolist(), queries))

    assert found == ExactIndex(vectors).search(queries, 5, eligible).rows.tolist()


def test_threads_that_gather_at_once_do_not_mix_their_rows(vectors):
    index = FaissIndex(vectors)
    queries = np.random.default_rng(6).normal(size=(100, 16)).astype(np.float32)
    filters = [np.random.default_rng(seed).random(len(vectors)) < 0.2 for seed in range(16)]

    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(lambda eligible: index.search(queries, 5, eligible).rows.tolist(), filters))

    assert found == [ExactIndex(vectors).search(queries, 5, eligible).rows.tolist() for eligible in filters]


def test_the_values_are_kept_as_they_were_stored():
    # 2⁻²⁴, the least of fp16, and 65504, its greatest, as they are
    vectors = np.array([[2.0**-24, 0.0], [0.0, 65504.0]], np.float16)

    found = FaissIndex(vectors).search(np.array([[2.0**24, 1.0]], np.float32), 2)

    assert found.scores.tolist() == [[65504.0, 1.0]]


def test_two_distributions_of_faiss_are_refused_with_the_cure():
    with pytest.raises(MissingExtraError) as refused:
        refuse_mixed({"faiss-gpu", "faiss-cpu"})

    assert "faiss-cpu and faiss-gpu are installed together" in refused.value.message
    assert "pip uninstall -y faiss-cpu faiss-gpu" in refused.value.cure


@pytest.mark.parametrize("installed", [set(), {"faiss-cpu"}, {"faiss-gpu"}])
def test_one_distribution_of_faiss_or_one_of_another_name_will_do(installed):
    refuse_mixed(installed)


def test_the_distribution_here_is_seen():
    assert len(installed_distributions()) == 1
