import numpy as np
import pytest

from sample_shop.arrays import keys_of
from sample_shop.watching import (
    NO_BIAS,
    Dials,
    Viewing,
    attention_probability,
    examination_probability,
    feedback,
    interest_of,
    reach_probability,
    skip_probability,
    survival,
    viewing,
    watch50_probability,
    watch_if_examined,
    watched_half,
)

N = 200_000
KEYS = keys_of(1, np.arange(N), np.zeros(N, dtype=np.int64), np.zeros(N, dtype=np.int64))


def seen(z: float, duration_s: float = 8.0, interest: float = 0.5, n: int = N) -> Viewing:
    return Viewing(np.full(n, interest), np.full(n, z), np.full(n, duration_s))


def assert_share(flags: np.ndarray, p: float) -> None:
    """The share of true flags is *p* within four standard errors."""
    assert abs(flags.mean() - p) <= 4 * np.sqrt(p * (1 - p) / len(flags))


def test_reach_and_attention_multiply_to_the_examination_propensity():
    position = np.array([1, 5])

    # reach (4/4)^-1 = 1 and (8/4)^-1 = 1/2; attention 1 and 5^-0.3
    np.testing.assert_allclose(reach_probability(position, Dials()), [1.0, 0.5])
    np.testing.assert_allclose(attention_probability(position, Dials()), [1.0, 5**-0.3])
    np.testing.assert_allclose(examination_probability(position, Dials()), [1.0, 0.5 * 5**-0.3])


def test_half_of_the_position_bias_is_its_square_root():
    position = np.arange(1, 13)

    full, half = (examination_probability(position, Dials(position=dial)) for dial in (1.0, 0.5))

    np.testing.assert_allclose(half, np.sqrt(full))


def test_interest_of_a_neutral_video():
    assert interest_of(np.zeros(1))[0] == pytest.approx(1 / (1 + np.exp(0.8)))


def test_appeal_adds_interest_quality_and_popularity():
    one = np.ones(1)

    # logit 0.7·(−0.8 + 1.7·1) + 1.5·(1 − ½) + 0.3·1
    assert viewing(one, one, one, one, Dials()).z[0] == pytest.approx(0.7 * 0.9 + 0.75 + 0.3)
    assert viewing(one, one, one, one, Dials(quality=0)).z[0] == pytest.approx(0.7 * 0.9 + 0.3)
    assert viewing(one, one, one, one, Dials(popularity=0)).z[0] == pytest.approx(0.7 * 0.9 + 0.75)


def test_closed_form_of_a_half_watched_video():
    # at z = 0, D = 8: P(x ≥ ½) = 1/(1 + (½·8/4.5)^2.2), p_skip = σ(−1.6)
    expected = (1 - 1 / (1 + np.exp(1.6))) / (1 + (4 / 4.5) ** 2.2)

    assert watch50_probability(seen(0.0, n=1), Dials())[0] == pytest.approx(expected)


@pytest.mark.parametrize("z", [-2.0, 0.0, 1.5])
@pytest.mark.parametrize("duration_s", [4.0, 8.0, 20.0])
def test_half_is_watched_as_often_as_the_closed_form_says(z, duration_s):
    watch_s = watch_if_examined(KEYS, seen(z, duration_s), Dials())

    assert_share(
        watched_half(watch_s, np.full(N, duration_s)), watch50_probability(seen(z, duration_s, n=1), Dials())[0]
    )


@pytest.mark.parametrize("share", [0.35, 0.75, 0.999])
def test_watched_shares_follow_the_survival_function(share):
    watch_s = watch_if_examined(KEYS, seen(0.3), Dials())

    watched_on = (1 - skip_probability(np.array([0.3]), Dials())) * survival(share, seen(0.3, n=1), Dials())

    assert_share(watch_s >= share * 8.0, float(watched_on[0]))


def test_skips_are_as_common_as_the_closed_form_says():
    # with an immense appeal nobody who stays leaves before 1.5 s, so that those below are the skips
    dials = Dials(skip=2.0)
    watch_s = watch_if_examined(KEYS, seen(4.0), dials)

    assert_share(watch_s <= 1.5, 2.0 / (1 + np.exp(1.6 + 0.8 * 4.0)) + 0.0)


def test_without_the_duration_dial_completion_does_not_know_the_duration():
    short, long = (watch_if_examined(KEYS, seen(0.0, d), Dials(duration=0)) / d for d in (4.0, 20.0))
    stayed = (short > 0.375) & (long > 0.375)  # skips are counted in seconds

    np.testing.assert_allclose(short[stayed], long[stayed])
    assert watch50_probability(seen(0.0, 4.0, n=1), Dials(duration=0)) == watch50_probability(
        seen(0.0, 20.0, n=1), Dials(duration=0)
    )


def test_with_the_duration_dial_the_seconds_do_not_know_it():
    short, long = (watch_if_examined(KEYS, seen(0.0, d), Dials(skip=0)) for d in (4.0, 20.0))
    cut = short >= 4.0

    np.testing.assert_allclose(short[~cut], long[~cut])
    assert watched_half(short, np.full(N, 4.0)).mean() > watched_half(long, np.full(N, 20.0)).mean() + 0.3


def test_replays_are_a_dial():
    with_replays, without = (watch_if_examined(KEYS, seen(1.0), Dials(skip=0, replay=r)) for r in (1, 0))
    beyond = float(survival(1.0, seen(1.0, n=1), Dials())[0])

    assert without.max() == 8.0
    assert with_replays.max() == 4 * 8.0
    assert_share(with_replays > 8.0, 0.5 * beyond)


def test_without_the_skip_dial_nothing_is_skipped():
    assert skip_probability(np.array([-3.0, 0.0]), Dials(skip=0)).tolist() == [0.0, 0.0]


def test_likes_follow_interest_where_a_quarter_was_watched():
    left = feedback(KEYS, np.ones(N, dtype=np.int64), np.ones(N, dtype=bool), seen(1.0, interest=0.8), Dials())
    watched = left.watch_time_s >= 0.25 * 8.0

    assert_share(left.liked[watched], 0.30 * 0.8**2)
    assert_share(left.commented[watched], 0.05 * 0.8**2)
    assert_share(left.followed[watched], 0.06 * 0.8**3)
    assert_share(left.shared[watched], 0.06 * 0.8**2)
    assert not left.liked[~watched].any()


def test_without_the_explicit_dial_nobody_reacts():
    left = feedback(KEYS, np.ones(N, dtype=np.int64), np.ones(N, dtype=bool), seen(1.0), Dials(explicit=0))

    assert not (left.liked | left.commented | left.followed | left.shared).any()


def test_an_unreached_slot_has_no_watch_time_and_an_unattended_one_a_glance():
    reached = np.arange(N) % 2 == 0

    left = feedback(KEYS, np.full(N, 10), reached, seen(3.0, duration_s=4.0), Dials())
    glanced = reached & ~left.examined

    np.testing.assert_array_equal(np.isnan(left.watch_time_s), ~reached)
    assert not left.examined[~reached].any()
    assert left.watch_time_s[glanced].max() <= 0.2 * 4.0
    assert not left.liked[~left.examined].any()
    assert_share(left.examined[reached], 10**-0.3)


def test_with_every_dial_at_zero_only_interest_is_left():
    affinity = np.array([0.4, 0.4])

    low, high = viewing(affinity, np.array([0.1, 0.9]), np.array([-2.0, 2.0]), np.array([4.0, 20.0]), NO_BIAS).z

    assert low == high == pytest.approx(0.7 * (-0.8 + 1.7 * 0.4))


def test_a_dial_below_zero_is_refused():
    with pytest.raises(ValueError, match="dial replay is -1"):
        Dials(replay=-1)
