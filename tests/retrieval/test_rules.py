"""Lists under rules: by hand, against a plain loop, and what no rule may ever do."""

import numpy as np
import pytest

from retrieval.half import decoded
from retrieval.rules import COSINE_ROUNDING, Candidates, FeedRules, arrange, relevance_of, widen

DAY_S = 86_400.0
EVERYTHING = FeedRules(diversity=0.4, freshness=1.5, cap_creator=2, cap_brand=3, collapse=0.9)
SEEDS = range(8)


def no_vectors():
    raise AssertionError("no rule asked for vectors")


def candidates(scores, vectors=None, age_s=None, creators=None, brands=None):
    """A pool by hand: of one age, nobody's and of no brand, where nothing else is said."""
    n = len(scores)
    return Candidates(
        np.array(scores, np.float32),
        np.zeros(n) if age_s is None else np.array(age_s, float),
        np.full(n, -1) if creators is None else np.array(creators),
        np.full(n, -1) if brands is None else np.array(brands),
        no_vectors if vectors is None else lambda: np.array(vectors, np.float16),
    )


def random_pool(seed, n=60, dim=16):
    """Videos of twelve themes, so that some are near-duplicates, with vectors of any length."""
    rng = np.random.default_rng(seed)
    vectors = rng.standard_normal((12, dim))[rng.integers(0, 12, n)] + rng.normal(0, 0.2, (n, dim))
    scores = np.sort(rng.normal(0.3, 0.05, n))[::-1]
    codes = rng.integers(-1, 10, (2, n))
    return candidates(scores, vectors, rng.exponential(7 * DAY_S, n), *codes)


def cosines_of(pool):
    vectors = pool.vectors().astype(float)
    unit = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    return unit @ unit.T


def plain_loop(pool, rules, k):
    """The definition of `arrange`, video by video."""
    cosines, ages = cosines_of(pool), pool.age_s / rules.freshness_half_life_s
    scores = pool.scores.astype(float)
    scores = scores + rules.freshness * scores.std() * 0.5**ages
    relevance = (scores - scores.min()) / (scores.max() - scores.min())

    def allowed(video, chosen):
        repeats = rules.collapse and any(cosines[video, other] >= rules.collapse for other in chosen)
        capped = any(
            cap and codes[video] >= 0 and sum(codes[other] == codes[video] for other in chosen) >= cap
            for codes, cap in ((pool.creators, rules.cap_creator), (pool.brands, rules.cap_brand))
        )
        return video not in chosen and not repeats and not capped

    def gain(video, chosen):
        near = max((cosines[video, other] for other in chosen), default=None)
        return relevance[video] if near is None else (1 - rules.diversity) * relevance[video] - rules.diversity * near

    chosen = []
    while len(chosen) < k and (left := [video for video in range(len(pool)) if allowed(video, chosen)]):
        chosen.append(max(left, key=lambda video: (gain(video, chosen), -video)))
    return chosen, [video for video in range(len(pool)) if allowed(video, chosen)]


def test_without_rules_the_pool_keeps_its_order_and_no_vector_is_touched():
    arranged = arrange(candidates([5, 4, 3, 3, 2]), FeedRules(), 3)

    assert not FeedRules().active
    assert arranged.chosen.tolist() == [0, 1, 2]
    assert arranged.spare.tolist() == [3, 4]


@pytest.mark.parametrize("rules", [FeedRules(freshness=1.0), FeedRules(cap_creator=1), FeedRules(cap_brand=1)])
def test_rules_that_compare_nothing_touch_no_vector(rules):
    assert arrange(candidates([5, 4, 3]), rules, 2).chosen.tolist() == [0, 1]


def test_diversity_prefers_what_is_unlike_the_chosen():
    # Relevance 1, 0.9, 0.5, 0. After place 0: ½·0.9 − ½·1 = −0.05 for its like, ½·0.5 − ½·0 = 0.25 for place 2,
    # ½·0 − ½·(−1) = 0.5 for its opposite; then still −0.05 and 0.25, since place 2 is at right angles to both.
    pool = candidates([2.0, 1.9, 1.5, 1.0], [[1, 0], [2, 0], [0, 1], [-1, 0]])

    assert arrange(pool, FeedRules(diversity=0.5), 4).chosen.tolist() == [0, 3, 2, 1]


def test_full_diversity_still_starts_with_the_most_relevant():
    pool = candidates([2.0, 2.0, 1.0], [[1, 0], [1, 0], [0, 1]], age_s=[90 * DAY_S, 0, 0])

    assert arrange(pool, FeedRules(diversity=1.0, freshness=1.0), 3).chosen.tolist() == [1, 2, 0]


def test_a_pool_of_k_is_only_reordered_and_a_deep_one_is_not():
    pool = random_pool(0)
    first_ten = Candidates(pool.scores[:10], pool.age_s[:10], *[pool.creators[:10]] * 2, lambda: pool.vectors()[:10])
    rules = FeedRules(diversity=0.5)

    assert sorted(arrange(first_ten, rules, 10).chosen) == list(range(10))
    assert max(arrange(pool, rules, 10).chosen) >= 10


def test_the_depth_to_fetch_is_always_well_beyond_k():
    assert FeedRules().depth(10) == 10
    assert FeedRules(diversity=0.1).depth(10) == 200
    assert FeedRules(diversity=0.1, pool=10).depth(10) == 40


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize(
    "rules",
    [
        FeedRules(diversity=0.2),
        FeedRules(diversity=0.7, freshness=0.5),
        FeedRules(collapse=0.95),
        FeedRules(cap_creator=1, cap_brand=2),
        EVERYTHING,
    ],
)
def test_it_agrees_with_a_plain_loop(seed, rules):
    pool = random_pool(seed)

    arranged = arrange(pool, rules, 20)

    assert (arranged.chosen.tolist(), arranged.spare.tolist()) == plain_loop(pool, rules, 20)


@pytest.mark.parametrize("seed", SEEDS)
def test_the_scale_of_scores_does_not_matter(seed):
    pool = random_pool(seed)
    louder = Candidates(pool.scores * 1024, pool.age_s, pool.creators, pool.brands, pool.vectors)

    np.testing.assert_array_equal(arrange(louder, EVERYTHING, 20).chosen, arrange(pool, EVERYTHING, 20).chosen)


def test_equals_stand_by_place_though_their_vectors_are_copies():
    # A product of the whole matrix with a vector gives some of 202 copies another last bit.
    vector = np.random.default_rng(1).standard_normal(512)
    pool = candidates([1.0] * 203, [np.roll(vector, 1), *[vector] * 202])

    assert arrange(pool, FeedRules(diversity=0.5), 8).chosen.tolist() == list(range(8))


def test_freshness_halves_with_each_half_life():
    # σ of (3, 1) is 1, and two half-lives leave a quarter: 3 + 4 · ¼ = 4 against 1 + 4 = 5, but 3.5 against 3.
    pool = candidates([3.0, 1.0], age_s=[14 * DAY_S, 0.0])

    assert arrange(pool, FeedRules(freshness=4.0), 2).chosen.tolist() == [1, 0]
    assert arrange(pool, FeedRules(freshness=2.0), 2).chosen.tolist() == [0, 1]


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("freshness", [0.1, 1.0, 3.0])
def test_freshness_never_overturns_a_lead_beyond_its_bound(seed, freshness):
    pool = random_pool(seed)

    place_of = np.argsort(arrange(pool, FeedRules(freshness=freshness), len(pool)).chosen)

    scores = pool.scores.astype(float)
    leads = scores[:, None] - scores > freshness * scores.std()
    assert leads.any()
    assert (place_of[:, None] < place_of)[leads].all()


def test_freshness_moves_nothing_where_all_scores_are_equal():
    pool = candidates([0.3] * 7, age_s=np.arange(7)[::-1] * DAY_S)

    assert relevance_of(pool, FeedRules(freshness=10.0)).tolist() == [0.0] * 7


def test_who_has_reached_a_cap_is_passed_over_and_nobody_is_never_capped():
    pool = candidates([9, 8, 7, 6, 5, 4, 3], creators=[4, 4, 4, -1, -1, -1, 0], brands=[0, 1, 2, 3, 3, -1, 3])

    arranged = arrange(pool, FeedRules(cap_creator=2, cap_brand=1), 4)

    assert arranged.chosen.tolist() == [0, 1, 3, 5]
    assert arranged.spare.tolist() == []  # creator 4 and brand 3 have had theirs


def test_spare_places_keep_to_the_caps_and_stand_by_score():
    pool = candidates([9, 8, 7, 6, 5], creators=[0, 0, 1, 2, 1])

    arranged = arrange(pool, FeedRules(cap_creator=1), 1)

    assert arranged.chosen.tolist() == [0]
    assert arranged.spare.tolist() == [2, 3, 4]


@pytest.mark.parametrize("seed", SEEDS)
def test_no_cap_is_ever_exceeded_and_nothing_comes_twice(seed):
    pool = random_pool(seed)

    chosen = arrange(pool, EVERYTHING, 30).chosen

    creators, brands = pool.creators[chosen], pool.brands[chosen]
    assert np.bincount(creators[creators >= 0]).max() <= EVERYTHING.cap_creator
    assert np.bincount(brands[brands >= 0]).max() <= EVERYTHING.cap_brand
    assert len(set(chosen.tolist())) == len(chosen)


def test_only_the_best_of_near_duplicates_stays():
    # Cosines with place 0: 1, 0.8 and 0.6; of places 2 and 3 with one another 0.8 · 0.6 + 0.6 · 0.8 = 0.96.
    pool = candidates([9, 8, 7, 6], [[3, 0], [5, 0], [0.8, 0.6], [0.6, 0.8]])

    assert arrange(pool, FeedRules(collapse=1.0), 4).chosen.tolist() == [0, 2, 3]
    assert arrange(pool, FeedRules(collapse=0.9), 4).chosen.tolist() == [0, 2]
    assert arrange(pool, FeedRules(collapse=0.7), 4).chosen.tolist() == [0, 3]


@pytest.mark.parametrize("seed", SEEDS)
def test_no_two_of_a_list_are_near_duplicates_nor_would_a_spare_one_be(seed):
    pool = random_pool(seed)

    arranged = arrange(pool, FeedRules(diversity=0.3, collapse=0.8), 5)

    cosines = cosines_of(pool)
    among_chosen = cosines[np.ix_(arranged.chosen, arranged.chosen)] - 2 * np.eye(len(arranged.chosen))
    assert among_chosen.max() < 0.8
    assert len(arranged.spare) > 0
    assert cosines[np.ix_(arranged.spare, arranged.chosen)].max() < 0.8


def test_copies_of_any_direction_collapse_at_a_cosine_of_one():
    vectors = np.random.default_rng(2).standard_normal((50, 512)).astype(np.float16)
    pool = candidates([1.0] * 100, np.concatenate([vectors, vectors]))

    assert COSINE_ROUNDING < 1e-5
    assert arrange(pool, FeedRules(collapse=1.0), 100).chosen.tolist() == list(range(50))


def test_a_vector_of_zeros_is_like_nothing():
    pool = candidates([3, 2, 1], [[0, 0], [0, 0], [1, 0]])

    assert arrange(pool, FeedRules(collapse=0.5), 3).chosen.tolist() == [0, 1, 2]


def test_a_list_that_falls_short_says_so_and_the_next_pool_is_wider():
    pool = candidates([9, 8, 7], creators=[0, 0, 1])

    arranged = arrange(pool, FeedRules(cap_creator=1), 3)

    assert arranged.chosen.tolist() == [0, 2]
    assert arranged.falls_short(3)
    assert not arranged.falls_short(2)
    assert [widen(3, 100), widen(12, 40), widen(40, 40)] == [12, 40, 40]


@pytest.mark.parametrize("rules", [FeedRules(), EVERYTHING])
def test_an_empty_pool_gives_an_empty_list(rules):
    arranged = arrange(candidates([]), rules, 5)

    assert (len(arranged.chosen), len(arranged.spare)) == (0, 0)


@pytest.mark.parametrize("rules", [FeedRules(), EVERYTHING])
def test_a_list_of_none_leaves_all_spare(rules):
    pool = random_pool(0)

    arranged = arrange(pool, rules, 0)

    assert arranged.chosen.tolist() == []
    assert arranged.spare.tolist() == list(range(len(pool)))


def test_every_finite_half_is_decoded_exactly():
    halves = np.arange(65_536, dtype=np.uint16).view(np.float16)
    finite = halves[np.isfinite(halves)]

    np.testing.assert_array_equal(decoded(finite).view(np.uint32), finite.astype(np.float32).view(np.uint32))


@pytest.mark.parametrize(
    ("choice", "sentence"),
    [
        ({"diversity": 1.1}, "diversity is 1.1, not a number from 0 to 1"),
        ({"diversity": float("nan")}, "diversity is nan"),
        ({"freshness": -0.1}, "freshness is -0.1, not a number from 0 to 10"),
        ({"freshness": 10.5}, "freshness is 10.5"),
        ({"freshness_half_life_s": 0.0}, "freshness_half_life_s is 0.0, not a number from 1 up"),
        ({"freshness_half_life_s": float("inf")}, "freshness_half_life_s is inf"),
        ({"cap_creator": -1}, "cap_creator is -1, not a number from 0 up"),
        ({"cap_brand": -1}, "cap_brand is -1"),
        ({"collapse": 1.01}, "collapse is 1.01"),
        ({"pool": 0}, "pool is 0, not a number from 1 up"),
    ],
)
def test_a_value_out_of_range_is_refused(choice, sentence):
    with pytest.raises(ValueError, match=sentence):
        FeedRules(**choice)


@pytest.mark.parametrize(
    "choice", [{"diversity": 0.1}, {"freshness": 0.1}, {"cap_creator": 1}, {"cap_brand": 1}, {"collapse": 0.9}]
)
def test_each_rule_makes_the_rules_active_but_the_pool_alone_does_not(choice):
    assert FeedRules(**choice).active
    assert not FeedRules(pool=50, freshness_half_life_s=DAY_S).active


@pytest.mark.parametrize(
    ("pool", "sentence"),
    [
        ({"scores": [1, 2]}, "best first"),
        ({"scores": [2, np.nan]}, "must be numbers"),
        ({"scores": [2, -np.inf]}, "must be finite"),
        ({"scores": [2, 1], "age_s": [0, -1]}, "ages"),
        ({"scores": [2, 1], "brands": [0]}, "differ in number"),
    ],
)
def test_candidates_that_are_not_as_said_are_refused(pool, sentence):
    with pytest.raises(ValueError, match=sentence):
        candidates(**pool)


def test_vectors_that_are_missing_too_few_or_of_another_type_are_refused():
    pool = candidates([2, 1], [[1, 0]])
    without = Candidates(pool.scores, pool.age_s, pool.creators, pool.brands)
    wide = Candidates(pool.scores, pool.age_s, pool.creators, pool.brands, lambda: np.ones((2, 2)))

    with pytest.raises(ValueError, match="2 candidates and 1 vectors"):
        arrange(pool, FeedRules(diversity=0.5), 2)
    with pytest.raises(ValueError, match="have none"):
        arrange(without, FeedRules(diversity=0.5), 2)
    with pytest.raises(ValueError, match="float64"):
        arrange(wide, FeedRules(diversity=0.5), 2)


def test_a_negative_k_is_refused():
    with pytest.raises(ValueError, match="at least 0, not -1"):
        arrange(candidates([1]), FeedRules(), -1)
