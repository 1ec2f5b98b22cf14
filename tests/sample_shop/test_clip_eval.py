import numpy as np
import pytest

from sample_shop.clip_eval import (
    guess_colours,
    guess_kinds,
    held_out_garments,
    precision_at,
    query_precisions,
)
from sample_shop.vocabulary import COLOURS, KINDS, Garment

WORDS = (*KINDS, *COLOURS)


class WordCounter:
    """Embeds a text as the kinds and colours it names; pictures are given to the functions as such rows."""

    def encode_texts(self, texts, /):
        return np.stack([row_of(text) for text in texts])

    def encode_images(self, images, /):
        raise AssertionError("these tests hand over rows; a picture that arrives here is a mistake")


def row_of(text):
    counts = np.array([float(word in text.split()) for word in WORDS], np.float32)
    return counts / max(1.0, float(np.linalg.norm(counts)))


def test_kinds_and_colours_are_read_off_the_nearest_prompts():
    rows = np.stack([row_of("red dress"), row_of("blue bag")])

    assert guess_kinds(WordCounter(), rows, KINDS) == ["dress", "bag"]
    assert guess_colours(WordCounter(), rows) == ["red", "blue"]


def test_precision_is_out_of_what_could_be_found():
    # Two relevant, k = 5: one of them among the first five is a half.
    assert precision_at(np.array([0, 2, 3, 4, 5, 1]), [True, True, False, False, False, False], 5) == 1 / 2


@pytest.mark.parametrize("k", [1, 5])
def test_a_perfect_encoder_answers_every_query(k):
    garments = [Garment("dress", "red"), Garment("dress", "blue"), Garment("bag", "red"), Garment("bag", "red")]
    rows = np.stack([row_of(f"{garment.colour} {garment.kind}") for garment in garments])

    assert query_precisions(WordCounter(), rows, garments, k) == [1.0, 1.0, 1.0]  # three combinations exist


def test_held_out_garments_follow_their_seed():
    assert held_out_garments(5, seed=1) == held_out_garments(5, seed=1)
    assert held_out_garments(5, seed=1) != held_out_garments(5, seed=2)
