"""The options of `lookreel judge run`, opened: tables, recommendations, frames, judge and rubric become a job."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import polars as pl

from judge.inputs import FRAMES_PER_VIDEO, Source, make_questions
from judge.judges import JudgeContext, open_judge
from judge.pictures import Frames, Photos, load_digests
from judge.plan import Plan, make_plan, mean_seconds, measure_spread
from judge.protocol import Judge
from judge.recommended import Progress, load_recommendations, make_recommendations, select_lists
from judge.rubric import DEFAULT, load_rubric
from judge.run import Job, Summary, run_job
from judge.store import ASKED, ASKED_SCHEMA, known_judgments, load_asked, load_judgments
from retrieval.config import load_config
from retrieval.errors import ConfigError
from retrieval.folders import writing
from retrieval.snapshot_files import live_version
from retrieval.tables import Tables, load_tables

OpenFrames = Callable[[str], Frames]
RECOMMENDATIONS = "recommendations.parquet"


@dataclass(frozen=True)
class RunRequest:
    """The options as given; what is None comes from lookreel.toml. *users* 0 means all of them."""

    recommendations: Path | None = None
    systems: Sequence[str] = ()
    snapshot: Path | None = None
    tables: Path | None = None
    frames: str | None = None
    users: int = 200
    k: int = 10
    judge: str = "sample"
    rubric: str = DEFAULT
    frames_per_video: int = FRAMES_PER_VIDEO
    out: Path = Path("judgments")
    seed: int = 0
    explain: bool = False
    retry_unscored: bool = False
    judge_options: Sequence[str] = ()


def run_request(request: RunRequest, open_frames: OpenFrames, progress: Progress) -> Summary:
    """Judge what the request names; recommendations that it makes are kept in its folder.

    Raises:
        UserFacingError: something that it names cannot be used.
    """
    job, made = _open(request, open_frames)
    if made is not None:
        with writing(request.out / RECOMMENDATIONS) as draft:
            made.write_parquet(draft)
    with _closing(job.judge):
        return run_job(job, request.out, progress)


def plan_request(request: RunRequest, open_frames: OpenFrames) -> Plan:
    """What the request would take. Nothing is written, and the judge is asked nothing.

    Raises:
        UserFacingError: something that it names cannot be used.
    """
    job, _ = _open(request, open_frames)
    with _closing(job.judge):
        return _plan(request, job)


def _plan(request: RunRequest, job: Job) -> Plan:
    asker = job.asker
    questions = make_questions(job.selection, job.source, asker, load_digests(request.out))
    judgments = load_judgments(request.out)
    asked = load_asked(request.out) if (request.out / ASKED).exists() else pl.DataFrame(schema=ASKED_SCHEMA)
    return make_plan(
        job.selection,
        questions,
        known_judgments(request.out),
        measure_spread(asked, judgments, asker, request.k),
        mean_seconds(judgments, asker),
        getattr(job.judge, "price", None),
    )


@contextmanager
def _closing(judge: Judge) -> Iterator[None]:
    """Close a judge that holds connections, in the end."""
    try:
        yield
    finally:
        getattr(judge, "close", lambda: None)()


def _open(request: RunRequest, open_frames: OpenFrames) -> tuple[Job, pl.DataFrame | None]:
    """The job, and the recommendations where they had to be made."""
    if (request.recommendations is None) == (not request.systems):
        raise ConfigError(
            "Judging needs recommendations, or systems that make some.", "Add --recommendations FILE or --system NAME."
        )
    config, rubric = load_config(), load_rubric(request.rubric)
    folder, snapshot = config.path("tables", request.tables), config.path("snapshot", request.snapshot)
    tables = load_tables(folder)
    lists, made = _lists(request, snapshot, tables)
    selection = select_lists(lists, tables.interactions, request.k, request.users or None, request.seed)
    # The judge comes last but for the frames, which it may not need: opening it may take minutes.
    judge = open_judge(request.judge, JudgeContext(tables.products, tables.videos, request.judge_options))
    frames = open_frames(config.place("videos", request.frames)) if reads_pictures(judge) else None
    source = Source(tables.products, tables.videos, Photos(folder), frames, request.frames_per_video)
    return Job(selection, source, judge, rubric, request.explain, request.retry_unscored), made


def _lists(request: RunRequest, snapshot: Path, tables: Tables) -> tuple[pl.DataFrame, pl.DataFrame | None]:
    if request.recommendations is not None:
        return load_recommendations(request.recommendations, live_version(snapshot)), None
    made = make_recommendations(snapshot, tables, request.systems, request.k)
    return made, made


def reads_pictures(judge: Judge) -> bool:
    """Whether a judge looks at photos and frames: all do that do not say otherwise."""
    return bool(getattr(judge, "reads_pictures", True))
