"""The shoppers: what each of them likes, how it drifts, and how active they are.

Taste. For every factor f (kind, colour, pattern, brand, style, finish) a shopper has a value for each level: a few
favourites stand out, the rest is near zero. Values are standardised over the catalogue (mean 0, variance 1 over its
products), so that factor f makes up the share `TASTE_SHARES[f]` of the variance of

    affinity(u, p, day) = Σ_f √share_f · θ_{u,f}(day)[level of p in f]

(shares add up to 1, so affinity has mean 0 and a standard deviation near 1 over the catalogue for each shopper).
The finish, which photos show and titles do not tell, has a fifth of it.

Drift. A second, independent taste θ¹ is drawn, and the shopper turns towards it at constant speed:

    θ_u(day) = cos(φ_u·day/(days − 1))·θ⁰_u + sin(φ_u·day/(days − 1))·θ¹_u,   φ_u = drift · U(0.2, 1) · π/3,

which keeps the variance. With drift 0 tastes stay as they are.
"""

from dataclasses import dataclass, replace

import numpy as np

from sample_shop.arrays import Floats, Ints
from sample_shop.catalogue import FACTORS, LEVELS, MARKETS, OFFSETS, Catalogue, attribute_matrix

TASTE_SHARES = {"kind": 0.26, "colour": 0.26, "pattern": 0.09, "brand": 0.06, "style": 0.13, "finish": 0.20}
# Value of the favourite, the second, the third …; all further levels have 0. Noise of standard deviation 0.12 on top.
_FAVOURITES = {
    "kind": (1.0, 0.8, 0.45),
    "colour": (1.0, 0.8, 0.45),
    "pattern": (1.0, 0.3),
    "brand": (1.0, 0.7),
    "style": (1.0, 0.2),
    "finish": (1.0, 0.15),
}
_NOISE = 0.12
_TURN = np.pi / 3
_COLD_SHARE = 0.04
LANGUAGES = ("de", "fr", "pl")
SEGMENTS = ("new", "occasional", "regular", "frequent")


@dataclass(frozen=True)
class Shoppers:
    """The shoppers, one row each.

    *taste_start*, *taste_end* `(n, 41)` are θ⁰ and θ¹ times √share, over the levels of all factors; *turn* is φ in
    radians; *visits* the number of catalogue sessions; *budget* the most events a cold shopper leaves, −1 for others.
    """

    taste_start: Floats
    taste_end: Floats
    turn: Floats
    visits: Ints
    budget: Ints
    market: Ints
    language: tuple[str, ...]
    segment: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.turn)


def make_shoppers(seed: int, catalogue: Catalogue, n_users: int) -> Shoppers:
    """Shoppers of a seed, with their full drift; `drifted` dials it."""
    rng = np.random.default_rng([seed, 4])
    attributes = attribute_matrix(catalogue.products)
    budget = np.where(rng.random(n_users) < _COLD_SHARE, rng.integers(4, size=n_users), -1)
    visits = _visits(rng, budget, catalogue.days)
    market = rng.choice(len(MARKETS), n_users, p=(0.5, 0.3, 0.2))
    english = rng.random(n_users) < 0.1
    return Shoppers(
        taste_start=_tastes(rng, attributes, n_users),
        taste_end=_tastes(rng, attributes, n_users),
        turn=_TURN * rng.uniform(0.2, 1.0, n_users),
        visits=visits,
        budget=budget,
        market=market,
        language=tuple("en" if e else LANGUAGES[m] for m, e in zip(market, english, strict=True)),
        segment=_segments(visits, budget),
    )


def drifted(shoppers: Shoppers, drift: float) -> Shoppers:
    """The same shoppers with their drift turned up or down; 0 stops it."""
    return replace(shoppers, turn=shoppers.turn * drift)


def turned(shoppers: Shoppers, user: Ints, day: Ints, days: int) -> tuple[Floats, Floats]:
    """The weights of θ⁰ and θ¹ for each (user, day)."""
    angle = shoppers.turn[user] * (day / max(days - 1, 1))
    return np.cos(angle), np.sin(angle)


def tastes_at(shoppers: Shoppers, user: Ints, day: Ints, days: int) -> Floats:
    """θ_u(day) for each (user, day), √share included, `(n, 41)`."""
    old, new = turned(shoppers, user, day, days)
    return old[:, None] * shoppers.taste_start[user] + new[:, None] * shoppers.taste_end[user]


def affinity(shoppers: Shoppers, catalogue: Catalogue, user: Ints, product: Ints, day: Ints) -> Floats:
    """How much each user likes each product on each day, one value per row of the three columns."""
    tastes = tastes_at(shoppers, user, day, catalogue.days)
    columns = catalogue.products.codes[product] + OFFSETS  # (n, 6)
    return np.asarray(np.take_along_axis(tastes, columns, axis=1).sum(axis=1))


def _tastes(rng: np.random.Generator, attributes: Floats, n_users: int) -> Floats:
    shares = attributes.mean(axis=0)
    parts = [
        _factor_taste(rng, name, shares[offset : offset + n_levels], n_users)
        for name, offset, n_levels in zip(FACTORS, OFFSETS, LEVELS, strict=True)
    ]
    return np.concatenate(parts, axis=1)


def _factor_taste(rng: np.random.Generator, name: str, shares: Floats, n_users: int) -> Floats:
    """Values of one factor's levels, standardised over the catalogue's *shares* of them, times √share of taste."""
    place = np.argsort(rng.random((n_users, len(shares))), axis=1)
    values = np.zeros(len(shares))
    values[: len(_FAVOURITES[name])] = _FAVOURITES[name]
    raw = values[place] + _NOISE * rng.standard_normal(place.shape)
    centred = raw - raw @ shares[:, None]
    spread = np.sqrt(centred**2 @ shares[:, None])
    return np.asarray(np.sqrt(TASTE_SHARES[name]) * centred / np.maximum(spread, 1e-9))


def _visits(rng: np.random.Generator, budget: Ints, days: int) -> Ints:
    """Catalogue sessions in the window: median about 6 in 14 days, long-tailed; one for a cold shopper, or none."""
    warm = np.clip(np.round(rng.lognormal(np.log(6.0 * days / 14), 0.75, len(budget))), 1, 5 * days)
    return np.where(budget < 0, warm, np.minimum(budget, 1)).astype(np.int64)


def _segments(visits: Ints, budget: Ints) -> tuple[str, ...]:
    level = np.where(budget >= 0, 0, 1 + (visits > 4).astype(np.int64) + (visits > 12))
    return tuple(SEGMENTS[i] for i in level)
