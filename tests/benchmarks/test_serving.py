"""The benchmark of serving, on a shop so small that only its bookkeeping is looked at."""

import pytest

from benchmarks import serving
from benchmarks.load import run_load
from benchmarks.serving import Scale, measure


@pytest.fixture(name="figures", scope="module")
def _figures():
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(serving, "QUICK", Scale(videos=1000, products=100, users=5, rounds=1, requests=20))
        patch.setattr(serving, "CLIENT_CORE", serving.SERVER_CORE)  # this process goes on after it
        patch.setattr(serving, "pin", lambda core: None)
        return {figure.figure: figure for figure in measure(quick=True)}


def test_it_measures_feeds_beside_raw_search(figures):
    assert set(figures) == {
        "feed_p50_over_raw_ms",
        "feed_rate_vs_raw",
        "feed_p99_over_p50",
        "feed_failed_share",
        "mixed_p50_ms",
    }
    assert 0 < figures["feed_rate_vs_raw"].value < 1


def test_no_request_fails(figures):
    assert figures["feed_failed_share"].value == 0
    # 20 alone, 20 and another 20 at four connections.
    assert figures["feed_failed_share"].detail == "of 60 requests"


def test_a_closed_port_is_an_error_and_no_figure():
    with pytest.raises(ConnectionError):
        run_load(1, [("GET /healthz", b"")], 1)
