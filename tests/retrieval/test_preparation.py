"""Preparing pictures without the model gives the model's own input, bit by bit."""

import numpy as np
import pytest
from PIL import Image

from retrieval.clip import preparation_of
from retrieval.encoder import open_encoder
from retrieval.errors import import_extra
from retrieval.preparation import Preparation

open_clip = import_extra("open_clip", "embed")
torch = import_extra("torch", "embed")
SIZES = [(448, 252), (252, 448), (224, 224), (31, 301), (225, 224), (100, 99)]


def noise(height, width):
    return np.random.default_rng([height, width]).integers(0, 256, (height, width, 3), np.uint8)


@pytest.fixture(name="preprocess", scope="module")
def _preprocess():
    """Of a CLIP model: the shorter side to 224, then the middle."""
    return open_clip.image_transform(224, is_train=False)


@pytest.mark.parametrize(("height", "width"), SIZES)
def test_a_prepared_picture_is_what_the_models_own_preprocessing_makes(preprocess, height, width):
    picture = noise(height, width)

    prepared = preparation_of(preprocess).prepare(picture)

    as_tensor = preprocess.transforms[-1](torch.from_numpy(prepared).permute(2, 0, 1).float() / 255)
    assert torch.equal(as_tensor, preprocess(Image.fromarray(picture)))


def test_the_shipped_model_squeezes_pictures_and_gives_equal_vectors_either_way():
    encoder, pictures = open_encoder("sample"), [noise(*size) for size in SIZES]

    prepared = encoder.encode_prepared(np.stack([encoder.preparation.prepare(picture) for picture in pictures]))

    assert encoder.preparation == Preparation((72, 72), crop=False)
    np.testing.assert_array_equal(prepared, encoder.encode_images([Image.fromarray(picture) for picture in pictures]))


def test_preprocessing_that_is_more_than_resizing_is_left_to_the_model():
    padded = open_clip.image_transform(224, is_train=False, resize_mode="longest")
    bilinear = open_clip.image_transform(224, is_train=False, interpolation="bilinear")

    assert preparation_of(padded) is None
    assert preparation_of(bilinear) is None
