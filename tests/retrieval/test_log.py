"""What is known of users at a time, and that nothing later is."""

import numpy as np
import polars as pl
import pytest

from retrieval.log import make_log, to_us
from retrieval.tables import Columns as C
from tests import shop


def log_of(interactions=None, impressions=None, **more):
    return make_log(
        shop.interactions_frame() if interactions is None else interactions,
        impressions,
        None,
        videos=shop.videos_frame(),
        products=shop.products_frame(),
        **more,
    )


def rows_of(log, *users):
    return log.users.rows(users)


def test_events_are_those_strictly_before_the_time_oldest_first():
    log = log_of()

    at_blue = log.events(rows_of(log, "ann"), to_us(shop.at(22)))
    after_blue = log.events(rows_of(log, "ann"), to_us(shop.at(22)) + 1)

    assert at_blue.product_rows.tolist() == [0]
    assert after_blue.product_rows.tolist() == [0, 2]


def test_events_of_many_users_stand_in_the_order_asked_and_unknown_users_have_none():
    log = log_of()

    events = log.events(rows_of(log, "bob", "nobody", "ann"), log.end_us)

    assert events.lengths.tolist() == [1, 0, 2]
    assert events.product_rows.tolist() == [1, 0, 2]


def test_only_the_last_events_count():
    log = log_of()

    assert log.events(rows_of(log, "ann", "bob"), log.end_us, limit=1).product_rows.tolist() == [2, 1]


def test_shown_products_are_no_history():
    log = log_of()

    assert 3 not in log.events(rows_of(log, "bob"), log.end_us).product_rows


def test_weights_of_event_kinds_are_kept():
    log = log_of(event_weights={"purchase": 3.0, "view": 0.0})

    assert log.events(rows_of(log, "bob"), log.end_us).weights.tolist() == [3.0]
    assert log.events(rows_of(log, "ann"), log.end_us).lengths.tolist() == [0]


def test_each_row_may_ask_for_another_time_though_the_user_is_the_same():
    log = log_of(impressions=shop.impressions_frame())
    rows, times = rows_of(log, "ann", "ann", "nobody"), np.array([to_us(shop.at(hour)) for hour in (11, 23, 23)])

    assert log.events(rows, times).lengths.tolist() == [1, 2, 0]
    assert log.seen(rows, times).lengths.tolist() == [0, 1, 0]


def test_seen_are_the_videos_reached_before_the_time():
    log = log_of(impressions=shop.impressions_frame())

    assert log.seen(rows_of(log, "ann", "bob", "nobody"), log.end_us).lengths.tolist() == [1, 1, 0]
    assert log.seen(rows_of(log, "ann"), log.end_us)[0].tolist() == [0]
    assert log.seen(rows_of(log, "ann"), to_us(shop.at(20))).lengths.tolist() == [0]


def test_videos_are_popular_by_half_watches():
    log = log_of(impressions=shop.impressions_frame())

    assert log.statistics(log.end_us).video_popularity.tolist() == [1.0, 0.0, 0.0, 0.0]


def test_a_video_seen_twice_counts_once():
    again = shop.impressions_frame().with_columns(pl.col(C.FEED_ID) + "-again")
    log = log_of(impressions=pl.concat([shop.impressions_frame(), again]))

    assert log.seen(rows_of(log, "ann"), log.end_us)[0].tolist() == [0]


def test_a_video_of_unknown_length_is_never_counted_as_watched():
    log = make_log(
        shop.interactions_frame(), shop.impressions_frame(), None,
        videos=shop.videos_frame().drop(C.DURATION_S), products=shop.products_frame(),
    )  # fmt: skip

    # So nothing was watched, and the products speak: one event each of red, green and blue.
    assert log.statistics(log.end_us).video_popularity.tolist() == [1.0, 1.0, 1.0, 0.0]


def test_a_market_without_events_is_as_the_whole():
    statistics = log_of().statistics(to_us(shop.at(11)))

    # By then Ann (de) had looked at red and nobody in fr at anything.
    assert statistics.product_popularity.tolist() == [[1, 0, 0, 0], [1, 0, 0, 0], [1, 0, 0, 0]]


def test_the_log_ends_with_its_last_row_even_of_an_unknown_product():
    log = make_log(
        shop.interactions_frame(), None, None,
        videos=shop.videos_frame(), products=shop.products_frame().filter(pl.col(C.PRODUCT_ID) == "p-red"),
    )  # fmt: skip

    assert log.end_us == to_us(shop.at(22)) + 1


def test_before_any_watch_videos_are_as_popular_as_their_products():
    log = log_of(impressions=shop.impressions_frame())

    # Ann looked at red (10 h) and Bob bought green (12 h) by then; nobody had watched a video.
    assert log.statistics(to_us(shop.at(15))).video_popularity.tolist() == [1.0, 1.0, 0.0, 0.0]


def test_products_are_popular_overall_and_by_market():
    statistics = log_of().statistics(to_us(shop.at(30)))

    assert statistics.markets == ("de", "fr")
    assert statistics.product_popularity.tolist() == [[1, 1, 1, 0], [1, 0, 1, 0], [0, 1, 0, 0]]


def test_held_out_users_do_not_count():
    log = log_of()

    without_ann = log.statistics(log.end_us, without_users=rows_of(log, "ann"))

    assert without_ann.product_popularity[0].tolist() == [0, 1, 0, 0]


def test_a_catalogue_without_events_falls_back_on_its_own_popularity():
    products = shop.products_frame().with_columns(popularity=pl.Series([1.0, 2.0, 3.0, 4.0]))
    log = make_log(shop.interactions_frame(), None, None, videos=shop.videos_frame(), products=products)

    assert log.statistics(to_us(shop.at(0))).product_popularity[0].tolist() == [1, 2, 3, 4]


@pytest.mark.parametrize("hours", [23.0, 24.0])
def test_moving_a_future_event_changes_nothing_known_before(hours):
    moved = shop.interactions_frame().with_columns(
        pl.when(pl.col(C.PRODUCT_ID) == "p-blue")
        .then(pl.lit(shop.at(hours)))
        .otherwise(C.OCCURRED_AT)
        .alias(C.OCCURRED_AT)
    )
    time_us = to_us(shop.at(20))

    before, after = log_of(), log_of(moved)

    np.testing.assert_array_equal(
        before.events(rows_of(before, "ann", "bob"), time_us).product_rows,
        after.events(rows_of(after, "ann", "bob"), time_us).product_rows,
    )
    np.testing.assert_array_equal(
        before.statistics(time_us).product_popularity, after.statistics(time_us).product_popularity
    )
