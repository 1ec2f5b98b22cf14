"""The weights that ship: small, loadable, and knowing what their card says, on a small fixed sample."""

import numpy as np
import pytest

from retrieval.clip import open_clip_encoder
from retrieval.encoder import SAMPLE_FOLDER, Precision, open_encoder
from sample_shop.clip_eval import guess_colours, guess_kinds, held_out_garments
from sample_shop.photo import product_photo
from sample_shop.vocabulary import KINDS

LARGEST = 17_000_000  # bytes


@pytest.fixture(name="encoder", scope="module")
def _encoder():
    return open_encoder("sample", "cpu")


def test_it_is_small_enough_to_ship():
    assert sum(file.stat().st_size for file in SAMPLE_FOLDER.iterdir()) <= LARGEST


def test_it_knows_kinds_and_colours_of_held_out_product_photos(encoder):
    garments = held_out_garments(120, seed=1)
    vectors = encoder.encode_images([product_photo(garment, 5_000_000 + n) for n, garment in enumerate(garments)])

    kinds = np.mean([guess == g.kind for guess, g in zip(guess_kinds(encoder, vectors, KINDS), garments, strict=True)])
    colours = np.mean([guess == g.colour for guess, g in zip(guess_colours(encoder, vectors), garments, strict=True)])

    # The bar is 0.90; on 120 photos its standard error is 0.027.
    assert kinds >= 0.85
    assert colours >= 0.85


def test_vectors_have_length_one_and_do_not_depend_on_the_batch(encoder):
    photos = [product_photo(garment, n) for n, garment in enumerate(held_out_garments(70, seed=2))]

    together = encoder.encode_images(photos)
    apart = np.concatenate([encoder.encode_images(photos[:3]), encoder.encode_images(photos[3:])])

    np.testing.assert_allclose(np.linalg.norm(together, axis=1), 1, rtol=1e-5)
    # bfloat16 keeps eight bits, so another order of adding moves the third digit.
    np.testing.assert_allclose((together * apart).sum(axis=1), 1, atol=1e-3)


def test_bfloat16_gives_the_vectors_of_float32_but_for_a_hair():
    photos = [product_photo(garment, n) for n, garment in enumerate(held_out_garments(24, seed=3))]
    half, full = (
        open_clip_encoder("sample", "cpu", precision).encode_images(photos)
        for precision in (Precision.BF16, Precision.FP32)
    )

    assert (half * full).sum(axis=1).min() > 0.998


def test_a_text_is_near_the_photo_it_describes_and_unknown_words_change_little(encoder):
    plain, strange = encoder.encode_texts(["a red dress", "a red dress zzqx"])
    other = encoder.encode_texts(["a blue bag"])[0]

    assert plain @ strange > 0.9
    assert plain @ other < plain @ strange - 0.2


def test_the_fingerprint_is_that_of_the_weights(encoder):
    assert encoder.fingerprint == open_encoder("sample", "cpu").fingerprint
    assert len(encoder.fingerprint) == 16


def test_no_image_and_no_text_give_no_vector(encoder):
    assert encoder.encode_images([]).shape == (0, encoder.dim)
    assert encoder.encode_texts([]).shape == (0, encoder.dim)
