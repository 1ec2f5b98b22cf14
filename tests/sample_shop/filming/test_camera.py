from collections import deque
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from sample_shop.filming.camera import iter_frames, plan_take
from sample_shop.filming.looks import ShotKind, draw_look
from sample_shop.filming.places import STAGE_SIZE
from sample_shop.filming.planes import split_planes
from sample_shop.filming.scenes import Scene
from sample_shop.filming.shots import Shot
from sample_shop.vocabulary import Creator, Garment

LOOK = replace(draw_look(Creator("c1", "street", seed=2)), shake_px=0.0, drift=0.0)
SHOT = Shot(ShotKind.LAID, (Garment("dress", "red"),), LOOK.tables[0], n_frames=30, seed=0)
MIDDLE = (180.0, 320.0)  # of the 360 x 640 stage


def test_without_a_trembling_hand_the_camera_keeps_to_its_reach() -> None:
    take = plan_take(SHOT, LOOK, reach_x=20.0, reach_y=10.0)

    assert np.abs(take.x - MIDDLE[0]).max() <= 20.0
    assert np.abs(take.y - MIDDLE[1]).max() <= 10.0


def test_a_steady_light_adds_nothing() -> None:
    take = plan_take(SHOT, LOOK, reach_x=20.0, reach_y=10.0)

    assert not take.light.any()


@pytest.mark.parametrize("seed", range(8))
def test_even_a_wild_camera_never_leaves_the_stage(seed: int) -> None:
    scene = Scene(split_planes(Image.new("RGB", STAGE_SIZE, "white")), reach_x=500.0, reach_y=500.0)
    take = plan_take(replace(SHOT, seed=seed), LOOK, scene.reach_x, scene.reach_y)

    last = deque(iter_frames(scene, take), maxlen=1).pop()

    # White is 235 in video range; anything else would be a border.
    assert last.planes.luma.size == (288, 512)
    assert last.planes.luma.getextrema() == (235, 235)
    assert last.planes.blue.getextrema() == (128, 128)
