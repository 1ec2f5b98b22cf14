"""DCG and NDCG of delivered feeds, naive and by inverse examination probabilities."""

from dataclasses import fields, replace
from math import log2

import numpy as np
import pytest
from sklearn.metrics import ndcg_score

from retrieval.metrics.cluster import Bootstrap
from retrieval.metrics.listwise import (
    Feeds,
    Form,
    Measure,
    UserSums,
    compared,
    from_gains,
    gains,
    weights_of,
)
from retrieval.metrics.ranks import ranks_within
from retrieval.metrics.weights import Weights


def make_feeds(seed=0, n_feeds=200, n_users=40):
    """Feeds of 0 to 14 slots, where low slots are examined less."""
    rng = np.random.default_rng(seed)
    lengths = rng.integers(0, 15, n_feeds)
    offsets = np.concatenate([[0], np.cumsum(lengths)])
    position = np.arange(offsets[-1]) - np.repeat(offsets[:-1], lengths) + 1
    examination = 1.0 / position
    label = rng.random(offsets[-1]) < 0.6 * examination
    return Feeds(offsets, label, examination, rng.integers(n_users, size=n_feeds))


def random_ranks(feeds, seed=1):
    rng = np.random.default_rng(seed)
    return ranks_within(rng.random(len(feeds.label)), feeds.offsets, np.arange(len(feeds.label)))


# Two slots examined with 1 and 1/4, both positive; the policy turns them round. k is large.
TWO = Feeds(np.array([0, 3]), np.array([True, False, True]), np.array([1.0, 0.5, 0.25]), np.array([0]))
TURNED = np.array([3, 2, 1])


def test_a_positive_counts_one_over_its_examination_probability_at_its_new_rank():
    found = gains(TWO, TURNED, k=10)

    assert found.dcg[0] == pytest.approx(1 / log2(4) + 1)  # ranks 3 and 1
    assert found.dcg_ips[0] == pytest.approx(1 / log2(4) + 4)
    assert (found.positives[0], found.weight[0]) == (2, 5)


def test_the_ideal_order_is_that_of_the_weights():
    found = gains(TWO, TURNED, k=10)

    assert found.ndcg[0] == pytest.approx(1.5 / (1 + 1 / log2(3)))
    assert found.ndcg_ips[0] == pytest.approx(4.5 / (4 + 1 / log2(3)))  # weight 4 first, then 1


def test_ranks_after_k_count_nothing_and_the_ideal_has_k_places():
    found = gains(TWO, TURNED, k=1)

    assert found.dcg_ips[0] == 4
    assert found.ndcg_ips[0] == 1
    assert found.weight[0] == 5  # of the feed, not of its top


def test_clipping_cuts_the_weights_from_above_and_leaves_the_others():
    found = gains(TWO, TURNED, k=10, clip=0.5)

    assert found.dcg_clipped[0] == pytest.approx(1 / log2(4) + 2)
    assert found.ndcg_clipped[0] == pytest.approx(2.5 / (2 + 1 / log2(3)))
    assert found.weight_clipped[0] == 3
    assert found.dcg_ips[0] == pytest.approx(4.5)


def test_a_feed_without_a_positive_gains_nothing_and_has_no_ndcg():
    found = gains(Feeds(np.array([0, 2]), np.zeros(2, bool), np.ones(2), np.array([0])), np.array([1, 2]), k=10)

    assert (found.dcg[0], found.dcg_ips[0], found.positives[0], found.mixed[0]) == (0, 0, 0, False)
    assert np.isnan([found.ndcg[0], found.ndcg_ips[0], found.ndcg_clipped[0]]).all()


def test_a_feed_of_one_video_is_no_choice_and_not_in_the_papers_subset():
    found = gains(Feeds(np.array([0, 1]), np.ones(1, bool), np.ones(1), np.array([0])), np.array([1]), k=10)

    assert (found.ndcg[0], found.mixed[0]) == (1, False)


@pytest.mark.parametrize(("reached", "mixed"), [(None, True), ([True, False, True], False), ([True, True, True], True)])
def test_a_slot_that_was_not_reached_is_no_negative_where_that_is_known(reached, mixed):
    feeds = replace(TWO, reached=None if reached is None else np.array(reached))

    assert gains(feeds, TURNED, k=10).mixed[0] == mixed


def test_the_naive_form_is_that_of_probability_one():
    feeds = make_feeds()
    found = gains(replace(feeds, examination=np.ones(len(feeds.label))), random_ranks(feeds), k=10)

    for name in ("dcg", "ndcg"):
        np.testing.assert_allclose(getattr(found, f"{name}_ips"), getattr(found, name), rtol=1e-12)
        np.testing.assert_allclose(getattr(found, f"{name}_clipped"), getattr(found, name), rtol=1e-12)


@pytest.mark.parametrize("k", [3, 10])
def test_both_ndcgs_are_those_of_scikit_learn_with_weights_as_relevance(k):
    feeds = make_feeds(n_feeds=25)
    ranks = random_ranks(feeds)
    found = gains(feeds, ranks, k)

    for feed in np.flatnonzero((found.positives > 0) & (np.diff(feeds.offsets) > 1)):
        rows = slice(feeds.offsets[feed], feeds.offsets[feed + 1])
        scores, label, q = -ranks[rows].astype(float), feeds.label[rows].astype(float), feeds.examination[rows]
        assert found.ndcg[feed] == pytest.approx(ndcg_score([label], [scores], k=k), abs=1e-9)
        assert found.ndcg_ips[feed] == pytest.approx(ndcg_score([label / q], [scores], k=k), abs=1e-9)
        clipped = label / np.maximum(q, 0.2)
        with_clip = gains(feeds, ranks, k, clip=0.2).ndcg_clipped[feed]
        assert with_clip == pytest.approx(ndcg_score([clipped], [scores], k=k), abs=1e-9)


def test_the_order_of_a_feeds_rows_changes_nothing():
    feeds = make_feeds(n_feeds=1, seed=3)
    ranks = random_ranks(feeds)
    turned = replace(feeds, label=feeds.label[::-1], examination=feeds.examination[::-1])

    found, again = gains(feeds, ranks, 5), gains(turned, ranks[::-1], 5)

    for field in fields(found):
        np.testing.assert_allclose(getattr(again, field.name), getattr(found, field.name), rtol=1e-12)


@pytest.mark.parametrize("examination", [[0.0, 1.0, 1.0], [1.0, 1.1, 1.0], [np.nan, 1.0, 1.0], [1.0, 1.0]])
def test_examination_probabilities_outside_of_zero_to_one_or_too_few_are_refused(examination):
    with pytest.raises(ValueError, match="examination"):
        replace(TWO, examination=np.array(examination))


@pytest.mark.parametrize(("ranks", "k", "clip"), [(TURNED, 0, 0.01), (TURNED[:2], 10, 0.01), (TURNED, 10, -0.1)])
def test_no_places_too_few_ranks_and_a_negative_clip_are_refused(ranks, k, clip):
    with pytest.raises(ValueError, match="k is"):
        gains(TWO, ranks, k, clip)


def test_weights_tell_how_many_positives_are_left_of_them():
    weights = weights_of(TWO, clip=0.3)

    # Weights 1 and 4: (1 + 4)² / (1 + 16).
    assert weights.effective_sample_size == pytest.approx(25 / 17)
    assert (weights.n, weights.largest, weights.share_clipped) == (2, 4, 0.5)


def test_weights_of_parts_add_up_to_those_of_the_log():
    both = weights_of(TWO) + weights_of(replace(TWO, examination=np.array([0.1, 0.5, 1.0])))

    assert both == Weights(4, 16.0, 118.0, 10.0, 0)
    assert np.isnan(Weights().effective_sample_size)
    assert np.isnan(Weights().share_clipped)


def test_sums_of_parts_of_a_log_give_what_the_log_gives():
    feeds = make_feeds()
    found = gains(feeds, random_ranks(feeds), 10)
    first = np.arange(len(feeds)) < 70
    parts = [
        from_gains(type(found)(*(getattr(found, f.name)[part] for f in fields(found))), feeds.user[part], 40)
        for part in (first, ~first)
    ]

    whole = from_gains(found, feeds.user, 40)

    np.testing.assert_allclose((UserSums.none(40) + parts[0] + parts[1]).values, whole.values, rtol=1e-12)


def test_every_measure_is_its_ratio_of_sums():
    feeds = make_feeds()
    found = gains(feeds, random_ranks(feeds), 10, clip=0.2)
    measured = compared({"a": from_gains(found, feeds.user, 40)}, Bootstrap(50))

    def mean(measure, form):
        return measured.of("a", measure, form).mean

    assert mean(Measure.DCG, Form.IPS) == pytest.approx(found.dcg_ips.mean())
    assert mean(Measure.NDCG, Form.NAIVE) == pytest.approx(np.nanmean(found.ndcg))
    assert mean(Measure.NDCG_MIXED, Form.CLIPPED) == pytest.approx(found.ndcg_clipped[found.mixed].mean())
    assert mean(Measure.DCG_MIXED, Form.NAIVE) == pytest.approx(found.dcg[found.mixed].mean())
    assert mean(Measure.SELF_NORMALISED, Form.IPS) == pytest.approx(found.dcg_ips.sum() / found.weight.sum())
    assert mean(Measure.SELF_NORMALISED, Form.NAIVE) == pytest.approx(found.dcg.sum() / found.positives.sum())
    assert measured.n_feeds(Measure.DCG) == 200
    assert measured.n_feeds(Measure.NDCG_MIXED) == found.mixed.sum()
    assert measured.n_feeds(Measure.SELF_NORMALISED) == (found.positives > 0).sum()


def test_a_difference_is_paired_and_that_to_oneself_is_nothing():
    feeds = make_feeds(n_feeds=2000)
    best = from_gains(gains(feeds, random_ranks(feeds), 10), feeds.user, 40)
    other = from_gains(gains(feeds, random_ranks(feeds, seed=2), 10), feeds.user, 40)
    measured = compared({"a": best, "b": other}, Bootstrap(500))

    itself = measured.difference("a", "a", Measure.NDCG, Form.IPS)
    paired = measured.difference("a", "b", Measure.DCG, Form.IPS)
    single = measured.of("a", Measure.DCG, Form.IPS)

    assert (itself.mean, itself.low, itself.high) == (0, 0, 0)
    assert paired.high - paired.low < single.high - single.low  # the same feeds, so what they share cancels
