from random import Random

import numpy as np
import pytest

from sample_shop.captions import (
    ABSENT,
    ANY,
    UNKNOWN,
    attribute_rows,
    attributes_of,
    caption_rows,
    mention,
    truth,
    write_caption,
)
from sample_shop.vocabulary import COLOURS, FINISHES, KINDS, STYLES, Garment

DRESS, SHIRT, BAG = KINDS.index("dress"), KINDS.index("shirt"), KINDS.index("bag")
RED, BLUE = COLOURS.index("red"), COLOURS.index("blue")
RED_DRESS, BLUE_BAG = Garment("dress", "red", "striped"), Garment("bag", "blue")


def judged(pictures, *named):
    """The truth of captions that each name the given attribute triples; one triple is repeated."""
    captions = np.array([[triples[0], triples[-1]] for triples in named])
    return truth(attribute_rows(pictures), captions).tolist()


def test_a_caption_is_true_of_what_it_names_and_silent_on_the_rest():
    # A red striped dress against "red", "dress", "blue dress", "bag".
    assert judged([(RED_DRESS,)], [(ANY, RED, ANY)], [(DRESS, ANY, ANY)], [(DRESS, BLUE, ANY)], [(BAG, ANY, ANY)]) == [
        [1, 1, 0, 0]
    ]


def test_attributes_of_two_garments_do_not_mix():
    # A red dress and a blue bag are no blue dress.
    assert judged([(RED_DRESS, BLUE_BAG)], [(DRESS, BLUE, ANY)], [(BAG, BLUE, ANY)]) == [[0, 1]]


def test_both_garments_of_a_caption_must_show():
    both = [(DRESS, ANY, ANY), (BAG, ANY, ANY)]

    assert judged([(RED_DRESS, BLUE_BAG), (RED_DRESS,)], both) == [[1], [0]]


def test_an_unknown_colour_leaves_the_truth_open_unless_the_kind_is_wrong():
    photo = (Garment("shirt", "", ""),)

    assert judged([photo], [(SHIRT, ANY, ANY)], [(SHIRT, RED, ANY)], [(BAG, RED, ANY)]) == [[1, -1, 0]]


def test_padding_matches_nothing_even_a_caption_without_a_kind():
    rows = attribute_rows([(Garment("dress", "blue", "plain"),)])

    assert (rows[0, 1:] == ABSENT).all()
    assert truth(rows, np.array([[[ANY, RED, ANY]] * 2])).tolist() == [[0]]


def test_unknown_words_become_unknown_rows():
    assert attributes_of(Garment("shirt", "", "")) == (SHIRT, UNKNOWN, UNKNOWN)


@pytest.mark.parametrize("seed", range(50))
def test_every_caption_written_for_a_picture_is_true_of_it(seed):
    garments = (RED_DRESS, BLUE_BAG)[: 1 + seed % 2]

    caption = write_caption(garments, Random(seed))

    assert truth(attribute_rows([garments]), caption_rows([caption])).tolist() == [[1]]


@pytest.mark.parametrize("seed", range(50))
def test_no_mention_tells_what_is_unknown_or_how_it_is_finished(seed):
    told = mention(Garment("shirt", "", "", "elegant", "blocked"), Random(seed))

    assert told.attributes == (SHIRT, ANY, ANY)
    assert not set(told.text.split()) & {*STYLES, *FINISHES}
