import numpy as np
import pytest

from sample_shop.catalogue import LEVELS, OFFSETS, attribute_matrix, make_catalogue
from sample_shop.shoppers import TASTE_SHARES, affinity, drifted, make_shoppers, tastes_at

CATALOGUE = make_catalogue(seed=7, n_products=600, n_videos=60)
SHOPPERS = make_shoppers(7, CATALOGUE, n_users=400)
ATTRIBUTES = attribute_matrix(CATALOGUE.products)


def test_shares_of_taste_add_up_to_one_and_the_finish_has_a_fifth():
    assert sum(TASTE_SHARES.values()) == pytest.approx(1.0)
    assert TASTE_SHARES["finish"] == 0.20


@pytest.mark.parametrize(("factor", "name"), list(enumerate(TASTE_SHARES)))
def test_each_factor_makes_up_its_share_of_the_variance(factor, name):
    levels = slice(OFFSETS[factor], OFFSETS[factor] + LEVELS[factor])

    parts = SHOPPERS.taste_start[:, levels] @ ATTRIBUTES[:, levels].T  # (n_users, n_products)

    np.testing.assert_allclose(parts.mean(axis=1), 0.0, atol=1e-12)
    np.testing.assert_allclose(parts.var(axis=1), TASTE_SHARES[name])


def test_affinity_is_standardised_over_the_catalogue():
    liking = SHOPPERS.taste_start @ ATTRIBUTES.T

    np.testing.assert_allclose(liking.mean(axis=1), 0.0, atol=1e-12)
    assert liking.std() == pytest.approx(1.0, abs=0.05)


def test_affinity_adds_the_values_of_the_products_levels():
    columns = CATALOGUE.products.codes[11] + OFFSETS

    found = affinity(SHOPPERS, CATALOGUE, np.array([3]), np.array([11]), np.array([0]))

    assert found[0] == pytest.approx(SHOPPERS.taste_start[3][columns].sum())


def test_taste_turns_by_its_angle_over_the_window():
    # half-way through the 13 steps between the first and the last day, half of the angle is done
    angle = SHOPPERS.turn[5]

    first, last = (tastes_at(SHOPPERS, np.array([5]), np.array([day]), days=14)[0] for day in (0, 13))

    np.testing.assert_allclose(first, SHOPPERS.taste_start[5])
    np.testing.assert_allclose(last, np.cos(angle) * SHOPPERS.taste_start[5] + np.sin(angle) * SHOPPERS.taste_end[5])
    assert 0.2 * np.pi / 3 <= angle <= np.pi / 3


def test_without_drift_taste_stays():
    still = drifted(SHOPPERS, 0.0)

    np.testing.assert_array_equal(tastes_at(still, np.arange(400), np.full(400, 13), 14), SHOPPERS.taste_start)


def test_tastes_are_concentrated_on_two_or_three_colours():
    colours = np.sort(SHOPPERS.taste_start[:, OFFSETS[1] : OFFSETS[1] + LEVELS[1]], axis=1)

    # the third favourite stands clear of the fourth, which is one of the rest
    assert (colours[:, -3] - colours[:, -4]).mean() > 3 * (colours[:, -4] - colours[:, -5]).mean()


def test_a_few_shoppers_are_cold():
    cold = SHOPPERS.budget >= 0

    assert 0.01 < cold.mean() < 0.08
    assert SHOPPERS.visits[cold].max() <= 1
    assert [SHOPPERS.segment[row] for row in np.flatnonzero(cold)] == ["new"] * cold.sum()


def test_the_seed_alone_makes_the_shoppers():
    np.testing.assert_array_equal(make_shoppers(7, CATALOGUE, 400).taste_end, SHOPPERS.taste_end)
    assert not np.array_equal(make_shoppers(8, CATALOGUE, 400).taste_end, SHOPPERS.taste_end)
