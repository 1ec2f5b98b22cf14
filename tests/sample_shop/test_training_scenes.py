from random import Random

import numpy as np
import pytest

from sample_shop.captions import ALL_KINDS
from sample_shop.training_scenes import PLAIN_SHARE, draw_scene, random_garment

SCENES = [draw_scene(Random(seed), 24) for seed in range(120)]


def test_a_scene_follows_its_seed():
    again = draw_scene(Random(5), 24)

    assert np.array_equal(SCENES[5].pixels, again.pixels)
    assert SCENES[5].garments == again.garments


def test_scenes_are_square_bytes():
    assert {(scene.pixels.shape, scene.pixels.dtype.name) for scene in SCENES} == {((24, 24, 3), "uint8")}


def test_most_scenes_show_one_garment_and_none_more_than_four():
    counts = np.bincount([len(scene.garments) for scene in SCENES])

    # 0.68 show one; of 120 that is 82, give or take three deviations of 5.1.
    assert 66 <= counts[1] <= 98
    assert len(counts) <= 5


def test_only_people_wear_basics():
    assert {len(scene.garments) > 1 for scene in SCENES if scene.basics} == {True}


@pytest.mark.parametrize("kind", ALL_KINDS)
def test_a_garment_can_be_asked_of_one_kind(kind):
    assert random_garment(Random(1), (kind,)).kind == kind


def test_the_asked_share_of_garments_is_plain():
    plain = np.mean([random_garment(Random(seed)).pattern == "plain" for seed in range(1000)])

    # Three standard deviations of a share of 0.45 in 1000 are 0.047.
    assert abs(plain - PLAIN_SHARE) < 0.047
