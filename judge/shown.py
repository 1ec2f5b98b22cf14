"""From what was asked back to what the judge was shown: the tasks of a folder of judgments."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import polars as pl

from judge.histories import last_products
from judge.inputs import Source, make_questions
from judge.pictures import load_digests, spooled
from judge.recommended import Selection
from judge.store import Asker
from judge.task import Task
from retrieval.tables import Columns as C


def load_tasks(
    asked: pl.DataFrame, interactions: pl.DataFrame, source: Source, asker: Asker, folder: Path
) -> list[Task]:
    """One task for each user of *asked*, with all of their videos in it; held in memory, so of few users.

    Videos that the judge was not asked about, for they have no frames, are in it all the same.

    Args:
        asked: rows of asked.parquet.
        folder: of the judgments; what was read before is known there.

    Raises:
        ChangedError: a picture changed while it was read.
    """
    if asked.is_empty():
        return []
    who = asked.select(C.USER_ID, C.RECOMMENDED_AT).unique(maintain_order=True)
    selection = Selection(asked, last_products(interactions, who), who.height, 0)
    questions = make_questions(selection, source, asker, load_digests(folder))
    videos = asked[C.VIDEO_ID].unique(maintain_order=True).to_list()
    with spooled(source.frames, videos, source.frames_per_video, folder) as spool:
        return [source.make_task(question, list(question.videos), spool) for question in questions.all]


def filmed(tasks: Sequence[Task]) -> list[Task]:
    """The tasks without the videos that have no frames, of which no judge of pictures is asked."""
    return [replace(task, videos=tuple(video for video in task.videos if video.frames)) for task in tasks]
