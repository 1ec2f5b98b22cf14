"""A new version against the live one: overlap and skew by hand, and the bounds."""

import pytest

from retrieval.asking import Touch
from retrieval.snapshot import open_snapshot
from retrieval.systems import SystemConfig
from serving.compare import N_COMPARED, Bounds, Comparison, K, Recorded, compare, made_up
from serving.live import Live
from serving.overlay import Overlay, parse_overlay
from tests.serving.oracle import product_vector, scores_of
from tests.serving.site import NOW, build_site, product_ids, update_site, video_ids
from tests.serving.test_overlay import block

NOW_US = int(NOW.timestamp() * 1e6)
EMPTY = parse_overlay(0, [])


@pytest.fixture(scope="module", name="root")
def _root(tmp_path_factory):
    return build_site(tmp_path_factory.mktemp("compare"))


@pytest.fixture(scope="module", name="live")
def _live(root):
    return Live(open_snapshot(root / "snapshot"), NOW_US)


@pytest.fixture(scope="module", name="other")
def _other(root, live):
    """A version without the three videos that are nearest to p3."""
    return Live(open_snapshot(root / "snapshot", version=update_site(root, without_best("p3", 3))), NOW_US)


def ranked(product):
    scores = scores_of(product_vector(product), video_ids())
    return sorted(scores, key=lambda video: (-scores[video], video_ids().index(video)))


def without_best(product, n):
    return [video for video in video_ids() if video not in ranked(product)[:n]]


def asked(product, user="ann"):
    return Recorded(user, NOW_US, (Touch(product, "view", NOW_US - 1),))


def found_by(new, live, requests, overlay=EMPTY):
    return compare(new, live, requests, overlay, SystemConfig(), NOW_US)


def test_a_version_beside_itself_changes_nothing(live):
    found = found_by(live, live, [asked("p3"), asked("p4")])

    assert (found.overlap, found.requests) == (1.0, 2)
    assert found.skew == found.skew_live
    assert found.version == found.against == live.snapshot.version


def test_overlap_is_the_share_of_the_live_top_that_stays(live, other):
    found = found_by(other, live, [asked("p3")])

    assert found.overlap == pytest.approx(7 / 10)  # the three nearest of ten are gone
    assert (found.version, found.against) == (other.snapshot.version, live.snapshot.version)


def test_overlap_is_the_mean_over_requests(live, other):
    gone = set(ranked("p3")[:3])
    kept = 10 - len(gone & set(ranked("p4")[:10]))

    assert found_by(other, live, [asked("p3"), asked("p4")]).overlap == pytest.approx((7 + kept) / 20)


def test_skew_is_none_where_everybody_gets_other_videos(live):
    assert found_by(live, live, [asked("p3")]).skew == pytest.approx(0.0)  # ten videos once each


def test_skew_grows_where_everybody_gets_the_same(live):
    found = found_by(live, live, [asked("p3")] * 2)

    # Twenty places, ten videos with two showings each and ten with none: G = 1/2.
    assert found.skew == pytest.approx(0.5)


def test_blocks_count_in_both(live, other):
    overlay = parse_overlay(1, [block("video", video) for video in ranked("p3")[:3]])

    assert found_by(other, live, [asked("p3")], overlay).overlap == 1.0


def test_only_the_newest_requests_are_asked(live):
    assert found_by(live, live, [asked("p3")] * (N_COMPARED + 5)).requests == N_COMPARED


def test_without_requests_the_catalogue_asks(live):
    made = made_up(live.snapshot, NOW_US)

    assert {touch.product_id for one in made for touch in one.history} == set(product_ids())
    assert found_by(live, live, []).requests == len(made) == 20


def test_requests_of_products_that_are_gone_are_answered_all_the_same(live):
    assert found_by(live, live, [asked("gone")]).overlap == 1.0


def test_a_version_that_may_show_nothing_keeps_nothing(live):
    everything = Overlay(revision=1, blocks={"video": frozenset(video_ids())})

    assert found_by(live, live, [asked("p3")], everything).overlap == 1.0  # nor did the live one


def found(**fields):
    given = {"overlap": 0.8, "skew": 0.3, "skew_live": 0.2, "latency_ratio": 1.5}
    return Comparison("new", "old", 5, **(given | fields))


@pytest.mark.parametrize(
    ("bounds", "comparison", "sentence"),
    [
        (Bounds(), found(overlap=0.0, skew=1.0, latency_ratio=99.0), ""),
        (Bounds(min_overlap=0.8), found(), ""),
        (Bounds(min_overlap=0.81), found(), "it shares 0.80 of the top 10, less than 0.81"),
        (Bounds(max_skew_change=0.11), found(), ""),
        (Bounds(max_skew_change=0.05), found(), "its exposure's Gini coefficient is off by 0.10, more than 0.05"),
        (
            Bounds(max_skew_change=0.05),
            found(skew=0.1),
            "its exposure's Gini coefficient is off by 0.10, more than 0.05",
        ),
        (Bounds(max_latency_ratio=1.5), found(), ""),
        (Bounds(max_latency_ratio=1.4), found(), "it takes 1.5 times as long, more than 1.4 times"),
    ],
)
def test_a_broken_bound_is_told_in_words(bounds, comparison, sentence):
    assert bounds.broken_by(comparison) == sentence


def test_bounds_of_nothing_are_none():
    assert not Bounds().any
    assert Bounds(max_latency_ratio=2.0).any
    assert K == 10
