import colorsys
import subprocess
import sys

import numpy as np
import pytest

from sample_shop.captions import ALL_KINDS
from sample_shop.fabric import SHADES, nearest_colours, palette
from sample_shop.garments import draw_figure, draw_garment, product_photo
from sample_shop.vocabulary import COLOURS, Garment


def pixels_of(garment, size=64):
    return np.asarray(draw_garment(garment, size))


@pytest.mark.parametrize("kind", ALL_KINDS)
def test_every_kind_fills_the_middle_and_leaves_the_corners_transparent(kind):
    pixels = pixels_of(Garment(kind, "blue", cut=4))

    alpha = pixels[..., 3]
    assert pixels.shape == (64, 64, 4)
    assert alpha[[0, 0, -1, -1], [0, -1, 0, -1]].tolist() == [0, 0, 0, 0]
    assert (alpha == 255).mean() > 0.12


@pytest.mark.parametrize("kind", ALL_KINDS)
def test_the_longer_side_fills_nine_tenths_of_the_picture(kind):
    alpha = pixels_of(Garment(kind, "green", cut=7), size=100)[..., 3]

    rows, columns = np.flatnonzero(alpha.any(axis=1)), np.flatnonzero(alpha.any(axis=0))

    longer = max(rows[-1] - rows[0], columns[-1] - columns[0]) + 1
    assert 87 <= longer <= 94  # nine tenths of 100, and a line's width


@pytest.mark.parametrize("colour", COLOURS)
@pytest.mark.parametrize("kind", ["dress", "shoe", "bag"])
def test_a_plain_garment_has_the_colour_that_its_word_says(kind, colour):
    pixels = pixels_of(Garment(kind, colour, cut=11))

    median = np.median(pixels[pixels[..., 3] == 255][:, :3], axis=0).astype(np.uint8)

    assert COLOURS[nearest_colours(median[None])[0]] == colour


@pytest.mark.parametrize("kind", ALL_KINDS)
@pytest.mark.parametrize("finish", ["trimmed", "blocked"])
def test_a_finish_shows_in_a_thumbnail_and_leaves_the_main_colour_in_the_lead(kind, finish):
    plain, finished = Garment(kind, "red", cut=5), Garment(kind, "red", finish=finish, cut=5)

    tonal, other = pixels_of(plain), pixels_of(finished)

    opaque = tonal[..., 3] == 255
    changed = np.abs(tonal[opaque].astype(int) - other[opaque]).max(axis=1) > 60
    assert 0.02 < changed.mean() < 0.5


def test_a_pattern_shows():
    plain, striped = pixels_of(Garment("skirt", "red")), pixels_of(Garment("skirt", "red", "striped"))

    assert (np.abs(plain.astype(int) - striped).max(axis=2) > 60).mean() > 0.05


def test_cut_changes_the_shape_and_colour_does_not():
    first = pixels_of(Garment("dress", "red", cut=1))[..., 3]

    assert np.array_equal(first, pixels_of(Garment("dress", "blue", cut=1))[..., 3])
    assert not np.array_equal(first, pixels_of(Garment("dress", "red", cut=2))[..., 3])


def test_a_shade_stays_inside_its_words_range():
    red, green, blue = palette(Garment("bag", "green", cut=123)).main

    hue, _, value = colorsys.rgb_to_hsv(red / 255, green / 255, blue / 255)

    (least_hue, most_hue), _, (least, most) = SHADES["green"]
    assert least_hue - 0.01 <= hue <= most_hue + 0.01  # bytes round
    assert least - 0.01 <= value <= most + 0.01


def test_drawings_do_not_depend_on_the_hash_seed():
    code = (
        "import hashlib; from sample_shop.garments import product_photo; from sample_shop.vocabulary import Garment;"
        "photo = product_photo(Garment('hat', 'pink', 'dotted', 'street', 'trimmed', 9), 3, 60, 80);"
        "print(hashlib.sha256(photo.tobytes()).hexdigest())"
    )

    first, second = (
        subprocess.run(
            [sys.executable, "-c", code], env={"PYTHONHASHSEED": seed}, capture_output=True, text=True, check=True
        ).stdout
        for seed in ("1", "2")
    )

    assert first == second


def test_a_figure_is_deterministic_and_half_as_wide_as_high():
    outfit = (Garment("jacket", "blue"), Garment("skirt", "red"), Garment("hat", "green"))

    figure = draw_figure(outfit, 90, pose=3)

    assert (figure.mode, figure.size) == ("RGBA", (45, 90))
    assert figure.tobytes() == draw_figure(outfit, 90, pose=3).tobytes()
    assert figure.tobytes() != draw_figure(outfit, 90, pose=4).tobytes()


def test_what_a_figure_is_not_given_is_grey():
    figure = np.asarray(draw_figure((Garment("hat", "red"),), 200, pose=1))

    chest = figure[70, 50, :3]

    assert COLOURS[nearest_colours(chest[None])[0]] == "grey"


def test_a_dressed_figure_wears_its_dress():
    figure = np.asarray(draw_figure((Garment("dress", "blue"),), 200, pose=1))

    chest, hip = figure[72, 50, :3], figure[110, 44, :3]

    assert [COLOURS[row] for row in nearest_colours(np.stack([chest, hip]))] == ["blue", "blue"]


def test_a_photo_has_its_size_and_a_bright_border_on_most_backdrops():
    photos = [np.asarray(product_photo(Garment("bag", "red"), seed, 48, 64)) for seed in range(40)]

    borders = np.array([photo[0].mean() for photo in photos])

    assert photos[0].shape == (64, 48, 3)
    assert 0.75 <= (borders > 180).mean() < 1.0  # a tenth are deeper


def test_two_photos_of_one_garment_differ():
    garment = Garment("shirt", "white", "checked")

    assert product_photo(garment, 1, 48, 64).tobytes() != product_photo(garment, 2, 48, 64).tobytes()
