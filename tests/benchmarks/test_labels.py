"""The benchmark of the labels measures what it says it measures."""

import numpy as np

from benchmarks.labels import cost_of, make_feedback, metric_figures


def test_rows_are_a_feeds_and_the_same_for_the_same_seed():
    rows = make_feedback(20_000)

    assert np.abs((rows.duration_s == 0).mean() - 0.185) < 0.02
    assert 0.1 < (rows.watch_s > rows.duration_s)[rows.duration_s > 0].mean() < 0.6
    assert rows.watch_s.tobytes() == make_feedback(20_000).watch_s.tobytes()


def test_memory_counts_at_least_the_column_of_labels_that_is_made():
    cost = cost_of("D2Q", 50_000)

    assert cost.peak_bytes > 8 * 50_000
    assert cost.fit_s > 0
    assert cost.transform_s > 0


def test_each_metric_is_a_figure():
    figures = metric_figures(2000, 50)

    assert [figure.figure for figure in figures] == ["gain_million_seconds", "spread_million_seconds"]
    assert "2000 candidates of 50 users" in figures[0].detail
