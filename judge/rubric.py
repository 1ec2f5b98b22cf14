"""The rubric: who the judge is, how severe, and what each of the five categories means. Data with a version."""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from importlib.resources import files
from pathlib import Path
from typing import Any

from retrieval.errors import UserFacingError

LABELS = ("excellent_match", "good_match", "partial_match", "poor_match", "no_match")
SCORES = (5, 4, 3, 2, 1)
DEFAULT, PAIRS = "1", "pairs-1"  # for videos, and for products
SHIPPED = (DEFAULT, PAIRS)


@dataclass(frozen=True)
class Category:
    """One level of relevance: its *label*, its *score* from 1 to 5, what it means and an example of evidence for it."""

    label: str
    score: int
    definition: str
    evidence: str


@dataclass(frozen=True)
class Rubric:
    """What a judge is told. The *categories* stand in the order in which the judge reads them."""

    version: str
    role: str
    attitude: str
    categories: tuple[Category, ...]

    @property
    def fingerprint(self) -> str:
        """Twelve hexadecimal digits of all that the judge reads, the order included."""
        return hashlib.sha256(json.dumps(asdict(self)).encode()).hexdigest()[:12]

    def ordered(self, order: Sequence[int]) -> "Rubric":
        """The same rubric with its categories in another order: a permutation of 0 to 4."""
        return replace(self, categories=tuple(self.categories[place] for place in order))


def load_rubric(name: str = DEFAULT) -> Rubric:
    """The rubric of a version that ships with the project, or of a JSON file.

    Raises:
        UserFacingError: there is none, or it lacks a part.
    """
    source = files("judge") / "rubrics" / f"{name}.json" if name in SHIPPED else Path(name)
    try:
        return parse_rubric(json.loads(source.read_text(encoding="utf-8")), name)
    except OSError as error:
        raise UserFacingError(
            f"There is no rubric {name}.", f"Name a JSON file, or a version that ships: {', '.join(SHIPPED)}."
        ) from error
    except ValueError as error:
        raise UserFacingError(f"The rubric {name} is not JSON: {error}.", "Mend the file.") from error


def parse_rubric(data: Any, name: str) -> Rubric:
    """A rubric from what a JSON file holds.

    Raises:
        UserFacingError: a part or a category is missing, or a category has another score than its label's.
    """
    cure = f"Give it {', '.join(LABELS)}, each with definition and evidence; judge/rubrics/1.json is an example."
    try:
        categories = tuple(
            Category(_text(c, "label"), int(c["score"]), _text(c, "definition"), _text(c, "evidence"))
            for c in data["categories"]
        )
        rubric = Rubric(_text(data, "version"), _text(data, "role"), _text(data, "attitude"), categories)
    except (KeyError, TypeError) as error:
        raise UserFacingError(f"The rubric {name} lacks {error.args[0]}.", cure) from error
    except ValueError as error:
        raise UserFacingError(f"The rubric {name} has a score that is not a number: {error}.", cure) from error
    missing = [label for label in LABELS if label not in {category.label for category in categories}]
    if missing or len(categories) != len(LABELS):
        what = f"has no category {missing[0]}" if missing else f"has {len(categories)} categories, not {len(LABELS)}"
        raise UserFacingError(f"The rubric {name} {what}.", cure)
    wrong = [c for c in categories if c.score != SCORES[LABELS.index(c.label)]]
    if wrong:
        right = SCORES[LABELS.index(wrong[0].label)]
        raise UserFacingError(
            f"The rubric {name} gives {wrong[0].label} a score of {wrong[0].score}, not {right}.", "Mend its score."
        )
    return rubric


def _text(part: Any, name: str) -> str:
    if not isinstance(part[name], str) or not part[name].strip():
        raise KeyError(f"a {name}")
    return str(part[name])
