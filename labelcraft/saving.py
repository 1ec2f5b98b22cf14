"""From a name to a folder: a label fitted or learned on a data set's training days, and kept."""

import json
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path

from labelcraft.compare import split_of
from labelcraft.explain import fitted_on
from labelcraft.labels.files import LABEL, save_label
from labelcraft.labels.registry import LEARNED, parse_spec
from labelcraft.learners import Crafting
from labelcraft.options import CraftOptions, TrainOptions
from labelcraft.runs import given_labels
from labelcraft.splits import Split, SplitOptions
from labelcraft.train import Epoch, best_of, train
from retrieval.errors import ConfigError
from retrieval.folders import refuse_existing, writing


@dataclass(frozen=True)
class SaveRequest:
    """All choices of one label. *options* and *craft* are of a learned one alone."""

    data: str
    path: Path
    label: str
    out: Path
    split: SplitOptions = field(default_factory=SplitOptions)
    options: TrainOptions = field(default_factory=TrainOptions)
    craft: CraftOptions = field(default_factory=CraftOptions)
    overwrite: bool = False


@dataclass(frozen=True)
class Saved:
    """What was made of *rows* rows of *users* users.

    The metrics are those of the best epoch on the stopping users, None for a label that needs no recommender.
    """

    label: str
    out: Path
    rows: int
    users: int
    k: int
    epochs: int = 0
    best_epoch: int = 0
    nwtg: float | None = None
    ds: float | None = None
    neg: float | None = None
    seconds: float = 0.0


def make_and_save(request: SaveRequest, progress: Callable[[int, int], None] = lambda done, total: None) -> Saved:
    """Make the label and keep it; a training that was stopped goes on.

    Args:
        progress: told of the epochs done, of the most that there may be.

    Raises:
        ConfigError: the label or the data set is not known, or the days do not fit.
        UserFacingError: *out* holds something.
    """
    names = parse_spec(request.label)
    if len(names) > 1:
        raise ConfigError(
            f"{request.label} are {len(names)} labels, and a folder holds one.", "Make each with its own --label."
        )
    refuse_existing(request.out, replaces=LABEL if request.overwrite else "")
    split = split_of(request.data, request.path, request.split)
    if request.label in LEARNED:
        return _learn(request, split, progress)
    label, rows = given_labels(request.label, split)[0], split.train_of_baselines
    about = {**_about(request), **fitted_on(split.data.log.feedback[rows])}
    save_label(label, request.out, fitted_on=about, overwrite=request.overwrite)
    return Saved(request.label, request.out, len(rows), split.n_users, request.options.k)


def _learn(request: SaveRequest, split: Split, progress: Callable[[int, int], None]) -> Saved:
    draft = request.out.with_name(f"{request.out.name}.training")
    _refuse_another(request, draft)
    learner = Crafting(split, request.options, request.craft)
    most = request.options.max_epochs
    epochs = train(split, learner, request.options, draft, lambda epoch: progress(epoch.number, most))
    best = best_of(epochs) or epochs[-1]
    options = {"options": asdict(request.options), "craft": asdict(request.craft)}
    about = {**_about(request), **fitted_on(split.data.log.feedback[learner.rows]), **options}
    save_label(learner.label, request.out, fitted_on=about, overwrite=request.overwrite)
    for file in draft.iterdir():
        file.unlink()
    draft.rmdir()
    return _saved(request, split, epochs, best)


def _refuse_another(request: SaveRequest, draft: Path) -> None:
    """Remember what is being trained, so that nothing else goes on from its checkpoint."""
    said = json.dumps(
        {**_about(request), "split": asdict(request.split), "options": asdict(request.options),
         "craft": asdict(request.craft)}
    )  # fmt: skip
    file = draft / "request.json"
    if file.exists() and file.read_text() != said:
        raise ConfigError(f"{draft} holds a training with other options.", "Name another --out, or remove that folder.")
    draft.mkdir(parents=True, exist_ok=True)
    with writing(file) as part:
        part.write_text(said)


def _saved(request: SaveRequest, split: Split, epochs: list[Epoch], best: Epoch) -> Saved:
    return Saved(
        request.label, request.out, len(split.train), split.n_users, request.options.k, len(epochs), best.number,
        best.nwtg, best.ds, best.neg, sum(epoch.seconds for epoch in epochs),
    )  # fmt: skip


def _about(request: SaveRequest) -> dict[str, object]:
    return {"data": request.data, "path": str(request.path), "days": list(request.split.days)}
