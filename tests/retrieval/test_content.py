"""Content descriptors see the garment, not the paper behind it."""

import numpy as np
from PIL import Image, ImageDraw

from retrieval.content import ContentEncoder, foreground, lab_pixels


def photo(shape, colour, paper):
    picture = Image.new("RGB", (120, 160), paper)
    pen = ImageDraw.Draw(picture)
    {"box": pen.rectangle, "disc": pen.ellipse}[shape]((30, 40, 90, 100), fill=colour)
    return picture


def likeness(one, other):
    first, second = ContentEncoder().encode_images([one, other])
    return float(first @ second)


def test_the_foreground_is_the_thing_on_the_paper():
    mask = foreground(lab_pixels(photo("box", "red", "white")))

    # 61 of 120 columns and 61 of 160 rows.
    assert abs(mask.mean() - 61 / 120 * 61 / 160) < 0.02


def test_a_gradient_behind_is_still_the_backdrop():
    ramp = np.linspace(120, 250, 120).astype(np.uint8)
    paper = Image.fromarray(np.repeat(np.tile(ramp, (160, 1))[:, :, None], 3, axis=2))
    ImageDraw.Draw(paper).rectangle((30, 40, 90, 100), fill="red")

    assert abs(foreground(lab_pixels(paper)).mean() - 61 / 120 * 61 / 160) < 0.03


def test_the_paper_does_not_matter():
    assert likeness(photo("box", "red", "white"), photo("box", "red", (200, 200, 205))) > 0.95


def test_colour_and_outline_are_half_each():
    red_box = photo("box", "red", "white")

    assert abs(likeness(red_box, photo("box", "blue", "white")) - 0.5) < 0.1
    assert 0.5 < likeness(red_box, photo("disc", "red", "white")) < 0.98


def test_place_and_size_do_not_change_the_outline():
    small = Image.new("RGB", (120, 160), "white")
    ImageDraw.Draw(small).rectangle((10, 20, 40, 50), fill="red")

    assert likeness(photo("box", "red", "white"), small) > 0.9


def test_vectors_have_length_one_even_of_an_empty_picture():
    vectors = ContentEncoder().encode_images([Image.new("RGB", (9, 9), "white"), photo("disc", "green", "black")])

    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, rtol=1e-6)
