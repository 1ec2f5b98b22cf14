import numpy as np
import polars as pl

from labelcraft.evaluation.before import count_before
from labelcraft.evaluation.scoring import (
    FileScorer,
    GivenScorer,
    MultimodalScorer,
    RandomScorer,
    StaticScorer,
    ranked_last,
)
from retrieval.conventional import GivenSpace, RunVectors
from retrieval.ids import IdMap
from retrieval.index import build_index
from retrieval.log import make_log, to_us
from retrieval.recommend import audience_of
from retrieval.systems import MultimodalSystem, RandomSystem, SystemConfig
from retrieval.tables import Columns as C
from tests.labelcraft.evaluation.logs import N_VIDEOS, VIDEO_IDS, opened, read, slot, split, videos, write_log
from tests.shop import at

DAY_S = 86_400.0
PRODUCTS = ["p0", "p1", "p2"]
PRODUCT_VECTORS = np.eye(3, dtype=np.float16)
VIDEO_VECTORS = np.array(
    [[1, 0, 0], [0, 1, 0], [0, 0, 1], [0.5, 0.5, 0], [0, 0.25, 0.75], [0.25, 0.25, 0.25]], np.float16
)
FALLBACK = np.array([[0.0, 0.0, 1.0]], np.float32)
EVENTS = [("ann", "p0", 101.0), ("ann", "p1", 125.0), ("ann", "p2", 149.0)]


def log_of(events=EVENTS):
    interactions = pl.DataFrame(
        {
            C.USER_ID: [user for user, _, _ in events],
            C.PRODUCT_ID: [product for _, product, _ in events],
            C.EVENT: ["view"] * len(events),
            C.OCCURRED_AT: [at(hours) for _, _, hours in events],
        }
    ).cast({C.OCCURRED_AT: pl.Datetime("us", "UTC")})
    videos_frame = pl.DataFrame({C.VIDEO_ID: VIDEO_IDS})
    return make_log(interactions, None, None, videos=videos_frame, products=pl.DataFrame({C.PRODUCT_ID: PRODUCTS}))


def scorer(log, users, half_life_s=DAY_S):
    system = MultimodalSystem(build_index("exact", VIDEO_VECTORS), PRODUCT_VECTORS, FALLBACK, (), half_life_s)
    return MultimodalScorer(system, log, log.users.rows(users.ids), VIDEO_VECTORS, 100)


def scores_by_feed(test_log, scored):
    (part,), _ = read(test_log)
    return dict(zip(part.feed_ids, np.split(scored.score(part), part.offsets[1:-1]), strict=True))


def test_each_feed_is_scored_by_what_its_user_had_touched_when_it_was_shown(tmp_path):
    slots = [slot("early", 1, "v0", hours=110), slot("late", 1, "v0", hours=126), slot("late", 2, "v1", hours=126)]
    test_log = opened(tmp_path, slots)

    scores = scores_by_feed(test_log, scorer(log_of(), test_log.users))

    # Early: p0 alone. Late: p1, and p0 a day (one half-life) older, so weights 1 and 1/2 of 3/2.
    assert scores["early"].tolist() == [1.0]
    np.testing.assert_allclose(scores["late"], [1 / 3, 2 / 3], rtol=1e-6)


def test_an_event_at_the_very_time_of_the_feed_is_not_known_yet(tmp_path):
    test_log = opened(tmp_path, [slot("f", 1, "v1", hours=125)])

    assert scores_by_feed(test_log, scorer(log_of(), test_log.users))["f"].tolist() == [0.0]


def test_moving_a_future_event_changes_no_score(tmp_path):
    slots = [slot("f", place, f"v{place}", hours=126) for place in range(1, 6)]
    test_log = opened(tmp_path, slots)
    moved = [*EVENTS[:2], ("ann", "p0", 126.0)]

    before = scores_by_feed(test_log, scorer(log_of(), test_log.users))["f"]
    after = scores_by_feed(test_log, scorer(log_of(moved), test_log.users))["f"]

    assert before.tolist() == after.tolist()


def test_who_has_touched_nothing_yet_is_scored_by_the_global_vector(tmp_path):
    test_log = opened(tmp_path, [slot("new", 1, "v2", user="nobody"), slot("f", 1, "v2", hours=100.5)])

    scores = scores_by_feed(test_log, scorer(log_of(), test_log.users))

    assert (scores["new"].tolist(), scores["f"].tolist()) == ([1.0], [1.0])


def test_scores_are_those_by_which_the_system_ranks(tmp_path):
    slots = [slot("f", row + 1, f"v{row}", hours=126) for row in range(N_VIDEOS)]
    test_log, log = opened(tmp_path, slots), log_of()
    made = scorer(log, test_log.users)

    scores = scores_by_feed(test_log, made)["f"]
    audience = audience_of(log, log.users.rows(["ann"]), to_us(at(126)), SystemConfig())
    found = made.system.rank(audience, N_VIDEOS, np.ones(N_VIDEOS, bool)).neighbours

    np.testing.assert_allclose(scores[found.rows[0]], found.scores[0], rtol=1e-6)


def test_many_feeds_are_scored_as_each_alone(tmp_path):
    slots = [slot(f"f{n}", place, f"v{place}", hours=101 + n / 10) for n in range(520) for place in (1, 2)]
    test_log = opened(tmp_path, slots)

    scores = scores_by_feed(test_log, scorer(log_of(), test_log.users))

    # p0 from hour 101 on, p1 from hour 125 on: at hour 126, feed 250, as above.
    np.testing.assert_allclose(scores["f250"], [2 / 3, 0.0], atol=1e-6)
    assert scores["f100"].tolist() == [0.0, 0.0]
    assert len(scores) == 520


def test_random_scores_are_those_of_the_random_system(tmp_path):
    slots = [slot("f", row + 1, f"v{row}") for row in range(N_VIDEOS)]
    test_log, log, system = opened(tmp_path, slots), log_of(), RandomSystem(3)

    scores = scores_by_feed(test_log, RandomScorer(system, system.keys(test_log.users.ids)))["f"]
    audience = audience_of(log, log.users.rows(["ann"]), to_us(at(126)), SystemConfig())
    found = system.rank(audience, N_VIDEOS, np.ones(N_VIDEOS, bool)).neighbours

    assert np.argsort(-scores).tolist() == found.rows[0].tolist()


def test_a_static_system_scores_by_video(tmp_path):
    test_log = opened(tmp_path, [slot("f", 1, "v4"), slot("f", 2, "v0")])

    scores = scores_by_feed(test_log, StaticScorer(np.arange(N_VIDEOS, dtype=np.float64)))

    assert scores["f"].tolist() == [4.0, 0.0]


def given(about):
    run = RunVectors(
        ["v0", "v1"], np.array([[1, 0], [0, 1]], np.float32), ["ann"], np.array([[2, 1]], np.float32),
        np.array([0, 0.5], np.float32), split().at_us, about, "abc",
    )  # fmt: skip
    return GivenSpace.of(run, VIDEO_IDS, "exact")


def test_trained_vectors_score_by_dot_product_and_a_video_without_one_has_none(tmp_path):
    slots = [slot("f", 1, "v0"), slot("f", 2, "v1"), slot("f", 3, "v2"), slot("g", 1, "v1", user="bob")]
    test_log, space = opened(tmp_path, slots), given({})

    scores = scores_by_feed(test_log, GivenScorer(space, space.of_users(test_log.users.ids).vectors))

    assert scores["f"][:2].tolist() == [2.0, 1.0]
    assert np.isnan(scores["f"][2])
    assert scores["g"].tolist() == [0.5]  # the default vector
    assert ranked_last(scores["f"]).tolist() == [2.0, 1.0, -np.inf]


def test_trained_scores_are_probabilities_where_the_training_says_scale_and_bias(tmp_path):
    test_log, space = opened(tmp_path, [slot("f", 1, "v0")]), given({"scale": 0.5, "bias": -1.0})
    made = GivenScorer(space, space.of_users(test_log.users.ids).vectors)

    assert made.probabilities
    assert scores_by_feed(test_log, made)["f"].tolist() == [0.5]  # 0.5 · 2 − 1 = 0
    assert not GivenScorer(given({}), made.users).probabilities


def test_scores_of_a_file_are_found_by_feed_and_video(tmp_path):
    table = pl.LazyFrame({C.FEED_ID: ["f", "g"], C.VIDEO_ID: ["v1", "v0"], C.SCORE: [0.25, 9.0]})
    test_log = opened(tmp_path, [slot("f", 1, "v0"), slot("f", 2, "v1")])

    scores = scores_by_feed(test_log, FileScorer(table, IdMap(VIDEO_IDS)))["f"]

    assert np.isnan(scores[0])
    assert scores[1] == 0.25


def test_what_was_shown_before_the_split_is_counted_by_video(tmp_path):
    slots = [
        slot("a", 1, "v0", hours=1), slot("a", 2, "v1", hours=1, watch_s=4.0),
        slot("a", 3, "v2", hours=1, reached=False),
        slot("b", 1, "v0", hours=2), slot("b", 2, "v3", hours=2), slot("c", 1, "v0", hours=3, user="bob"),
        slot("d", 1, "v4", hours=100), slot("e", 1, "gone", hours=1),
    ]  # fmt: skip

    before = count_before(write_log(tmp_path, slots), split().at_us, videos())

    assert before.shown.tolist() == [3, 1, 1, 1, 0, 0]
    assert before.reached.tolist() == [3, 1, 0, 1, 0, 0]
    assert before.watched.tolist() == [3, 0, 0, 1, 0, 0]
    assert before.watch_s.tolist() == [24.0, 4.0, 0.0, 8.0, 0.0, 0.0]
    # Ann watched {v0, v3}, Bob {v0}: each of Ann's goes with one other.
    assert before.together.tolist() == [1, 0, 0, 1, 0, 0]


def test_a_video_of_unknown_length_was_never_watched_by_half(tmp_path):
    file = write_log(tmp_path, [slot("a", 1, "v0", hours=1)])

    assert count_before(file, split().at_us, videos(duration_s=float("nan"))).watched.sum() == 0


def test_parts_are_scored_whatever_their_size(tmp_path):
    test_log = opened(tmp_path, [slot("f", 1, "v0"), slot("g", 1, "v0")], rows_per_part=1)
    sizes = [len(scorer(log_of(), test_log.users).score(part)) for part in test_log.parts()]

    assert sum(sizes) == 2
