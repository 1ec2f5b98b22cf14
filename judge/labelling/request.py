"""The options of `lookreel judge label`, opened: what the page asks about, and the page until it is closed."""

import getpass
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import polars as pl

from judge.inputs import FRAMES_PER_VIDEO, Source, make_questions
from judge.labelling.app import check_grader
from judge.labelling.desk import Desk, Order
from judge.labelling.record import open_record
from judge.labelling.server import serve_desk
from judge.labelling.session import Progress
from judge.pictures import Digests, Frames, Photos, spooled
from judge.recommended import Selection, load_recommendations, make_recommendations, select_lists
from judge.rubric import DEFAULT, Rubric, load_rubric
from judge.store import Asker
from judge.task import Task
from retrieval.config import load_config
from retrieval.errors import ConfigError
from retrieval.snapshot_files import live_version
from retrieval.tables import Columns as C
from retrieval.tables import load_tables


@dataclass(frozen=True)
class LabelRequest:
    """The options as given; what is None comes from lookreel.toml, the *grader* from who is logged in.

    *users* 0 means all of them, *port* 0 a free one.
    """

    recommendations: Path | None = None
    systems: Sequence[str] = ()
    snapshot: Path | None = None
    tables: Path | None = None
    frames: str | None = None
    users: int = 20
    k: int = 10
    rubric: str = DEFAULT
    frames_per_video: int = FRAMES_PER_VIDEO
    out: Path = Path("human.parquet")
    grader: str | None = None
    seed: int = 0
    repeats: float = 0.1
    port: int = 0


@dataclass(frozen=True)
class Asked:
    """What a person is asked: the *tasks*, and by user and video the *systems* that recommend it."""

    tasks: tuple[Task, ...]
    systems: dict[tuple[str, str], list[str]]


@dataclass(frozen=True)
class Labelled:
    """How a sitting ended: *progress* of the grader, and *rows* of all graders in the table."""

    grader: str
    progress: Progress
    rows: int


def label_request(
    request: LabelRequest, open_frames: Callable[[str], Frames], say: Callable[[str, Progress], None]
) -> Labelled:
    """Serve the page until it is stopped.

    Args:
        say: is told the page's address and what is left, once it answers.

    Raises:
        UserFacingError: something that the request names cannot be used.
    """
    if (request.recommendations is None) == (not request.systems):
        raise ConfigError(
            "Grading needs recommendations, or systems that make some.", "Add --recommendations FILE or --system NAME."
        )
    grader = check_grader(request.grader if request.grader is not None else getpass.getuser())
    rubric = load_rubric(request.rubric)
    with open_record(request.out, rubric) as record:  # first: what is in use or damaged is said before the work
        asked = gather(request, rubric, open_frames)
        order = Order(request.seed, request.repeats)
        desk = Desk(asked.tasks, asked.systems, record, rubric, grader, lambda: datetime.now(UTC), order)
        serve_desk(desk, request.port, lambda address: say(address, desk.session.progress))
        return Labelled(grader, desk.session.progress, desk.close())


def gather(request: LabelRequest, rubric: Rubric, open_frames: Callable[[str], Frames]) -> Asked:
    """What the request asks about, with its pictures.

    Raises:
        UserFacingError: a table, the snapshot or the store of the videos cannot be used.
    """
    config = load_config()
    folder, snapshot = config.path("tables", request.tables), config.path("snapshot", request.snapshot)
    tables = load_tables(folder)
    if request.recommendations is not None:
        lists = load_recommendations(request.recommendations, live_version(snapshot))
    else:
        lists = make_recommendations(snapshot, tables, request.systems, request.k)
    # A person is asked about a shopper once: at the latest time, where there are several.
    latest = lists.filter(pl.col(C.RECOMMENDED_AT) == pl.col(C.RECOMMENDED_AT).max().over(C.USER_ID))
    selection = select_lists(latest, tables.interactions, request.k, request.users or None, request.seed)
    frames = open_frames(config.place("videos", request.frames))
    source = Source(tables.products, tables.videos, Photos(folder), frames, request.frames_per_video)
    return Asked(_make_tasks(selection, source, rubric, request.out.parent), _systems_of(selection))


def _make_tasks(selection: Selection, source: Source, rubric: Rubric, scratch: Path) -> tuple[Task, ...]:
    questions = make_questions(selection, source, Asker("human", "human", rubric), Digests({}))
    videos = {video_id for question in questions.all for video_id in question.videos}
    with spooled(source.frames, sorted(videos), source.frames_per_video, scratch) as spool:
        return tuple(source.make_task(question, question.videos, spool) for question in questions.all)


def _systems_of(selection: Selection) -> dict[tuple[str, str], list[str]]:
    found: dict[tuple[str, str], list[str]] = {}
    for user, video, system in selection.lists.select(C.USER_ID, C.VIDEO_ID, C.SYSTEM).iter_rows():
        found.setdefault((user, video), []).append(system)
    return found
