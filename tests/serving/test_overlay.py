"""What the overlay hides, as pure masks against a plain loop over videos."""

import json

import numpy as np
import polars as pl
import pytest

from retrieval.ids import IdMap
from retrieval.ragged import Ragged
from retrieval.schemas import Columns as C
from serving.events.protocol import OverlayEntry
from serving.overlay import (
    HideWhen,
    Offer,
    Overlay,
    Shelf,
    allowed_videos,
    available_products,
    blocked_videos,
    is_available,
    parse_overlay,
)

MARKETS = (None, "de", "fr", "pl")


def make_shelf(products_of, products=None, **columns):
    """Videos v0, v1 … with the products of each, by their numbers; products p0, p1 …"""
    n_products = 1 + max((number for numbers in products_of for number in numbers), default=0)
    videos = pl.DataFrame({C.VIDEO_ID: [f"v{row}" for row in range(len(products_of))], **columns})
    if products is None:
        products = pl.DataFrame({C.PRODUCT_ID: [f"p{number}" for number in range(n_products)]})
    flat = np.array([number for numbers in products_of for number in numbers], np.int64)
    offsets = np.cumsum([0, *map(len, products_of)])
    return Shelf(videos, products, IdMap(products[C.PRODUCT_ID].to_list()), Ragged(flat, offsets))


def block(kind, key):
    return OverlayEntry(kind, key, "", "{}", "of the test", 1)


def offer(product, market="", **what):
    ((field, value),) = what.items()
    return OverlayEntry(field, product, market, json.dumps(value), "of the test", 1)


def overlay(*entries):
    return parse_overlay(1, entries)


def hidden(shelf, overlay, market=None, hide_when=HideWhen.ALL):
    mask = allowed_videos(shelf, overlay, market, hide_when)
    return [] if mask is None else np.flatnonzero(~mask).tolist()


SHELF = make_shelf(
    [[0], [0, 1], [1, 2], [], [2]], creator_id=["a", "b", None, "a", "c"], brand=["x", None, "y", "x", "y"]
)


def test_nothing_said_hides_nothing():
    assert allowed_videos(SHELF, Overlay(), None, HideWhen.ANY) is None


@pytest.mark.parametrize(
    ("entry", "expected"),
    [
        (block("video", "v2"), [2]),
        (block("creator", "a"), [0, 3]),
        (block("brand", "y"), [2, 4]),
        (block("video", "v9"), []),
        (block("creator", "None"), []),
        (block("creator", "x"), []),
    ],
)
def test_a_block_hides_what_it_names(entry, expected):
    assert hidden(SHELF, overlay(entry)) == expected
    assert hidden(SHELF, overlay(entry), hide_when=HideWhen.NEVER) == expected
    assert np.flatnonzero(blocked_videos(SHELF.videos, overlay(entry))).tolist() == expected


def test_blocks_add_up():
    assert hidden(SHELF, overlay(block("video", "v1"), block("creator", "a"), block("brand", "x"))) == [0, 1, 3]


def test_a_table_without_creators_and_brands_has_none_to_block():
    assert hidden(make_shelf([[0]]), overlay(block("creator", "a"), block("brand", "x"))) == []


@pytest.mark.parametrize(("hide_when", "expected"), [(HideWhen.ALL, [0]), (HideWhen.ANY, [0, 1]), (HideWhen.NEVER, [])])
@pytest.mark.parametrize("entry", [block("product", "p0"), offer("p0", available=False)])
def test_a_product_that_is_out_hides_videos_as_the_setting_says(entry, hide_when, expected):
    assert hidden(SHELF, overlay(entry), hide_when=hide_when) == expected


def test_a_video_without_products_is_never_sold_out():
    everything = overlay(*(block("product", f"p{number}") for number in range(3)))

    assert hidden(SHELF, everything, hide_when=HideWhen.ANY) == [0, 1, 2, 4]


def test_a_blocked_product_is_out_whatever_is_offered():
    entries = overlay(block("product", "p0"), offer("p0", available=True), offer("p0", "de", available=True))

    assert not available_products(SHELF, entries, "de")[0]


def test_a_price_alone_says_nothing_of_availability():
    assert available_products(SHELF, overlay(offer("p0", price=3.0)), None).all()
    assert overlay(offer("p0", price=3.0)).offers == {("p0", ""): Offer(None, 3.0)}


def test_each_field_of_an_offer_is_said_by_itself():
    entries = overlay(offer("p0", available=False), offer("p0", price=3.0), offer("p0", "de", price=4.0))

    assert entries.offers == {("p0", ""): Offer(False, 3.0), ("p0", "de"): Offer(None, 4.0)}


def test_products_that_are_not_in_the_snapshot_are_passed_over():
    assert available_products(SHELF, overlay(offer("p9", available=False), block("product", "p8")), None).all()


OFFERS = [
    [{"market": "de", "available": False}],
    [{"market": "de", "available": True}, {"market": "fr", "available": False}],
    [{"market": "fr", "available": None}],
    None,
]
TABLE = pl.DataFrame(
    {C.PRODUCT_ID: ["p0", "p1", "p2", "p3"], C.AVAILABLE: [True, False, False, None], C.OFFERS: OFFERS}
)
OFFERED = make_shelf([[0], [1], [2], [3]], products=TABLE)


@pytest.mark.parametrize(
    ("market", "expected"),
    [
        (None, [True, False, False, True]),  # what is not said is to be had
        ("de", [False, True, False, True]),
        ("fr", [True, False, False, True]),
        ("pl", [True, False, False, True]),
    ],
)
def test_the_tables_offer_of_the_market_goes_before_its_general_word(market, expected):
    assert available_products(OFFERED, Overlay(), market).tolist() == expected


@pytest.mark.parametrize(
    ("entries", "market", "expected"),
    [
        ([offer("p0", available=True)], "de", True),  # said later than the table, of all markets
        ([offer("p0", "de", available=True), offer("p0", available=False)], "de", True),
        ([offer("p0", "de", available=True), offer("p0", available=False)], "fr", False),
        ([offer("p0", "de", available=True)], None, True),
        ([offer("p0", "fr", available=False)], "de", False),
        ([offer("p0", "fr", available=False)], "fr", False),
        ([offer("p0", "fr", available=False)], "pl", True),
        ([offer("p0", "de", price=1.0)], "de", False),
    ],
)
def test_what_was_said_last_and_closest_to_the_market_counts(entries, market, expected):
    assert available_products(OFFERED, overlay(*entries), market)[0] == expected


def plain_availability(product, entries, table, market):
    """Whether one product can be had: the first of what blocks, overlay and table say."""
    said = {(e.key, e.market): json.loads(e.value) for e in entries if e.kind == "available"}
    row = next(row for row in table.iter_rows(named=True) if row[C.PRODUCT_ID] == product)
    offers = {one["market"]: one["available"] for one in row[C.OFFERS] or []}
    words = [
        False if any(e.kind == "product" and e.key == product for e in entries) else None,
        said.get((product, market)) if market else None,
        said.get((product, "")),
        offers.get(market),
        row[C.AVAILABLE],
    ]
    return next((word for word in words if word is not None), True)


def plain_hidden(products_of, entries, table, market, hide_when, creators):
    """The rows that are hidden, by a plain loop."""
    blocked = {(e.kind, e.key) for e in entries}
    combine = {"all": all, "any": any, "never": lambda _: False}[hide_when]
    return [
        row
        for row, numbers in enumerate(products_of)
        if ("video", f"v{row}") in blocked
        or ("creator", creators[row]) in blocked
        or (numbers and combine(not plain_availability(f"p{n}", entries, table, market) for n in numbers))
    ]


@pytest.mark.parametrize("seed", range(30))
@pytest.mark.parametrize("market", MARKETS)
def test_masks_are_those_of_a_plain_loop(seed, market):
    rng = np.random.default_rng([seed, 7])
    maybe = [True, False, None]
    table = pl.DataFrame(
        {
            C.PRODUCT_ID: [f"p{number}" for number in range(8)],
            C.AVAILABLE: [maybe[rng.integers(3)] for _ in range(8)],
            C.OFFERS: [
                [{"market": m, "available": maybe[rng.integers(3)]} for m in ("de", "fr") if rng.random() < 0.5]
                for _ in range(8)
            ],
        },
        schema_overrides={C.OFFERS: pl.List(pl.Struct({"market": pl.String, "available": pl.Boolean}))},
    )
    products_of = [rng.integers(0, 8, rng.integers(0, 4)).tolist() for _ in range(20)]
    creators = [f"c{row % 5}" for row in range(20)]
    entries = [
        *(block("product", f"p{n}") for n in rng.integers(0, 8, rng.integers(0, 3))),
        *(block("video", f"v{n}") for n in rng.integers(0, 20, rng.integers(0, 3))),
        *(block("creator", f"c{n}") for n in rng.integers(0, 5, rng.integers(0, 2))),
        *(
            offer(f"p{n}", ("", "de", "fr")[rng.integers(3)], available=bool(rng.integers(2)))
            for n in rng.permutation(8)[: rng.integers(0, 6)]
        ),
    ]
    hide_when = list(HideWhen)[rng.integers(3)]

    shelf, said = make_shelf(products_of, table, creator_id=creators), overlay(*entries)
    found, available = hidden(shelf, said, market, hide_when), available_products(shelf, said, market)

    assert [is_available(shelf, said, row, market) for row in range(8)] == available.tolist()
    assert found == plain_hidden(products_of, entries, table, market, hide_when, creators)
