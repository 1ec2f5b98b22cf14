"""What was counted of products, brought to the rows of the next version."""

import numpy as np
import pytest

from indexing.changes import NextRows, carried_popularity


def rows(*old):
    return NextRows(np.arange(len(old)), np.array(old), np.array(old) < 0)


def carried(old, old_prior, prior, *old_rows):
    arrays = [np.array(values, np.float32) for values in (old, old_prior, prior)]
    return carried_popularity(arrays[0], rows(*old_rows), arrays[1], arrays[2]).tolist()


def test_counts_follow_their_products_and_a_new_one_has_none():
    # Of three products the second goes; a new one comes. The market's own counts follow likewise.
    assert carried([[5, 2, 1], [4, 0, 1]], [9, 9, 9], [9, 9, 8], 0, 2, -1) == [[5, 1, 0], [4, 1, 0]]


def test_the_tables_own_popularity_goes_on_standing_for_counts():
    assert carried([[5, 2], [5, 2]], [5, 2], [6, 2, 8], 0, 1, -1) == [[6, 2, 8], [6, 2, 8]]


def test_when_all_that_was_counted_is_gone_the_tables_own_popularity_stands():
    assert carried([[0, 2], [0, 2]], [1, 1], [3, 4], 0, -1) == [[3, 4], [3, 4]]


def test_a_market_of_which_all_that_was_counted_is_gone_gets_what_counts_overall():
    assert carried([[5, 2], [0, 2]], [1, 1], [1], 0) == [[5], [5]]


@pytest.mark.parametrize("old_rows", [(0, 1), (1, 0)])
def test_a_market_without_counts_of_its_own_keeps_to_what_counts_overall(old_rows):
    assert carried([[5, 2], [5, 2]], [1, 1], [1, 1], *old_rows) == [[[5, 2][row] for row in old_rows]] * 2
