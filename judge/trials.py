"""The experiments that say how far to trust a judge: what it is asked, and the asking. `reliability` measures."""

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Any

import numpy as np
import polars as pl

from judge.canaries import Metadata, blanked, copied, instructed, video_of_opposite_taste, video_of_own_product
from judge.columns import J
from judge.protocol import Judge
from judge.rubric import LABELS, Rubric
from judge.task import ShownVideo, Task
from judge.verdict import Outcome, Verdict
from retrieval.tables import Columns as C

EXPERIMENT, VARIANT = "experiment", "variant"
AS_IT_IS = tuple(range(len(LABELS)))


class Experiment(StrEnum):
    """What is changed against the plain task."""

    PLAIN = "plain"
    REPEAT = "repeat"
    RUBRIC_ORDER = "rubric_order"
    HISTORY_ORDER = "history_order"
    STRANGER = "stranger"
    OWN_PRODUCT = "own_product"
    OPPOSITE = "opposite"
    BLANK = "blank"
    TEXT = "text"
    TEXT_CONTROL = "text_control"


@dataclass(frozen=True)
class Plan:
    """How often each thing is tried. *history_orders* counts shuffles; all four other turns of the rubric are tried."""

    repeats: int = 1
    history_orders: int = 2
    seed: int = 0


@dataclass(frozen=True)
class Trial:
    """One task as it is put to the judge; *order* is of the rubric's categories. *variant* counts from 0."""

    experiment: Experiment
    variant: int
    task: Task
    order: tuple[int, ...] = AS_IT_IS

    def key(self, judge: str, rubric: Rubric) -> str:
        """What names the trial: all that the judge is shown.

        Args:
            judge: its fingerprint.
        """
        shown = [(video.video_id, video.content) for video in self.task.videos]
        products = [product.product_id for product in self.task.history]
        parts = (
            judge, rubric.ordered(self.order).fingerprint, self.experiment.value, self.variant, self.task.user_id,
            self.task.content, products, shown,
        )  # fmt: skip
        return hashlib.sha256(json.dumps(parts).encode()).hexdigest()[:24]


SCHEMA: Mapping[str, Any] = {
    EXPERIMENT: pl.String, VARIANT: pl.Int64, C.USER_ID: pl.String, C.VIDEO_ID: pl.String, J.EXPECTED: pl.Float64,
    J.GRADE: pl.Int64, J.MASS: pl.Float64, J.UNSCORED: pl.String,
}  # fmt: skip
Row = dict[str, Any]


def rubric_turns() -> tuple[tuple[int, ...], ...]:
    """The other four turns of the rubric: with the order as it is, each category stands once in every place.

    >>> rubric_turns()[0]
    (1, 2, 3, 4, 0)
    """
    return tuple(AS_IT_IS[turn:] + AS_IT_IS[:turn] for turn in AS_IT_IS[1:])


def make_trials(
    tasks: Sequence[Task], metadata: Metadata | None, plan: Plan, pool: Sequence[ShownVideo] = ()
) -> list[Trial]:
    """All trials for some users, each user's one after the other.

    Users without products or videos are left out: there is nothing to try.

    Args:
        pool: more videos that canaries may be chosen from, beside those of the tasks; for a judge that reads pictures
            all of them need frames.
    """
    tasks = [task for task in tasks if task.history and task.videos]
    videos = {video.video_id: video for task in tasks for video in task.videos} | {v.video_id: v for v in pool}
    rng = np.random.default_rng(plan.seed)
    strangers = _strangers(tasks, rng)
    trials = []
    for number, task in enumerate(tasks):
        trials.append(Trial(Experiment.PLAIN, 0, task))
        trials += [Trial(Experiment.REPEAT, variant, task) for variant in range(plan.repeats)]
        trials += [Trial(Experiment.RUBRIC_ORDER, v, task, order) for v, order in enumerate(rubric_turns())]
        trials += _history_orders(task, plan.history_orders, rng)
        if number in strangers:
            other = replace(task, history=tasks[strangers[number]].history)
            trials.append(Trial(Experiment.STRANGER, 0, other))
        trials += _canaries(task, list(videos.values()), metadata, rng)
    return trials


def _history_orders(task: Task, n: int, rng: np.random.Generator) -> list[Trial]:
    """The history turned round, then shuffled; a history of one product has no other order."""
    if len(task.history) < 2:
        return []
    orders = [tuple(reversed(range(len(task.history))))]
    orders += [tuple(rng.permutation(len(task.history)).tolist()) for _ in range(n - 1)]
    return [
        Trial(Experiment.HISTORY_ORDER, v, replace(task, history=tuple(task.history[i] for i in order)))
        for v, order in enumerate(orders[:n])
    ]


def _strangers(tasks: Sequence[Task], rng: np.random.Generator) -> dict[int, int]:
    """Whose history each task gets: the next one's in a random circle, nobody the own; none for copies of the own."""
    circle = rng.permutation(len(tasks)).tolist()
    pairs = zip(circle, circle[1:] + circle[:1], strict=True)
    return {one: other for one, other in pairs if tasks[one].history != tasks[other].history}


def _canaries(
    task: Task, pool: Sequence[ShownVideo], metadata: Metadata | None, rng: np.random.Generator
) -> Iterator[Trial]:
    own = video_of_own_product(task.history, pool, metadata, max(1, len(task.videos[0].frames)))
    if own is not None:
        yield Trial(Experiment.OWN_PRODUCT, 0, replace(task, videos=(own,)))
    filmed = [video for video in task.videos if video.frames]
    opposite = None if metadata is None else video_of_opposite_taste(task.history, pool, metadata, rng)
    if opposite is not None:
        yield Trial(Experiment.OPPOSITE, 0, replace(task, history=opposite.history, videos=(opposite.video,)))
    if filmed:
        yield Trial(Experiment.BLANK, 0, replace(task, videos=(blanked(filmed[0]),)))
    # What is graded low anyway has most room to be raised: the opposite, or the last of the list.
    low = opposite.video if opposite is not None else task.videos[-1]
    if low.frames:
        asked = replace(task, history=opposite.history if opposite is not None else task.history)
        yield Trial(Experiment.TEXT_CONTROL, 0, replace(asked, videos=(copied(low),)))
        yield Trial(Experiment.TEXT, 0, replace(asked, videos=(instructed(low),)))


def run_trial(judge: Judge, rubric: Rubric, trial: Trial) -> list[Row]:
    """Put one trial to the judge: one row as in `SCHEMA` for each of its videos.

    Raises:
        UserFacingError: the judge cannot go on.
    """
    outcomes = judge.grade(trial.task, rubric.ordered(trial.order), explain=False)
    return [_row(trial, video, outcome) for video, outcome in zip(trial.task.videos, outcomes, strict=True)]


def _row(trial: Trial, video: ShownVideo, outcome: Outcome) -> Row:
    row: Row = {
        EXPERIMENT: trial.experiment.value, VARIANT: trial.variant, C.USER_ID: trial.task.user_id,
        C.VIDEO_ID: video.video_id, J.EXPECTED: None, J.GRADE: None, J.MASS: None, J.UNSCORED: None,
    }  # fmt: skip
    if isinstance(outcome, Verdict):
        return row | {J.EXPECTED: outcome.expected, J.GRADE: outcome.grade, J.MASS: outcome.mass}
    return row | {J.UNSCORED: outcome.why.value}


def table_of(rows: Sequence[Row]) -> pl.DataFrame:
    """The rows of trials as one table."""
    return pl.DataFrame(rows, schema=SCHEMA, orient="row")
