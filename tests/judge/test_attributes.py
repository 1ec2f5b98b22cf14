"""The judge `attributes`: shares derived by hand, and what it does where metadata is missing."""

import polars as pl
import pytest

from judge.attributes import WORDS, AttributesJudge, Fit, fit, values_of
from judge.rubric import load_rubric
from judge.task import ShownProduct, ShownVideo, Task
from judge.verdict import NoVerdict, Unscored
from retrieval.tables import Columns as C


def garment(category, color, brand="b", pattern=None):
    return values_of({C.CATEGORY: category, C.COLOR: color, C.BRAND: brand, "pattern": pattern})


def table(rows, **columns):
    names = [C.PRODUCT_ID, C.TITLE, C.CATEGORY, C.COLOR]
    return pl.DataFrame(rows, schema=names, orient="row").with_columns(**columns)


PRODUCTS = table(
    [
        ("p0", "Red striped dress", "dress", "red"),
        ("p1", "Blue plain coat", "coat", "blue"),
        ("p2", "Red dotted dress", "Dress", "red"),
        ("p3", "", None, None),
    ]
)
VIDEOS = pl.DataFrame(
    {
        C.VIDEO_ID: ["same", "alike", "other", "none", "untold"],
        C.PRODUCT_IDS: [["p0"], ["p2"], ["p1"], [], ["p3"]],
    }
)


def outcomes(history, videos, products=PRODUCTS):
    judge = AttributesJudge(products, VIDEOS)
    task = Task(
        "ann",
        tuple(ShownProduct(one, one, None) for one in history),
        tuple(ShownVideo(one, one, (), ()) for one in videos),
    )
    return list(judge.grade(task, load_rubric()))


def test_the_share_of_one_product_is_the_weight_of_what_matches():
    found = fit([garment("dress", "red", "b1")], [garment("dress", "red", "b2")])

    # Kind 0.4 and colour 0.3 match, brand 0.1 does not; nobody has a pattern.
    assert found.share == pytest.approx(0.7 / 0.8)
    assert found.label == "excellent_match"


def test_the_more_recent_product_counts_more():
    found = fit([garment("dress", "red"), garment("coat", "blue")], [garment("dress", "green", "c")])

    # Only the kind of the first of two products matches: its 0.4 of 0.8, its recency 1 of 1 + 0.9.
    assert found.share == pytest.approx(0.4 / 0.8 / 1.9)
    assert found.label == "partial_match"
    assert found.matched == {C.CATEGORY: {"dress": pytest.approx(1 / 1.9)}}


def test_a_pattern_counts_where_the_table_has_one():
    found = fit([garment("dress", "red", "b", "striped")], [garment("coat", "blue", "c", "striped")])

    assert found.share == pytest.approx(0.2)


def test_an_attribute_that_a_product_lacks_is_left_out_for_it():
    found = fit([garment("dress", "red", None), garment(None, "red", None)], [garment("dress", "blue", None)])

    # First product: 0.4 of 0.7. Second: 0 of 0.3, with recency 0.9.
    assert found.share == pytest.approx(0.4 / (0.7 + 0.9 * 0.3))


def test_words_of_titles_stand_in_for_a_pattern():
    red, blue = (values_of({C.CATEGORY: "dress", C.TITLE: f"{word} dress of linen"}) for word in ("Striped", "Dotted"))

    assert red[WORDS] == {"striped", "linen"}
    # The kind matches, 0.4, and one of two words, half of 0.2.
    assert fit([red], [blue]).share == pytest.approx(0.5 / 0.6)


def test_one_of_the_products_of_a_video_is_enough_to_match():
    found = fit([garment("dress", "red")], [garment("coat", "blue", "c"), garment("dress", "red")])

    assert found.share == 1.0


@pytest.mark.parametrize(
    ("share", "label"),
    [
        (1.0, "excellent_match"), (0.6, "excellent_match"), (0.59, "good_match"), (0.4, "good_match"),
        (0.39, "partial_match"), (0.25, "partial_match"), (0.24, "poor_match"), (0.1, "poor_match"), (0.09, "no_match"),
        (0.0, "no_match"),
    ],
)  # fmt: skip
def test_levels_begin_at_their_share(share, label):
    assert Fit(share, {}).label == label


def test_the_judge_grades_by_the_catalogue_and_says_what_matched():
    same, alike, other = outcomes(["p0"], ["same", "alike", "other"])

    # alike: kind 0.4 and colour 0.3 of 0.9; its one word, dotted, is not striped.
    assert [same.grade, alike.grade, other.grade] == [5, 5, 1]
    assert alike.reason == "Matches category dress (100%), color red (100%) of the history."
    assert other.reason == "Nothing of the history matches."


def test_a_video_without_products_or_whose_products_say_nothing_has_no_verdict():
    assert outcomes(["p0"], ["none", "untold", "unknown"]) == [
        NoVerdict(Unscored.NO_PRODUCTS, "the video names no product"),
        NoVerdict(Unscored.NO_PRODUCTS, "its products share no attribute with the history"),
        NoVerdict(Unscored.NO_PRODUCTS, "the video names no product"),
    ]


def test_the_fingerprint_changes_with_the_metadata_and_with_nothing_else():
    judge = AttributesJudge(PRODUCTS, VIDEOS)
    repriced = AttributesJudge(PRODUCTS.with_columns(price=pl.lit(9.0)), VIDEOS)
    recoloured = AttributesJudge(PRODUCTS.with_columns(pl.col(C.COLOR).replace("red", "green")), VIDEOS)
    relinked = AttributesJudge(PRODUCTS, VIDEOS.reverse().with_columns(VIDEOS[C.VIDEO_ID]))

    assert judge.fingerprint == repriced.fingerprint
    assert len({judge.fingerprint, recoloured.fingerprint, relinked.fingerprint}) == 3
