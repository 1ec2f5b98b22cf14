import numpy as np
import pytest

from sample_shop.catalogue import (
    DAY_US,
    Catalogue,
    attribute_matrix,
    clips,
    garment,
    make_catalogue,
    video_attributes,
)
from sample_shop.frames import products_frame, videos_frame
from sample_shop.vocabulary import COLOURS, FINISHES, KINDS


@pytest.fixture(scope="module")
def catalogue() -> Catalogue:
    return make_catalogue(seed=7, n_products=600, n_videos=600)


def test_every_kind_comes_in_every_colour_equally_often(catalogue):
    kind, colour = catalogue.products.codes[:, 0], catalogue.products.codes[:, 1]

    counts = np.bincount(kind * len(COLOURS) + colour)

    assert counts.tolist() == [600 // (len(KINDS) * len(COLOURS))] * (len(KINDS) * len(COLOURS))


def test_title_and_description_name_colour_pattern_kind_and_brand(catalogue):
    frame = products_frame(catalogue.products)
    row = frame.row(int(np.flatnonzero(catalogue.products.codes[:, 2] == 1)[0]), named=True)

    assert row["title"] == f"{row['color'].capitalize()} striped {row['category']} by {row['brand']}"
    assert row["title"][1:] in row["description"]


@pytest.mark.parametrize("finish", FINISHES)
def test_no_text_of_the_shop_tells_the_finish(catalogue, finish):
    products, videos = products_frame(catalogue.products), videos_frame(catalogue)

    texts = [*products["title"], *products["description"], *videos["title"], *videos["hashtags"].explode()]

    assert not any(finish in text.lower() for text in texts)


@pytest.mark.parametrize("factor", range(5))
def test_finish_is_independent_of_every_other_attribute(factor):
    codes = make_catalogue(seed=3, n_products=6000, n_videos=1).products.codes
    table = np.histogram2d(codes[:, factor], codes[:, 5], bins=(codes[:, factor].max() + 1, 3))[0]

    expected = np.outer(table.sum(axis=1), table.sum(axis=0)) / table.sum()
    chi2, freedom = ((table - expected) ** 2 / expected).sum(), (table.shape[0] - 1) * 2

    # a chi-square variable has mean `freedom` and variance 2·freedom
    assert chi2 < freedom + 4 * np.sqrt(2 * freedom)


def test_looks_have_one_to_four_products_of_different_kinds(catalogue):
    products = catalogue.videos.products
    kinds = np.where(products >= 0, catalogue.products.codes[products, 0], -1 - np.arange(4))

    assert set((products >= 0).sum(axis=1).tolist()) == {1, 2, 3, 4}
    assert (np.diff(np.sort(kinds, axis=1), axis=1) != 0).all()
    assert (products[:, 0] >= 0).all()


def test_a_dress_is_never_worn_with_trousers(catalogue):
    products = catalogue.videos.products
    kinds = np.where(products >= 0, catalogue.products.codes[products, 0], -1)
    bottoms = [KINDS.index(kind) for kind in ("trousers", "skirt", "shorts")]

    with_dress = (kinds == KINDS.index("dress")).any(axis=1)

    assert with_dress.any()
    assert not np.isin(kinds[with_dress], bottoms).any()


def test_looks_keep_to_their_creator(catalogue):
    products, creator = catalogue.videos.products, catalogue.videos.creator
    own_style = catalogue.creators.style[creator]

    share = (catalogue.products.codes[products[:, 0], 4] == own_style).mean()

    assert share > 0.5  # by chance 1/4


def test_a_third_of_the_videos_is_older_than_the_log_and_none_newer(catalogue):
    published = catalogue.videos.published_us

    assert (published < catalogue.start_us).sum() == 200
    assert published.max() < catalogue.end_us
    assert published.min() >= catalogue.start_us - 31 * DAY_US


def test_videos_are_mostly_short(catalogue):
    duration_s = catalogue.videos.duration_s

    assert duration_s.min() >= 4
    assert duration_s.max() <= 20
    assert np.median(duration_s) < 9


def test_popularity_is_long_tailed(catalogue):
    popularity = np.sort(catalogue.products.popularity)

    assert popularity[-60:].sum() / popularity.sum() > 0.3


def test_video_attributes_are_the_mean_over_its_products(catalogue):
    shown = catalogue.videos.products[5]

    expected = attribute_matrix(catalogue.products)[shown[shown >= 0]].mean(axis=0)

    np.testing.assert_allclose(video_attributes(catalogue)[5], expected)


def test_clips_show_the_products_of_their_videos(catalogue):
    row = int(np.flatnonzero(catalogue.videos.products[:, 1] >= 0)[0])

    clip = clips(catalogue)[row]

    assert clip.video_id == f"v{row:05d}"
    assert clip.garments[1] == garment(catalogue.products, int(catalogue.videos.products[row, 1]))
    assert clip.duration_s == catalogue.videos.duration_s[row]


def test_the_seed_alone_makes_the_catalogue():
    again, other = make_catalogue(7, 60, 60), make_catalogue(8, 60, 60)

    assert videos_frame(make_catalogue(7, 60, 60)).equals(videos_frame(again))
    assert not videos_frame(again).equals(videos_frame(other))


def test_more_videos_leave_the_products_as_they_were():
    assert products_frame(make_catalogue(7, 60, 5).products).equals(products_frame(make_catalogue(7, 60, 90).products))


def test_one_product_and_one_video_are_a_catalogue():
    catalogue = make_catalogue(7, n_products=1, n_videos=1)

    assert catalogue.videos.products.tolist() == [[0, -1, -1, -1]]
    assert catalogue.videos.published_us[0] < catalogue.start_us
