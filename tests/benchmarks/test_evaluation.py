"""The evaluation's benchmarks measure what they say, and IPS-NDCG is the loop's and ranx's."""

from itertools import pairwise

import numpy as np
import pytest

from benchmarks.evaluation import MILLION, loop_ndcg_ips, make_part, ranx_lists, ranx_ndcg_ips, scale_figures
from retrieval.metrics.listwise import gains


def test_parts_are_feeds_of_8_to_12_slots_whose_low_slots_are_seen_less():
    part = make_part(20_000, 200, seed=0)

    lengths = np.diff(part.feeds.offsets)
    first = part.feeds.offsets[:-1]
    assert (lengths.min(), lengths.max()) == (8, 12)
    assert len(part.scores) == pytest.approx(20_000, rel=0.02)
    assert (part.feeds.examination[first] == 1).all()
    assert part.feeds.label[first].mean() > 2 * part.feeds.label[first + 7].mean()


def test_ndcg_ips_is_that_of_the_plain_loop():
    part = make_part(3000, 30, seed=1)

    loop = loop_ndcg_ips(
        *(c.tolist() for c in (part.scores, part.feeds.label, part.feeds.examination, part.feeds.offsets))
    )

    np.testing.assert_allclose(part.gains().ndcg_ips, loop, atol=1e-12)


@pytest.mark.filterwarnings("ignore")  # ranx's compiler warns of ranx
def test_ndcg_and_ndcg_ips_are_those_of_ranx_to_a_billionth():
    part = make_part(3000, 30, seed=2)
    ours, lists = part.gains(), ranx_lists(part)
    plain = np.where(lists.judged > 0, np.minimum(lists.judged, [np.inf, 1.0]), lists.judged)

    np.testing.assert_allclose(np.nan_to_num(ours.ndcg_ips), ranx_ndcg_ips(lists.judged, lists.ranked()), atol=1e-9)
    np.testing.assert_allclose(np.nan_to_num(ours.ndcg), ranx_ndcg_ips(plain, lists.ranked()), atol=1e-9)


def test_a_million_impressions_are_a_figure_of_time_and_of_memory():
    assert MILLION == 1_000_000
    assert [figure.figure for figure in scale_figures(0)] == ["million_seconds", "million_peak_gb"]


def test_ranks_of_a_part_are_by_score():
    part = make_part(100, 5, seed=3)

    best = [part.scores[start:end].argmax() + start for start, end in pairwise(part.feeds.offsets)]

    only = np.zeros(len(part.scores), bool)
    only[best] = True
    alone = type(part.feeds)(part.feeds.offsets, only, part.feeds.examination, part.feeds.user)
    assert (type(part)(alone, part.scores, part.ties).gains().ndcg == 1).all()
    assert gains(alone, np.ones(len(only), np.int64), 1).dcg.tolist() == [1.0] * len(alone)
