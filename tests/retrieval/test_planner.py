"""Which way of a filtered search costs least, by the measured costs written beside each test."""

import pytest

from retrieval.index.planner import GATHER_ROWS, Plan, graph_gather_rows, over_fetch, plan_search


# One query of 100,000: a scan costs 4 ms + 0.7 µs for each row fetched (130 / share + 16 at k = 100), the selector
# 0.2 ms + 0.2 µs a row, gathering 0.27 µs a row.
@pytest.mark.parametrize(
    ("n_eligible", "plan"),
    [
        (90_000, Plan.SCAN),  # 4.1 against 18.2 and 24.3 ms
        (30_000, Plan.SCAN),  # 4.3 against 6.2 and 8.1
        (15_000, Plan.SELECT),  # 3.2 against 4.6 and 4.05
        (5_000, Plan.SELECT),  # 1.2 against 5.8 and 1.35
        (1_000, Plan.GATHER),  # 0.27 against 0.4
    ],
)
def test_one_query_of_a_hundred_thousand_goes_the_way_that_costs_least(n_eligible, plan):
    assert plan_search(n_eligible, 100_000) is plan


def test_rows_gathered_once_serve_a_batch():
    # 128 queries at 50 %: gathering 11.5 ms once and 2 ms a query, against 4.2 ms a query
    assert plan_search(50_000, 100_000, n_queries=128) is Plan.GATHER


def test_rows_that_the_cache_holds_are_selected():
    # 5,000 of 10,000: 0.02 + 0.35 ms against 0.33 + 0.19 of a scan and 0.72 of gathering
    assert plan_search(5_000, 10_000) is Plan.SELECT


def test_a_deep_answer_is_not_fetched_from_a_scan():
    # 5,000 of the half that is eligible: 13,016 rows fetched cost 9.1 ms beside the scan's 4, the selector 10.2
    assert plan_search(50_000, 100_000, k=5_000) is Plan.SELECT


def test_all_that_there_is_is_fetched_where_few_are_eligible():
    assert over_fetch(100, 3, 1000) == 1000


def test_as_many_more_are_fetched_as_are_ineligible():
    # 10 of a quarter: 40, and 30 % more, and 16
    assert over_fetch(10, 250, 1000) == 68


def test_a_graph_is_left_for_an_exact_look_later_than_lists_are():
    # 3.7 · √(1,000,000 · 100)
    assert graph_gather_rows(1_000_000, 100) == 37_000
    assert graph_gather_rows(1_000, 10) == GATHER_ROWS
