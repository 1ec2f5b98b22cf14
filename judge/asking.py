"""What both jobs do around a judge: time what it says, and keep what it said when it cannot go on."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from judge.inputs import ChangedError
from judge.pictures import DIGESTS
from judge.protocol import Judge
from judge.rubric import Rubric
from judge.task import Task
from judge.verdict import Outcome
from retrieval.errors import UserFacingError


@contextmanager
def keeping(folder: Path) -> Iterator[None]:
    """Tell whom the judge leaves in the middle that what it judged is kept in *folder*."""
    try:
        yield
    except ChangedError:  # a file changed that looks the same from outside
        (folder / DIGESTS).unlink(missing_ok=True)
        raise
    except UserFacingError as error:  # no server, no memory, no budget left
        kept = f"What was judged is kept in {folder}: the same command goes on from there."
        raise type(error)(error.message, f"{error.cure} {kept}") from error


def timed_outcomes(judge: Judge, task: Task, rubric: Rubric, explain: bool) -> Iterator[tuple[Outcome, float]]:
    """Each outcome as it comes, and the seconds it took."""
    since = time.monotonic()
    for outcome in judge.grade(task, rubric, explain=explain):
        yield outcome, time.monotonic() - since
        since = time.monotonic()
