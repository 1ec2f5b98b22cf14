"""How well a product answers a query by the catalogue's words: shares derived by hand."""

import pytest

from judge.attributes import values_of
from judge.query_fit import Vocabulary, query_fit


def garment(title, category, color, **more):
    return values_of({"title": title, "category": category, "color": color, **more})


DRESS = garment("Red striped dress", "Dress", "Red")
DOTTED = garment("Red dotted dress", "Dress", "Red")
BLUE = garment("Blue striped dress", "Dress", "Blue")
BAG = garment("Red bag", "Bag", "Red")
SHIRT, TEE = garment("Grey shirt", "Shirt", "Grey"), garment("Grey t-shirt", "T-shirt", "Grey")
BOOTS = garment("Brown ankle boots", "Ankle boots", "Brown")
SHOP = Vocabulary([DRESS, DOTTED, BLUE, BAG, SHIRT, TEE, BOOTS])


def fit(query, product):
    return query_fit(SHOP.asked(query), product)


@pytest.mark.parametrize(
    ("query", "product", "share", "label"),
    [
        ("red dress", DRESS, 1.0, "excellent_match"),
        ("red dress", BLUE, 0.5 / 0.8, "partial_match"),  # the kind 0.5, not the colour 0.3
        ("red dress", BAG, 0.3 / 0.8, "poor_match"),
        ("red dress", SHIRT, 0.0, "no_match"),
        ("red striped dress", DOTTED, 0.8, "good_match"),  # all but the word 0.2
        ("red striped dress", BLUE, 0.7, "partial_match"),  # all but the colour 0.3
        ("striped", BLUE, 1.0, "excellent_match"),
    ],
)
def test_the_share_is_the_weight_of_what_the_product_has_of_the_query(query, product, share, label):
    found = fit(query, product)

    assert found.share == pytest.approx(share)
    assert found.label == label


def test_a_t_shirt_is_no_shirt():
    assert [fit("grey t-shirt", one).label for one in (TEE, SHIRT)] == ["excellent_match", "poor_match"]
    assert [fit("grey shirt", one).label for one in (TEE, SHIRT)] == ["poor_match", "excellent_match"]


def test_values_of_several_words_are_found_whole_and_their_words_alone_too():
    assert [(one.attribute, one.value) for one in SHOP.asked("brown ankle boots")] == [
        ("color", "brown"), ("category", "ankle boots"),
    ]  # fmt: skip
    assert [(one.attribute, one.value) for one in SHOP.asked("boots")] == [("words", "boots")]
    assert fit("boots", BOOTS).label == "excellent_match"


def test_plurals_find_singulars_and_the_other_way_round():
    assert [one.value for one in SHOP.asked("red dresses, bags")] == ["red", "dress", "bag"]
    assert [one.value for one in SHOP.asked("ankle boot")] == ["ankle boots"]


def test_words_that_the_catalogue_does_not_know_say_nothing():
    assert fit("cheap red dress for summer", DRESS).share == 1.0
    assert fit("perfume", DRESS) is None


def test_an_attribute_that_a_product_is_not_told_is_left_out():
    plain = garment("Dress", "Dress", None)

    # The kind is met and of the colour nothing is told: 0.5 of 0.5.
    assert fit("red dress", plain).share == 1.0
    assert query_fit(SHOP.asked("red"), {}) is None


def test_the_reason_says_what_the_product_has_and_what_not():
    assert fit("red striped dress", DOTTED).reason == "Matches red, dress of the query, not striped."
    assert fit("red dress", DRESS).reason == "Matches red, dress of the query."
    assert fit("red dress", SHIRT).reason == "Nothing of the query matches: red, dress."
