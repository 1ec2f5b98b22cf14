"""The contact sheet: everything is on it, at one height, with words that fit."""

import numpy as np
from PIL import Image

from retrieval.contact_sheet import MARGIN, PAPER, Cell, Row, draw_sheet


def cell(colour, *, width=30, title="a title"):
    return Cell((Image.new("RGB", (width, 60), colour),), title)


def test_pictures_of_a_row_share_its_height_and_keep_their_shape():
    sheet = draw_sheet([Row("row", [cell("red"), cell("blue", width=60)], height=120)])

    reds = [sheet.getpixel((x, MARGIN + 24 + 14 + 60)) == (255, 0, 0) for x in range(sheet.width)]
    blues = [sheet.getpixel((x, MARGIN + 24 + 14 + 60)) == (0, 0, 255) for x in range(sheet.width)]
    # 30 × 60 and 60 × 60 pixels, brought to a height of 120.
    assert (sum(reds), sum(blues)) == (60, 120)


def test_the_widest_row_sets_the_width():
    narrow, wide = Row("narrow", [cell("red")], height=60), Row("wide", [cell("red"), cell("blue")], height=60)

    assert draw_sheet([narrow, wide]).size[0] == draw_sheet([wide]).size[0]


def test_long_titles_stay_inside_their_cell():
    long = cell("white", title="an extraordinarily long title that no cell of this size could ever hold")

    sheet = draw_sheet([Row("", [long, cell("white", title="")], height=60)])

    below = [sheet.getpixel((MARGIN + 30 + dx, MARGIN + 24 + 14 + 60 + dy)) for dx in range(14) for dy in range(50)]
    assert set(below) == {PAPER}


def test_a_badge_stands_on_the_upper_left_corner_in_its_tone_and_nowhere_else():
    picture = Image.new("RGB", (60, 90), (0, 0, 255))

    plain = np.asarray(draw_sheet([Row("a", [Cell((picture,), "dress")], 90)]))
    sheet = np.asarray(draw_sheet([Row("a", [Cell((picture,), "dress", badge="5", tone=(255, 0, 0))], 90)]))

    changed = np.argwhere((plain != sheet).any(axis=2))
    red = np.argwhere((sheet == (255, 0, 0)).all(axis=2))
    assert len(red) > 100
    assert (changed.max(axis=0) - changed.min(axis=0) < 45).all()
