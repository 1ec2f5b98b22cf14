import json

import numpy as np
import pytest
import torch
from PIL import Image
from torch.nn.functional import normalize

from sample_shop.small_clip import UNSEEN, ClipShape, CompactVocabulary, SavedClip, new_model, save_model

TINY = ClipShape(image_size=32, embed_dim=16, text_width=8, text_layers=1, context_length=12)
STANDARD_WORDS = 49408


@pytest.fixture(scope="module")
def vocabulary():
    return CompactVocabulary(["red dress", "a blue hat"], TINY.context_length)


@pytest.fixture(scope="module")
def saved(vocabulary, tmp_path_factory):
    torch.manual_seed(0)
    model = new_model(TINY, vocabulary.size).eval()
    folder = tmp_path_factory.mktemp("models") / "tiny"
    save_model(model.state_dict(), TINY, vocabulary, folder)
    return model, folder


def test_known_words_get_numbers_of_their_own_and_others_share_one(vocabulary):
    known, unknown, other = vocabulary.tokens(["red", "zebra", "yacht"])

    # "red", "dress", "a", "blue", "hat", the shared one and two marks.
    assert vocabulary.size == 8
    assert known[1] != UNSEEN
    assert unknown.tolist() == other.tolist()
    assert unknown[1] == UNSEEN


def test_the_end_mark_is_the_highest_number_because_pooling_looks_for_it(vocabulary):
    tokens = vocabulary.tokens(["a red hat"])[0]

    assert tokens.argmax() == 4  # after the start mark and three words
    assert tokens.max() == vocabulary.size - 1


def test_expanded_rows_repeat_the_shared_row_for_unknown_words(vocabulary):
    rows = vocabulary.expanded(torch.arange(vocabulary.size)[:, None])

    # 49408 rows, of which five words and two marks have their own.
    assert rows.shape == (STANDARD_WORDS, 1)
    assert (rows == UNSEEN).sum() == STANDARD_WORDS - 7


def test_a_saved_model_embeds_texts_as_the_trained_one_did(saved, vocabulary):
    model, folder = saved
    texts = ["red dress", "a blue hat", "an unheard-of hat"]

    rows = SavedClip(folder).encode_texts(texts)

    with torch.inference_mode():
        expected = model.encode_text(vocabulary.tokens(texts), normalize=True).numpy()
    np.testing.assert_allclose(rows, expected, atol=5e-3)  # saved in half precision


def test_a_saved_model_squashes_and_embeds_pictures_as_the_trained_one_did(saved):
    model, folder = saved
    flat = Image.new("RGB", (20, 50), (255, 128, 0))

    rows = SavedClip(folder).encode_images([flat])

    # Bytes to 0..1, less a half, over a quarter: 2, 0.0078 and -2.
    pixels = torch.tensor([2.0, (128 / 255 - 0.5) / 0.25, -2.0])[None, :, None, None].expand(1, 3, 32, 32)
    with torch.inference_mode():
        expected = normalize(model.encode_image(pixels), dim=-1).numpy()
    np.testing.assert_allclose(rows, expected, atol=5e-3)


def test_the_folder_holds_a_config_and_half_precision_weights_only(saved):
    _, folder = saved

    config = json.loads((folder / "open_clip_config.json").read_text(encoding="utf-8"))

    assert sorted(file.name for file in folder.iterdir()) == ["open_clip_config.json", "open_clip_model.safetensors"]
    assert config["model_cfg"]["text_cfg"]["vocab_size"] == STANDARD_WORDS
    assert config["preprocess_cfg"]["resize_mode"] == "squash"
    assert sorted(file.name for file in folder.parent.iterdir()) == ["tiny"]  # no scratch folder is left


def test_saving_over_a_model_keeps_its_card(saved, vocabulary):
    model, folder = saved
    card = folder / "README.md"
    card.write_text("what it is", encoding="utf-8")

    save_model(model.state_dict(), TINY, vocabulary, folder)

    assert card.read_text(encoding="utf-8") == "what it is"
    card.unlink()
