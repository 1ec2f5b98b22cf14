"""The benchmark of updates, on a shop so small that only its bookkeeping is looked at."""

import pytest

from benchmarks import update
from benchmarks.update import Size, measure


@pytest.fixture(name="figures")
def _figures(monkeypatch):
    monkeypatch.setattr(update, "QUICK", Size(videos=1000, products=100, added=70, updates=2, searches=3))
    monkeypatch.setattr(update, "JPEG_BYTES", 100)
    return {figure.figure: figure for figure in measure(quick=True)}


def test_it_measures_updates_opening_and_searches(figures):
    assert set(figures) == {
        "update_1000_into_100k_seconds",
        "update_command_seconds",
        "refresh_seconds",
        "open_seconds",
        "search_delta_slowdown",
    }
    assert all(figure.better == "lower" and figure.value > 0 for figure in figures.values())


def test_the_whole_command_takes_longer_than_the_function(figures):
    assert figures["update_command_seconds"].value > figures["update_1000_into_100k_seconds"].value


def test_the_size_is_told(figures):
    assert "70 new videos" in figures["update_1000_into_100k_seconds"].detail
    # Half of a percent replaced or new each, as many deleted or replaced.
    assert "1000 videos with 10 in a delta and 10 dead" in figures["search_delta_slowdown"].detail
