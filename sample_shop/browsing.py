"""What shoppers do in the catalogue: sessions of browsing and searching, and the events they leave.

A session lists 6 to 14 products. In 45 % of them the shopper searches ("red striped dress": kind and colour, at times
the pattern, drawn from the taste of that day); in 35 % they open the page of a kind, in 20 % the start page. The list
is drawn without replacement with log-odds 6 for a product of the wanted kind, 6 for the wanted colour, 3 for the
wanted pattern, ½ per standard deviation of log popularity, and −6 for one out of stock in the shopper's market.

Each listed product p then goes down a funnel, a = affinity(u, p, day) and q its standardised log popularity:

    P(view)        = σ(−1.5 + 1.5 a + 0.25 q)     otherwise the event is `shown`: passed over
    P(click)       = σ(−0.8 + 0.8 a)              given a view
    P(wishlist)    = σ(−2.4 + 0.6 a)              given a click
    P(add_to_cart) = σ(−2.4 + 0.6 a)              given a click
    P(purchase)    = σ(−1.4 + 0.4 a)              given it is in the cart
    P(return)      = σ(−1.2 − 0.6 a)              given a purchase, 2 to 6 days later, if within the window
    P(unwish)      = σ(−1.8 − 0.6 a)              given the wishlist, up to 2 days later, if within the window

A cold shopper leaves at most three events. Events lie strictly inside the window, with a daily rhythm.
"""

from dataclasses import dataclass

import numpy as np

from sample_shop.arrays import Bools, Floats, Ints, sigmoid
from sample_shop.catalogue import COLOUR, DAY_US, KIND, LEVELS, OFFSETS, PATTERN, Catalogue, attribute_matrix
from sample_shop.shoppers import TASTE_SHARES, Shoppers, tastes_at

_BLOCK = 2048  # sessions at a time, so that memory is flat
_SHORTEST_LIST, _LONGEST_LIST = 6, 14
_SEARCH, _PAGE, _START = range(3)
_MODE_SHARES = (0.45, 0.35, 0.20)
_FOCUS = 2.0  # how sharply the topic of a session follows taste
_PATTERN_IN_QUERY = 0.3
_HOUR_US = DAY_US // 24
_SECOND_US = 1_000_000


@dataclass(frozen=True)
class Stage:
    """One step of the funnel: P(*event*) = σ(*base* + *slope*·affinity + *popular*·popularity), given *after*.

    It happens between *delay_s* seconds after the product came up.
    """

    event: str
    after: str
    base: float
    slope: float
    popular: float = 0.0
    delay_s: tuple[float, float] = (0.0, 1.0)


FUNNEL = (
    Stage("view", "", -1.5, 1.5, 0.25),
    Stage("click", "view", -0.8, 0.8, delay_s=(1, 4)),
    Stage("wishlist", "click", -2.4, 0.6, delay_s=(5, 8)),
    Stage("add_to_cart", "click", -2.4, 0.6, delay_s=(8, 12)),
    Stage("purchase", "add_to_cart", -1.4, 0.4, delay_s=(200, 400)),
    Stage("return", "purchase", -1.2, -0.6, delay_s=(2 * 86_400, 6 * 86_400)),
    Stage("unwish", "wishlist", -1.8, -0.6, delay_s=(3_600, 2 * 86_400)),
)
EVENT_NAMES = ("shown", *(stage.event for stage in FUNNEL))


@dataclass(frozen=True)
class Interactions:
    """Catalogue events in the order of time, as rows of users and products.

    *event* are rows of `EVENT_NAMES`; the *query* columns are the levels searched for, −1 where there was none.
    """

    user: Ints
    product: Ints
    event: Ints
    occurred_us: Ints
    session: Ints
    query_kind: Ints
    query_colour: Ints
    query_pattern: Ints

    def __len__(self) -> int:
        return len(self.user)


@dataclass(frozen=True)
class Sessions:
    """Catalogue sessions in the order of time. Topics are levels, −1 where the session has none."""

    user: Ints
    start_us: Ints
    day: Ints
    kind: Ints
    colour: Ints
    pattern: Ints
    searched: Bools

    def __len__(self) -> int:
        return len(self.user)


def make_interactions(seed: int, catalogue: Catalogue, shoppers: Shoppers) -> Interactions:
    """The catalogue events of all shoppers over the window."""
    rng = np.random.default_rng([seed, 5])
    sessions = plan_sessions(rng, catalogue, shoppers)
    parts = [
        _events(rng, catalogue, shoppers, sessions, np.arange(first, min(first + _BLOCK, len(sessions))))
        for first in range(0, len(sessions), _BLOCK)
    ]
    columns = [np.concatenate([part[i] for part in parts]) for i in range(4)] if parts else [np.zeros(0, int)] * 4
    session, product, event, occurred_us = columns
    inside = occurred_us < catalogue.end_us
    order = np.lexsort((event, product, occurred_us))
    order = order[inside[order]]
    order = order[_within_budget(shoppers, sessions.user[session[order]], event[order])]
    topic = sessions.searched[session[order]]
    return Interactions(
        user=sessions.user[session[order]],
        product=product[order],
        event=event[order],
        occurred_us=occurred_us[order],
        session=session[order],
        query_kind=np.where(topic, sessions.kind[session[order]], -1),
        query_colour=np.where(topic, sessions.colour[session[order]], -1),
        query_pattern=np.where(topic, sessions.pattern[session[order]], -1),
    )


def plan_sessions(rng: np.random.Generator, catalogue: Catalogue, shoppers: Shoppers) -> Sessions:
    """When each shopper comes, and what for."""
    user = np.repeat(np.arange(len(shoppers)), shoppers.visits)
    start_us = catalogue.start_us + _times(rng, len(user), catalogue.days)
    order = np.argsort(start_us, kind="stable")
    user, start_us = user[order], start_us[order]
    day = (start_us - catalogue.start_us) // DAY_US
    taste = tastes_at(shoppers, user, day, catalogue.days)
    mode = rng.choice(3, len(user), p=_MODE_SHARES)
    with_pattern = (mode == _SEARCH) & (rng.random(len(user)) < _PATTERN_IN_QUERY)
    return Sessions(
        user=user,
        start_us=start_us,
        day=day,
        kind=np.where(mode == _START, -1, _topic(rng, taste, KIND)),
        colour=np.where(mode == _SEARCH, _topic(rng, taste, COLOUR), -1),
        pattern=np.where(with_pattern, _topic(rng, taste, PATTERN), -1),
        searched=mode == _SEARCH,
    )


def times_of_day(rng: np.random.Generator, n: int) -> Ints:
    """Microseconds since midnight: few at night, a peak around noon, a higher one in the evening, none after 23:30."""
    noon, evening = rng.normal(12.5, 2.5, n), rng.normal(20.0, 1.8, n)
    pick = rng.random(n)
    hour = np.where(pick < 0.35, noon, np.where(pick < 0.85, evening, rng.uniform(0.0, 23.5, n)))
    hour = np.where((hour > 0.0) & (hour < 23.5), hour, rng.uniform(6.0, 23.5, n))
    return (hour * _HOUR_US).astype(np.int64)


def _times(rng: np.random.Generator, n: int, days: int) -> Ints:
    return rng.integers(days, size=n) * DAY_US + times_of_day(rng, n)


def _topic(rng: np.random.Generator, taste: Floats, factor: int) -> Ints:
    """A level per session, drawn with log-odds `_FOCUS` times the standardised taste for it."""
    share = list(TASTE_SHARES.values())[factor]
    part = taste[:, OFFSETS[factor] : OFFSETS[factor] + LEVELS[factor]] / np.sqrt(share)
    return np.asarray(np.argmax(_FOCUS * part + rng.gumbel(size=part.shape), axis=1))


def _events(
    rng: np.random.Generator, catalogue: Catalogue, shoppers: Shoppers, sessions: Sessions, rows: Ints
) -> tuple[Ints, Ints, Ints, Ints]:
    """Session, product, event (a row of `EVENT_NAMES`) and time of the events of these sessions."""
    taste = tastes_at(shoppers, sessions.user[rows], sessions.day[rows], catalogue.days)
    liking = taste @ attribute_matrix(catalogue.products).T  # (n_sessions, n_products)
    demand = _standard(np.log(catalogue.products.popularity))
    listed = _listings(rng, catalogue, shoppers, sessions, rows, demand)
    session, place = np.nonzero(listed >= 0)
    product = listed[session, place]
    shown_us = sessions.start_us[rows[session]] + ((15 * place + 10 * rng.random(len(place))) * _SECOND_US).astype(int)
    happened = _funnel(rng, liking[session, product], demand[product])
    slot, code = np.nonzero(happened)
    delay = np.array([(0.0, 1.0), *(stage.delay_s for stage in FUNNEL)])[code]
    wait_s = delay[:, 0] + (delay[:, 1] - delay[:, 0]) * rng.random(len(code))
    return rows[session[slot]], product[slot], code, shown_us[slot] + (wait_s * _SECOND_US).astype(np.int64)


def _funnel(rng: np.random.Generator, liking: Floats, demand: Floats) -> Bools:
    """What happened to each listed product, `(n, 8)`: shown (passed over), then the stages of `FUNNEL`."""
    happened = {"": np.ones(len(liking), dtype=bool)}
    for stage in FUNNEL:
        chance = sigmoid(stage.base + stage.slope * liking + stage.popular * demand)
        happened[stage.event] = happened[stage.after] & (rng.random(len(liking)) < chance)
    return np.column_stack([~happened["view"], *(happened[stage.event] for stage in FUNNEL)])


def _listings(
    rng: np.random.Generator,
    catalogue: Catalogue,
    shoppers: Shoppers,
    sessions: Sessions,
    rows: Ints,
    demand: Floats,
) -> Ints:
    """Products listed in each session, best first, `(n_sessions, 14)`, −1 beyond the end of the list."""
    kind, colour, pattern = (catalogue.products.codes[:, factor] for factor in (KIND, COLOUR, PATTERN))
    in_stock = catalogue.products.available[:, shoppers.market[sessions.user[rows]]].T
    score = (
        0.5 * demand
        + 6.0 * (sessions.kind[rows][:, None] == kind)
        + 6.0 * (sessions.colour[rows][:, None] == colour)
        + 3.0 * (sessions.pattern[rows][:, None] == pattern)
        - 6.0 * ~in_stock
        + rng.gumbel(size=(len(rows), len(kind)))
    )
    longest = min(_LONGEST_LIST, len(kind))
    best = np.argsort(-score, axis=1, kind="stable")[:, :longest]
    length = rng.integers(_SHORTEST_LIST, _LONGEST_LIST + 1, size=len(rows))
    return np.where(np.arange(longest) < length[:, None], best, -1)


def _within_budget(shoppers: Shoppers, user: Ints, event: Ints) -> Bools:
    """Which events stay: all of a warm shopper's, the first few of a cold one's, whose `shown` are left out."""
    budget = shoppers.budget[user]
    counted = (event > 0) & (budget >= 0)
    place = np.zeros(len(user), dtype=np.int64)
    order = np.argsort(user[counted], kind="stable")
    sorted_users = user[counted][order]
    first = np.searchsorted(sorted_users, sorted_users)
    within = np.empty(len(order), dtype=np.int64)
    within[order] = np.arange(len(order)) - first
    place[counted] = within
    return (budget < 0) | (counted & (place < budget))


def _standard(x: Floats) -> Floats:
    return np.asarray((x - x.mean()) / max(float(x.std()), 1e-9))
