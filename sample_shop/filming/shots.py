"""The plan of a clip: how many shots, how long, of which garments and where. Numbers only; nothing is drawn here."""

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from sample_shop.fabric import anchor, opponent
from sample_shop.filming.looks import Look, ShotKind
from sample_shop.filming.places import Backdrop
from sample_shop.vocabulary import Clip, Garment

FRAME_RATE = 15
SHORTEST_SHOT_S, LONGEST_SHOT_S = 1.2, 4.0
FEWEST_SHOTS, MOST_SHOTS = 2, 6
_SHORTEST, _LONGEST = round(SHORTEST_SHOT_S * FRAME_RATE), round(LONGEST_SHOT_S * FRAME_RATE)

# Two garments that fill one slot cannot be worn together.
_SLOTS = {
    "dress": {"top", "legs"},
    "t-shirt": {"top"},
    "shirt": {"top"},
    "longsleeve": {"top"},
    "jacket": {"outer"},
    "trousers": {"legs"},
    "skirt": {"legs"},
    "shorts": {"legs"},
    "hat": {"head"},
    "shoe": {"feet"},
    "bag": {"hand"},
}
ACCESSORIES = {"hat", "shoe", "bag"}
_COVERED = _SLOTS.keys() - {"jacket", "trousers"}
_LONG = {"dress", "trousers"}

Garments = tuple[Garment, ...]


@dataclass(frozen=True)
class Shot:
    """One uninterrupted take of *n_frames* frames; *seed* draws its layout and camera move."""

    kind: ShotKind
    garments: Garments
    backdrop: Backdrop
    n_frames: int
    seed: int


def plan_shots(clip: Clip, look: Look) -> tuple[Shot, ...]:
    """The shots of the clip in order: together its duration, and every garment seen clearly in at least one.

    Neighbouring shots differ in kind or in garments, so that each cut shows.
    """
    rng = np.random.default_rng([clip.seed, clip.creator.seed])
    lengths = split_frames(count_frames(clip), rng)
    shots: list[Shot] = []
    unseen = list(dict.fromkeys(clip.garments))
    for i, n_frames in enumerate(lengths):
        n_due = math.ceil(len(unseen) / (len(lengths) - i))
        shots.append(_next_shot(clip, look, shots, unseen, n_due, n_frames, rng))
        unseen = [garment for garment in unseen if garment not in _shown_clearly(shots[-1])]
    return tuple(shots)


def count_frames(clip: Clip) -> int:
    """How many frames the clip has; its duration must be one that 2 to 6 shots can fill."""
    shortest_s, longest_s = FEWEST_SHOTS * SHORTEST_SHOT_S, MOST_SHOTS * LONGEST_SHOT_S
    if not shortest_s <= clip.duration_s <= longest_s:
        raise ValueError(f"Clip {clip.video_id} lasts {clip.duration_s} s; clips last {shortest_s} to {longest_s} s.")
    return round(clip.duration_s * FRAME_RATE)


def split_frames(n_frames: int, rng: np.random.Generator) -> list[int]:
    """Lengths of the shots in frames: they add up to *n_frames*, none shorter than 1.2 s nor longer than 4 s."""
    n_shots = _draw_n_shots(n_frames, rng)
    share = rng.dirichlet(np.full(n_shots, 6.0))
    spare = np.floor(share * (n_frames - n_shots * _SHORTEST)).astype(int)
    lengths = _SHORTEST + np.minimum(spare, _LONGEST - _SHORTEST)
    while (missing := n_frames - int(lengths.sum())) > 0:
        lengths[np.flatnonzero(lengths < _LONGEST)[:missing]] += 1
    return [int(length) for length in lengths]


def _draw_n_shots(n_frames: int, rng: np.random.Generator) -> int:
    fewest = max(FEWEST_SHOTS, math.ceil(n_frames / _LONGEST))
    most = min(MOST_SHOTS, n_frames // _SHORTEST)
    wished = round(n_frames / (FRAME_RATE * rng.uniform(2.0, 3.2)))
    return min(max(wished, fewest), most)


def _next_shot(
    clip: Clip,
    look: Look,
    shots: list[Shot],
    unseen: list[Garment],
    n_due: int,
    n_frames: int,
    rng: np.random.Generator,
) -> Shot:
    """A shot of a kind the creator favours that shows at least *n_due* of the *unseen* garments."""
    last = shots[-1] if shots else None
    order = unseen + [clip.garments[i] for i in rng.permutation(len(clip.garments)) if clip.garments[i] not in unseen]
    options = {kind: pick(order, n_due) for kind, pick in _PICKS.items()}
    fit = [kind for kind, garments in options.items() if _advances(kind, garments, unseen, n_due)]
    fresh = [kind for kind in fit if last is None or kind != last.kind]
    kind = _draw_kind(fresh or fit, look, rng, worn_yet=any(shot.kind is ShotKind.WORN for shot in shots))
    # In the clip's order, so that a second shot of the same outfit is the same drawing.
    garments = tuple(garment for garment in dict.fromkeys(clip.garments) if garment in options[kind])
    backdrop = _draw_backdrop(_places(kind, look), garments, last, rng)
    return Shot(kind, garments, backdrop, n_frames, seed=int(rng.integers(2**32)))


def _places(kind: ShotKind, look: Look) -> tuple[Backdrop, ...]:
    match kind:
        case ShotKind.WORN:
            return look.walls
        case ShotKind.HUNG:
            return look.rails
        case ShotKind.LAID | ShotKind.CLOSE:
            return look.tables


def _draw_kind(kinds: list[ShotKind], look: Look, rng: np.random.Generator, worn_yet: bool) -> ShotKind:
    """One of the kinds by the creator's favour; hardly any clip should end without showing how the clothes sit."""
    favour = np.array([look.favour[kind] * (8.0 if kind is ShotKind.WORN and not worn_yet else 1.0) for kind in kinds])
    return kinds[int(rng.choice(len(kinds), p=favour / favour.sum()))]


def _draw_backdrop(
    places: tuple[Backdrop, ...], garments: Garments, last: Shot | None, rng: np.random.Generator
) -> Backdrop:
    """One of the places: rather one the garments stand out from, and rather not the one just seen."""
    weight = np.array(
        [_contrast(place, garments) * (0.4 if last and last.backdrop == place else 1.0) for place in places]
    )
    return places[int(rng.choice(len(places), p=weight**2 / np.sum(weight**2)))]


def _contrast(place: Backdrop, garments: Garments) -> float:
    """How far, in CIE Lab, the place's main colour is from that of the garment most like it; at least 1."""
    colours = opponent(np.array([place.base, *(anchor(garment.colour) for garment in garments)], np.uint8))
    return max(1.0, float(np.linalg.norm(colours[1:] - colours[0], axis=1).min()))


def _advances(kind: ShotKind, garments: Garments, unseen: list[Garment], n_due: int) -> bool:
    clear = _clear(kind, garments)
    return bool(clear) and sum(garment in clear for garment in unseen) >= n_due


def _shown_clearly(shot: Shot) -> Garments:
    return _clear(shot.kind, shot.garments)


def _clear(kind: ShotKind, garments: Garments) -> Garments:
    """The garments one sees well. Worn, a hat, shoe or bag is too small, and a jacket covers all but trousers."""
    if kind is not ShotKind.WORN:
        return garments
    covered = _COVERED if any(garment.kind == "jacket" for garment in garments) else ACCESSORIES
    return tuple(garment for garment in garments if garment.kind not in covered)


def _pick_outfit(order: list[Garment], n_due: int) -> Garments:
    outfit: list[Garment] = []
    taken: set[str] = set()
    for garment in order:
        if not taken & _SLOTS[garment.kind]:
            outfit.append(garment)
            taken |= _SLOTS[garment.kind]
    return tuple(outfit)


def _pick_flat(order: list[Garment], n_due: int) -> Garments:
    """Two garments, or as many as must still be shown: more than two lie smaller."""
    return tuple(order[: max(2, n_due)])


def _pick_hangers(order: list[Garment], n_due: int) -> Garments:
    """One garment, and a second beside it if either is long and narrow: two wide ones would hang too small."""
    clothes = [garment for garment in order if garment.kind not in ACCESSORIES]
    beside = [garment for garment in clothes[1:] if {clothes[0].kind, garment.kind} & _LONG]
    return tuple(clothes[:1] + beside[:1])


def _pick_one(order: list[Garment], n_due: int) -> Garments:
    return tuple(order[:1])


_Pick = Callable[[list[Garment], int], Garments]
_PICKS: dict[ShotKind, _Pick] = {
    ShotKind.WORN: _pick_outfit,
    ShotKind.LAID: _pick_flat,
    ShotKind.HUNG: _pick_hangers,
    ShotKind.CLOSE: _pick_one,
}
