import numpy as np
from PIL import Image

from sample_shop.clothing_photos import guess_colour, load_photos, load_squares
from sample_shop.fabric import anchor


def square_of(*colours):
    """A 20 px square with one horizontal band for each colour."""
    bands = [np.full((20 // len(colours), 20, 3), colour, np.uint8) for colour in colours]
    return np.concatenate(bands)


def test_only_the_asked_split_is_read(tmp_path):
    (tmp_path / "photos.csv").write_text(
        "path,split,label,width,height\na.png,train,pants,4,8\nb.png,validation,hat,4,8\n", encoding="utf-8"
    )

    photos = load_photos(tmp_path, "train")

    assert [(photo.path, photo.label, photo.kind) for photo in photos] == [(tmp_path / "a.png", "pants", "trousers")]


def test_photos_are_squashed_to_squares(tmp_path):
    (tmp_path / "photos.csv").write_text("path,split,label\na.png,train,hat\n", encoding="utf-8")
    Image.new("RGB", (30, 60), (10, 20, 30)).save(tmp_path / "a.png")

    squares = load_squares(load_photos(tmp_path, "train"), 12)

    assert squares.shape == (1, 12, 12, 3)
    assert (squares == np.array([10, 20, 30])).all()


def test_a_colour_that_fills_the_middle_is_guessed():
    assert guess_colour(square_of(anchor("red"))) == "red"


def test_no_colour_is_guessed_where_two_share_the_middle():
    assert guess_colour(square_of(anchor("red"), anchor("blue"))) == ""


def test_grey_is_never_guessed_because_light_makes_it_of_white():
    assert guess_colour(square_of(anchor("grey"))) == ""


def test_a_colour_between_two_words_is_not_guessed():
    between = (np.array(anchor("red")) + np.array(anchor("purple"))) // 2

    assert guess_colour(square_of(between)) == ""
