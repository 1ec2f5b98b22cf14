"""Options that several of the commands have, and how their texts are read."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from retrieval.errors import ConfigError, import_extra

if TYPE_CHECKING:
    from labelcraft.splits import HistoryRows

REPORT = (("matplotlib", "report"), ("jinja2", "report"))
N_PARTS = 3  # training, validation, test

DataName = Annotated[
    str, typer.Option("--data", help="impressions, kuairand, kuairand-random, kuairec or wechat.")
]  # fmt: skip
DataPath = Annotated[Path, typer.Option("--path", help="Its folder or file.")]
Days = Annotated[str, typer.Option("--days", help="Days to train on, to validate on and to test on.")]
Core = Annotated[int, typer.Option("--core", min=0, help="Leave out users and videos with fewer rows; 0 keeps all.")]
History = Annotated[str, typer.Option("--history", help="What histories hold: reached, or liked.")]
Backbone = Annotated[str, typer.Option("--backbone", help="The recommender: din, din_linear or two_tower.")]
Rate = Annotated[float, typer.Option("--learning-rate", min=0, help="Of the recommender.")]
Decay = Annotated[float, typer.Option("--weight-decay", min=0, help="Of the recommender.")]
Batch = Annotated[int, typer.Option("--batch-size", min=1, help="Rows a step.")]
Epochs = Annotated[int, typer.Option("--epochs", min=1, help="Training ends then at the latest.")]
Patience = Annotated[int, typer.Option("--patience", min=1, help="It ends when so many epochs brought nothing better.")]
K = Annotated[int, typer.Option("-k", min=1, help="How long the lists are.")]
Tau = Annotated[float, typer.Option("--tau", min=0, help="LabelCraft's temperature.")]
Start = Annotated[str, typer.Option("--start", help="The label that LabelCraft's begins as, or none.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]


def require_extras(*needed: tuple[str, str]) -> None:
    """Look for packages before the work, not after hours of it: PyTorch, and what is *needed* as (package, extra).

    Raises:
        MissingExtraError: one is not installed.
    """
    for package, extra in (("torch", "train"), *needed):
        import_extra(package, extra)


def parse_days(text: str) -> tuple[int, int, int]:
    """The lengths of the three parts.

    Raises:
        ConfigError: they are not three whole numbers.

    >>> parse_days("12,1,1")
    (12, 1, 1)
    """
    parts = text.split(",")
    if len(parts) != N_PARTS or not all(part.strip().isdecimal() for part in parts):
        raise ConfigError(f"--days is {text!r}.", "Give three whole numbers such as 12,1,1.")
    train, validate, test = (int(part) for part in parts)
    return train, validate, test


def parse_taus(text: str) -> tuple[float, ...]:
    """Temperatures, ascending, each once.

    Raises:
        ConfigError: one is not a number of at least 0.

    >>> parse_taus("1,0,0.5")
    (0.0, 0.5, 1.0)
    """
    try:
        taus = tuple(sorted({float(part) for part in text.split(",") if part.strip()}))
    except ValueError:
        taus = (-1.0,)
    if any(not 0 <= tau < float("inf") for tau in taus):
        raise ConfigError(f"--taus is {text!r}.", "Give numbers of at least 0, such as 0,0.25,0.5,0.75,1.")
    return taus


def parse_start(text: str) -> str:
    """The name of the label to start from, empty for none.

    Raises:
        ConfigError: there is none of that name, or it is learned.
    """
    from labelcraft.labels.registry import make_label

    return "" if text == "none" else make_label(text).name


def parse_history(text: str) -> "HistoryRows":
    """What histories hold.

    Raises:
        ConfigError: there is no such choice.
    """
    from labelcraft.splits import HistoryRows

    if text not in list(HistoryRows):
        raise ConfigError(f"--history is {text!r}.", f"Choose one of {', '.join(HistoryRows)}.")
    return HistoryRows(text)


def parse_labels(text: str) -> tuple[str, ...]:
    """The labels to compare, each once, in the order given.

    Raises:
        ConfigError: none is named, or one is not known.

    >>> parse_labels("WT, EF,WT")
    ('WT', 'EF')
    """
    from labelcraft.labels.registry import parse_spec

    labels = tuple(dict.fromkeys(part.strip() for part in text.split(",") if part.strip()))
    if not labels:
        raise ConfigError("--labels names no label.", "Give some, such as WT,D2Q,LabelCraft.")
    for label in labels:
        _, saved, folder = label.partition("=")
        if not saved:
            parse_spec(label)
        elif not Path(folder).is_dir():
            raise ConfigError(f"{label}: there is no folder {folder}.", "Make it: lookreel labels train --help")
    return labels
