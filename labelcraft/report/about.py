"""What a comparison is of, as its folder remembers it: the head of the page, and what repeating it needs."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from retrieval.errors import ConfigError

COMPARISON = "comparison.json"


@dataclass(frozen=True)
class About:
    """The data set, its split and the options, as `comparison.json` holds them.

    *rows* are the sizes of the split's parts, *options_of* the options of single labels where a search chose them.
    """

    data: str
    path: str
    split: Mapping[str, Any]
    rows: Mapping[str, int]
    users: int
    options: Mapping[str, Any]
    craft: Mapping[str, Any]
    options_of: Mapping[str, Mapping[str, Any]]

    @property
    def k(self) -> int:
        """How long the lists are."""
        return int(self.options["k"])

    @property
    def tau(self) -> float:
        """LabelCraft's temperature."""
        return float(self.craft["tau"])

    def options_for(self, name: str) -> Mapping[str, Any]:
        """The training options of a label."""
        return self.options_of.get(name, self.options)


def load_about(folder: Path) -> About:
    """What the comparison in *folder* is of.

    Raises:
        ConfigError: there is none, or its file is damaged.
    """
    file = folder / COMPARISON
    if not file.is_file():
        raise ConfigError(
            f"{folder} is not a comparison: it has no {COMPARISON}.", "Make one: lookreel labels compare --help"
        )
    try:
        told = json.loads(file.read_text())
        return About(
            str(told["data"]), str(told["path"]), told["split"], told["rows"], int(told["users"]),
            told["options"], told["craft"], told.get("options_of", {}),
        )  # fmt: skip
    except (ValueError, KeyError, TypeError) as error:
        raise ConfigError(f"{file} is damaged: {error}.", "Compare again into another --out.") from error
