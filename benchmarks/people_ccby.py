"""Real clips nobody here made: is the nearest clip one of the same outfit?

Both sides rank the same frames of the same 20 clips: the mean CLIP vector, and the mean Lab colour histogram. Chance is
what a random other clip would score.
"""

import csv
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from benchmarks.report import Figure, run
from indexing.decode.pyav import PyAvReader
from retrieval.content import colour_histogram, lab_pixels
from retrieval.encoder import open_encoder

DATA = Path(__file__).resolve().parents[2] / "shared" / "data"
FRAMES = 8


def outfit_groups(data: Path) -> dict[str, str]:
    """Which outfit each clip of `people_ccby` shows, by the clip's name."""
    with (data / "people_ccby/outfits.csv").open(newline="") as file:
        return {row["clip"].removesuffix(".mp4"): row["outfit_group"] for row in csv.DictReader(file)}


def precision_at_1(vectors: NDArray[np.floating], groups: Sequence[str]) -> NDArray[np.float64]:
    """For each clip of a group of two or more, 1 where the nearest other clip is of the group."""
    scores = vectors @ vectors.T
    np.fill_diagonal(scores, -np.inf)
    same = np.equal.outer(np.array(groups), np.array(groups))
    hits = same[np.arange(len(groups)), scores.argmax(axis=1)]
    return np.asarray(hits[same.sum(axis=1) > 1], np.float64)


def chance(groups: Sequence[str]) -> float:
    """The mean share of the other clips that are of a clip's group."""
    same = np.equal.outer(np.array(groups), np.array(groups)).sum(axis=1) - 1
    return float((same[same > 0] / (len(groups) - 1)).mean())


def measure(quick: bool) -> list[Figure]:
    """The same at any size: 20 clips take seconds."""
    if not (DATA / "people_ccby").is_dir():
        sys.exit("This needs the clips of people_ccby in ../shared/data, which are not here.")
    group_of = outfit_groups(DATA)
    names = sorted(group_of)
    groups = [group_of[name] for name in names]
    clips = [PyAvReader().read(DATA / f"people_ccby/{name}.mp4", FRAMES, 448) for name in names]
    pictures = [[Image.fromarray(frame.pixels) for frame in clip.frames] for clip in clips]
    encoder = open_encoder()
    clip_vectors = np.array([encoder.encode_images(frames).mean(axis=0) for frames in pictures])
    colours = np.array(
        [
            np.mean([colour_histogram(lab_pixels(frame).reshape(-1, 3)) for frame in frames], axis=0)
            for frames in pictures
        ]
    )
    sides = {"sample, mean of frames": clip_vectors, "colour histogram": colours}
    detail = f"people_ccby, {len(names)} clips, {FRAMES} frames each"
    figures = [
        Figure(
            f"precision@1 of similar: {name}", float(precision_at_1(vectors, groups).mean()), "share", "higher", detail
        )
        for name, vectors in sides.items()
    ]
    return [*figures, Figure("precision@1 of similar: chance", chance(groups), "share", "higher", detail)]


if __name__ == "__main__":
    run(measure, "Nearest clips of real people in five outfits.")
