"""The desk where one person grades: what the page shows of each item, and where the answers go."""

import hashlib
import threading
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime

from judge.labelling.record import Record
from judge.labelling.session import Answer, Item, Session, make_queue, resume
from judge.rubric import Rubric
from judge.task import ShownVideo, Task
from retrieval.errors import UserFacingError

WRITE_EVERY = 10  # answers; the journal has each of them at once


@dataclass(frozen=True)
class Order:
    """How the questions are put: the *seed* of their order, and the share of them that is asked twice."""

    seed: int = 0
    repeats: float = 0.1


@dataclass(frozen=True)
class Shown:
    """What an item shows: a shopper's *task* and one *video* of it. *changed* says that another shopper came before."""

    task: Task
    video: ShownVideo
    changed: bool


class Desk:
    """One grader's session over its record. Calls may come from several threads."""

    def __init__(
        self,
        tasks: Iterable[Task],
        systems: Mapping[tuple[str, str], Collection[str]],
        record: Record,
        rubric: Rubric,
        grader: str,
        now: Callable[[], datetime],
        order: Order = Order(),
    ) -> None:
        """Take up where *grader* stopped.

        Args:
            systems: which systems recommend a video, by user and video: they take turns, and are never shown.

        Raises:
            UserFacingError: nothing can be graded.
        """
        self.rubric, self.grader = rubric, grader
        self._tasks = {task.user_id: task for task in tasks if task.history}
        self._videos = {
            (task.user_id, video.video_id): video
            for task in self._tasks.values()
            for video in task.videos
            if video.frames
        }
        self._record, self._now = record, now
        self._lock = threading.Lock()
        queue = self._make_queue(systems, order)
        self._session = resume(queue, record.acts(grader), {item: self._content(item) for item in queue})

    @property
    def session(self) -> Session:
        return self._session

    def shown(self, place: int) -> Shown | None:
        """What the item at *place* shows; None where there is no such place."""
        queue = self._session.queue
        if not 0 <= place < len(queue):
            return None
        item = queue[place]
        changed = place > 0 and queue[place - 1].user_id != item.user_id
        return Shown(self._tasks[item.user_id], self._videos[item.user_id, item.video_id], changed)

    def answer(self, place: int, grade: int | None, seconds: float) -> None:
        """Keep a grade of 1 to 5, or None for an item that was skipped. When this returns, a kill loses nothing.

        The answer that stands already is not kept twice: a page may ask again when it heard nothing.
        """
        with self._lock:
            item = self._session.queue[place]
            standing = self._session.answers.get(item)
            if standing is not None and standing.grade == grade:
                return
            answer = Answer(item, grade, self._now(), seconds, self._content(item))
            session = self._session.answered(answer)
            self._record.add(answer, self.grader, self.rubric)
            self._session = session
            if session.next_place is None or len(session.acts) % WRITE_EVERY == 0:
                self._record.write_table()

    def undo(self) -> int | None:
        """Take back the newest answer, and return the place of its item; None where there is no answer."""
        with self._lock:
            if not self._session.acts:
                return None
            item = self._session.acts[-1].item
            self._record.undo(item, self.grader)
            self._session = self._session.undone()
            return self._session.queue.index(item)

    def close(self) -> int:
        """Write the table, and return its number of rows."""
        with self._lock:
            return self._record.write_table()

    def _make_queue(self, systems: Mapping[tuple[str, str], Collection[str]], order: Order) -> tuple[Item, ...]:
        videos: dict[str, list[str]] = {}
        for user, video in self._videos:
            videos.setdefault(user, []).append(video)
        if not videos:
            raise UserFacingError(
                "There is nothing to grade: no shopper has both a history and a video with stored frames.",
                "Embed the videos with their frames, or name other recommendations.",
            )
        return make_queue(videos, systems, seed=order.seed, repeats=order.repeats)

    def _content(self, item: Item) -> str:
        task, video = self._tasks[item.user_id], self._videos[item.user_id, item.video_id]
        return hashlib.sha256(f"{task.content} {video.content}".encode()).hexdigest()[:12]
