import numpy as np
from PIL import Image

from sample_shop.filming.planes import cut_strips, split_planes

GREY, RED = (128, 128, 128), (255, 0, 0)


def test_colours_become_video_range_bt_601() -> None:
    planes = split_planes(Image.new("RGB", (4, 4), RED))

    # Y = 16 + 65.481, Cb = 128 - 37.797, Cr = 128 + 112, each to within one step cut off and half a step rounded
    assert abs(planes.luma.getpixel((0, 0)) - 81.5) <= 1.5
    assert abs(planes.blue.getpixel((0, 0)) - 90.2) <= 1.5
    assert abs(planes.red.getpixel((0, 0)) - 240.0) <= 1.5
    assert (planes.luma.size, planes.blue.size, planes.red.size) == ((4, 4), (2, 2), (2, 2))


def test_strips_put_back_in_place_are_the_sprite() -> None:
    stage = Image.new("RGB", (40, 120), GREY)
    sprite = Image.new("RGBA", (20, 80), (*RED, 255))
    picture = split_planes(stage)
    top, middle, bottom = cut_strips(sprite, stage, (10, 20))

    picture.paste(top, 10, 20 + top.top)
    picture.paste(middle, 10, 20 + middle.top)
    picture.paste(bottom, 10, 20 + bottom.top)

    stage.paste(sprite, (10, 20), sprite)
    expected = split_planes(stage)
    np.testing.assert_array_equal(np.asarray(picture.luma), np.asarray(expected.luma))
    np.testing.assert_array_equal(np.asarray(picture.red), np.asarray(expected.red))


def test_a_crop_at_an_odd_corner_keeps_its_size() -> None:
    planes = split_planes(Image.new("RGB", (40, 60), GREY)).crop(3, 5, 20, 30)

    assert (planes.luma.size, planes.blue.size) == ((20, 30), (10, 15))
