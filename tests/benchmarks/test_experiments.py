"""The benchmark of experiments measures what it says it measures."""

import numpy as np
import pytest

from benchmarks.experiments import draw_experiment, truth_figures, write_log
from labelcraft.experiments import metrics as m
from labelcraft.experiments.counts import count


def test_an_experiment_is_the_same_for_the_same_seed_and_moves_what_it_says():
    counts = draw_experiment(20_000, 0.2, seed=1)
    again = draw_experiment(20_000, 0.2, seed=1)

    rates = [
        counts.sums[m.WATCHED_50][counts.bucket == b].sum() / counts.sums[m.STARTS][counts.bucket == b].sum()
        for b in (0, 1)
    ]
    assert counts.sums[m.WATCH_S].tobytes() == again.sums[m.WATCH_S].tobytes()
    assert rates[1] / rates[0] == pytest.approx(1.2, rel=0.04)
    assert np.all(counts.sums[m.WATCHED_50] <= counts.sums[m.WATCHED_25])


def test_a_log_has_so_many_rows_half_of_them_of_the_time_before(tmp_path):
    counts = count(write_log(tmp_path, 4000, 100))

    assert counts.rows == 4000
    assert counts.earlier_rows == 2000
    assert counts.left_out == ()


def test_each_claim_is_a_figure():
    figures = truth_figures(3, n_users=50)

    assert [figure.figure for figure in figures] == [
        "aa_significant_share", "aa_cuped_significant_share", "uplift_coverage", "uplift_cuped_coverage",
        "cuped_variance_left",
    ]  # fmt: skip
    assert figures[0].detail.startswith("3 experiments of 50 users, seeds 0 to 2: watched_50 ")
