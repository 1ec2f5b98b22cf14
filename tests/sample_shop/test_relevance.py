import numpy as np
import pytest

from sample_shop.browsing import make_interactions
from sample_shop.catalogue import FACTORS, make_catalogue
from sample_shop.relevance import HISTORY_LENGTH, WEIGHTS, Item, grade, grades, matches
from sample_shop.shoppers import make_shoppers
from sample_shop.vocabulary import Garment

CATALOGUE = make_catalogue(seed=7, n_products=600, n_videos=300)
CODES = CATALOGUE.products.codes


def item(kind="dress", colour="red", pattern="plain", style="casual", finish="tonal", brand="Alder") -> Item:
    return Item(Garment(kind, colour, pattern, style, finish), brand)


def item_of(codes: np.ndarray) -> Item:
    names = {factor: levels[code] for (factor, levels), code in zip(FACTORS.items(), codes.tolist(), strict=True)}
    return item(**names)


def video_codes() -> np.ndarray:
    rows = CATALOGUE.videos.products
    return np.where((rows >= 0)[:, :, None], CODES[rows], -1)


def history_codes(n_users: int) -> np.ndarray:
    """The last twelve products of each shopper, most recent first."""
    events = make_interactions(7, CATALOGUE, make_shoppers(7, CATALOGUE, n_users))
    found = np.full((n_users, HISTORY_LENGTH, len(FACTORS)), -1)
    for user in range(n_users):
        rows = np.flatnonzero((events.user == user) & (events.event > 0))[::-1][:HISTORY_LENGTH]
        found[user, : len(rows)] = CODES[events.product[rows]]
    return found[found[:, 0, 0] >= 0]


ONLY_KIND = item(colour="blue", pattern="dotted", style="street", finish="blocked", brand="Brisa")
ALL_BUT_KIND = item(kind="hat")


def test_weights_add_up_to_one_in_the_order_of_the_factors():
    assert sum(WEIGHTS.values()) == pytest.approx(1.0)
    assert tuple(WEIGHTS) == tuple(FACTORS)


# With a history of one product the match is the sum of the weights of what is shared:
# thresholds 0.12, 0.17, 0.24, 0.35.
@pytest.mark.parametrize(
    ("video", "expected"),
    [
        (item(), 5),  # 1.00
        (ONLY_KIND, 4),  # 0.30
        (item("hat", "blue", "dotted", "casual", "blocked", "Alder"), 3),  # style and brand: 0.17
        (item("hat", "blue", "dotted", "street", "tonal", "Brisa"), 2),  # finish: 0.15
        (item("hat", "blue", "plain", "street", "blocked", "Brisa"), 1),  # pattern: 0.10
    ],
)
def test_grade_counts_what_is_shared(video, expected):
    assert grade([item()], [video]) == expected


def test_match_of_a_video_is_the_mean_over_its_products():
    nothing = item("hat", "blue", "dotted", "street", "blocked", "Brisa")

    # (0.30 + 0)/2 = 0.15
    assert grade([item()], [ONLY_KIND, nothing]) == 2


def test_recent_products_weigh_more():
    hat = item("hat", "blue", "dotted", "street", "blocked", "Brisa")
    kind_of_dress = item("dress", "green", "checked", "sporty", "trimmed", "Corvo")

    # the dress weighs 1 of 1.9 when it came last, 0.9 of 1.9 before: 0.30·(1/1.9) = 0.158, 0.30·(0.9/1.9) = 0.142;
    # with one more hat 0.30·(1/2.71) = 0.111 against 0.30·(0.81/2.71) = 0.090
    found = matches(
        np.array([[codes_of(kind_of_dress), codes_of(hat)], [codes_of(hat), codes_of(kind_of_dress)]]),
        np.array([[codes_of(item())]]),
    )

    np.testing.assert_allclose(found[:, 0], [0.30 / 1.9, 0.27 / 1.9])


def codes_of(product: Item) -> list[int]:
    return [levels.index(product.level(factor)) for factor, levels in FACTORS.items()]


def test_products_after_the_twelfth_do_not_count():
    hat = item("hat", "blue", "dotted", "street", "blocked", "Brisa")

    assert grade([hat] * 12 + [item()] * 50, [item()]) == 1


def test_both_forms_agree():
    histories, videos = history_codes(25), video_codes()[:60]

    expected = [
        [grade([item_of(c) for c in h if c[0] >= 0], [item_of(c) for c in v if c[0] >= 0]) for v in videos]
        for h in histories
    ]

    assert grades(histories, videos).tolist() == expected


def test_random_pairs_use_all_five_grades():
    found = grades(history_codes(200), video_codes())

    shares = np.bincount(found.ravel(), minlength=6)[1:] / found.size

    assert shares.min() > 0.02
    assert shares.max() < 0.5


def test_nothing_to_compare_has_no_grade():
    with pytest.raises(ValueError, match="the history has 0"):
        grade([], [item()])
