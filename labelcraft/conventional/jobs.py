"""The three jobs behind the commands: users embedded, a tower trained, vectors made for newer videos."""

import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from labelcraft.conventional.curve_plot import draw_curve
from labelcraft.conventional.examples import Examination, Examples, examination_of, make_examples
from labelcraft.conventional.options import TowerOptions
from labelcraft.conventional.rows import Loaded, load_rows, load_videos, reach_by_position
from labelcraft.conventional.run_folder import KIND, Draft, Run, open_run, save_newer, save_run
from labelcraft.conventional.space import UserSpace
from labelcraft.conventional.training import Task, Trained, auc_of, train_tower
from labelcraft.conventional.user_vectors import about_user_vectors, refuse_later
from labelcraft.evaluation.propensities import open_propensities
from labelcraft.evaluation.split_time import Split, find_split
from labelcraft.labels.files import open_label
from labelcraft.labels.protocol import Label
from labelcraft.labels.registry import make_label
from labelcraft.labels.watched import WatchedHalf
from retrieval.conventional import RunVectors, load_user_vectors
from retrieval.errors import ConfigError
from retrieval.folders import refuse_existing
from retrieval.log import from_us
from retrieval.metrics.propensity import n_beyond


@dataclass(frozen=True)
class TrainRequest:
    """All choices of `lookreel train conventional`; *ips* is a file of examination curves."""

    tables: Path
    users: Path
    out: Path
    label: str = "W50"
    options: TowerOptions = field(default_factory=TowerOptions)
    ips: Path | None = None
    test_days: float | None = None
    before: str | None = None
    overwrite: bool = False


@dataclass(frozen=True)
class Summary:
    """What was trained, in numbers that JSON can hold.

    *criterion* is that of the best epoch on the *validation_rows*: the AUC with its interval *low* to *high* (over
    users), or minus the loss of a label that is not of 0 and 1, without one; *duration* and *popularity* are those of
    ranking the same rows by shortness and by how often a video was watched before them.
    """

    out: str
    label: str
    loss: str
    split: str
    rows: int
    validation_rows: int
    users: int
    unknown_users: int
    rows_of_unknown_users: int
    videos: int
    videos_without_rows: int
    rows_beyond_curve: int
    is_auc: bool
    criterion: float
    low: float | None
    high: float | None
    duration: float | None
    popularity: float | None
    best_epoch: int
    epochs: int
    seconds: float


def train_conventional(request: TrainRequest, progress: Callable[[int, int], None]) -> Summary:
    """Train a tower into a run folder.

    Raises:
        UserFacingError: *out* holds something, an input cannot be used, or the users know what comes after the split.
    """
    started = time.monotonic()
    refuse_existing(request.out, replaces=KIND if request.overwrite else "")
    split = find_split(request.tables / "impressions.parquet", test_days=request.test_days, at=request.before)
    refuse_later(request.users, split.at_us)
    given, videos = load_user_vectors(request.users), load_videos(request.tables)
    loaded = load_rows(request.tables, videos, given.ids, split.at_us)
    label = _label_of(request.label, loaded)
    examination, n_far = _examination(request, loaded, split)
    space = UserSpace.of(given.vectors)
    examples = make_examples(loaded.rows, label, examination)
    task = Task(videos, space.users, examples, label.head, split.at_us, request.options)
    trained = train_tower(task, lambda epoch: progress(epoch.number, request.options.max_epochs))
    summary = _summary(request, task, trained, label, loaded, n_far, time.monotonic() - started)
    save_run(request.out, _draft(request, task, trained, label, given.ids, summary), overwrite=request.overwrite)
    return summary


def newer_vectors(folder: Path, tables: Path, out: Path | None, at_us: int | None = None) -> dict[str, Any]:
    """Give the videos of *tables* vectors of the run in *folder*, written to *out* or in its place.

    What was learned stays; a video that training did not know is placed by its creator, brand, products and the like.
    """
    run, videos = open_run(folder), load_videos(tables)
    as_of_us = int(videos.published_us.max()) if at_us is None else at_us
    vectors = run.line.of_vectors(run.tower(videos).vectors(as_of_us))
    known = set(run.vectors.video_ids)
    about = {**run.vectors.about, "videos_as_of": from_us(as_of_us).isoformat()}
    save_newer(folder, out or folder, replace(run.vectors, video_ids=videos.ids, videos=vectors, about=about))
    new = sum(video_id not in known for video_id in videos.ids)
    gone = len(known.difference(videos.ids))
    return {"out": str(out or folder), "videos": len(videos), "new": new, "gone": gone}


def _label_of(name: str, loaded: Loaded) -> Label:
    """The label of a name, fitted on the rows before the split, or the one that a folder holds."""
    return open_label(Path(name)) if Path(name).is_dir() else make_label(name).fit(loaded.rows.feedback)


def _examination(request: TrainRequest, loaded: Loaded, split: Split) -> tuple[Examination | None, int]:
    """How the rows were examined, by a saved curve, and how many stand beyond its end.

    Raises:
        ConfigError: the curve was fitted to what came after the split.
    """
    if request.ips is None:
        return None, 0
    opened = open_propensities(request.ips)
    if opened.before_us > split.at_us:
        raise ConfigError(
            f"{request.ips} was fitted to slots shown up to {from_us(opened.before_us).isoformat()}, after the split "
            f"at {split.words}.",
            f"Fit it to what was known then: lookreel evaluate propensities --before {split.words}",
        )
    reach = reach_by_position(request.tables, split.at_us)
    position = loaded.rows.position
    return examination_of(opened.curve, position, reach), n_beyond(opened.curve, position)


def _summary(
    request: TrainRequest, task: Task, trained: Trained, label: Label, loaded: Loaded, n_far: int, seconds: float
) -> Summary:
    rows, validation = loaded.rows, trained.validation
    is_auc = validation.is_binary
    reached = np.bincount(rows.video, minlength=len(task.videos))
    interval = auc_of(trained.scores, validation).estimate if is_auc else None
    low, high = (interval.low, interval.high) if interval else (None, None)
    simple = _simple(task, validation) if is_auc else {}
    return Summary(
        str(request.out), label.name, request.options.loss, from_us(task.split_us).isoformat(),
        len(rows), len(validation), len(task.users) - 1, loaded.unknown_users, int((rows.user == 0).sum()),
        len(task.videos), int((reached == 0).sum()), n_far,
        is_auc, trained.epochs[trained.best - 1].criterion, low, high,
        simple.get("duration"), simple.get("popularity"), trained.best, len(trained.epochs), round(seconds, 1),
    )  # fmt: skip


def _simple(task: Task, validation: Examples) -> dict[str, float]:
    """The AUC of shortness, and of how often a video was watched before validation."""
    rows = task.examples.rows
    earlier = (rows.time_us < validation.rows.time_us.min()) & (task.examples.unit > 0)
    popularity = np.bincount(rows.video[earlier], minlength=len(task.videos))
    scores = {"duration": -task.videos.duration_s, "popularity": popularity.astype(np.float64)}
    return {name: auc_of(score[validation.rows.video], validation).value for name, score in scores.items()}


def _draft(
    request: TrainRequest, task: Task, trained: Trained, label: Label, user_ids: list[str], summary: Summary
) -> Draft:
    said = {
        "label": label.name, "loss": request.options.loss, "in_batch": request.options.in_batch,
        "ips": request.ips is not None,
        # Only this label's logits are those of a video being watched by half, which evaluation takes them for.
        **({"scale": 1.0, "bias": 0.0} if label.name == WatchedHalf.name else {}),
    }  # fmt: skip
    users = task.users
    vectors = RunVectors(
        task.videos.ids, trained.vectors(task.split_us), user_ids, users[1:], users[0], task.split_us, said
    )
    weights = trained.tower.model.state_dict()
    run = Run(weights, trained.vocabulary, request.options, trained.line, vectors)
    about = {
        **said, "tables": str(request.tables), "split": summary.split, "users": about_user_vectors(request.users),
        "label_given": request.label,
    }  # fmt: skip
    metrics = {**asdict(summary), "curve": [asdict(epoch) for epoch in trained.epochs]}
    return Draft(run, label, metrics, about, _curve(trained, summary))


def _curve(trained: Trained, summary: Summary) -> bytes:
    values: Mapping[str, float | None] = {"by shortness": summary.duration, "by popularity": summary.popularity}
    marks = [(name, value) for name, value in values.items() if value is not None]
    return draw_curve(trained.epochs, trained.best, "AUC" if summary.is_auc else "minus the loss", marks)
