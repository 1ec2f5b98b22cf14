"""What is wrong with a table's videos before they are embedded: every file read once, in parallel."""

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from pathlib import Path

import numpy as np

from indexing.allowed import NOWHERE, Allowed
from indexing.cores import n_cores
from indexing.decode.index import StreamIndex
from indexing.decode.plan import ReadingPlan
from indexing.decode.protocol import Accuracy
from indexing.decode.pyav import PyAvReader
from indexing.fingerprint import Fingerprint, duplicates, fingerprint
from indexing.limits import DEFAULT_LIMITS, Limits
from indexing.media import is_out_of_memory, opened, reason_of
from indexing.reading import AHEAD
from indexing.worker import Lost
from indexing.workers import WorkerPool
from retrieval.errors import TableError, import_extra
from retrieval.tables import VIDEOS, load_table, resolve_uri
from retrieval.tables import Columns as C

FRAMES = 4  # read of each file, exactly: enough to tell clips apart, and to find most damage
HASHED_SIDE = 64
PRELOAD = ("indexing.doctor", "av")
SLOW_INTERVAL_S = 5.0
VARIES = 1.5  # times the usual gap between pictures, or as much less
# Nanoseconds of one core for a pixel: of every picture decoded, and more for each keyframe begun at. Fitted to
# `python -m benchmarks.decode`, which prints how far off they are.
COST_NS = {"h264": (3.8, 4.5), "hevc": (3.1, 9.0), "vp9": (3.3, 13.0), "av1": (2.1, 28.0)}
OTHER_COST_NS = (3.5, 10.0)


class Verdict(StrEnum):
    """Whether a file can be embedded: whole, in part, whole but at a high price, or not at all."""

    OK = "ok"
    PARTIAL = "partial"
    SLOW = "slow"
    UNREADABLE = "unreadable"


@dataclass(frozen=True)
class Examination:
    """One video. *width* and *height* are upright; *keyframe_interval_s* is the longest way to the next entry.

    *cost_ms* is the estimate of one core's time for the frames of an embed job. *duplicate_of* is the id of the first
    clip of the table that this one nearly equals. What an unreadable file does not tell is None.
    """

    video_id: str
    uri: str
    verdict: Verdict
    reason: str = ""
    codec: str | None = None
    width: int | None = None
    height: int | None = None
    rotation: int | None = None
    frame_rate: float | None = None
    rate_varies: bool | None = None
    keyframe_interval_s: float | None = None
    duration_s: float | None = None
    cost_ms: float | None = None
    duplicate_of: str | None = None


@dataclass(frozen=True)
class VideoReport:
    """All videos of a table in its order, how many there are of each codec and verdict, and the sum of the costs."""

    videos: tuple[Examination, ...]
    codecs: dict[str, int]
    verdicts: dict[str, int]
    n_duplicates: int
    n_rejected: int
    cost_ms: float


@dataclass(frozen=True)
class Visit:
    """A video to examine for a job that takes *n_frames* of each, by the rules that the job reads it by."""

    video_id: str
    uri: str
    n_frames: int
    allowed: Allowed = NOWHERE
    limits: Limits = DEFAULT_LIMITS


def examine_videos(
    table: Path,
    n_frames: int,
    limit: int | None,
    workers: int,
    progress: Callable[[int, int], None],
    allowed: Allowed = NOWHERE,
    limits: Limits = DEFAULT_LIMITS,
) -> VideoReport:
    """The report on the videos of *table*, the first *limit* of them; remote ones from where it is *allowed*.

    Raises:
        UserFacingError: the table cannot be used, or no worker can be started.
    """
    import_extra("av", "embed")
    checked = load_table(table, VIDEOS)
    rows = checked.frame.select(C.VIDEO_ID, C.URI).head(limit if limit is not None else checked.frame.height)
    if rows.is_empty():
        raise TableError(f"{table} has no video to examine.", "Give a table with videos, or a --limit above 0.")
    visits = [Visit(video_id, resolve_uri(uri, table), n_frames, allowed, limits) for video_id, uri in rows.iter_rows()]
    seen = []
    for found in examined(visits, workers or n_cores(), limits):
        seen.append(found)
        progress(len(seen), len(visits))
    return report([e for e, _ in seen], [f for _, f in seen], checked.rejected.height)


def report(examined: Sequence[Examination], prints: Sequence[Fingerprint | None], n_rejected: int = 0) -> VideoReport:
    """The report on these videos, duplicates marked by their fingerprints (None: not readable)."""
    known = [row for row, found in enumerate(prints) if found]
    originals = duplicates([found for found in prints if found])
    videos = list(examined)
    for row, original in zip(known, originals, strict=True):
        if original is not None:
            videos[row] = replace(videos[row], duplicate_of=videos[known[original]].video_id)
    return VideoReport(
        tuple(videos),
        dict(Counter(video.codec or "unknown" for video in videos).most_common()),
        dict(Counter(video.verdict.value for video in videos).most_common()),
        sum(video.duplicate_of is not None for video in videos),
        n_rejected,
        sum(video.cost_ms or 0.0 for video in videos),
    )


def examine(visit: Visit) -> tuple[Examination, Fingerprint | None]:
    """What is to be said of one file, and its fingerprint where it can be read.

    Raises:
        MemoryError: as `read_task` does.
    """
    reader = PyAvReader().within(visit.limits.pixels)
    try:
        with opened(visit.uri, visit.allowed, visit.limits) as path:
            index = reader.index(path)
            video = reader.read(path, FRAMES, HASHED_SIDE)
    except Exception as error:  # the border to untrusted files: libraries raise nearly anything
        if is_out_of_memory(error):
            raise MemoryError from error
        return _unreadable(visit, reason_of(error)), None
    verdict, reason = judged(index, video.partial)
    found = Examination(
        visit.video_id,
        visit.uri,
        verdict,
        reason,
        index.codec,
        video.width,
        video.height,
        video.rotation,
        *frame_rate(index),
        keyframe_interval_s(index),
        index.duration_s,
        cost_ms(index, index.plan(visit.n_frames, Accuracy.NEAREST), video.width * video.height),
    )
    return found, fingerprint([frame.pixels for frame in video.frames], index.duration_s)


def judged(index: StreamIndex, partial: bool) -> tuple[Verdict, str]:
    """The verdict on a file that gives frames, with its reason."""
    if partial and index.header_s is not None and index.cut:
        return Verdict.PARTIAL, f"{index.duration_s:.1f} s of the {index.header_s:.1f} s that its header promises"
    if partial:
        return Verdict.PARTIAL, "some of its pictures are damaged"
    interval_s = keyframe_interval_s(index)
    if interval_s > SLOW_INTERVAL_S:
        return Verdict.SLOW, f"up to {interval_s:.1f} s between keyframes; encode one every 2 s"
    return Verdict.OK, ""


def keyframe_interval_s(index: StreamIndex) -> float:
    """The longest time from one picture that decoding can begin at to the next, or to the end."""
    entries = sorted(packet.pts for packet in index.packets if packet.entry) or [index.shown.start]
    return float(np.diff([*entries, max(index.shown.end, entries[-1])]).max() * index.tick_s)


def frame_rate(index: StreamIndex) -> tuple[float | None, bool | None]:
    """Pictures a second on average, and whether the gaps between them vary; None of a single picture."""
    gaps = np.diff(index.shown.pts)
    if not gaps.size or not gaps.sum():
        return None, None
    usual = np.median(gaps)
    varies = bool(gaps.max() > VARIES * usual or gaps.min() * VARIES < usual)
    return float(len(gaps) / (gaps.sum() * index.tick_s)), varies


def cost_ms(index: StreamIndex, plan: ReadingPlan | None, n_pixels: int) -> float:
    """One core's milliseconds for a plan, or for every packet where there is none.

    The time of a picture goes with its pixels; keyframes hold more bits, so each one begun at adds to it.
    """
    picture_ns, start_ns = COST_NS.get(index.codec, OTHER_COST_NS)
    n_fed, n_starts = (len(plan.fed), len(plan.starts)) if plan else (len(index.packets), 1)
    return n_pixels * (n_fed * picture_ns + n_starts * start_ns) / 1e6


def examined(visits: Sequence[Visit], workers: int, limits: Limits) -> Iterator[tuple[Examination, Fingerprint | None]]:
    """`examine` of each, in their order, by processes that a file may hang or kill at no cost but its own."""
    with WorkerPool(workers, limits, PRELOAD) as pool:
        for visit, outcome in pool.map(examine, visits, AHEAD * workers):
            yield (_unreadable(visit, outcome.reason), None) if isinstance(outcome, Lost) else outcome


def _unreadable(visit: Visit, reason: str) -> Examination:
    return Examination(visit.video_id, visit.uri, Verdict.UNREADABLE, reason)
