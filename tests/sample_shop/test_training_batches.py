import numpy as np
import pytest
import torch

from sample_shop.captions import ALL_KINDS, Caption, attribute_rows, attributes_of
from sample_shop.train_clip import caption_truth, cosine_rate, follow, kind_shares, picture_side
from sample_shop.training_batches import Batch, PhotoPool, ScenePool, joined, patched, vary_photos, vary_scenes
from sample_shop.training_scenes import Scene
from sample_shop.vocabulary import Garment

RED_DRESS, BLUE_HAT, GREY_SHOE = Garment("dress", "red"), Garment("hat", "blue"), Garment("shoe", "grey")


def batch_of(named, shown=None):
    return Batch(torch.zeros(len(named), 3, 8, 8), named, shown or named, torch.full((len(named),), -1))


def says(garment):
    attributes = attributes_of(garment)
    return Caption("", (attributes, attributes))


def test_a_patched_picture_shows_both_garments_and_pixels_of_both():
    pixels = torch.stack([torch.zeros(3, 16, 16), torch.ones(3, 16, 16)])

    mixed, named = patched(pixels, [(RED_DRESS,), (BLUE_HAT,)], np.random.default_rng(1), share=1.0)

    # The rectangle's sides are 0.45 to 0.75 of the picture's, so it covers 0.2 to 0.57 of it; a partner may be itself.
    changed = (mixed != pixels).float().mean(dim=(1, 2, 3))
    expected = [(0.19 < part < 0.57, len(names)) for part, names in zip(changed.tolist(), named, strict=True)]
    assert expected in ([(True, 2)] * 2, [(False, 1)] * 2)


def test_no_share_patches_nothing():
    pixels = torch.rand(3, 3, 8, 8)

    mixed, named = patched(pixels, [(RED_DRESS,), (BLUE_HAT,), (GREY_SHOE,)], np.random.default_rng(0), share=0.0)

    assert torch.equal(mixed, pixels)
    assert named == [(RED_DRESS,), (BLUE_HAT,), (GREY_SHOE,)]


def test_scenes_come_out_in_the_asked_size_and_range():
    varied = vary_scenes(torch.rand(4, 3, 20, 20), side=12)

    assert varied.shape == (4, 3, 12, 12)
    assert varied.min() >= 0
    assert varied.max() <= 1


def test_a_named_colour_is_changed_less_than_an_unnamed_one():
    torch.manual_seed(0)
    red = torch.tensor([0.8, 0.1, 0.1])[None, :, None, None].expand(200, 3, 12, 12)
    keep = torch.arange(200) < 100

    varied = vary_photos(red, side=8, keep_colour=keep).mean(dim=(2, 3))

    hue = varied[:, 1] - varied[:, 2]
    assert hue[keep].std() < hue[~keep].std()


def test_a_scene_pool_names_the_finish_of_single_garments_only():
    pool = ScenePool(size=8, capacity=2, seed=0)
    blank = np.zeros((8, 8, 3), np.uint8)
    pool.scenes = [Scene(blank, (Garment("bag", "red", finish="blocked"),)), Scene(blank, (RED_DRESS, BLUE_HAT))]

    batch = pool.sample(30, 8, np.random.default_rng(0))

    assert {(len(names), finish) for names, finish in zip(batch.named, batch.finishes.tolist(), strict=True)} == {
        (1, 2),  # FINISHES = tonal, trimmed, blocked
        (2, -1),
    }


def test_photos_keep_their_kind_and_name_a_colour_only_if_one_was_guessed():
    squares = np.zeros((2, 12, 12, 3), np.uint8)
    pool = PhotoPool(squares, [Garment("hat", "", ""), Garment("skirt", "red", "")], np.array([0.5, 0.5]))

    batch = pool.sample(64, 8, np.random.default_rng(0))

    colours = {(garment.kind, garment.colour) for garments in batch.named for garment in garments}
    assert colours == {("hat", ""), ("skirt", ""), ("skirt", "red")}


def test_joined_batches_keep_their_order():
    both = joined(batch_of([(RED_DRESS,)]), batch_of([(BLUE_HAT,)]))

    assert both.named == [(RED_DRESS,), (BLUE_HAT,)]
    assert both.pixels.shape == (2, 3, 8, 8)


def test_a_caption_of_an_unnamed_basic_counts_neither_way():
    batch = batch_of([(RED_DRESS,)], [(RED_DRESS, GREY_SHOE)])

    assert caption_truth(batch, [says(RED_DRESS), says(GREY_SHOE), says(BLUE_HAT)]).tolist() == [[1, -1, 0]]


def test_a_picture_of_two_kinds_has_half_of_each():
    shares = kind_shares(torch.from_numpy(attribute_rows([(RED_DRESS, BLUE_HAT), (BLUE_HAT,)])))

    dress, hat = ALL_KINDS.index("dress"), ALL_KINDS.index("hat")
    assert shares[0, [dress, hat]].tolist() == [0.5, 0.5]
    assert shares[1, hat] == 1
    assert shares.sum() == 2


def test_the_rate_rises_then_falls_to_almost_nothing():
    assert cosine_rate(0.0, step=0) < cosine_rate(0.0, step=40) < cosine_rate(0.0, step=79)
    assert cosine_rate(1.0, step=1000) == pytest.approx(0.003)


def test_small_pictures_come_first():
    assert picture_side(0.0, 100) == 78
    assert picture_side(0.9, 100) == 100


def test_the_running_mean_moves_by_one_minus_its_decay():
    mean, model = torch.nn.Linear(1, 1), torch.nn.Linear(1, 1)
    with torch.no_grad():
        mean.weight.fill_(0.0)
        model.weight.fill_(1.0)

    follow(mean, model, step=10**6, decay=0.9)

    assert mean.weight.item() == pytest.approx(0.1)
    assert model.weight.item() == 1.0
