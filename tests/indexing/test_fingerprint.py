"""Near-duplicates: the same pictures again, however encoded, and nothing else."""

import numpy as np

from indexing import fingerprint as module
from indexing.fingerprint import difference_hash, duplicates, fingerprint


def frames(seed, n=4, side=64):
    """Pictures of random patches."""
    rng = np.random.default_rng(seed)
    return [
        np.kron(rng.integers(0, 255, (8, 8, 3)), np.ones((side // 8, side // 8, 1))).astype(np.uint8) for _ in range(n)
    ]


def test_a_picture_that_brightens_to_the_right_sets_every_bit_and_mirrored_none():
    ramp = np.repeat(np.tile(np.arange(72, dtype=np.uint8), (64, 1))[:, :, None], 3, axis=2)

    assert difference_hash(ramp).sum() == 64
    assert difference_hash(ramp[:, ::-1]).sum() == 0


def test_the_same_pictures_with_noise_at_half_the_size_are_a_duplicate_of_the_first():
    noisy = [np.clip(f[::2, ::2] + np.random.default_rng(5).normal(0, 3, f[::2, ::2].shape), 0, 255) for f in frames(1)]
    clips = [(frames(0), 5.0), (frames(1), 5.0), ([f.astype(np.uint8) for f in noisy], 5.1), (frames(1), 5.0)]

    assert duplicates([fingerprint(*clip) for clip in clips]) == [None, None, 1, 1]


def test_the_same_pictures_in_a_clip_of_another_length_are_no_duplicate():
    # 2 % of 20 s is 0.4 s.
    assert duplicates([fingerprint(frames(1), 20.0), fingerprint(frames(1), 20.5)]) == [None, None]


def test_flat_pictures_are_told_apart_by_their_colour():
    red, blue = (np.full((64, 64, 3), colour, np.uint8) for colour in [(200, 20, 20), (20, 20, 200)])

    assert duplicates([fingerprint([red] * 4, 2.0), fingerprint([blue] * 4, 2.0)]) == [None, None]


def test_clips_are_compared_across_blocks(monkeypatch):
    # Sorted by duration: rows 1, 2, 0. With blocks of one, each looks at its neighbours all the same.
    monkeypatch.setattr(module, "BLOCK", 1)
    prints = [fingerprint(frames(1), 5.1), fingerprint(frames(2), 5.0), fingerprint(frames(1), 5.05)]

    assert duplicates(prints) == [None, None, 0]


def test_no_clip_no_duplicate():
    assert duplicates([]) == []
