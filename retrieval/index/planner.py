"""How to search under a filter. Every way is exact; they differ in cost (measured in the project's notes on FAISS)."""

from enum import StrEnum

SCAN_SHARE = 0.4  # above it a plain scan that fetches more is faster than one that asks the selector for every row
GATHER_SHARE = 0.005  # below it copying the eligible rows and multiplying is


class Plan(StrEnum):
    """A way to search."""

    SCAN = "scan"
    SELECT = "select"
    GATHER = "gather"


def plan_search(n_eligible: int, n_items: int) -> Plan:
    """The cheapest exact way for this share of eligible rows.

    >>> plan_search(100, 100), plan_search(10, 100), plan_search(1, 1000)
    (<Plan.SCAN: 'scan'>, <Plan.SELECT: 'select'>, <Plan.GATHER: 'gather'>)
    """
    if n_eligible <= GATHER_SHARE * n_items:
        return Plan.GATHER
    return Plan.SCAN if n_eligible >= SCAN_SHARE * n_items else Plan.SELECT
