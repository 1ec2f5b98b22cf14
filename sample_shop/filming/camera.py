"""The frames of a shot: the actor moves, the camera drifts, the light breathes. Every frame is a crop or a zoom."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sample_shop.filming.looks import Look, ShotKind
from sample_shop.filming.places import FRAME_HEIGHT, FRAME_WIDTH, STAGE_HEIGHT, STAGE_WIDTH
from sample_shop.filming.planes import Planes
from sample_shop.filming.scenes import Actor, Scene
from sample_shop.filming.shots import FRAME_RATE, Shot

Floats = NDArray[np.float64]

# Zooming resamples every frame, 0.7 ms each; a pan is a plain copy. So only this share of the shots zooms.
_ZOOM_SHARE = {ShotKind.WORN: 0.12, ShotKind.LAID: 0.25, ShotKind.HUNG: 0.15, ShotKind.CLOSE: 0.15}
_SHAKE_HZ = (0.7, 1.3, 2.1)
_MIDDLE_GREY = 110  # in luma steps above black


@dataclass(frozen=True)
class Take:
    """What changes from frame to frame, one row each.

    The camera looks at (*x*, *y*) on the stage and sees *scale* frames' worth of it; *light* is added to the luma;
    *swing* and *curve* in [-1, 1] bend the actor, *lift* in [0, 1] raises it.
    """

    x: Floats
    y: Floats
    scale: Floats
    light: NDArray[np.int64]
    swing: Floats
    curve: Floats
    lift: Floats


@dataclass(frozen=True)
class FilmFrame:
    """One frame, 288 x 512: its planes, what to add to the luma on the way to the encoder, and if a cut precedes it."""

    planes: Planes
    light: int
    cut: bool


def plan_take(shot: Shot, look: Look, reach_x: float, reach_y: float) -> Take:
    """The camera's and the actor's course through the shot; the camera travels at most the reach from the middle."""
    rng = np.random.default_rng([shot.seed, 1])
    t = np.arange(shot.n_frames) / FRAME_RATE
    way = np.linspace(-1.0, 1.0, shot.n_frames) * rng.choice((-1.0, 1.0))
    zooms = rng.random() < _ZOOM_SHARE[shot.kind]
    travel = 0.3 if zooms else rng.uniform(0.75, 1.0)
    beat = 2 * np.pi * rng.uniform(0.7, 1.1) * t
    return Take(
        x=STAGE_WIDTH / 2 + rng.choice((-1, 1)) * travel * reach_x * way + _shake(t, look.shake_px, rng),
        y=STAGE_HEIGHT / 2 + travel * reach_y * way + _shake(t, look.shake_px, rng),
        scale=1.06 + 0.08 * way if zooms else np.ones(shot.n_frames),
        light=np.rint(_MIDDLE_GREY * look.drift * np.sin(2 * np.pi * (0.18 * t + rng.random()))).astype(np.int64),
        swing=np.sin(beat),
        curve=np.cos(beat),
        lift=np.abs(np.sin(beat)),
    )


def _shake(t: Floats, reach_px: float, rng: np.random.Generator) -> Floats:
    """A hand's tremor: three slow waves out of step."""
    hz = np.array(_SHAKE_HZ) * rng.uniform(0.85, 1.15, 3)
    waves = np.sin(2 * np.pi * (hz[:, None] * t + rng.random((3, 1))))  # (3, n_frames)
    return reach_px * (np.array([0.65, 0.4, 0.3]) @ waves)


def iter_frames(scene: Scene, take: Take) -> Iterator[FilmFrame]:
    """The frames of the shot in order."""
    for i in range(len(take.x)):
        planes = _true_size(scene, take, i) if take.scale[i] == 1.0 else _zoomed(scene, take, i)
        yield FilmFrame(planes, int(take.light[i]), cut=i == 0)


def _true_size(scene: Scene, take: Take, i: int) -> Planes:
    left, top = _corner(take, i)
    x, y = round(left), round(top)
    planes = scene.stage.crop(x, y, FRAME_WIDTH, FRAME_HEIGHT)
    if scene.actor:
        _paste_actor(planes, scene.actor, (x, y), take, i)
    return planes


def _zoomed(scene: Scene, take: Take, i: int) -> Planes:
    planes = scene.stage
    if scene.actor:
        planes = planes.crop(0, 0, STAGE_WIDTH, STAGE_HEIGHT)
        _paste_actor(planes, scene.actor, (0, 0), take, i)
    left, top = _corner(take, i)
    box = (left, top, left + take.scale[i] * FRAME_WIDTH, top + take.scale[i] * FRAME_HEIGHT)
    return planes.resampled(box, FRAME_WIDTH, FRAME_HEIGHT)


def _corner(take: Take, i: int) -> tuple[float, float]:
    """The upper left corner of what the camera sees, kept on the stage."""
    width, height = take.scale[i] * FRAME_WIDTH, take.scale[i] * FRAME_HEIGHT
    left = min(max(take.x[i] - width / 2, 0.0), STAGE_WIDTH - width)
    top = min(max(take.y[i] - height / 2, 0.0), STAGE_HEIGHT - height)
    return left, top


def _paste_actor(planes: Planes, actor: Actor, origin: tuple[int, int], take: Take, i: int) -> None:
    """Paste the actor strip by strip, each shifted by its share of the swing: feet, or hanger hooks, stay put."""
    reach, curve, lift = (5.0, 1.5, 0.0) if actor.hangs else (10.0, 4.0, 4.0)
    top = actor.top - origin[1] - round(lift * take.lift[i])
    for strip in actor.strips:
        depth = strip.top / actor.height
        lever = depth if actor.hangs else 1.0 - depth
        shift = reach * take.swing[i] * lever + curve * take.curve[i] * 4 * depth * (1.0 - depth)
        planes.paste(strip, actor.left - origin[0] + round(shift), top + strip.top)
