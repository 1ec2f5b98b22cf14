"""One index over a base and deltas: the values of brute force over the living rows, ties broken by row."""

import numpy as np
import pytest

from retrieval.index import build_index
from retrieval.index.segmented import SegmentedIndex, segmented
from retrieval.stacked import Placement, Stacked, placement_of, stacked, whole

DIM = 16
KINDS = ["exact", "faiss-fp16"]
SHARES = [0.0, 0.002, 0.2, 0.5, 0.97, 1.0]
LENGTHS = (800, 150, 60, 5)


@pytest.fixture(name="parts", scope="module")
def _parts():
    """Vectors of four segments; whole numbers, whose products are exact in any order of summing."""
    rng = np.random.default_rng(1)
    return [rng.integers(-4, 5, (n, DIM)).astype(np.float16) for n in LENGTHS]


@pytest.fixture(name="placement", scope="module")
def _placement():
    """Nine of ten rows live, those of the deltas scattered among those of the base; of the last segment none does."""
    rng = np.random.default_rng(2)
    alive = [np.flatnonzero(rng.random(n) < 0.9) for n in LENGTHS[:3]]
    segment = rng.permutation(np.repeat(np.arange(3), [len(rows) for rows in alive])).astype(np.int32)
    local = np.empty(len(segment), np.int32)
    for number, rows in enumerate(alive):
        local[segment == number] = rows
    return Placement(segment, local)


@pytest.fixture(name="queries", scope="module")
def _queries():
    return np.random.default_rng(3).integers(-4, 5, (7, DIM)).astype(np.float32)


def brute_force(vectors, query, k, eligible):
    """Sorted by hand: (row, score) of the k best."""
    scores = [(-float(vectors[row].astype(np.float64) @ query), row) for row in np.flatnonzero(eligible)]
    return [(row, -score) for score, row in sorted(scores)[:k]]


def made(kind, parts, placement):
    return segmented([build_index(kind, part) for part in parts], placement)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("share", SHARES)
def test_search_gives_the_rows_and_scores_of_brute_force(kind, share, parts, placement, queries):
    living = Stacked(parts, placement)[:]
    eligible = np.random.default_rng(4).random(len(living)) < share
    expected = [brute_force(living, query, 10, eligible) for query in queries]

    found = made(kind, parts, placement).search(queries, 10, eligible)

    n = min(10, int(eligible.sum()))
    assert found.rows[:, :n].tolist() == [[row for row, _ in best] for best in expected]
    assert found.scores[:, :n].tolist() == [[score for _, score in best] for best in expected]
    assert (found.rows[:, n:] == -1).all()
    assert np.isneginf(found.scores[:, n:]).all()


@pytest.mark.parametrize("kind", KINDS)
def test_without_a_filter_no_dead_row_is_found(kind, parts, placement, queries):
    living = Stacked(parts, placement)[:]
    expected = [brute_force(living, query, 10, np.ones(len(living), bool)) for query in queries]

    found = made(kind, parts, placement).search(queries, 10)

    assert found.rows.tolist() == [[row for row, _ in best] for best in expected]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("share", [0.3, 0.8, 1.0])
def test_ties_go_to_the_lowest_rows_whatever_segment_they_lie_in(kind, share, placement):
    parts = [np.ones((n, DIM), np.float16) for n in LENGTHS]
    eligible = np.random.default_rng(5).random(len(placement)) < share

    found = made(kind, parts, placement).search(np.ones((1, DIM), np.float32), 50, eligible)

    assert found.rows[0].tolist() == np.flatnonzero(eligible)[:50].tolist()


@pytest.mark.parametrize("kind", KINDS)
def test_k_beyond_the_living_rows_is_padded(kind, parts, queries):
    index = made(kind, parts[2:], Placement(np.array([1, 0, 1], np.int32), np.array([0, 7, 4], np.int32)))

    found = index.search(queries[:1], 5)

    assert sorted(found.rows[0, :3].tolist()) == [0, 1, 2]
    assert found.rows[0, 3:].tolist() == [-1, -1]
    assert index.n_items == 3


def test_no_query_and_no_living_row_give_no_answer(parts, queries):
    index = made("exact", parts, whole(0))

    assert index.search(queries[:0], 5).rows.shape == (0, 5)
    assert index.search(queries, 5).rows.tolist() == [[-1] * 5] * 7


def test_one_segment_of_living_rows_is_its_own_index(parts):
    index = build_index("exact", parts[0])

    assert segmented([index], whole(800)) is index
    assert segmented([index, build_index("exact", parts[1])], whole(800)) is index
    assert isinstance(segmented([index], whole(799)), SegmentedIndex)
    assert segmented([index], whole(799)).exact


def test_an_index_is_as_exact_as_the_least_of_its_segments(parts):
    class Rough:
        n_items, exact = 5, False

    both = [build_index("exact", parts[2]), Rough()]

    assert not SegmentedIndex(both, Placement(np.array([0, 1], np.int32), np.array([0, 0], np.int32))).exact
    # Of the rough one no row lives.
    assert SegmentedIndex(both, whole(1)).exact


def test_stacked_rows_are_indexed_like_an_array(parts, placement):
    rows = Stacked(parts, placement)
    array = np.array([parts[s][i] for s, i in zip(placement.segment, placement.local, strict=True)])

    assert rows.shape == array.shape
    assert rows.dtype == np.float16
    np.testing.assert_array_equal(rows[5], array[5])
    np.testing.assert_array_equal(rows[np.array([7, 0, 7])], array[[7, 0, 7]])
    np.testing.assert_array_equal(rows[np.array([], int)], array[:0])
    np.testing.assert_array_equal(rows[10:20], array[10:20])
    np.testing.assert_array_equal(np.asarray(rows), array)


def test_videos_of_fewer_frames_are_padded():
    one, two = np.ones((1, 1, 2), np.float16), np.full((1, 2, 2), 2, np.float16)
    rows = Stacked([one, two], Placement(np.array([0, 1], np.int32), np.array([0, 0], np.int32)), np.nan)

    assert rows.shape == (2, 2, 2)
    np.testing.assert_array_equal(rows[:], [[[1, 1], [np.nan, np.nan]], [[2, 2], [2, 2]]])
    np.testing.assert_array_equal(rows[0], [[1, 1], [np.nan, np.nan]])


def test_a_single_segment_of_living_rows_is_not_copied(parts):
    assert stacked([parts[0]], whole(800)) is parts[0]
    assert stacked(parts, whole(800)) is parts[0]
    assert len(stacked(parts, whole(3))) == 3
    of_second = stacked([parts[1], parts[1] * 2], whole(150, segment=1))
    np.testing.assert_array_equal(of_second[0], parts[1][0] * 2)


@pytest.mark.parametrize(
    "array",
    [
        [[0], [5]],  # the segment has five rows
        [[0], [-1]],
        [[2], [0]],  # there are two segments
        [[-1], [0]],
        [[0, 0], [1, 1]],
        [[0, 1, 0], [3, 0, 2]],
        [0],  # not two rows
    ],
)
def test_a_placement_of_rows_that_are_not_there_or_out_of_order_is_refused(array):
    with pytest.raises(ValueError, match=r"placement|reshape"):
        placement_of(np.array(array), [5, 5])


def test_a_placement_survives_being_stored(placement):
    read = placement_of(placement.as_array(), LENGTHS)

    np.testing.assert_array_equal(read.segment, placement.segment)
    np.testing.assert_array_equal(read.local, placement.local)
