"""Creators and their videos: who films which products, when, how long and how well.

A video shows one look of its creator: one to four products of different places on the body, of the creator's style,
kinds and colours, sharing a colour, a pattern and a finish as far as the catalogue allows. Quality and base popularity
are hidden truth: no table shows them.
"""

from dataclasses import dataclass

import numpy as np

from sample_shop.arrays import Bools, Floats, Ints
from sample_shop.vocabulary import KINDS

MAX_PRODUCTS = 4
SHORTEST_S, LONGEST_S = 4.0, 20.0
_DAYS_BEFORE = 30  # the oldest third is spread over this many days before the log
_SIZE_SHARES = (0.35, 0.35, 0.2, 0.1)
_DAY_US = 86_400_000_000
_MARKET_COUNT = 3
_BLOCK = 512

# Where on the body a kind goes, as bits: a look has at most one thing in each place, and a dress fills two.
_PLACES = {
    "dress": 0b000011, "t-shirt": 0b000001, "shirt": 0b000001, "trousers": 0b000010, "skirt": 0b000010,
    "shorts": 0b000010, "jacket": 0b000100, "hat": 0b001000, "shoe": 0b010000, "bag": 0b100000,
}  # fmt: skip
_PLACE_OF_KIND = np.array([_PLACES[kind] for kind in KINDS], dtype=np.int64)

# How strongly a look keeps to its creator and to itself, in log-odds.
_OWN_STYLE, _OWN_KIND, _OWN_COLOUR, _POPULAR = 2.0, 1.2, 1.2, 0.3
_SAME_COLOUR, _SAME_PATTERN, _SAME_FINISH = 2.0, 1.0, 2.5


@dataclass(frozen=True)
class Creators:
    """Who films, one row each: a *style*, log-odds for *kinds* and *colours*, a *home* market, a share of the videos.

    *popularity* is the following every video of theirs starts from, in standard deviations.
    """

    style: Ints
    kinds: Floats
    colours: Floats
    home: Ints
    share: Floats
    popularity: Floats

    def __len__(self) -> int:
        return len(self.style)


@dataclass(frozen=True)
class Videos:
    """The videos, one row each.

    *products* `(n, 4)` are rows of the products shown, −1 where there is none; *published_us* UTC microseconds;
    *markets* `(n, 3)` where it may be shown (an attribute to filter by: the simulated feed does not);
    *quality* in [0, 1] and *popularity* (standardised) are hidden truth; *title_form* chooses the wording.
    """

    creator: Ints
    products: Ints
    published_us: Ints
    duration_s: Floats
    markets: Bools
    quality: Floats
    popularity: Floats
    title_form: Ints

    def __len__(self) -> int:
        return len(self.creator)


def make_creators(rng: np.random.Generator, n_creators: int, levels: tuple[int, ...]) -> Creators:
    """Creators with tastes of their own; *levels* counts kinds, colours, patterns, brands and styles."""
    n_kinds, n_colours, _, _, n_styles, _ = levels
    return Creators(
        style=rng.permutation(np.arange(n_creators) % n_styles),
        kinds=_OWN_KIND * rng.standard_normal((n_creators, n_kinds)),
        colours=_OWN_COLOUR * rng.standard_normal((n_creators, n_colours)),
        home=rng.integers(_MARKET_COUNT, size=n_creators),
        share=rng.dirichlet(np.full(n_creators, 3.0)),
        popularity=rng.standard_normal(n_creators),
    )


def make_videos(
    rng: np.random.Generator,
    creators: Creators,
    codes: Ints,
    product_popularity: Floats,
    n_videos: int,
    window_us: tuple[int, int],
) -> Videos:
    """Videos of the creators over products with these attribute *codes*; a third is older than the window."""
    creator = rng.choice(len(creators), size=n_videos, p=creators.share)
    blocks = np.split(creator, range(_BLOCK, n_videos, _BLOCK))  # flat memory in the number of videos
    looks = [_looks(rng, _wishes(rng, creators, block, codes, product_popularity), codes) for block in blocks]
    popularity = 0.6 * creators.popularity[creator] + 0.8 * rng.standard_normal(n_videos)
    at_home = np.arange(_MARKET_COUNT) == creators.home[creator][:, None]
    return Videos(
        creator=creator,
        products=np.concatenate(looks),
        published_us=_published(rng, n_videos, window_us),
        duration_s=_durations(rng, n_videos),
        markets=at_home | (rng.random((n_videos, _MARKET_COUNT)) < 0.7),
        quality=rng.beta(2.5, 2.5, n_videos),
        popularity=(popularity - popularity.mean()) / max(float(popularity.std()), 1e-9),
        title_form=rng.integers(2**31, size=n_videos),
    )


def _wishes(rng: np.random.Generator, creators: Creators, creator: Ints, codes: Ints, popularity: Floats) -> Floats:
    """Log-odds of each product for the first place of each video's look, noise included, `(n_videos, n_products)`."""
    kind, colour, _, _, style, _ = codes.T
    by_creator = (
        creators.kinds[:, kind]
        + creators.colours[:, colour]
        + _OWN_STYLE * (creators.style[:, None] == style)
        + _POPULAR * popularity
    )  # (n_creators, n_products)
    return np.asarray(by_creator[creator] + rng.gumbel(size=(len(creator), len(codes))))


def _looks(rng: np.random.Generator, wishes: Floats, codes: Ints) -> Ints:
    """Products of each look, chosen one after the other, −1 where it has fewer than four."""
    n_videos = len(wishes)
    size = 1 + rng.choice(MAX_PRODUCTS, n_videos, p=_SIZE_SHARES)
    rows, places = np.arange(n_videos), _PLACE_OF_KIND[codes[:, 0]]
    chosen = np.full((n_videos, MAX_PRODUCTS), -1, dtype=np.int64)
    chosen[:, 0] = np.argmax(wishes, axis=1)
    fit = wishes + _likeness(codes, chosen[:, 0])
    taken = places[chosen[:, 0]]
    for step in range(1, MAX_PRODUCTS):
        open_fit = np.where((taken[:, None] & places) == 0, fit, -np.inf)
        best = np.argmax(open_fit, axis=1)
        wanted = (size > step) & np.isfinite(open_fit[rows, best])
        chosen[wanted, step] = best[wanted]
        taken = np.where(wanted, taken | places[best], taken)
    return chosen


def _likeness(codes: Ints, first: Ints) -> Floats:
    """How well each product goes with the *first* one of each look, `(n_looks, n_products)`."""
    _, colour, pattern, _, _, finish = codes.T
    same = [
        weight * (column[first][:, None] == column)
        for weight, column in ((_SAME_COLOUR, colour), (_SAME_PATTERN, pattern), (_SAME_FINISH, finish))
    ]
    return np.asarray(sum(same), dtype=np.float64)


def _published(rng: np.random.Generator, n_videos: int, window_us: tuple[int, int]) -> Ints:
    """A third over the month before the window, thinning into the past, and the rest evenly within it."""
    start, end = window_us
    n_before = -(-n_videos // 3)
    before = start - 1 - (_DAYS_BEFORE * _DAY_US * rng.beta(1.0, 2.0, n_before)).astype(np.int64)
    during = rng.integers(start, end - 1, size=n_videos - n_before)
    return rng.permutation(np.concatenate([before, during]))


def _durations(rng: np.random.Generator, n_videos: int) -> Floats:
    """Seconds on a grid of a fifth, 4 to 20, mostly short (mean about 8.6)."""
    return np.round((SHORTEST_S + (LONGEST_S - SHORTEST_S) * rng.beta(1.2, 3.0, n_videos)) * 5) / 5
