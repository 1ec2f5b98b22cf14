from collections.abc import Iterable
from itertools import pairwise

import numpy as np
import pytest

from sample_shop.filming.looks import ShotKind, draw_look
from sample_shop.filming.shots import Shot, plan_shots, split_frames
from sample_shop.vocabulary import STYLES, Clip, Creator, Garment

OUTFIT = (Garment("shirt", "red"), Garment("skirt", "blue"), Garment("hat", "green"), Garment("shoe", "black"))


def plan(garments: tuple[Garment, ...], duration_s: float, style: str, seed: int) -> tuple[Shot, ...]:
    clip = Clip("v1", Creator("c1", style, seed), garments, duration_s, seed)
    return plan_shots(clip, draw_look(clip.creator))


def shown_large(shots: Iterable[Shot]) -> set[Garment]:
    return {garment for shot in shots for garment in shot.garments if shot.kind is not ShotKind.WORN}


@pytest.mark.parametrize("n_frames", [60, 61, 92, 150, 237, 300])
@pytest.mark.parametrize("seed", range(5))
def test_shots_fill_the_clip_and_last_1_2_to_4_seconds(n_frames: int, seed: int) -> None:
    lengths = split_frames(n_frames, np.random.default_rng(seed))

    assert sum(lengths) == n_frames
    assert 2 <= len(lengths) <= 6
    assert min(lengths) >= 18
    assert max(lengths) <= 60


@pytest.mark.parametrize("style", STYLES)
@pytest.mark.parametrize("seed", range(5))
def test_even_the_shortest_clip_shows_hat_and_shoe_in_a_shot_of_their_own(style: str, seed: int) -> None:
    shots = plan(OUTFIT, 4.0, style, seed)

    assert {garment for shot in shots for garment in shot.garments} == set(OUTFIT)
    assert shown_large(shots) >= set(OUTFIT[2:])


@pytest.mark.parametrize("n_garments", [1, 2, 3, 4])
@pytest.mark.parametrize("seed", range(5))
def test_neighbouring_shots_differ_in_kind_or_garments(n_garments: int, seed: int) -> None:
    shots = plan(OUTFIT[:n_garments], 20.0, "casual", seed)

    assert all((a.kind, a.garments) != (b.kind, b.garments) for a, b in pairwise(shots))


def test_garments_that_fill_one_place_on_the_body_are_not_worn_together() -> None:
    dress_and_shirt = (Garment("dress", "red"), Garment("shirt", "blue"))

    shots = [shot for seed in range(20) for shot in plan(dress_and_shirt, 20.0, "elegant", seed)]

    assert {len(shot.garments) for shot in shots if shot.kind is ShotKind.WORN} == {1}


@pytest.mark.parametrize("seed", range(10))
def test_what_a_jacket_covers_gets_a_shot_of_its_own(seed: int) -> None:
    layers = (Garment("shirt", "red"), Garment("jacket", "blue"))

    assert Garment("shirt", "red") in shown_large(plan(layers, 4.0, "street", seed))


def test_hats_and_shoes_do_not_hang_and_short_garments_hang_alone() -> None:
    shots = [shot for seed in range(20) for shot in plan(OUTFIT, 20.0, "casual", seed)]

    hung = {shot.garments for shot in shots if shot.kind is ShotKind.HUNG}
    assert hung == {OUTFIT[:1], OUTFIT[1:2]}


def test_a_shirt_may_hang_beside_long_trousers() -> None:
    pair = (Garment("shirt", "red"), Garment("trousers", "blue"))

    shots = [shot for seed in range(20) for shot in plan(pair, 20.0, "casual", seed)]

    assert {shot.garments for shot in shots if shot.kind is ShotKind.HUNG} == {pair}


def test_the_plan_depends_on_nothing_but_the_clip() -> None:
    assert plan(OUTFIT, 9.0, "street", seed=3) == plan(OUTFIT, 9.0, "street", seed=3)
