"""Deterministic judges that read colours, one sound and some with a flaw each, and a shop of plain colours."""

import io
from collections.abc import Iterator

import numpy as np
from PIL import Image

from judge.canaries import Metadata
from judge.rubric import LABELS, Rubric
from judge.task import ShownProduct, ShownVideo, Task
from judge.verdict import NoVerdict, Outcome, Unscored, Verdict, certain

COLOURS = ((200, 30, 30), (30, 160, 60), (30, 60, 200), (200, 190, 30), (150, 40, 160), (30, 170, 170))
SIZE = (90, 160)


def jpeg(colour) -> bytes:
    file = io.BytesIO()
    Image.new("RGB", SIZE, colour).save(file, "JPEG", quality=95)
    return file.getvalue()


PICTURES = tuple(jpeg(colour) for colour in COLOURS)


def product(number, name="a"):
    return ShownProduct(f"p{number}{name}", f"item {name}", PICTURES[number])


def video(number, name="a"):
    return ShownVideo(f"v{number}{name}", f"film {name}", (PICTURES[number],) * 2, (0.5, 1.5))


def colour_tasks(n_videos=2):
    """One user for each colour, who looked at two products and gets videos of that colour."""
    return [
        Task(f"u{n}", (product(n, "a"), product(n, "b")), tuple(video(n, name) for name in "abcdef"[:n_videos]))
        for n in range(len(COLOURS))
    ]


def colour_metadata():
    """Each product's category, colour and brand go by its number; each video shows the product of its name."""
    traits = {
        f"p{n}{name}": frozenset({("category", f"k{n}"), ("color", f"c{n}"), ("brand", f"b{n}")})
        for n in range(len(COLOURS))
        for name in "abcdef"
    }
    return Metadata(traits, {key.replace("p", "v"): (key,) for key in traits})


class ColourJudge:
    """Excellent where the first frame's corner has the colour of a photo of the history, no match elsewhere."""

    name = "colours"
    fingerprint = "colours-1"

    def __init__(self) -> None:
        self.seen = 0

    def grade(self, task: Task, rubric: Rubric, *, explain: bool = False) -> Iterator[Outcome]:
        wanted = [corner(one.photo) for one in task.history if one.photo]
        for shown in task.videos:
            self.seen += 1
            yield self.one(shown, wanted, rubric)

    def one(self, shown: ShownVideo, wanted: list[np.ndarray], rubric: Rubric) -> Outcome:
        near = any(np.abs(corner(shown.frames[0]) - colour).max() < 25 for colour in wanted)
        return certain("excellent_match" if near else "no_match")


class AlwaysExcellent(ColourJudge):
    def one(self, shown, wanted, rubric):
        return certain("excellent_match")


class ObeysText(ColourJudge):
    def one(self, shown, wanted, rubric):
        written = (pixels(shown.frames[0]) > 230).all(axis=2).sum() > 20
        return certain("excellent_match") if written else super().one(shown, wanted, rubric)


class LikesBlankFrames(ColourJudge):
    def one(self, shown, wanted, rubric):
        blank = np.abs(corner(shown.frames[0]) - 128).max() < 5
        return certain("good_match") if blank else super().one(shown, wanted, rubric)


class RefusesBlankFrames(ColourJudge):
    def one(self, shown, wanted, rubric):
        blank = np.abs(corner(shown.frames[0]) - 128).max() < 5
        return NoVerdict(Unscored.NO_VERDICT) if blank else super().one(shown, wanted, rubric)


class FirstCategory(ColourJudge):
    """Gives half of its mind to whichever category the rubric names first."""

    def one(self, shown, wanted, rubric):
        sound = super().one(shown, wanted, rubric)
        first = rubric.categories[0].label
        halves = [p / 2 + (label == first) / 2 for p, label in zip(sound.probabilities, LABELS, strict=True)]
        return Verdict(tuple(halves))


def corner(picture: bytes) -> np.ndarray:
    return pixels(picture)[2, 2]


def pixels(picture: bytes) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(picture)).convert("RGB")).astype(int)
