"""The options of `lookreel judge report`, opened and carried out."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import polars as pl

from judge.columns import J
from judge.inputs import FRAMES_PER_VIDEO, Source
from judge.judgments import load_judged
from judge.pictures import Frames, Photos
from judge.reliability_file import ADJUSTED_FILE, load_reliability
from judge.report.build import Report, asked_for_sheets, make_report, write_report
from judge.report.pictures import TaskPictures
from judge.rubric import load_rubric
from judge.shown import load_tasks
from judge.store import Asker
from retrieval.config import load_config
from retrieval.errors import ConfigError
from retrieval.tables import Columns as C
from retrieval.tables import load_tables

OpenFrames = Callable[[str], Frames]


@dataclass(frozen=True)
class ReportRequest:
    """The options as given; what is None comes from lookreel.toml, *out* None is the folder of the judgments."""

    judgments: Path = Path("judgments")
    tables: Path | None = None
    frames: str | None = None
    judge: str | None = None
    baseline: str | None = None
    out: Path | None = None
    pictures: bool = True
    seed: int = 0


@dataclass(frozen=True)
class Written:
    """The report and the path of its page."""

    report: Report
    page: Path


def report_request(request: ReportRequest, open_frames: OpenFrames) -> Written:
    """Write the report of a folder of judgments.

    Raises:
        UserFacingError: the folder, the tables or the frames cannot be used, or a package is missing.
    """
    judged = load_judged(request.judgments, request.judge)
    names = judged[C.SYSTEM].unique().sort().to_list()
    if request.baseline is not None and request.baseline not in names:
        raise ConfigError(
            f"{request.judgments} holds no judgments of {request.baseline}.", f"It has those of {', '.join(names)}."
        )
    report = make_report(judged, load_reliability(request.judgments), request.seed, request.baseline)
    wanted = asked_for_sheets(report, judged)
    pictures = _pictures(request, wanted, open_frames) if request.pictures and not wanted.is_empty() else None
    adjusted = request.judgments / ADJUSTED_FILE
    known = pl.read_parquet(adjusted) if report.reliability is not None and adjusted.exists() else None
    return Written(report, write_report(report, judged, request.out or request.judgments, pictures, known))


def _pictures(request: ReportRequest, wanted: pl.DataFrame, open_frames: OpenFrames) -> TaskPictures:
    config = load_config()
    folder = config.path("tables", request.tables)
    tables = load_tables(folder)
    frames = open_frames(config.place("videos", request.frames))
    source = Source(tables.products, tables.videos, Photos(folder), frames, FRAMES_PER_VIDEO)
    asker = Asker(wanted[J.JUDGE][0], wanted[J.FINGERPRINT][0], load_rubric())  # keys are not looked at here
    return TaskPictures(load_tasks(wanted, tables.interactions, source, asker, request.judgments))
