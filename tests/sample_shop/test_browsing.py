import numpy as np
import pytest

from sample_shop.arrays import sigmoid
from sample_shop.browsing import EVENT_NAMES, FUNNEL, make_interactions
from sample_shop.catalogue import DAY_US, LEVELS, make_catalogue
from sample_shop.frames import interactions_frame
from sample_shop.shoppers import affinity, make_shoppers

CATALOGUE = make_catalogue(seed=7, n_products=600, n_videos=60)
SHOPPERS = make_shoppers(7, CATALOGUE, n_users=400)
EVENTS = make_interactions(7, CATALOGUE, SHOPPERS)
DAY = (EVENTS.occurred_us - CATALOGUE.start_us) // DAY_US
LIKING = affinity(SHOPPERS, CATALOGUE, EVENTS.user, EVENTS.product, DAY)
ACTIVE = EVENTS.event != EVENT_NAMES.index("shown")


def mean_liking(event: str) -> float:
    return float(LIKING[EVENTS.event == EVENT_NAMES.index(event)].mean())


def top_three_share(factor: int) -> float:
    """The mean share of a shopper's events that their three commonest levels hold."""
    table = np.zeros((len(SHOPPERS), LEVELS[factor]))
    np.add.at(table, (EVENTS.user[ACTIVE], CATALOGUE.products.codes[EVENTS.product[ACTIVE], factor]), 1)
    busy = table[table.sum(axis=1) >= 10]
    return float((np.sort(busy, axis=1)[:, -3:].sum(axis=1) / busy.sum(axis=1)).mean())


def test_events_lie_inside_the_window_in_order():
    assert EVENTS.occurred_us.min() > CATALOGUE.start_us
    assert EVENTS.occurred_us.max() < CATALOGUE.end_us
    assert (np.diff(EVENTS.occurred_us) >= 0).all()


def test_events_have_a_daily_rhythm():
    hour = EVENTS.occurred_us % DAY_US // (DAY_US // 24)
    by_hour = np.bincount(hour, minlength=24)

    assert by_hour[18:22].sum() > 5 * by_hour[1:5].sum()


def test_activity_is_long_tailed_around_fifty_events():
    counts = np.bincount(EVENTS.user[ACTIVE], minlength=len(SHOPPERS))

    assert 35 <= np.median(counts) <= 70
    assert counts.max() > 4 * np.median(counts)


def test_cold_shoppers_leave_at_most_three_events():
    counts = np.bincount(EVENTS.user, minlength=len(SHOPPERS))
    cold = SHOPPERS.budget >= 0

    assert (counts[cold] <= SHOPPERS.budget[cold]).all()


@pytest.mark.parametrize(
    ("deeper", "before"), [("view", "shown"), ("click", "view"), ("wishlist", "click"), ("purchase", "click")]
)
def test_each_step_of_the_funnel_is_taken_by_what_is_liked_more(deeper, before):
    assert mean_liking(deeper) > mean_liking(before)


def test_what_is_returned_was_liked_less_than_what_is_bought():
    assert mean_liking("return") < mean_liking("purchase")


@pytest.mark.parametrize("floor", [-1, 0, 1, 2])
def test_products_are_viewed_as_often_as_the_formula_says(floor):
    stage, demand = FUNNEL[0], np.log(CATALOGUE.products.popularity)
    standard = (demand - demand.mean()) / demand.std()
    warm = SHOPPERS.budget[EVENTS.user] < 0
    listed = (EVENTS.event <= 1) & warm & (np.floor(LIKING) == floor)  # shown, or viewed

    chance = sigmoid(stage.base + stage.slope * LIKING + stage.popular * standard[EVENTS.product])[listed]
    viewed = EVENTS.event[listed] == 1

    assert listed.sum() > 500
    assert abs((viewed - chance).sum()) < 4 * np.sqrt((chance * (1 - chance)).sum())


def test_histories_are_focused_in_colour_and_kind():
    assert top_three_share(factor=1) > 0.55
    assert top_three_share(factor=0) > 0.55


def test_searches_have_a_kind_and_a_colour_and_other_sessions_no_query():
    searched = EVENTS.query_kind >= 0

    assert 0.3 < searched.mean() < 0.6
    np.testing.assert_array_equal(searched, EVENTS.query_colour >= 0)
    assert (EVENTS.query_pattern[~searched] == -1).all()


def test_a_search_lists_what_was_searched_for():
    searched = EVENTS.query_kind >= 0

    kind_fits = CATALOGUE.products.codes[EVENTS.product[searched], 0] == EVENTS.query_kind[searched]

    assert kind_fits.mean() > 0.7  # 60 products of a kind stand against five of kind and colour


def test_a_shopper_who_never_came_leaves_no_events_and_the_table_keeps_its_types():
    lonely = make_shoppers(7, CATALOGUE, n_users=1)
    absent = type(lonely)(**{**vars(lonely), "visits": np.array([0])})

    events = make_interactions(7, CATALOGUE, absent)

    assert len(events) == 0
    assert (
        interactions_frame(events, CATALOGUE, absent).schema == interactions_frame(EVENTS, CATALOGUE, SHOPPERS).schema
    )
