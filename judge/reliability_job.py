"""The options of `lookreel judge reliability`, opened and carried out."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import polars as pl

from judge.attributes import NAME as ATTRIBUTES
from judge.attributes import AttributesJudge
from judge.canaries import metadata_of
from judge.columns import J
from judge.inputs import FRAMES_PER_VIDEO, Source
from judge.judges import JudgeContext, open_judge
from judge.judgments import load_judged
from judge.pictures import Frames, Photos
from judge.protocol import Judge
from judge.raters import Agreement, agree, load_human
from judge.reliability import Judged, Reliability, adjusted_scores, measure
from judge.reliability_file import ADJUSTED_FILE, save_reliability
from judge.request import reads_pictures
from judge.rubric import DEFAULT, Rubric, load_rubric
from judge.scores import user_means
from judge.shown import filmed, load_tasks
from judge.store import Asker
from judge.task import Task
from judge.trial_store import run_trials
from judge.trials import EXPERIMENT, Experiment, Plan, Trial, make_trials, run_trial, table_of
from retrieval.config import load_config
from retrieval.errors import ConfigError, UserFacingError
from retrieval.folders import writing
from retrieval.tables import Columns as C
from retrieval.tables import load_tables

OpenFrames = Callable[[str], Frames]
Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class ReliabilityRequest:
    """The options as given; what is None comes from lookreel.toml or the folder. *system* None is the best graded."""

    judgments: Path = Path("judgments")
    tables: Path | None = None
    frames: str | None = None
    judge: str | None = None
    rubric: str = DEFAULT
    system: str | None = None
    users: int = 50
    k: int = 5
    frames_per_video: int = FRAMES_PER_VIDEO
    plan: Plan = field(default_factory=Plan)
    human: Path | None = None
    judge_options: Sequence[str] = ()


def reliability_request(request: ReliabilityRequest, open_frames: OpenFrames, progress: Progress) -> Reliability:
    """Try the judge of a folder of judgments and write what came of it there.

    Raises:
        UserFacingError: the folder, the tables or the judge cannot be used, or the judge is no longer the same.
    """
    judged = load_judged(request.judgments, request.judge)
    human = None if request.human is None else load_human(request.human)  # said before the work
    config, rubric = load_config(), load_rubric(request.rubric)
    folder = config.path("tables", request.tables)
    tables = load_tables(folder)
    judge = open_judge(judged[J.JUDGE][0], JudgeContext(tables.products, tables.videos, request.judge_options))
    asker = Asker(judge.name, judge.fingerprint, rubric)
    _refuse_another(judged, asker)
    frames = open_frames(config.place("videos", request.frames)) if reads_pictures(judge) else None
    source = Source(tables.products, tables.videos, Photos(folder), frames, request.frames_per_video)
    tasks = load_tasks(drawn(judged, request), tables.interactions, source, asker, request.judgments)
    trials = make_trials(filmed(tasks) if frames else tasks, metadata_of(tables.products, tables.videos), request.plan)
    answers = run_trials(judge, rubric, trials, request.judgments, progress)
    others = {} if human is None else {"people": agree(judged, human, "people")}
    if judge.name != ATTRIBUTES:
        reference = AttributesJudge(tables.products, tables.videos)
        others[ATTRIBUTES] = agreement_with(reference, tasks, rubric, answers)
    found = measure(
        answers, Judged(judge.name, judge.fingerprint, asker.rubric_name, request.plan.seed), tuple(others.values())
    )
    with writing(request.judgments / ADJUSTED_FILE) as draft:
        adjusted_scores(answers).write_parquet(draft)
    save_reliability(found, request.judgments)
    return found


def drawn(judged: pl.DataFrame, request: ReliabilityRequest) -> pl.DataFrame:
    """The rows that are tried: the top *k* of one system for some users, drawn by the seed.

    Of a system that does not know its users, own history and a stranger's could not be told apart; so it is the best.
    """
    names = judged[C.SYSTEM].unique().sort().to_list()
    if request.system is not None and request.system not in names:
        raise ConfigError(
            f"{request.judgments} holds no judgments of {request.system}.", f"It has those of {', '.join(names)}."
        )
    system = request.system or max(names, key=lambda name: _mean(judged, name, request.k))
    rows = judged.filter((pl.col(C.SYSTEM) == system) & (pl.col(C.RANK) <= request.k))
    users = rows[C.USER_ID].unique().sort()
    chosen = np.random.default_rng(request.plan.seed).permutation(len(users))[: request.users]
    return rows.filter(pl.col(C.USER_ID).is_in(users[sorted(chosen.tolist())].to_list()))


def _mean(judged: pl.DataFrame, system: str, k: int) -> float:
    mean = user_means(judged, system, k)["mean"].mean()
    return float(mean) if isinstance(mean, float) else 0.0


def _refuse_another(judged: pl.DataFrame, asker: Asker) -> None:
    was = (judged[J.FINGERPRINT][0], judged[J.RUBRIC][0])
    if was != (asker.fingerprint, asker.rubric_name):
        raise UserFacingError(
            f"The videos were judged by {asker.judge} ({was[0]}) with rubric {was[1]}; now it is "
            f"({asker.fingerprint}) with rubric {asker.rubric_name}.",
            "Name the same model, tables and --rubric, or judge again: lookreel judge run.",
        )


def agreement_with(other: Judge, tasks: Sequence[Task], rubric: Rubric, answers: pl.DataFrame) -> Agreement:
    """The judge, by its answers to the plain trials, beside another judge of the same tasks."""
    rows = [row for task in tasks for row in run_trial(other, rubric, Trial(Experiment.PLAIN, 0, task))]
    plain = answers.filter(pl.col(EXPERIMENT) == Experiment.PLAIN.value)
    return agree(plain, table_of(rows), f"the judge {other.name}")
