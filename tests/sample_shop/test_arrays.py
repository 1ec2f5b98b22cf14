import numpy as np

from sample_shop.arrays import keys_of, uniforms

N = 100_000
ROWS = np.arange(N)
ZEROS = np.zeros(N, dtype=np.int64)


def test_uniforms_are_uniform():
    u = uniforms(keys_of(1, ROWS, ZEROS), stream=0)
    counts = np.histogram(u, bins=50, range=(0, 1))[0]

    # a chi-square variable of 49 degrees of freedom
    chi2 = ((counts - N / 50) ** 2 / (N / 50)).sum()

    assert 0 < u.min() < u.max() < 1
    assert chi2 < 49 + 4 * np.sqrt(2 * 49)


def test_streams_seeds_and_parts_give_independent_draws():
    draws = np.stack(
        [
            uniforms(keys_of(1, ROWS, ZEROS), 0),
            uniforms(keys_of(1, ROWS, ZEROS), 1),
            uniforms(keys_of(2, ROWS, ZEROS), 0),
            uniforms(keys_of(1, ZEROS, ROWS), 0),
            np.roll(uniforms(keys_of(1, ROWS, ZEROS), 0), 1),
        ]
    )

    between = np.corrcoef(draws)[~np.eye(5, dtype=bool)]

    assert np.abs(between).max() < 4 / np.sqrt(N)


def test_a_draw_depends_on_its_own_key_alone():
    whole, part = keys_of(1, ROWS, ZEROS), keys_of(1, ROWS[500:510], ZEROS[500:510])

    np.testing.assert_array_equal(uniforms(whole, 3)[500:510], uniforms(part, 3))
