"""What the small judge is asked while it learns: users of drawn shops, candidates, and truth.

Users are real shoppers of the drawn shops at random times; candidates are drawn evenly over the planted grades.
"""

from dataclasses import dataclass

import numpy as np

from sample_shop.arrays import Ints
from sample_shop.browsing import EVENT_NAMES, make_interactions
from sample_shop.catalogue import FACTORS
from sample_shop.judge_pictures import shop_catalogue
from sample_shop.relevance import HISTORY_LENGTH, RECENCY, THRESHOLDS, matches
from sample_shop.shoppers import drifted, make_shoppers
from sample_shop.wording import NEUTRAL_PRODUCT, NEUTRAL_VIDEO, product_title, query_text, video_title

STEPS = 4  # of eight frames, two at a time
SHOPPERS = 1200
_LIKED = [
    row for row, name in enumerate(EVENT_NAMES) if name in ("view", "click", "wishlist", "add_to_cart", "purchase")
]


@dataclass(frozen=True)
class ShopFacts:
    """What is true of a drawn shop, and what it says of itself.

    *codes* `(n_products, 6)`; *shown* `(n_videos, 4)` are the products of the videos and *histories* `(n, 12)` those of
    shoppers, −1 for none; *seconds* `(n_videos,)`; titles as the shop's.
    """

    codes: Ints
    shown: Ints
    seconds: np.ndarray
    product_titles: list[str]
    video_titles: list[str]
    histories: Ints

    @property
    def video_codes(self) -> Ints:
        """`(n_videos, 4, 6)`, −1 where there is no product."""
        return np.where(self.shown[..., None] >= 0, self.codes[self.shown], -1)


def shop_facts(seed: int) -> ShopFacts:
    """The facts of the shop that `judge_pictures` draws from a seed."""
    catalogue = shop_catalogue(seed)
    videos, codes = catalogue.videos, catalogue.products.codes
    return ShopFacts(
        codes,
        videos.products,
        videos.duration_s,
        [product_title(c) for c in codes.tolist()],
        [video_title(f, codes[p[0]].tolist()) for f, p in zip(videos.title_form, videos.products, strict=True)],
        shop_histories(seed),
    )


def shop_histories(seed: int) -> Ints:
    """Histories of a shop's shoppers at random events of theirs, `(n, 12)`, the most recent first, −1 beyond."""
    catalogue = shop_catalogue(seed)
    shoppers = drifted(make_shoppers(seed, catalogue, SHOPPERS), 1.0)
    log = make_interactions(seed, catalogue, shoppers)
    liked = np.isin(log.event, _LIKED)
    order = np.argsort(log.user[liked], kind="stable")
    user, product = log.user[liked][order], log.product[liked][order]
    rng, found = np.random.default_rng([seed, 77]), []
    for first, last in _spans(user):
        for end in rng.integers(first + 1, last + 1, size=2).tolist():
            recent = list(dict.fromkeys(product[first:end][::-1].tolist()))[:HISTORY_LENGTH]
            found.append(recent + [-1] * (HISTORY_LENGTH - len(recent)))
    return np.array(found)


def _spans(user: Ints) -> list[tuple[int, int]]:
    ends = [*np.flatnonzero(np.diff(user)).tolist(), len(user) - 1]
    return list(zip([0, *(end + 1 for end in ends[:-1])], [end + 1 for end in ends], strict=True))


@dataclass(frozen=True)
class Question:
    """One user with *videos* to grade: rows of products and videos, their titles as told, and the truth.

    *grades* `(k,)` 1 to 5; *parts* `(k, 6)` the share of each factor that the video has in common with the history.
    Where they are *still*, products' photos stand in place of videos; with a *query* there is no history.
    """

    products: list[int]
    titles: list[str]
    videos: list[int]
    video_titles: list[str]
    grades: Ints
    parts: np.ndarray
    query: str | None = None
    still: bool = False


def factor_parts(history: Ints, videos: Ints) -> np.ndarray:
    """`(n_videos, 6)`: mean over a video's products of the weighted share of the history that has the same level."""
    weights = RECENCY ** np.arange(len(history))
    alike = (videos[:, :, None, :] == history[None, None]) & (videos[:, :, None, :] >= 0)  # (n, 4, h, 6)
    shares = (alike * weights[:, None]).sum(axis=2) / weights.sum()
    return np.asarray(shares.sum(axis=1) / np.maximum((videos[:, :, 0] >= 0).sum(axis=1), 1)[:, None])


def ask(shop: ShopFacts, rng: np.random.Generator, k: int, longest: int, neutral: float | None = None) -> Question:
    """A shopper of the shop, at most *longest* products, and *k* videos drawn evenly over the grades there are.

    Args:
        neutral: the chance that a title says nothing; by default all, none or half of a user's titles do.
    """
    row = shop.histories[rng.integers(len(shop.histories))]
    products = row[row >= 0][:longest]
    codes = shop.codes[products]
    padded = np.full((1, HISTORY_LENGTH, len(FACTORS)), -1)
    padded[0, : len(products)] = codes
    grades = 1 + np.searchsorted(np.array(THRESHOLDS), matches(padded, shop.video_codes)[0], side="right")
    counts = np.bincount(grades, minlength=6)[grades]
    videos = rng.choice(len(grades), k, p=(1 / counts) / (1 / counts).sum())
    share = (1.0, 0.0, 0.5)[rng.choice(3, p=(0.5, 0.25, 0.25))] if neutral is None else neutral
    plain = rng.random(len(products) + k) < share
    return Question(
        products.tolist(),
        [NEUTRAL_PRODUCT if plain[i] else shop.product_titles[p] for i, p in enumerate(products)],
        videos.tolist(),
        [NEUTRAL_VIDEO if plain[len(products) + i] else shop.video_titles[v] for i, v in enumerate(videos)],
        grades[videos],
        factor_parts(codes, shop.video_codes[videos]),
    )


QUERY_WEIGHTS = {"kind": 0.5, "colour": 0.35, "pattern": 0.15}
_QUERY_LEVELS = (0.15, 0.42, 0.7, 0.95)  # the right colour alone, 0.41, is no better than poor


def ask_pairs(shop: ShopFacts, rng: np.random.Generator, k: int, longest: int) -> Question:
    """A shopper and *k* products: after what they looked at, or after a query that names one of the shop's products."""
    if rng.random() < 0.5:
        asked = ask(shop, rng, 1, longest)
        padded = np.full((1, HISTORY_LENGTH, len(FACTORS)), -1)
        padded[0, : len(asked.products)] = shop.codes[asked.products]
        grades = 1 + np.searchsorted(np.array(THRESHOLDS), matches(padded, shop.codes[:, None])[0], side="right")
        parts, query = factor_parts(shop.codes[asked.products], shop.codes[:, None]), None
    else:
        asked = Question([], [], [], [], np.zeros(0, np.int64), np.zeros(0))
        wanted, with_pattern = shop.codes[rng.integers(len(shop.codes))], bool(rng.random() < 0.5)
        query = query_text(int(wanted[0]), int(wanted[1]), int(wanted[2]) if with_pattern else -1)
        parts = (shop.codes == wanted) * 1.0
        grades = query_grades(parts, with_pattern and wanted[2] > 0)
        parts[:, 3:] = 0
    counts = np.bincount(grades, minlength=6)[grades]
    products = rng.choice(len(grades), k, p=(1 / counts) / (1 / counts).sum())
    plain = rng.random(k) < 0.6
    titles = [NEUTRAL_PRODUCT if plain[i] else shop.product_titles[p] for i, p in enumerate(products)]
    return Question(
        asked.products, asked.titles, products.tolist(), titles, grades[products], parts[products], query, still=True
    )


def query_grades(alike: np.ndarray, with_pattern: bool) -> Ints:
    """The planted grade of products for a query, from `(n, ≥3)` whether kind, colour and pattern are those asked for.

    >>> query_grades(np.array([[1, 1, 0], [1, 0, 0], [0, 1, 0], [0, 0, 0]]), with_pattern=False)
    array([5, 3, 2, 1])
    """
    weights = np.array(list(QUERY_WEIGHTS.values())) * [1, 1, with_pattern]
    share = alike[:, :3] @ weights / weights.sum()
    return np.asarray(1 + np.searchsorted(np.array(_QUERY_LEVELS), share.round(9), side="right"))
