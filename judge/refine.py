"""Label refinement: asks a judge for the grades of pairs that are missing, keeps each as it comes, writes them all."""

import logging
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path

import polars as pl

from judge.asking import keeping, timed_outcomes
from judge.columns import J
from judge.inputs import Source
from judge.journal import Journal, iter_rows, open_journal, outcome_row
from judge.pair_tasks import Pair, Shelf, make_pairs, make_shelf, make_task, missing_groups
from judge.protocol import Judge
from judge.rubric import Rubric
from judge.run import TRANSIENT
from judge.store import JUDGMENTS, Asker
from judge.verdict import Unscored
from retrieval.folders import writing
from retrieval.tables import Columns as C

logger = logging.getLogger(__name__)
Progress = Callable[[int, int], None]
Clock = Callable[[], datetime]
AT_ONCE = 512  # products of a task: their photos are in memory together
GRADES_SCHEMA: dict[str, pl.DataType] = {
    J.PAIR_ID: pl.String(), **dict.fromkeys(J.P, pl.Float64()), J.EXPECTED: pl.Float64(), J.UNSCORED: pl.String(),
    J.JUDGE: pl.String(), J.FINGERPRINT: pl.String(), J.RUBRIC: pl.String(),
}  # fmt: skip


@dataclass(frozen=True)
class Refinement:
    """Which pairs (as `load_pairs`) to grade, by whom, with what before their eyes; *source* has no videos."""

    pairs: pl.DataFrame
    source: Source
    judge: Judge
    rubric: Rubric
    explain: bool = False
    retry_unscored: bool = False

    @cached_property
    def asker(self) -> Asker:
        return Asker(self.judge.name, self.judge.fingerprint, self.rubric, self.explain)


@dataclass(frozen=True)
class Refined:
    """What was done: *judgments* are the different questions that pairs ask, *judged* now, *cached* before.

    *groups* are the different queries and histories; *scored* and *unscored* count pairs. *without_photo* of the
    *products* named have none that the judge could see. *unknown_in_histories* are left out there.
    """

    out: str
    judge: str
    rubric: str
    pairs: int
    groups: int
    judgments: int
    judged: int
    cached: int
    scored: int
    unscored: Mapping[str, int]
    products: int
    without_photo: int
    unknown_in_histories: int
    seconds: float


def journal_folder(out: Path) -> Path:
    """Where the judgments behind a table of grades are kept: beside it."""
    return out.with_name(f"{out.name}.journal")


def refine(
    job: Refinement, out: Path, progress: Progress = lambda done, total: None, now: Clock = lambda: datetime.now(UTC)
) -> Refined:
    """Judge what the journal of *out* does not hold yet, write the grades of all pairs to *out*, say what was done.

    Raises:
        UserFacingError: another process writes there, or the judge cannot go on; what it judged until then is kept.
    """
    started = time.monotonic()
    folder = journal_folder(out)
    with open_journal(folder / JUDGMENTS) as journal:
        shelf = make_shelf(job.pairs, job.source, folder)
        pairs = make_pairs(job.pairs, shelf, job.asker)
        with keeping(folder):
            judged = _judge_missing(job, pairs, shelf, journal, folder, progress, now)
        grades = grades_table(pairs, folder, job.asker)
        with writing(out) as draft:
            grades.write_parquet(draft)
    refined = _refined(job, out, pairs, grades, shelf, judged, time.monotonic() - started)
    logger.info("judged %d of %d in %.1f s", judged, refined.judgments, refined.seconds)
    return refined


def _judge_missing(
    job: Refinement, pairs: Sequence[Pair], shelf: Shelf, journal: Journal, folder: Path, progress: Progress, now: Clock
) -> int:
    wanted = {pair.key for pair in pairs if pair.unscored is None}
    known = {row[J.KEY]: row.get(J.UNSCORED) for row in iter_rows(folder / JUDGMENTS)}
    retried = TRANSIENT if job.retry_unscored else frozenset[Unscored]()
    done = {key for key in wanted & known.keys() if known[key] not in retried}
    who = {J.RUBRIC: job.asker.rubric_name, J.JUDGE: job.asker.judge, J.FINGERPRINT: job.asker.fingerprint}
    judged = 0
    progress(len(done), len(wanted))
    for group in missing_groups(pairs, done).values():
        for pair, told in _outcomes(job, group, shelf):
            journal.add({J.KEY: pair.key, C.PRODUCT_ID: pair.product_id, **told, **who, J.JUDGED_AT: now()})
            judged += 1
            progress(len(done) + judged, len(wanted))
    return judged


def _outcomes(job: Refinement, group: Sequence[Pair], shelf: Shelf) -> Iterator[tuple[Pair, dict[str, object]]]:
    """What came of each pair of a group, as it comes, and the seconds it took."""
    for start in range(0, len(group), AT_ONCE):
        some = group[start : start + AT_ONCE]
        task = make_task(some, job.source, shelf)
        told = timed_outcomes(job.judge, task, job.rubric, job.explain)
        for pair, (outcome, seconds) in zip(some, told, strict=True):
            yield pair, {**outcome_row(outcome), J.SECONDS: round(seconds, 4)}


def grades_table(pairs: Sequence[Pair], folder: Path, asker: Asker) -> pl.DataFrame:
    """The grade of every pair, once and in their order, as in `GRADES_SCHEMA`; with its reason where one was asked for.

    Raises:
        UserFacingError: a line of the journal in *folder* is no judgment.
    """
    wanted = {pair.key for pair in pairs}
    columns = [*J.P, J.EXPECTED, J.UNSCORED, *([J.REASON] if asker.explain else [])]
    told = {
        row[J.KEY]: tuple(row.get(name) for name in columns)
        for row in iter_rows(folder / JUDGMENTS)
        if row[J.KEY] in wanted
    }
    nothing = {why: tuple(why.value if name == J.UNSCORED else None for name in columns) for why in Unscored}
    rows = [(p.pair_id, *(told[p.key] if p.unscored is None else nothing[p.unscored])) for p in pairs]
    schema = {name: GRADES_SCHEMA.get(name, pl.String()) for name in (J.PAIR_ID, *columns)}
    return pl.DataFrame(rows, schema=schema, orient="row").with_columns(
        pl.lit(asker.judge).alias(J.JUDGE),
        pl.lit(asker.fingerprint).alias(J.FINGERPRINT),
        pl.lit(asker.rubric_name).alias(J.RUBRIC),
    )


def _refined(
    job: Refinement, out: Path, pairs: Sequence[Pair], grades: pl.DataFrame, shelf: Shelf, judged: int, seconds: float
) -> Refined:
    n_judgments = len({pair.key for pair in pairs if pair.unscored is None})
    unscored = Counter(grades[J.UNSCORED].drop_nulls().to_list())
    return Refined(
        out=str(out),
        judge=job.judge.name,
        rubric=job.asker.rubric_name,
        pairs=len(pairs),
        groups=len({pair.beginning for pair in pairs if pair.unscored is None}),
        judgments=n_judgments,
        judged=judged,
        cached=n_judgments - judged,
        scored=len(pairs) - unscored.total(),
        unscored=dict(sorted(unscored.items())),
        products=len(shelf.photos),
        without_photo=len(shelf.blind),
        unknown_in_histories=len(shelf.unknown),
        seconds=round(seconds, 3),
    )
