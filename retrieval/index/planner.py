"""How to search a flat index under a filter. Every way is exact; they differ in cost."""

from dataclasses import dataclass
from enum import StrEnum
from math import isqrt


@dataclass(frozen=True)
class Cost:
    """Nanoseconds on one thread for a row of 512 dimensions in fp16.

    *scan* reads it in order, *select* where the selector lets it pass, *copy* puts it beside other eligible rows.
    """

    scan: float
    select: float
    copy: float


# Measured at 10k, 100k and 1M vectors, shares from 0.1 to 80 % and 1, 16 and 128 queries (AMD EPYC with AVX-512).
# Rows out of order cost 5 to 6 times the stream once the processor's cache does not hold them all.
FROM_CACHE = Cost(scan=33, select=70, copy=110)
FROM_MEMORY = Cost(scan=40, select=200, copy=230)
CACHED_ITEMS = 16_384  # as many fit into 16 MB
TEST_NS = 2  # asking the selector about a row
FETCH_NS = 700  # a candidate more in the answer: kept in FAISS's heap, sorted and dropped

GATHER_ROWS = 2048  # up to it an exact look takes 0.5 ms: about what IVF takes under so narrow a filter, and finds all


class Plan(StrEnum):
    """A way to search."""

    SCAN = "scan"
    SELECT = "select"
    GATHER = "gather"


def plan_search(n_eligible: int, n_items: int, *, n_queries: int = 1, k: int = 100) -> Plan:
    """The cheapest exact way for so many queries that want the *k* best of *n_eligible* out of *n_items* rows.

    For one query among 100,000 and more, a plain scan that fetches more and drops wins above some 20 % and gathering
    the eligible rows below 3 %; among 10,000 the selector wins up to 65 %. Rows once gathered serve a whole batch: with
    128 queries that wins at every share but the highest.

    >>> [plan_search(n_eligible, 100_000).value for n_eligible in (50_000, 10_000, 1_000)]
    ['scan', 'select', 'gather']
    >>> plan_search(50_000, 100_000, n_queries=128).value
    'gather'
    """
    cost = FROM_CACHE if n_items <= CACHED_ITEMS else FROM_MEMORY
    costs = {
        Plan.SCAN: n_queries * (n_items * cost.scan + over_fetch(k, n_eligible, n_items) * FETCH_NS),
        Plan.SELECT: n_queries * (n_items * TEST_NS + n_eligible * cost.select),
        Plan.GATHER: n_eligible * cost.copy + n_queries * n_eligible * cost.scan,
    }
    return min(costs, key=costs.__getitem__)


def over_fetch(k: int, n_eligible: int, n_items: int) -> int:
    """How many rows to fetch so that *k* eligible ones are likely among them.

    >>> over_fetch(10, 500, 1000), over_fetch(10, 10, 1000)
    (42, 1000)
    """
    wanted = min(k, n_eligible)
    return min(n_items, int(wanted * n_items / n_eligible * 1.3) + 16)


def graph_gather_rows(n_items: int, ef: int) -> int:
    """Up to how many eligible rows an exact look is faster than a graph, whose *ef* grows with 1 / share.

    A look costs 270 ns a row, the walk 3,700 ns for each of ef · n_items / n_eligible candidates: they meet at
    3.7 · √(n_items · ef).

    >>> graph_gather_rows(1_000_000, 256)
    59200
    """
    return max(GATHER_ROWS, 37 * isqrt(n_items * ef) // 10)
