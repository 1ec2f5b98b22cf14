"""The judging job: asks for what is missing, and keeps each judgment as it comes."""

import logging
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path

from judge.asking import keeping, timed_outcomes
from judge.inputs import Question, Questions, Source, asked_table, make_questions, missing_of
from judge.pictures import Spool, load_digests, spooled
from judge.protocol import Judge
from judge.recommended import Selection
from judge.rubric import Rubric
from judge.store import Asker, Judgment, JudgmentStore, open_judgments, save_asked
from judge.verdict import NoVerdict, Outcome, Unscored
from retrieval.tables import Columns as C

logger = logging.getLogger(__name__)
# What another try may mend; the others follow from the inputs.
TRANSIENT = frozenset({Unscored.NO_VERDICT, Unscored.REFUSED, Unscored.TRUNCATED})
Progress = Callable[[int, int], None]
Clock = Callable[[], datetime]


@dataclass(frozen=True)
class Summary:
    """What a run did: *judged* now, *cached* before, and why judgments of either have no grade.

    *judgments* is how many there are to these lists; systems that recommend the same video to a user share one.
    *without_photo* counts products, *without_frames* videos, *short_histories* users with fewer than all products.
    """

    folder: str
    judge: str
    rubric: str
    systems: tuple[str, ...]
    users: int
    judgments: int
    judged: int
    cached: int
    unscored: Mapping[str, int]
    products: int
    without_photo: int
    videos: int
    without_frames: int
    short_histories: int
    seconds: float


@dataclass(frozen=True)
class Job:
    """What to judge, by whom, with what before their eyes."""

    selection: Selection
    source: Source
    judge: Judge
    rubric: Rubric
    explain: bool = False
    retry_unscored: bool = False

    @cached_property
    def asker(self) -> Asker:
        return Asker(self.judge.name, self.judge.fingerprint, self.rubric, self.explain)


def run_job(
    job: Job, out: Path, progress: Progress = lambda done, total: None, now: Clock = lambda: datetime.now(UTC)
) -> Summary:
    """Judge what *out* does not hold yet and return what came of it.

    Raises:
        UserFacingError: the folder is taken, or the judge cannot go on; what it judged until then is kept.
    """
    started = time.monotonic()
    with open_judgments(out) as store:
        digests = load_digests(out)
        questions = make_questions(job.selection, job.source, job.asker, digests)
        digests.save(out)
        save_asked(out, asked_table(job.selection, questions, job.asker))
        with keeping(out):
            judged = _judge_missing(job, questions, store, out, progress, now)
        summary = _summary(job, out, questions, store, judged, time.monotonic() - started)
    logger.info("judged %d of %d in %.1f s", judged, summary.judgments, summary.seconds)
    return summary


def _judge_missing(
    job: Job, questions: Questions, store: JudgmentStore, out: Path, progress: Progress, now: Clock
) -> int:
    missing = missing_of(questions, store.unscored, TRANSIENT if job.retry_unscored else ())
    total, judged = len(questions.keys), 0
    cached = total - sum(len(videos) for _, videos in missing)
    wanted = dict.fromkeys(video_id for _, videos in missing for video_id in videos)
    progress(cached, total)
    with spooled(job.source.frames, wanted, job.source.frames_per_video, out) as spool:
        for question, videos in missing:
            for video_id, outcome, seconds in _outcomes(job, question, videos, spool):
                store.add(_judgment(question, video_id, outcome, seconds, now()), job.asker)
                judged += 1
                progress(cached + judged, total)
    return judged


def _outcomes(job: Job, question: Question, video_ids: list[str], spool: Spool) -> Iterator[tuple[str, Outcome, float]]:
    """The outcome of each video as it comes, and the seconds it took."""
    for video_id in video_ids:
        if video_id in question.unscored:
            yield video_id, NoVerdict(question.unscored[video_id]), 0.0
    asked = [video_id for video_id in video_ids if video_id not in question.unscored]
    if not asked:
        return
    task = job.source.make_task(question, asked, spool)
    told = timed_outcomes(job.judge, task, job.rubric, job.explain)
    for video_id, (outcome, seconds) in zip(asked, told, strict=True):
        yield video_id, outcome, seconds


def _judgment(question: Question, video_id: str, outcome: Outcome, seconds: float, judged_at: datetime) -> Judgment:
    return Judgment(
        question.keys[video_id], question.user_id, video_id, question.recommended_at, len(question.product_ids),
        outcome, judged_at, seconds,
    )  # fmt: skip


def _summary(job: Job, out: Path, questions: Questions, store: JudgmentStore, judged: int, seconds: float) -> Summary:
    reasons = Counter(why.value for key in questions.keys if (why := store.unscored[key]) is not None)
    return Summary(
        folder=str(out),
        judge=job.judge.name,
        rubric=job.asker.rubric_name,
        systems=tuple(sorted(job.selection.lists[C.SYSTEM].unique())),
        users=job.selection.n_users,
        judgments=len(questions.keys),
        judged=judged,
        cached=len(questions.keys) - judged,
        unscored=dict(sorted(reasons.items())),
        products=questions.n_products,
        without_photo=questions.without_photo,
        videos=questions.n_videos,
        without_frames=questions.without_frames,
        short_histories=questions.short_histories,
        seconds=round(seconds, 3),
    )
