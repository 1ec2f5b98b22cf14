"""Uplifts, their intervals and what goes before them, against derivations by hand and independent libraries."""

import math

import numpy as np
import pytest
from scipy import stats

from labelcraft.experiments.uplift import Arm, capped, check_ratio, chi_square_tail, compare, holm


def arm(numerator, denominator=None, before=None):
    values = np.array(numerator, np.float64)
    return Arm(
        values,
        np.ones(len(values)) if denominator is None else np.array(denominator, np.float64),
        None if before is None else np.array(before, np.float64).reshape(len(values), -1),
    )


def test_an_uplift_of_means_has_the_delta_methods_interval():
    # Means 2 and 4; (y − mean) / mean is ±½ in both, whose variance (n − 1) is ½, over n a quarter.
    # Var(log R) = ¼ + ¼, so se = 2 √½ = √2.
    up = compare(arm([1, 3]), arm([2, 6]))

    assert (up.control, up.treatment, up.uplift) == (2, 4, pytest.approx(1.0))
    assert up.se == pytest.approx(math.sqrt(2))
    assert up.high - up.uplift == pytest.approx(stats.norm.ppf(0.975) * math.sqrt(2))
    assert up.low == pytest.approx(2 * up.uplift - up.high)
    assert up.p == pytest.approx(2 * stats.norm.sf(1 / math.sqrt(2)))


def test_a_ratios_variance_counts_how_numerator_and_denominator_go_together():
    rng = np.random.default_rng(0)
    starts = [rng.poisson(9, n) + 1.0 for n in (400, 300)]
    watched = [rng.binomial(s.astype(int), 0.4).astype(float) for s in starts]

    up = compare(Arm(watched[0], starts[0]), Arm(watched[1], starts[1]))

    def variance_of_log(y, d):  # (var y / ȳ² − 2 cov / (ȳ d̄) + var d / d̄²) / n, the textbook's form
        c = np.cov(y, d)
        return (c[0, 0] / y.mean() ** 2 - 2 * c[0, 1] / (y.mean() * d.mean()) + c[1, 1] / d.mean() ** 2) / len(y)

    ratio = (watched[1].sum() / starts[1].sum()) / (watched[0].sum() / starts[0].sum())
    se = ratio * math.sqrt(sum(variance_of_log(y, d) for y, d in zip(watched, starts, strict=True)))
    assert up.uplift == pytest.approx(ratio - 1)
    assert up.se == pytest.approx(se)


def test_more_rows_of_the_same_users_do_not_narrow_a_rates_interval():
    rng = np.random.default_rng(1)
    watched, starts = rng.integers(0, 5, 60), np.full(60, 5)

    once = compare(arm(watched[:30], starts[:30]), arm(watched[30:], starts[30:]))
    tenfold = compare(arm(10 * watched[:30], 10 * starts[:30]), arm(10 * watched[30:], 10 * starts[30:]))

    assert tenfold.se == pytest.approx(once.se)


def test_what_the_time_before_explains_leaves_the_interval():
    # (y − mean) / mean is ±½ where x is ±1 around its mean, in both buckets: γ = ½ explains all of it.
    up = compare(arm([1, 3], before=[1, 3]), arm([2, 6], before=[1, 3]))

    assert up.uplift == pytest.approx(1.0)
    assert up.se == pytest.approx(0.0, abs=1e-12)


def test_a_difference_that_was_there_before_is_taken_out():
    # Σ Var(x)/n: 8/2 of B and 2/2 of A; Σ Cov(z, x)/n: 2/2 and 1/2. γ = 1.5 / 5 = 0.3; the means of x differ by 2.
    up = compare(arm([1, 3], before=[1, 3]), arm([2, 6], before=[2, 6]))

    assert up.uplift == pytest.approx(2 * math.exp(-0.3 * 2) - 1)


def test_a_covariate_that_does_not_vary_changes_nothing():
    plain = compare(arm([1, 3, 4]), arm([2, 6, 3]))
    adjusted = compare(arm([1, 3, 4], before=[1, 1, 1]), arm([2, 6, 3], before=[1, 1, 1]))

    assert (adjusted.uplift, adjusted.se) == (pytest.approx(plain.uplift), pytest.approx(plain.se))


@pytest.mark.parametrize(
    ("control", "treatment"),
    [(arm([0, 0]), arm([1, 2])), (arm([1]), arm([1, 2])), (arm([1, 2], [0, 0]), arm([1, 2]))],
    ids=["nothing in the control", "one user", "nothing to divide by"],
)
def test_what_cannot_be_compared_is_unknown_and_no_number(control, treatment):
    up = compare(control, treatment)

    assert not up.is_known
    assert math.isnan(up.uplift)
    assert math.isnan(up.p)


def test_the_detectable_uplift_is_found_four_times_in_five():
    up = compare(arm([1, 3]), arm([2, 6]))

    # A z of that many standard errors exceeds the interval's 1.96 with probability 0.8.
    assert stats.norm.sf(stats.norm.ppf(0.975) - up.detectable / up.se) == pytest.approx(0.8)


def test_holm_multiplies_by_what_is_left_and_never_falls():
    assert holm([0.04, 0.01, 0.03]) == pytest.approx([0.06, 0.03, 0.06])
    assert holm([0.9, 0.8]) == [1.0, 1.0]


def test_holm_does_not_count_what_is_unknown():
    adjusted = holm([0.01, math.nan])

    assert adjusted[0] == 0.01
    assert math.isnan(adjusted[1])


@pytest.mark.parametrize("df", [1, 2, 3, 4, 5, 8])
@pytest.mark.parametrize("x", [0.0, 0.3, 4.0, 60.0])
def test_the_chi_square_tail_is_that_of_scipy(x, df):
    assert chi_square_tail(x, df) == pytest.approx(stats.chi2.sf(x, df), rel=1e-10)


def test_the_sample_ratio_is_tested_against_the_shares():
    check = check_ratio((920, 1080, 250), (0.4, 0.5, 0.1))

    known = stats.chisquare((920, 1080, 250), (900, 1125, 225))
    assert check.expected == pytest.approx((900, 1125, 225))
    assert (check.chi_square, check.p) == (pytest.approx(known.statistic), pytest.approx(known.pvalue))


def test_a_cap_is_a_value_of_a_user_and_leaves_those_below_it():
    values, cap = capped(np.array([1.0, 2.0, 3.0, 100.0]), 0.5)

    assert cap == 3.0  # half of the way along four values lies between 2 and 3: the higher of them
    assert values.tolist() == [1.0, 2.0, 3.0, 3.0]
