"""One run of a comparison: a label trained with one seed on one split, evaluated, and kept as files.

    runs/NAME/SEED/run.json        what was trained, its curve, and how long it took
                  users.parquet    user_id, nwtg, ds, neg of the test users, null where there is nothing to gain
                  top.parquet      user_id, rank, video_id, shown_at, duration_s, watch_time_s, engaged of their top k
                  label/           the fitted label (of several tasks label-1/, label-2/)

A run is whole or absent. Rankings that learn nothing stand beside them, with the seed 0 and no curve.
"""

import json
import shutil
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from labelcraft.dataset import Ints
from labelcraft.evaluate import (
    Candidates,
    candidates,
    measure,
    popularity_of,
    reference_scores,
    score,
    top_of,
)
from labelcraft.explain import fitted_on as rows_of
from labelcraft.feedback import Floats
from labelcraft.labels.files import open_label, save_label
from labelcraft.labels.protocol import Label
from labelcraft.labels.registry import LEARNED, make_label, parse_spec
from labelcraft.learners import Crafting, Learner, Supervised
from labelcraft.options import CraftOptions, TrainOptions
from labelcraft.splits import Split
from labelcraft.train import Epoch, best_of, train
from retrieval.folders import building
from retrieval.tables import Columns as C

RUN, USERS, TOP, LABEL = "run.json", "users.parquet", "top.parquet", "label"
REFIT = "refit"
NWTG, DS, NEG, ENGAGED = "nwtg", "ds", "neg", "engaged"


@dataclass(frozen=True)
class Variant:
    """What is compared, under a *name* of its own: a label, several joined by +, or the folder of a saved one."""

    name: str
    spec: str
    craft: CraftOptions = field(default_factory=CraftOptions)

    def __post_init__(self) -> None:
        if not Path(self.spec).is_dir():
            parse_spec(self.spec)

    @property
    def is_learned(self) -> bool:
        return self.spec in LEARNED


@dataclass(frozen=True)
class Run:
    """A finished run as loaded. *users* and *top* are its tables, *epochs* its curve, empty for what learns nothing."""

    name: str
    seed: int
    epochs: tuple[dict[str, Any], ...]
    best_epoch: int
    seconds: float
    users: pl.DataFrame
    top: pl.DataFrame
    folder: Path

    @property
    def is_reference(self) -> bool:
        """Whether it learns nothing."""
        return not self.epochs


def make_learner(split: Split, variant: Variant, options: TrainOptions) -> Learner:
    """The learner of a variant, before its first step."""
    if variant.is_learned:
        return Crafting(split, options, variant.craft)
    return Supervised(split, given_labels(variant.spec, split), options)


def given_labels(spec: str, split: Split) -> tuple[Label, ...]:
    """The labels of a spec, fitted on the baselines' training rows; of a folder, the label that was saved there."""
    if Path(spec).is_dir():
        return (open_label(Path(spec)),)
    feedback = split.data.log.feedback[split.train_of_baselines]
    return tuple(make_label(name).fit(feedback) for name in parse_spec(spec))


def labels_of(learner: Learner) -> tuple[Label, ...]:
    """The fitted labels that a learner holds."""
    if isinstance(learner, Crafting):
        return (learner.label,)
    return learner.labels if isinstance(learner, Supervised) else ()


def run_variant(
    split: Split,
    variant: Variant,
    options: TrainOptions,
    folder: Path,
    on_epoch: Callable[[Epoch], None] = lambda epoch: None,
) -> None:
    """Train and evaluate a variant into *folder*, unless it is there; a run that was killed goes on."""
    if (folder / RUN).exists():
        return
    draft = folder.with_name(f"{folder.name}.training")
    learner = make_learner(split, variant, options)
    epochs = train(split, learner, options, draft, on_epoch)
    final, refitted = _refit(split, learner, variant, options, draft / REFIT)
    asked = candidates(split, split.test, options.k)
    about = {
        "name": variant.name,
        "spec": variant.spec,
        "seed": options.seed,
        "options": asdict(options),
        "craft": asdict(variant.craft) if variant.is_learned else None,
        "epochs": [asdict(epoch) for epoch in epochs],
        "best_epoch": (best_of(epochs) or epochs[-1]).number,
        "refit": [asdict(epoch) for epoch in refitted],
        "seconds": sum(epoch.seconds for epoch in (*epochs, *refitted)),
    }
    scores = score(final.model, asked, final.weights)
    _write(folder, about, split, asked, scores, learner.rows, labels_of(learner))
    shutil.rmtree(draft)


def _refit(
    split: Split, learner: Learner, variant: Variant, options: TrainOptions, draft: Path
) -> tuple[Learner, list[Epoch]]:
    """The learner whose recommender is evaluated, and its curve where it is another than *learner*."""
    if not (variant.is_learned and variant.craft.refit):
        return learner, []
    final = Supervised(split, labels_of(learner), options)
    return final, train(split, final, options, draft)


def run_references(split: Split, k: int, folder: Path) -> None:
    """Evaluate the rankings that learn nothing into *folder*/NAME/0."""
    asked = candidates(split, split.test, k)
    popularity = popularity_of(split.data.log[split.train_of_baselines], len(split.data.items.ids))
    for name, scores in reference_scores(asked, popularity).items():
        if not (folder / name / "0" / RUN).exists():
            about: dict[str, Any]
            about = {"name": name, "spec": None, "seed": 0, "epochs": [], "best_epoch": 0, "seconds": 0.0}
            _write(folder / name / "0", about, split, asked, scores, split.train_of_baselines)


def load_run(folder: Path) -> Run:
    """A finished run."""
    about = json.loads((folder / RUN).read_text())
    return Run(
        about["name"], about["seed"], tuple(about["epochs"]), about["best_epoch"], about["seconds"],
        pl.read_parquet(folder / USERS), pl.read_parquet(folder / TOP), folder,
    )  # fmt: skip


def _write(
    folder: Path,
    about: dict[str, Any],
    split: Split,
    asked: Candidates,
    scores: Floats,
    rows: Ints,
    labels: tuple[Label, ...] = (),
) -> None:
    with building(folder) as draft:
        users_frame(asked, scores).write_parquet(draft / USERS)
        top_frame(split, asked, scores).write_parquet(draft / TOP)
        for number, label in enumerate(labels, 1):
            place = draft / (LABEL if len(labels) == 1 else f"{LABEL}-{number}")
            save_label(label, place, fitted_on=rows_of(split.data.log.feedback[rows]))
        (draft / RUN).write_text(json.dumps(about, indent=1) + "\n")


def users_frame(asked: Candidates, scores: Floats) -> pl.DataFrame:
    """The metrics of each user, null where there is nothing to gain."""
    measures = measure(asked, scores)
    columns = {NWTG: measures.nwtg, DS: measures.ds, NEG: measures.neg}
    return pl.DataFrame({C.USER_ID: asked.log.user_ids[asked.users - 1], **columns}).with_columns(
        pl.col(list(columns)).fill_nan(None)
    )


def top_frame(split: Split, asked: Candidates, scores: Floats) -> pl.DataFrame:
    """What each user's top k are, with what the user left on them."""
    rows = top_of(asked, scores)
    log = asked.log[rows.ravel()]
    return pl.DataFrame(
        {
            C.USER_ID: log.user_ids[log.user - 1],
            C.RANK: np.tile(np.arange(1, asked.k + 1), len(rows)),
            C.VIDEO_ID: split.data.items.ids[log.item - 1],
            C.SHOWN_AT: pl.Series(log.time_us).cast(pl.Datetime("us", "UTC")),
            C.DURATION_S: log.feedback.duration_s,
            C.WATCH_TIME_S: log.feedback.watch_s,
            ENGAGED: log.feedback.engaged,
        }
    )
