"""The paper's grid of options, searched for each label. The only module that imports optuna.

Every label has a study of its own, in a file, and each trial is one training with the first seed. A search that was
stopped or killed goes on with the trial that was lost, and finds what an undisturbed one would have found.
"""

import json
import logging
import multiprocessing
import os
import sqlite3
from collections.abc import Callable, Mapping
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from dataclasses import asdict, dataclass, replace
from functools import partial
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import torch

from labelcraft.compare import CompareRequest, split_of
from labelcraft.evaluate import candidates, score
from labelcraft.labels.registry import LEARNED, parse_spec
from labelcraft.learners import Learner
from labelcraft.options import CraftOptions, TrainOptions
from labelcraft.runs import Variant, make_learner
from labelcraft.splits import Split
from labelcraft.train import Epoch, train
from retrieval.errors import ConfigError, import_extra
from retrieval.folders import writing

logger = logging.getLogger(__name__)
GRID = "grid"
RATE, BATCH, DECAY, RATIO, TAU = "learning_rate", "batch_size", "weight_decay", "ratio", "tau"
RATES, DECAYS = (1e-1, 1e-2, 1e-3, 1e-4), (1e-2, 1e-4, 1e-6, 0.0)
BATCHES = (4096, 8192, 16384)
RATIOS: Mapping[str, tuple[float, float]] = {"1:1": (1.0, 1.0), "1:2": (1.0, 2.0), "2:1": (2.0, 1.0)}
TAUS = tuple(step / 10 for step in range(11))
N_TRIALS = 30
RANDOM_TRIALS = 10  # before the sampler has something to learn from
UNPRUNED_TRIALS, UNPRUNED_EPOCHS = 5, 2  # before a median says anything
LOCK_S = 60.0

Point = dict[str, Any]


@dataclass(frozen=True)
class Chosen:
    """The best of a label's search: its *options*, *tau* of a learned label, and what the search took."""

    label: str
    options: TrainOptions
    tau: float | None
    criterion: float
    trials: int
    pruned: int


@dataclass(frozen=True)
class Progress:
    """How many trials of a label have ended, of how many."""

    done: int
    asked: int


def search(
    request: CompareRequest, n_trials: int, progress: Callable[[int, int], None] = lambda done, total: None
) -> CompareRequest:
    """The request with the options that its labels are best trained with; out/grid holds them and all trials.

    Labels take turns, a trial each, so that every core has work to the end.

    Raises:
        MissingExtraError: optuna is not installed.
        ConfigError: the folder holds a search of other data or options, or no trial of a label was sound.
    """
    import_extra("optuna", "train")
    specs = specs_of(request)
    (request.out / GRID).mkdir(parents=True, exist_ok=True)
    n_processes = max(1, min(request.processes or os.cpu_count() or 1, len(specs)))
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(n_processes, context, torch.set_num_threads, (1,)) as pool:
        try:
            _take_turns(pool, partial(next_trial, request, n_trials=n_trials), specs, progress)
        except BaseException:  # a failed trial or a stop by hand: what waits must not run on
            pool.shutdown(cancel_futures=True)
            raise
    return with_chosen(request, {spec: load_chosen(request, spec) for spec in specs})


def specs_of(request: CompareRequest) -> tuple[str, ...]:
    """What is searched for: each label once; ablations and temperatures are trained with LabelCraft's options."""
    return tuple(dict.fromkeys(variant.spec for variant in request.variants))


def with_chosen(request: CompareRequest, chosen: Mapping[str, Chosen]) -> CompareRequest:
    """The request with what was chosen."""
    taus = [one.tau for one in chosen.values() if one.tau is not None]
    craft = replace(request.craft, tau=taus[0]) if taus else request.craft
    return replace(request, craft=craft, options_of={spec: one.options for spec, one in chosen.items()})


def space_of(spec: str, n_rows: int) -> dict[str, tuple[Any, ...]]:
    """The values of each option that is searched for a label. Of batches that hold all *n_rows* one is enough."""
    smaller = tuple(size for size in BATCHES if size < n_rows)
    space: dict[str, tuple[Any, ...]] = {RATE: RATES, BATCH: BATCHES[: len(smaller) + 1], DECAY: DECAYS}
    if not Path(spec).is_dir() and len(parse_spec(spec)) > 1:
        space[RATIO] = tuple(RATIOS)
    return space | ({TAU: TAUS} if spec in LEARNED else {})


def options_at(point: Point, options: TrainOptions) -> TrainOptions:
    """*options* with those of a point of the grid."""
    weights = RATIOS[point[RATIO]] if RATIO in point else options.task_weights
    return replace(
        options,
        learning_rate=point[RATE],
        batch_size=point[BATCH],
        weight_decay=point[DECAY],
        task_weights=weights,
    )


def next_trial(request: CompareRequest, spec: str, n_trials: int) -> Progress:
    """Carry out one more trial of a label, if one is left; with the last, write what was chosen."""
    split = split_of(request.data, request.path, request.split)
    space = space_of(spec, len(split.train))
    asked = min(n_trials, n_points(space))
    study = _open_study(request, spec, space)
    done = len(_ended(study))
    if done < asked:
        seed = request.options.seed + done  # of this trial alone, so that it does not matter which process makes it
        study.sampler = import_extra("optuna", "train").samplers.TPESampler(n_startup_trials=RANDOM_TRIALS, seed=seed)
        if done < RANDOM_TRIALS or asked == n_points(space):
            study.enqueue_trial(_untried(space, study, np.random.default_rng(seed)))
        study.optimize(lambda trial: _criterion_of(trial, study, split, request, spec, space), n_trials=1)
        done += 1
    if done >= asked:
        _write_chosen(request, spec, study, space)
    return Progress(done, asked)


def n_points(space: Mapping[str, tuple[Any, ...]]) -> int:
    """How many points a grid has.

    >>> n_points({"a": (1, 2), "b": (1, 2, 3)})
    6
    """
    return int(np.prod([len(values) for values in space.values()]))


def load_chosen(request: CompareRequest, spec: str) -> Chosen:
    """What the search chose for a label."""
    about = json.loads((request.out / GRID / f"{_file_name(spec)}.json").read_text())
    options = TrainOptions(**{**about["options"], "task_weights": tuple(about["options"]["task_weights"])})
    return Chosen(about["label"], options, about["tau"], about["criterion"], about["trials"], about["pruned"])


def _take_turns(
    pool: ProcessPoolExecutor,
    one_more: Callable[[str], Progress],
    specs: tuple[str, ...],
    progress: Callable[[int, int], None],
) -> None:
    """Give every label its next trial as soon as its last has ended."""
    waiting: dict[Future[Progress], str] = {pool.submit(one_more, spec): spec for spec in specs}
    reached: dict[str, Progress] = {}
    while waiting:
        for future in wait(waiting, return_when=FIRST_COMPLETED).done:
            spec, now = waiting.pop(future), future.result()
            reached[spec] = now
            logger.info("%s: %d of %d trials", spec, now.done, now.asked)
            if now.done < now.asked:
                waiting[pool.submit(one_more, spec)] = spec
        if len(reached) == len(specs):  # before that, nobody knows how many there are
            progress(sum(one.done for one in reached.values()), sum(one.asked for one in reached.values()))


def _criterion_of(
    trial: Any, study: Any, split: Split, request: CompareRequest, spec: str, space: Mapping[str, tuple[Any, ...]]
) -> float:
    """The best criterion of a training at the point that the sampler draws; a point that was tried is not again."""
    optuna = import_extra("optuna", "train")
    point = {name: trial.suggest_categorical(name, values) for name, values in space.items()}
    for tried in _ended(study):
        if tried.params == point:
            if tried.state == optuna.trial.TrialState.PRUNED:
                raise optuna.TrialPruned
            return float(tried.value)
    learner = make_learner(
        split, Variant(spec, spec, _craft_at(point, request.craft)), options_at(point, request.options)
    )
    epochs = _trained(trial, learner, split, options_at(point, request.options))
    sound = [epoch.criterion for epoch in epochs if epoch.may_be_best]
    if not sound:
        raise optuna.TrialPruned
    return max(sound)


def _trained(trial: Any, learner: Learner, split: Split, options: TrainOptions) -> list[Epoch]:
    """The curve of a training that the trial may end."""
    pruned = import_extra("optuna", "train").TrialPruned

    def on_epoch(epoch: Epoch) -> None:
        trial.report(epoch.criterion, epoch.number)
        if trial.should_prune():
            raise pruned

    try:
        return train(split, learner, options, on_epoch=on_epoch)
    except ValueError as error:
        if np.isfinite(score(learner.model, candidates(split, split.stop, options.k), learner.weights)).all():
            raise
        raise pruned from error  # too high a learning rate, which a grid is there to find


def _craft_at(point: Point, craft: CraftOptions) -> CraftOptions:
    return replace(craft, tau=point[TAU]) if TAU in point else craft


def _open_study(request: CompareRequest, spec: str, space: Mapping[str, tuple[Any, ...]]) -> Any:
    """The study of a label, with the trials that a killed search left running given up."""
    optuna = import_extra("optuna", "train")
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    file = request.out / GRID / f"{_file_name(spec)}.db"
    # A URL would end at the first ? of a path.
    connect = partial(sqlite3.connect, file, timeout=LOCK_S, check_same_thread=False)
    storage = optuna.storages.RDBStorage("sqlite://", engine_kwargs={"creator": connect})
    pruner = optuna.pruners.MedianPruner(UNPRUNED_TRIALS, UNPRUNED_EPOCHS)
    study = optuna.create_study(
        study_name=spec, storage=storage, pruner=pruner, direction="maximize", load_if_exists=True
    )
    about = _identity(request, space)
    if study.user_attrs.get("about", about) != about:
        raise ConfigError(f"{file} holds a search of other data or options.", "Name another --out.")
    study.set_user_attr("about", about)
    for trial in study.get_trials(deepcopy=False, states=(optuna.trial.TrialState.RUNNING,)):
        storage.set_trial_state_values(trial._trial_id, optuna.trial.TrialState.FAIL)
    return study


def _identity(request: CompareRequest, space: Mapping[str, tuple[Any, ...]]) -> str:
    """What a study is of, as one text."""
    parts = [request.data, str(request.path), asdict(request.split), asdict(request.options), asdict(request.craft)]
    return json.dumps([*parts, space], sort_keys=True)


def _ended(study: Any) -> list[Any]:
    """The trials that tell something."""
    states = import_extra("optuna", "train").trial.TrialState
    return list(study.get_trials(deepcopy=False, states=(states.COMPLETE, states.PRUNED)))


def _untried(space: Mapping[str, tuple[Any, ...]], study: Any, rng: np.random.Generator) -> Point:
    """A point at random that is new: the sampler's own draws come back to points that are known."""
    tried = [trial.params for trial in _ended(study)]
    points = (dict(zip(space, values, strict=True)) for values in product(*space.values()))
    new = [point for point in points if point not in tried]
    return new[int(rng.integers(len(new)))]


def _write_chosen(request: CompareRequest, spec: str, study: Any, space: Mapping[str, tuple[Any, ...]]) -> None:
    ended = _ended(study)
    complete = [trial for trial in ended if trial.value is not None and trial.state.name == "COMPLETE"]
    if not complete:
        raise ConfigError(
            f"None of {len(ended)} trials of {spec} was sound.", "Ask for more with --trials, or for more --epochs."
        )
    best = max(complete, key=lambda trial: trial.value)
    about = {
        "label": spec,
        "options": asdict(options_at(best.params, request.options)),
        "tau": best.params.get(TAU),
        "criterion": best.value,
        "trials": len(ended),
        "pruned": len(ended) - len(complete),
        "points": n_points(space),
        "space": space,
    }
    with writing(request.out / GRID / f"{_file_name(spec)}.json") as draft:
        draft.write_text(json.dumps(about, indent=1) + "\n")


def _file_name(spec: str) -> str:
    """A file's name for a label, or for the folder of a saved one."""
    return spec.strip("/").replace("/", "-")
